# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL of the manager: the guest continues to run, and none of its pages is released.
up one
lent=0
! is_model || lent=$(model lent_pages)
[ "$(pinned_pages)" -ge "$lent" ] || fail "only $(pinned_pages) of $lent pages are pinned"
pins=$(pins)
systemctl kill --kill-who=main -s KILL gunyah-vmd
for _ in $(seq 20); do
	if is_model; then
		[ "$(model lent_pages)" = "$lent" ] || fail "pages of the running guest were returned"
		[ "$(pins)" -ge "$pins" ] || fail "there were $pins pins, now $(pins)"
	fi
	sleep 0.2
done
must 30 systemctl is-active gunyah-vmd
type_line one "echo still here"
hears one 15 "guest: still here"
unit_is one active || fail "the unit is $(unit_show one ActiveState)"
[ "$(unit_show one NRestarts)" = 0 ] || fail "the unit was restarted"
say "the new manager knows the guest and can stop it"
ghvmctl list | grep one | grep -q running || fail "$(ghvmctl list)"
say "and reboot it in place"
pid=$(unit_show one MainPID)
mark one
type_line one reboot
hears one 90 "guest: user space reached"
[ "$(unit_show one NRestarts)" = 0 ] || fail "the unit was restarted"
[ "$(unit_show one MainPID)" = "$pid" ] || fail "the unit has another runner"
down one
