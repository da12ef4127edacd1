# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Two guests at the same time, each with its own console and memory; the end of one does not affect the other.
up one other
for v in one other; do
	mark $v
	type_line $v "echo I am $v"
	hears $v 15 "guest: I am $v"
done
! said one "I am other" || fail "output of the guest other is in the log of one"
[ "$(unit_show one MainPID)" != "$(unit_show other MainPID)" ] || fail "both units have the same runner"
down one
type_line other "echo alone"
hears other 10 "guest: alone"
down other
