# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL of the manager before chosen requests of a start and of a stop, while guests run, and
# while it takes them over: at least 20 points. After each point, all memory of that guest is returned, the
# host has not accessed a lent page, and another guest was not affected.
vm sweep 1 96M ""
# without a power key the guest is killed immediately
sed -i 's/- console: {}/- power-key: {enabled: false}/' $vms/sweep.yaml
conf=/run/systemd/system/gunyah-vm@sweep.service.d
mkdir -p $conf
printf '[Service]\nRestart=no\n' >$conf/once.conf
systemctl daemon-reload

traced() {
	! grep -q '^TracerPid:.0$' "/proc/$manager/status"
}

# The manager dies before the Nth request that one of its threads makes from now on.
kill_at() { # N
	manager=$(main_pid)
	strace -qq -f -p "$manager" -o /dev/null -e trace=ioctl \
		-e "inject=ioctl:signal=KILL:when=$1" &
	tracer=$!
	must 20 traced
}

# Count the point if the manager was killed there.
struck() {
	kill $tracer 2>/dev/null || true
	wait $tracer 2>/dev/null || true
	must 30 systemctl -q is-active gunyah-vmd
	[ "$(main_pid)" != "$manager" ] || return 1
	points=$((points + 1))
}

# All that is left is the other guest.
as_before() {
	[ "$(pages quarantined)" = 0 ] && [ "$(pins)" = "$pins" ] || return 1
	is_model || return 0
	[ "$(model vms)" = 1 ] && [ "$(model parcels)" = 1 ] && [ "$(model lent_pages)" = "$lent" ]
}

check() { # POINT
	wait_for 30 as_before || {
		model_counters
		fail "$1: pinned $(pins), not $pins; quarantined $(pages quarantined)"
	}
	! is_model || untouched || fail "$1: the host has touched lent pages"
	unit_is other active || fail "$1: the other unit is $(unit_show other ActiveState)"
	[ "$(unit_show other MainPID)" = "$other" ] || fail "$1: the other guest has another runner"
}

stop_and_check() { # POINT
	systemctl stop gunyah-vm@sweep || true
	systemctl reset-failed gunyah-vm@sweep 2>/dev/null || true
	check "$1"
}

start_point() { # N
	kill_at "$1"
	systemctl start gunyah-vm@sweep 2>/dev/null || true
	struck || say "start $1: too late"
	stop_and_check "start $1"
}

given_back_or_dead() {
	[ "$(main_pid)" != "$manager" ] || [ "$(pins)" = "$pins" ]
}

# By a client of the manager: systemd starts no manager while it stops a unit that comes after it.
stop_point() { # N
	systemctl start gunyah-vm@sweep
	kill_at "$1"
	busctl --quiet call org.gunyah.vmm1 /org/gunyah/vmm1/vm/sweep org.gunyah.vmm1.VM Stop 'sa{sv}' \
		force 0 2>/dev/null || true
	must 20 given_back_or_dead
	struck || say "stop $1: too late"
	stop_and_check "stop $1"
}

# While it runs; and again and again while the next managers take it over.
run_point() { # SECONDS...
	systemctl start gunyah-vm@sweep
	systemctl kill --kill-who=main -s KILL gunyah-vmd
	for pause in "$@"; do
		must 30 other_manager
		sleep "$pause"
		systemctl kill --kill-who=main -s KILL gunyah-vmd || true
		points=$((points + 1))
	done
	points=$((points + 1))
	must 30 systemctl -q is-active gunyah-vmd
	unit_is sweep active || fail "run $*: the unit is $(unit_show sweep ActiveState)"
	stop_and_check "run $*"
}

other_manager() {
	case $(main_pid) in
	0 | "$manager") return 1 ;;
	esac
	manager=$(main_pid)
}

up other
other=$(unit_show other MainPID)
pins=$(pins)
lent=0
! is_model || lent=$(model lent_pages)
points=0
for n in 1 2 4 6 8 10 13 16; do
	start_point $n
done
say "$points points of a start"
for n in 1 2 3 4 5 6; do
	stop_point $n
done
say "$points points with those of a stop"
manager=$(main_pid)
run_point
run_point 0 0.1 0.3 0 0.2 0.5 1
say "$points points"
[ $points -ge 20 ] || fail "only $points points"
type_line other "echo unharmed"
hears other 15 "guest: unharmed"
rm -r $conf
systemctl daemon-reload
down other
