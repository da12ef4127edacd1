# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The hypervisor does not report the end of a guest to the resource manager. The manager detects the end and
# handles it as a regular one, within a short time.
needs_model || return 0

lost() { # NAME WORD: what its guest does, unheard
	knob SKIP 0
	knob DROP_END 1
	mark "$1"
	start=$(uptime_s)
	type_line "$1" "$2"
}

for name in one four; do
	say "$name powers off"
	up $name
	lost $name off
	must 20 unit_ended $name
	took=$(($(uptime_s) - start))
	say "found out within $took s"
	[ $took -le 5 ] || fail "found out after $took s"
	[ "$(unit_show $name Result)" = success ] || fail "the unit's result is $(unit_show $name Result)"

	say "$name reboots"
	up $name
	lost $name reboot
	hears $name 90 "guest: user space reached"
	unit_is $name active || fail "the unit is $(unit_show $name ActiveState)"
	down $name
done
