# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The same with four vCPUs, all used by the guest.
needs_cpus 4 || return 0
start=$(uptime_s)
up four
took=$(($(uptime_s) - start))
say "user space after $took s"
[ $took -le $((60 * patience)) ] || fail "user space after $took s"
said four "4 CPUs" || fail "not four CPUs"
ghvmctl list
ghvmctl list | grep -q four || fail "it is not in the list"
ghvmctl status four
mark four
type_line four off
must 30 unit_ended four
[ "$(unit_show four Result)" = success ] || fail "the unit's result is $(unit_show four Result)"
