# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that reboots is restarted within its unit.
up one
mark one
type_line one reboot
hears one 90 "guest: user space reached"
unit_is one active || fail "the unit is $(unit_show one ActiveState)"
say "restarts of the unit: $(unit_show one NRestarts)"
say "and a second time"
mark one
type_line one reboot
hears one 90 "guest: user space reached"
type_line one "echo still here"
hears one 10 "guest: still here"
down one
