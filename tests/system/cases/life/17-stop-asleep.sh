# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# systemctl stop of a guest that sleeps (s2idle): the power key wakes it, and it powers off.
up one
type_line one sleep
hears one 20 "guest: falls asleep"
sleep 3
! said one "guest: is awake" || fail "the guest does not sleep"
start=$(uptime_s)
down one
say "stopped after $(($(uptime_s) - start)) s"
said one "guest: power key" || fail "the guest did not hear the power key"
