# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lib.sh, to be sourced by the cases: a whole host without a hypervisor, systemd or privileges. A
# private bus, ghvm-model instead of the module, the manager, and for each VM a helper that becomes
# the runner. GHVM_BUILD is the meson folder.
set -euo pipefail

model=$GHVM_BUILD/tests/model/sock/ghvm-model
vmd=$GHVM_BUILD/daemon/manager/gunyah-vmd
prepare=$GHVM_BUILD/daemon/prepare/gunyah-vm-prepare
runner=$GHVM_BUILD/daemon/runner/gunyah-vm
ctl=$GHVM_BUILD/daemon/ctl/ghvmctl
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")

work=$(mktemp -d)
mkdir "$work/run" "$work/vms" "$work/log" "$work/out"

fail() {
  echo "FAIL: $*"
  for f in "$work"/out/* "$work"/log/*; do
    [ -s "$f" ] || continue
    echo "--- ${f##*/}"
    tail -n 30 "$f"
  done
  exit 1
}

leave() {
  local pids
  exec 2>/dev/null # discard the shell's messages about killed jobs
  pids=$(jobs -p)
  # shellcheck disable=SC2086 # words
  [ -z "$pids" ] || kill -KILL $pids || true
  wait || true
  rm -rf "$work"
}
trap leave EXIT

wait_for() { # SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.02
  done
}

must() {
  wait_for "$@" || fail "not within $*"
}

# --- the host ------------------------------------------------------------------------------

start_bus() {
  cat >"$work/bus.conf" <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=$work/bus</listen>
  <policy context="default">
    <allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  </policy>
</busconfig>
END
  dbus-daemon --config-file="$work/bus.conf" --nofork --nopidfile --nosyslog \
    >"$work/out/bus" 2>&1 &
  export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$work/bus
  must 10 test -S "$work/bus"
}

start_model() {
  "$model" --control="$work/control" --delay=1 "$work/hyp" >"$work/out/model" 2>&1 &
  must 10 test -S "$work/control"
}

start_manager() {
  "$vmd" --hypervisor="unix:$work/hyp" --bus="$DBUS_SYSTEM_BUS_ADDRESS" --run-dir="$work/run" \
    --vms-dir="$work/vms" >>"$work/out/manager" 2>&1 &
  manager_pid=$!
}

ready_manager() {
  start_manager
  must 20 "$ctl" host
}

stop_manager() {
  kill "$manager_pid" 2>/dev/null || true
  wait "$manager_pid" 2>/dev/null || true
}

# --- VMs -----------------------------------------------------------------------------------

# script NAME [YAML...]: a VM of 8M, or of $memory, whose guest does what stands on stdin
script() {
  local name=$1
  shift
  {
    printf 'MZ\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
    printf '\0\0\001\0\0\0\0\0\012\0\0\0\0\0\0\0'
    printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0ARM\144\0\0\0\0'
    printf 'GHVM-SCRIPT\n'
    cat
  } >"$work/vms/$name.image"
  {
    printf 'version: 1\nkernel: {image: %s}\nmemory: {size: %s}\n' "$work/vms/$name.image" "${memory:-8M}"
    printf '%s\n' "$@"
  } >"$work/vms/$name.yaml"
}

# up NAME: its helper, then its runner, as one process in the background; its pid is in $pid
up() {
  "$prepare" --socket="$work/run/prepare.sock" --log-dir="$work/log" --vms-dir="$work/vms" \
    --vms-dir="$work/run/lib/vms" --exec="$runner" "$1" >>"$work/out/$1" 2>&1 &
  # shellcheck disable=SC2034 # for the cases
  pid=$!
}

down() { # PID: its exit status, in $status
  # shellcheck disable=SC2034 # for the cases
  status=0
  # shellcheck disable=SC2034
  wait "$1" || status=$?
}

release() { # NAME
  timeout 30 "$prepare" --socket="$work/run/prepare.sock" --release "$1" >>"$work/out/$1" 2>&1
}

said() { # NAME TEXT
  grep -qs "$2" "$work/log/$1.log"
}

state() { # NAME
  "$ctl" --json status "$1" | sed -n 's/.*"state":"\([^"]*\)".*/\1/p'
}

is_state() { # NAME STATE
  [ "$(state "$1")" = "$2" ]
}

# --- the model's side ----------------------------------------------------------------------

tell() { # COMMAND...: to the model; its answer, on one line
  "$here/tell.py" "$work/control" "$@"
}

# What is left when no VM is there: nothing, but the primary.
clean() {
  local counts
  counts=$(tell counts)
  for want in vms=0 parcels=0 lent_pages=0 shared_pages=0 pins=0 grants=0 quarantined_pages=0 violations=0; do
    case " $counts " in
    *" $want "*) ;;
    *) return 1 ;;
    esac
  done
}

must_be_clean() { # WHAT
  wait_for 15 clean || fail "$1 left something: $(tell counts)"
}
