# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that ignores the power key is killed after its stop-timeout, and its memory is returned.
vm deaf 1 256M "testbed.guest=deaf" 3s
up deaf
start=$(uptime_s)
systemctl stop gunyah-vm@deaf
took=$(($(uptime_s) - start))
say "stopped after $took s"
unit_is deaf inactive || fail "the unit is $(unit_show deaf ActiveState)"
[ $took -ge 2 ] || fail "killed after $took s, before its stop-timeout of 2 s"
[ $took -le $((20 * patience)) ] || fail "killed only after $took s"
