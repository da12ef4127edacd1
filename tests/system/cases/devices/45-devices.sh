# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with a stock kernel, whose RAM is shared with the host, gets random numbers by virtio: also after a
# reboot in place, and after it has told the device of rings outside of its RAM. It has a clock, too, which is right
# from the start. So has a protected guest with a region for the device, and a kernel that exchanges data there alone;
# without a region it is refused. That kernel panics and hangs: the watchdog, which it has fed before, restarts it.
# Both have sockets to the host and back, whose address is free when they have stopped.
host_says() { # TEXT
	ghvmctl host | grep -q "$1"
}

# A guest with these devices: descriptor of "one".
devices() { # PROTECTION IMAGE RNG VSOCK
	image=$2 vm one 1 256M ""
	sed -i -e "s/^memory: .*/memory: {size: 256M, protection: $1}/" \
		-e "s/^  - console: {}/&\n  - rng: {$3}\n  - rtc: {}\n  - watchdog: {}\n  - vsock: {$4}/" $vms/one.yaml
}

# Read 8 KiB from the device twice: all of it comes, it is not twice the same, and no compression makes it smaller.
guest_draws() {
	type_line one "sh"
	type_line one "sed 's/^/has: /' /sys/class/misc/hw_random/rng_available"
	hears one 15 "has: virtio_rng"
	type_line one "for n in 1 2; do dd if=/dev/hwrng of=/\$n bs=1024 count=8; done 2>/dev/null"
	type_line one "echo drawn \$(cat /1 /2 | wc -c) \$(cmp -s /1 /2 || echo unlike) \$((\$(gzip -c /1 | wc -c) > 8192))"
	hears one 30 "drawn 16384 unlike 1"
	type_line one "exit"
}

# Write registers of the device, which has no driver meanwhile: features, and a ring that is not in RAM.
guest_lies() {
	type_line one "sh"
	type_line one "cd /sys/bus/platform/drivers/virtio-mmio; echo 10010000.virtio >unbind"
	type_line one "for w in 70=0 70=3 24=1 20=3 70=11 38=8 80=0x7fff0000 44=1; do devmem \$((0x10010000 + 0x\${w%=*})) 32 \${w#*=}; done"
	type_line one "echo status \$(devmem 0x10010070)"
	hears one 15 "status 0x0000004B"
	type_line one "echo 10010000.virtio >bind; cd /; exit"
}

# The kernel has set its clock by the device, which shows the host's time. What runs in between takes a while.
guest_knows_the_time() {
	_before=$(date +%s)
	type_line one "sh"
	type_line one "echo now \$(cat /sys/class/rtc/rtc0/name) \$(date +%s) \$(cat /sys/class/rtc/rtc0/since_epoch) end"
	hears one 30 "now .*pl031.* end"
	type_line one "exit"
	_times=$(tail -c "+$(($(cat /run/mark-one) + 1))" $logs/one.log | sed -n 's/.*now .*pl031 [^ ]* \([0-9]*\) \([0-9]*\) end.*/\1 \2/p' | tail -n 1)
	for _time in $_times; do
		if [ "$_time" -lt $((_before - 2)) ] || [ "$_time" -gt $(($(date +%s) + 2)) ]; then
			fail "it is between $_before and $(date +%s); the guest says $_times"
		fi
	done
	[ -n "$_times" ] || fail "the guest does not say what time it is"
}

claimed() { # CID: by another file than the one that this opens
	! ./ghvm-vsock claim "$1"
}

cid_of_one() {
	ghvmctl status one | sed -n 's/.*vsock *CID \([0-9]*\)$/\1/p'
}

# 4 MiB each way by a connection of the host to the guest, and by one of the guest to the host.
guest_exchanges() {
	type_line one "sh"
	type_line one "vsock serve 7000 &"
	cid=$(cid_of_one)
	[ -n "$cid" ] || fail "the status shows no CID"
	dd if=/dev/urandom of=/run/sent bs=64k count=64 2>/dev/null
	must 15 ./ghvm-vsock send "$cid" 7000 </dev/null
	timeout 60 ./ghvm-vsock send "$cid" 7000 </run/sent >/run/returned || fail "the host cannot send to the CID $cid"
	cmp /run/sent /run/returned || fail "what the guest returns is not what the host has sent"
	type_line one "dd if=/dev/urandom of=/sent bs=64k count=64 2>/dev/null; vsock send 2 7000 </sent | cmp - /sent; echo returned \$?"
	hears one 60 "returned 0"
	type_line one "kill \$!; rm /sent; exit"
	rm -f /run/sent /run/returned
	claimed "$cid" || fail "the CID of a guest that runs can be taken"
}

# All of it, after the start and after a reboot.
guest_has_devices() {
	_since=$(date +%s)
	up one
	ghvmctl --json status one | grep -q '"rng"' || fail "the status does not list the device"
	guest_draws
	guest_knows_the_time
	guest_exchanges
	say "rings that are not in its memory"
	guest_lies
	must 15 unit_said one "Device rng, queue 0: the descriptors at 0x7fff0000 are not in memory that the guest shares"
	mark one
	guest_draws
	say "after a reboot in place"
	mark one
	type_line one reboot
	hears one 90 "guest: user space reached"
	guest_draws
	guest_knows_the_time
	guest_exchanges
}

# Its kernel panics and stays so, which no vCPU reports.
guest_hangs() {
	mark one
	type_line one "sh"
	type_line one "watchdog -T 10 -t 2 /dev/watchdog; echo fed \$(cat /sys/class/watchdog/watchdog0/identity)"
	hears one 15 "fed sp805-wdt"
	type_line one "echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger"
	hears one 15 "end Kernel panic"
	hears one 150 "guest: user space reached"
	unit_said one "Watchdog: vCPU 0 runs, after" || fail "the journal does not say what the vCPU did"
	unit_said one "The guest has ended: watchdog" || fail "the journal does not say why it ended"
	[ "$(unit_show one NRestarts)" = 1 ] || fail "the unit was restarted $(unit_show one NRestarts) times"
}

say "a protected guest, whose devices have a region"
devices protected $here/guest/Image-small "region: 7" "cid: 77, region: 7"
echo "regions: [{label: 7, size: 4M}]" >>$vms/one.yaml
./ghvm-vsock claim 77 600 & # opening the node loads the module
holder=$!
must 15 claimed 77
start_refused one "one.yaml:[0-9]*:[0-9]*: devices.4..vsock: the CID 77 is taken"
kill $holder
must 15 ./ghvm-vsock claim 77
./ghvm-vsock serve 7000 &
server=$!
guest_has_devices
say "its kernel hangs, and its watchdog restarts it"
guest_hangs
guest_exchanges
down one
./ghvm-vsock claim 77 || fail "the CID is not free after the stop"

say "without a region it is refused"
devices protected $here/guest/Image-small "" "region: 7"
start_refused one "one.yaml:[0-9]*:[0-9]*: memory.protection: the device \"rng\""

must 60 host_says "image-share"
if host_says "image-share *yes"; then
	say "a stock kernel, and RAM that is shared"
	devices none $here/guest/Image "" ""
	guest_has_devices
	down one
	./ghvm-vsock claim "$cid" || fail "the CID is not free after the stop"
elif is_model; then
	fail "the model does not share RAM: $(ghvmctl host)"
fi
kill $server
prepare_guests
