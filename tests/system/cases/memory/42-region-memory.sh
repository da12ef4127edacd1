# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest sees what the host loads into its regions, and the host dumps what the guest writes
# (guest-window.S), also after the manager was killed. What is dumped are the guest's own pages: the
# module has pinned them, and they are no copy. A second guest that has one of the regions at another address
# writes there, also when the first one has ended.
image=$here/guest/window vm window 1 64M "" 1s
cat >>$vms/window.yaml <<END
regions:
  - {label: 5, size: 64K, address: 0x50000000, with: mirror}
  - {label: 6, size: 4K, address: 0x50010000, access: host-readonly}
END

image=$here/guest/window vm mirror 1 64M "" 1s
cat >>$vms/mirror.yaml <<END
regions:
  - {label: 5, size: 64K, address: 0x50010000, with: window}
  - {label: 6, size: 64K, address: 0x50000000}
END

reads() { # LABEL TEXT [VM]: the region begins with it
	ghvmctl region dump "${3:-window}" "$1" /run/dumped
	[ "$(head -c ${#2} /run/dumped)" = "$2" ]
}

goes_both_ways() {
	printf load | ghvmctl region load window 5 -
	must 30 reads 5 tookdump
	[ "$(stat -c %s /run/dumped)" = 65536 ] || fail "the dump has $(stat -c %s /run/dumped) bytes"
}

systemctl start gunyah-vm@window
goes_both_ways
say "a region that the host may only read"
must 30 reads 6 here
printf x >/run/dumped
refused ghvmctl region load window 6 /run/dumped
must 5 reads 6 here
say "lent memory"
refused ghvmctl region dump window 0 /run/dumped

say "a new manager"
printf 'xxxxxxxx' | ghvmctl region load window 5 -
systemctl kill -s KILL gunyah-vmd
must 30 reads 5 xxxxxxxx
goes_both_ways
must 5 reads 6 here

say "a second guest"
systemctl start gunyah-vm@mirror
must 30 reads 5 here
goes_both_ways
must 5 reads 5 tookdump mirror

say "the first guest ends"
systemctl stop gunyah-vm@window
refused ghvmctl region dump window 5 /run/dumped
must 5 reads 5 tookdump mirror
ghvmctl quarantine | grep -q "window.*which it is shared with, has not ended" || fail "$(ghvmctl quarantine)"
refused /usr/lib/gunyah/gunyah-vm-prepare window >/run/prepare.out 2>&1
grep -q "mirror still has the regions of an earlier run of window" /run/prepare.out || fail "$(cat /run/prepare.out)"

say "the end"
systemctl stop gunyah-vm@mirror
systemctl start gunyah-vm@window
must 30 reads 6 here
systemctl stop gunyah-vm@window
rm $vms/window.yaml $vms/mirror.yaml
