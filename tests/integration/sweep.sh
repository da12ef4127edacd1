#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sweep.sh FAULT: a start and a stop, with FAULT at the nth request to the hypervisor, for every n
# until none is left. FAULT: kill-client (SIGKILL for whoever makes it, before it is done),
# kill-client-after, or fail (it fails with EIO). After each nothing may be left, and a guest that
# ran when its manager died still runs when the next one is there.
#
# GHVM_SWEEP_STEP: only that far apart.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"
fault=$1
step=${GHVM_SWEEP_STEP:-1}

arm() { # N
  case $fault in
  fail) tell fail any 5 "$1" >/dev/null ;;
  *) tell "$fault" "$1" >/dev/null ;;
  esac
}

manager_is_dead() {
  ! kill -0 "$manager_pid" 2>/dev/null
}

unit_is_over() {
  ! kill -0 "$pid" 2>/dev/null
}

# The guest is up, or something has happened to its start.
start_settled() {
  said key up || manager_is_dead || unit_is_over
}

stop_settled() {
  manager_is_dead || unit_is_over
}

# One call that fails, be it on RM's queues, does not cost the host its resource manager.
rm_is_lost() {
  "$ctl" --json host | grep -q '"state":"rm-dead"'
}

# What systemd does for a manager that died.
revive() {
  wait "$manager_pid" 2>/dev/null || true
  ready_manager
  managers=$((managers + 1))
}

carried_on() {
  unit_is_over || is_state key running
}

one() { # N
  local ran=false

  : >"$work/log/key.log"
  arm "$1"
  up key
  must 20 start_settled
  if said key up; then
    ran=true
    ! manager_is_dead || revive
    must 20 carried_on
    kill -TERM "$pid" 2>/dev/null || true
    must 20 stop_settled
  fi
  ! manager_is_dead || revive
  # a runner that lost its manager on the way out, or whose start was undone
  kill -TERM "$pid" 2>/dev/null || true
  down "$pid"
  # the helper's peer may die as well: a new one is there for the next helper
  until release key; do
    manager_is_dead || fail "point $1: cannot be released"
    revive
  done
  ! manager_is_dead || revive
  ! rm_is_lost || fail "point $1: the manager has given the resource manager up"
  must_be_clean "point $1"
  if $ran; then guests=$((guests + 1)); fi
}

start_bus
start_model
ready_manager
script key "lifecycle: {stop-timeout: 2s}" <<END
print up
powerkey
END
guests=0
managers=0
points=0
n=1
until tell no-fault >/dev/null && [ $n -gt 1 ]; do
  one $n
  points=$((points + 1))
  n=$((n + step))
done
[ $((points * step)) -gt 50 ] || fail "only $points points"
echo "$fault: $points points; the guest ran in $guests, the manager was replaced in $managers"
stop_manager
