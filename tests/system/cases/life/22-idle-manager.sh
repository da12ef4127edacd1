# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# An idle manager uses no CPU time and little memory, also while a guest runs.
up one
pid=$(systemctl show -P MainPID gunyah-vmd)
switches() {
	cat /proc/"$pid"/task/*/status | awk '/ctxt_switches/ { n += $2 } END { print n }'
}
sleep 2
before=$(switches)
sleep 12
after=$(switches)
say "the manager ran $((after - before)) times in 12 s"
# it may have notified the watchdog meanwhile
[ $((after - before)) -le 3 ] || fail "the manager used $((after - before)) ticks of CPU time"
rss=$(awk '/^VmRSS/ { print $2 }' /proc/"$pid"/status)
say "resident set: $rss KiB"
[ "$rss" -lt 8192 ] || fail "the resident set of the manager is $rss KiB"
down one
