# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# systemctl stop of a guest that computes on all CPUs: it reacts to the power key and powers off.
needs_cpus 4 || return 0
up four
type_line four busy
hears four 20 "guest: busy"
sleep 3
mark four
start=$(uptime_s)
down four
say "stopped after $(($(uptime_s) - start)) s"
said four "guest: power key" || fail "the guest did not hear the power key"
