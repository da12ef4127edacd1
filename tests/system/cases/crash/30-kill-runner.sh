# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL of a runner ends only its own guest, and all pages are returned.
up one other
pid=$(unit_show one MainPID)
say "the unit restarts, as its runner failed"
mark one
kill -KILL "$pid"
hears one 90 "guest: user space reached"
[ "$(unit_show one MainPID)" != "$pid" ] || fail "the unit still has the killed runner"
type_line other "echo unharmed"
hears other 10 "guest: unharmed"
down one other
