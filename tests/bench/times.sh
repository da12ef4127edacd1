# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# How long things take in the testbed, in seconds of the machine under QEMU's TCG: good for comparing
# one commit with another on one computer, and for nothing else.
now() {
	cut -d' ' -f1 /proc/uptime
}

since() { # START
	awk -v a="$1" '{ printf "%.2f", $1 - a }' /proc/uptime
}

for cpus in 1 2 4; do
	vm bench $cpus 256M ""
	mark bench
	t=$(now)
	systemctl start gunyah-vm@bench
	started=$(since "$t")
	hears bench 120 "guest: user space reached"
	user=$(since "$t")
	t=$(now)
	systemctl stop gunyah-vm@bench
	say "$cpus vCPUs, 256 MiB: started $started, user space $user, stopped by power key $(since "$t")"
done
for size in 128M 256M 512M 1G; do
	vm bench 1 $size "" 1s
	t=$(now)
	systemctl start gunyah-vm@bench
	started=$(since "$t")
	t=$(now)
	systemctl kill -s KILL gunyah-vm@bench
	systemctl stop gunyah-vm@bench
	say "$size: started $started, all back $(since "$t")"
	systemctl reset-failed gunyah-vm@bench 2>/dev/null || true
done
pid=$(systemctl show -P MainPID gunyah-vmd)
say "manager: $(awk '/^VmRSS/ { print $2 }' /proc/"$pid"/status) KiB resident"
