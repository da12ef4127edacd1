# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Twenty starts and stops: all pages are returned each time, and free memory does not decrease.
cycle() {
	systemctl start gunyah-vm@cycle
	systemctl stop gunyah-vm@cycle
	unit_is cycle inactive || fail "the unit is $(unit_show cycle ActiveState)"
	wait_for 15 returned || fail "cycle $1: pinned $(pins), quarantined $(pages quarantined)"
}

# Without a power key a stop is by force, and at once.
sed -i 's/- console: {}/- power-key: {enabled: false}/' $vms/cycle.yaml
cycle 0
echo 3 >/proc/sys/vm/drop_caches
first=$(mem_free)
for n in $(seq 20); do
	cycle "$n"
done
echo 3 >/proc/sys/vm/drop_caches
last=$(mem_free)
say "free before and after: $first $last KiB"
# one guest forgotten would be 128 MiB
[ $((first - last)) -lt 32768 ] || fail "$((first - last)) KiB less free memory than at first"
prepare_guests
