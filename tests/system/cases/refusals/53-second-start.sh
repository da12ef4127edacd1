# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A second start of a running VM is refused, however it is requested, and the VM continues to run.
up one
pid=$(unit_show one MainPID)
refused busctl call org.gunyah.vmm1 /org/gunyah/vmm1 org.gunyah.vmm1.Manager StartVM 'sa{sv}' one 0
if /usr/lib/gunyah/gunyah-vm-prepare one >/run/prepare.out 2>&1; then
	cat /run/prepare.out
	fail "the helper built the VM a second time"
fi
cat /run/prepare.out
grep -q one /run/prepare.out || fail "the error of the helper does not name the VM"
say "a start of the unit is none"
systemctl start gunyah-vm@one
[ "$(unit_show one MainPID)" = "$pid" ] || fail "the unit has another runner"
type_line one "echo unharmed"
hears one 10 "guest: unharmed"

say "stopped and started again at once, over the bus: its unit may not have ended yet"
mark one
busctl call org.gunyah.vmm1 /org/gunyah/vmm1/vm/one org.gunyah.vmm1.VM Stop 'sa{sv}' force 0
until busctl get-property org.gunyah.vmm1 /org/gunyah/vmm1/vm/one org.gunyah.vmm1.VM State | grep -q stopped; do
	:
done
busctl call org.gunyah.vmm1 /org/gunyah/vmm1 org.gunyah.vmm1.Manager StartVM 'sa{sv}' one 0
hears one 90 "guest: user space reached"
[ "$(unit_show one MainPID)" != "$pid" ] || fail "the unit still has the old runner"
down one
