# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that is no Linux: Debian's U-Boot starts at the address that the descriptor gives, with a resource manager
# that can be told; one that cannot is not asked. Before its first words it reads 256 KiB of flash memory byte by
# byte, where the guest has no device: 262,144 exits, for which a busy machine needs minutes.
needs_model || return 0
cat >$vms/boot.yaml <<-END
	version: 1
	kernel: {image: $here/guest/u-boot, format: raw, dtb-overlay: $here/guest/u-boot.dtbo}
	memory: {size: 128M, address: 0x40000000}
	boot: {entry: 0x40210000, sp: 0x40200000}
	lifecycle: {on-reboot: stop, stop-timeout: 1s}
END

say "a resource manager without the message"
start_refused boot "boot.entry: this resource manager \(.*\) does not know VM_SET_BOOT_CONTEXT"
say "one that has it"
knob GENERATION 1
systemctl stop gunyah-vmd.service
ghvmctl host | grep "^rm  *android14:" || fail "not taken for android14: $(ghvmctl host)"
mark boot
systemctl start gunyah-vm@boot
must 400 said boot "U-Boot 20"
ghvmctl stop --force boot
must 15 returned
rm $vms/boot.yaml
knob GENERATION 0
systemctl stop gunyah-vmd.service
