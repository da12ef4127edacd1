# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A VM that runs is not started a second time, by any way, and runs on.
up one
pid=$(unit_show one MainPID)
refused busctl call org.gunyah.vmm1 /org/gunyah/vmm1 org.gunyah.vmm1.Manager StartVM 'sa{sv}' one 0
if /usr/lib/gunyah/gunyah-vm-prepare one >/run/prepare.out 2>&1; then
	cat /run/prepare.out
	fail "the helper built it twice"
fi
cat /run/prepare.out
grep -q one /run/prepare.out || fail "the helper does not say why"
say "a start of the unit is none"
systemctl start gunyah-vm@one
[ "$(unit_show one MainPID)" = "$pid" ] || fail "another runner"
type_line one "echo unharmed"
hears one 10 "guest: unharmed"
down one
