# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A VM that is defined over the bus: with the real bus, polkit, units and users, and a disk that is full.
lib=/var/lib/gunyah

defined() { # NAME
	busctl --list tree org.gunyah.vmm1 | grep -q "/vm/$1\$"
}

nothing_left() {
	[ -z "$(find $lib -name 'sent*')" ]
}

write_sent() {
	mkdir -p /run/sent
	cp $here/guest/Image /run/sent/Image
	sed 's#image: .*#image: /run/sent/Image#; s/256M/128M/' $vms/one.yaml >/run/sent/sent.yaml
}
write_sent

say "by root, with copies of its files, which are the manager's alone"
ghvmctl define /run/sent/sent.yaml
rm -r /run/sent
defined sent || fail "it is not on the bus"
grep -q "image: '$lib/images/sent\\..*/kernel.image'" $lib/vms/sent.yaml
[ "$(stat -c '%U %a' $lib/vms/sent.yaml)" = "gunyah-vmd 644" ]
[ "$(stat -c '%U %a' $lib/images/sent.*/kernel.image)" = "gunyah-vmd 600" ]
up sent
ghvmctl undefine sent >/run/said 2>&1 && fail "undefined while it runs"
grep -q "sent is running" /run/said

say "it reboots in place, also with a later manager, which opens the copies itself"
_invocation=$(unit_show sent InvocationID)
systemctl restart gunyah-vmd
mark sent
type_line sent reboot
hears sent 90 "guest: user space reached"
[ "$(unit_show sent InvocationID)" = "$_invocation" ] || fail "the unit was started again"
down sent

say "a definition with a file that only root may read starts nothing"
cp $lib/vms/sent.yaml /run/before.yaml
sed "s#initrd: .*#initrd: /etc/shadow#" /run/before.yaml >$lib/vms/sent.yaml
start_refused sent "/etc/shadow: the user .*, who owns the descriptor, may not read it"
cat /run/before.yaml >$lib/vms/sent.yaml

say "undefined, and nothing is left"
ghvmctl undefine sent
must 10 sh -c '! busctl --list tree org.gunyah.vmm1 | grep -q /vm/sent$'
nothing_left || fail "left: $(find $lib -name 'sent*')"

say "run once, with nothing on the disk; it reboots in place with a later manager, and is gone with its end"
write_sent
mark 0.sent
ghvmctl run /run/sent/sent.yaml
rm -r /run/sent
nothing_left || fail "stored: $(find $lib -name 'sent*')"
hears 0.sent 90 "guest: user space reached"
_invocation=$(unit_show sent InvocationID)
systemctl restart gunyah-vmd
must 10 sh -c 'busctl get-property org.gunyah.vmm1 /org/gunyah/vmm1/vm/sent org.gunyah.vmm1.VM \
	DescriptorState | grep -q transient'
mark 0.sent
type_line sent reboot
hears 0.sent 90 "guest: user space reached"
[ "$(unit_show sent InvocationID)" = "$_invocation" ] || fail "the unit was started again"

say "a runner that is killed: systemd starts the unit again, with the files that the manager has"
mark 0.sent
kill -KILL "$(unit_show sent MainPID)"
hears 0.sent 90 "guest: user space reached"
[ "$(unit_show sent InvocationID)" != "$_invocation" ] || fail "the unit was not started again"
down sent
must 10 sh -c '! busctl --list tree org.gunyah.vmm1 | grep -q /vm/sent$'
systemctl start gunyah-vm@sent && fail "a unit without a VM has started"
systemctl reset-failed gunyah-vm@sent

say "a run that fails leaves no failed unit in systemd"
echo no kernel >/run/no-kernel
refused ghvmctl run --kernel /run/no-kernel --memory 128M --name wrong >/run/said 2>&1
grep -q -- "--kernel: /run/no-kernel" /run/said || fail "$(cat /run/said)"
must 10 sh -c '! systemctl list-units --all --plain --no-legend "gunyah-vm@wrong.service" | grep -q .'

say "a disk that is full"
systemctl stop gunyah-vmd.socket gunyah-vmd
mount -t tmpfs -o size=4M tmpfs $lib
systemctl start gunyah-vmd.socket gunyah-vmd
write_sent
ghvmctl define /run/sent/sent.yaml >/run/said 2>&1 && fail "there was room"
cat /run/said
grep -q "must stay free" /run/said || fail "the error does not say why"
nothing_left || fail "left: $(find $lib -name 'sent*')"
systemctl stop gunyah-vmd.socket gunyah-vmd
umount $lib
systemctl start gunyah-vmd.socket gunyah-vmd
rm -r /run/sent
