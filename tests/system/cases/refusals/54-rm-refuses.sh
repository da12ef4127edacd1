# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The resource manager refuses each message of a start in turn: the journal names the message
# and the status, and the start is undone completely.
needs_model || return 0
# systemd would try again and succeed, because the model refuses only once
conf=/run/systemd/system/gunyah-vm@cycle.service.d
mkdir -p $conf
printf '[Service]\nRestart=no\n' >$conf/once.conf
systemctl daemon-reload

while read -r name id; do
	say "$name"
	knob SKIP 0
	knob STATUS 3 # DENIED
	knob REFUSE "$id"
	start_refused cycle "$name.*DENIED"
	must 15 returned
done <<END
VM_ALLOCATE 0x56000001
MEM_LEND 0x51000012
VM_CONFIG_IMAGE 0x56000009
VM_INIT 0x5600000b
VM_GET_HYP_RESOURCES 0x56000020
VM_START 0x56000004
END
rm -r $conf
systemctl daemon-reload
say "and then one starts"
systemctl start gunyah-vm@cycle
systemctl stop gunyah-vm@cycle
