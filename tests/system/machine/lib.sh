# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# lib.sh, to be sourced: functions for the cases, which run as root in the testbed under "set -eu". The shell itself
# reads what is asked again and again: a process is slow there, and takes time from the guests.

here=/usr/lib/ghvm-tests
vms=/etc/gunyah/vms
logs=/var/log/gunyah

fail() {
	echo "FAIL: $*"
	exit 1
}

say() {
	echo "-- $*"
}

uptime_s() {
	read -r _up _ </proc/uptime
	echo "${_up%%.*}"
}

mem_free() { # KiB
	awk '/^MemFree:/ { print $2 }' /proc/meminfo
}

is_model() {
	[ -n "$(find /proc/device-tree/reserved-memory -maxdepth 1 -name 'counters@*' 2>/dev/null)" ]
}

# Time limits are longer on a real hypervisor, which is slower under QEMU.
patience=1
is_model || patience=4

wait_for() { # SECONDS COMMAND...: until it succeeds
	_end=$(($(uptime_s) + $1 * patience))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(uptime_s)" -lt $_end ] || return 1
		sleep 0.2
	done
}

must() { # SECONDS COMMAND...: or the case fails
	wait_for "$@" || fail "not within $*"
}

# Skip a case with a reason, which appears in the TAP output; the case then returns.
skip() { # WHY
	echo "$*" >/run/case.skip
}

# Conditions of cases: "needs_model || return 0"
needs_model() {
	is_model || { skip "only the model has knobs and counters" && return 1; }
}

needs_cpus() { # NUMBER
	[ "$(nproc)" -ge "$1" ] || { skip "needs $1 CPUs, this machine has $(nproc)" && return 1; }
}

refused() { # COMMAND...: must fail
	! "$@" || fail "succeeded: $*"
}

booted() {
	case $(systemctl is-system-running) in
	running | degraded) ;;
	*) return 1 ;;
	esac
}

# --- descriptors ---------------------------------------------------------------------------

# vm NAME CPUS MEMORY CMDLINE-WORDS [STOP-TIMEOUT]: write a descriptor
vm() {
	mkdir -p $vms
	cat >$vms/"$1".yaml <<-END
		version: 1
		kernel:
		  image: ${image:-$here/guest/Image}
		  initrd: $here/guest/initrd
		  cmdline: "console=ttyS0 quiet panic=1 $4"
		memory: {size: $3}
		cpus: {count: $2}
		devices:
		  - console: {}
		lifecycle: {on-reboot: restart, stop-timeout: ${5:-30s}}
	END
}

prepare_guests() {
	vm demo 2 256M "testbed.guest=off"
	vm one 1 256M ""
	vm four 4 256M ""
	vm other 1 256M ""
	# is killed, because its user space does not react to the power key yet
	vm cycle 1 128M "" 1s
}

# --- units ---------------------------------------------------------------------------------

unit_show() { # NAME PROPERTY
	systemctl show -P "$2" "gunyah-vm@$1.service"
}

unit_ended() { # NAME
	case $(unit_show "$1" ActiveState) in
	inactive | failed) ;;
	*) return 1 ;;
	esac
}

unit_is() { # NAME STATE
	[ "$(unit_show "$1" ActiveState)" = "$2" ]
}

# Print the unit's journal since the start.
unit_journal() { # NAME
	journalctl -q --no-pager -o cat -u "gunyah-vm@$1.service"
}

# Print the unit's journal since start_refused began. --after-cursor cannot be used: with a filter that the
# cursor's entry does not match, systemd 252 drops the first matching entry.
unit_said() { # NAME PATTERN
	journalctl -q --no-pager -o cat -u "gunyah-vm@$1.service" --since="@$_since" | grep -E "$2"
}

# Start a VM, which must fail with TEXT in the unit's journal.
start_refused() { # NAME TEXT
	_since=$(date +%s)
	if systemctl start "gunyah-vm@$1"; then
		# the runner may exit before READY=1: the start command may succeed or fail
		fail "gunyah-vm@$1 has started"
	fi
	must 30 unit_ended "$1"
	# the journal may be delayed
	wait_for 15 unit_said "$1" "$2" || {
		unit_said "$1" .
		fail "the journal does not say: $2"
	}
	[ "$(unit_show "$1" Result)" != success ] || fail "the unit's result is success"
	systemctl reset-failed "gunyah-vm@$1"
}

# --- consoles ------------------------------------------------------------------------------

# The log contains earlier starts: search only after the mark.
log_of() { # NAME, or UID.NAME of a transient VM
	case $1 in
	*.*) echo "$logs/users/$1.log" ;;
	*) echo "$logs/$1.log" ;;
	esac
}

mark() { # NAME, as log_of
	_size=0
	_log=$(log_of "$1")
	[ ! -e "$_log" ] || _size=$(stat -c %s "$_log")
	echo "$_size" >"/run/mark-$1"
}

said() { # NAME TEXT: behind the mark
	read -r _size <"/run/mark-$1"
	tail -c "+$((_size + 1))" "$(log_of "$1")" | grep -q "$2"
}

hears() { # NAME SECONDS TEXT
	must "$2" said "$1" "$3"
}

type_line() { # NAME TEXT: on its console
	echo "$2" | timeout 20 ghvmctl console "$1"
}

units() { # NAME...
	for _name in "$@"; do
		echo "gunyah-vm@$_name"
	done
}

# Each boots at the same time as the others.
up() { # NAME...: starts them and waits for their user spaces
	for _name in "$@"; do
		mark "$_name"
	done
	# shellcheck disable=SC2046 # words
	systemctl start $(units "$@")
	for _up in "$@"; do
		hears "$_up" 90 "guest: user space reached"
	done
}

down() { # NAME...: as people do it, and it must be a success
	# shellcheck disable=SC2046 # words
	systemctl stop $(units "$@")
	for _name in "$@"; do
		unit_is "$_name" inactive || fail "gunyah-vm@$_name is $(unit_show "$_name" ActiveState)"
		[ "$(unit_show "$_name" Result)" = success ] ||
			fail "gunyah-vm@$_name: $(unit_show "$_name" Result)"
	done
}

# --- what is left over ---------------------------------------------------------------------

model() { # COUNTER: its value
	while read -r _counter _address; do
		[ "$_counter" != "$1" ] || break
	done <$here/counters
	printf '%d\n' "$(devmem "$_address" 64)"
}

knob() { # NAME VALUE: of the model, see counters.h
	devmem "$(awk -v n="KNOB_$1" '$1 == n { print $2 }' $here/knobs)" 32 "$2"
}

model_counters() {
	is_model || return 0
	while read -r _name _; do
		printf '%s=%s ' "$_name" "$(model "$_name")"
	done <$here/counters
	echo
}

pages() { # quarantined, or info
	$here/ghvm-pages "$1"
}

# Number of pins by anyone: of folios, which may be huge, or of pages, as the kernel pins. Each CPU keeps a share of
# the count for up to a second.
pins() {
	echo 1 >/proc/sys/vm/stat_refresh
	awk '/^nr_foll_pin_acquired/ { a = $2 } /^nr_foll_pin_released/ { r = $2 } END { print a - r }' \
		/proc/vmstat
}

main_pid() { # of the manager
	systemctl show -P MainPID gunyah-vmd
}

pinned_pages() { # by the manager
	awk '/^VmPin:/ { print $2 / 4 }' "/proc/$(main_pid)/status"
}

# Nothing has touched a lent page.
untouched() {
	[ "$(model lent_faults)" = 0 ]
}

returned() {
	[ "$(pins)" = 0 ] && [ "$(pages quarantined)" = 0 ] || return 1
	is_model || return 0
	[ "$(model vms)" = 0 ] && [ "$(model lent_pages)" = 0 ] && [ "$(model parcels)" = 0 ]
}

all_returned() {
	lsmod | grep -q '^ghvm ' || return 0
	wait_for 15 returned || {
		echo "pinned pages $(pins), quarantined $(pages quarantined)"
		model_counters
		fail "not all has come back"
	}
	! is_model || untouched || fail "the host has touched lent pages"
	! is_model || [ "$(model rm_dead)" = 0 ] || fail "the resource manager is dead"
}

# After a failed case: try to clean up for the next one.
recover() {
	systemctl stop 'gunyah-vm@*.service'
	modprobe ghvm
	systemctl reset-failed
	systemctl start gunyah-vmd.socket
	wait_for 15 returned
}

finish() { # STATUS: ends the machine
	sync
	if is_model; then
		knob EXIT "$1"
	else
		echo "testbed: status $1"
		systemctl poweroff -ff # run-gunyah.sh was told, or it is a shell
	fi
	sleep 60
}
