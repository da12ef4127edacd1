# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# An upgrade is a restart of the manager; guests do not notice it.
up one
systemctl restart gunyah-vmd
type_line one "echo after the upgrade"
hears one 15 "guest: after the upgrade"
[ "$(unit_show one NRestarts)" = 0 ] || fail "the unit was restarted"
down one
