# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with one vCPU reaches its user space and powers off; the unit ends successfully.
vm quick 1 256M "testbed.guest=off"
mark quick
start=$(uptime_s)
systemctl start gunyah-vm@quick
must 60 said quick "guest: user space reached"
say "user space after $(($(uptime_s) - start)) s"
said quick "1 CPUs" || fail "not one CPU"
must 20 unit_ended quick
[ "$(unit_show quick ActiveState)" = inactive ] || fail "the unit is $(unit_show quick ActiveState)"
[ "$(unit_show quick Result)" = success ] || fail "the unit's result is $(unit_show quick Result)"
[ "$(unit_show quick ExecMainStatus)" = 0 ] || fail "the runner's status is $(unit_show quick ExecMainStatus)"
