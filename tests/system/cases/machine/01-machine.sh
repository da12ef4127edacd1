# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The testbed is set up as by an installed package.
say "system: $(systemctl is-system-running), $(uptime_s) s after the kernel's start"
for unit in $(systemctl --no-pager --failed --no-legend --plain | cut -d' ' -f1); do
	say "$unit has failed"
	systemctl --no-pager -n 20 status "$unit" || true
done
[ "$(systemctl is-system-running)" = running ] || fail "a unit has failed: $(systemctl --failed --no-legend)"

say "the module is loaded by modules-load, its node belongs to the manager"
lsmod | grep -q '^ghvm ' || fail "ghvm is not loaded"
udevadm settle
[ "$(stat -c '%U %G %a' /dev/ghvm)" = "gunyah-vmd root 600" ] || fail "/dev/ghvm: $(stat -c '%U %G %a' /dev/ghvm)"
pages info

say "users, folders and the socket are there"
grep -q '^gunyah:' /etc/group || fail "no group gunyah"
[ "$(stat -c '%U %a' /run/gunyah/ctl)" = "gunyah-vmd 700" ] || fail "/run/gunyah/ctl: $(ls -ld /run/gunyah/ctl)"
systemctl is-active gunyah-vmd.socket
[ "$(stat -c '%U %a' /run/gunyah/prepare.sock)" = "root 600" ] || fail "$(ls -l /run/gunyah/prepare.sock)"

say "units, as they are installed, verify"
systemd-analyze verify --man=no gunyah-vmd.socket gunyah-vmd.service gunyah-vm@demo.service
