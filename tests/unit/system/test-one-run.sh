#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The testbed's runs: one at a time in a folder, and none outlives the shell that began it. A sleep stands
# in for QEMU.
set -euo pipefail

root=$(dirname "$(realpath "$0")")/../../..
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAIL: $*"
  exit 1
}

cat >"$work/run" <<END
#!/bin/bash
set -euo pipefail
. "$root/tests/system/one-run.sh"
alone_in "$work"
say_alone "$work"
mortal timeout -k 10 60 bash -c 'echo \$\$ >$work/qemu; sleep 60; true'
END
chmod +x "$work/run"

begin() {
  rm -f "$work/qemu"
  "$work/run" &
  run=$!
  until [ -s "$work/qemu" ]; do sleep 0.05; done
  qemu=$(cat "$work/qemu")
}

gone() {
  for _ in {1..200}; do
    kill -0 "$qemu" 2>/dev/null || return 0
    sleep 0.05
  done
  return 1
}

for signal in TERM KILL HUP; do
  begin
  if "$work/run" >"$work/second" 2>&1; then
    fail "a second run in the same folder was let in"
  fi
  grep -q "another run uses $work (process $run)" "$work/second" || fail "$(cat "$work/second")"
  kill -0 "$qemu" || fail "a second run has ended the first"
  kill -s $signal $run
  wait $run || true
  gone || fail "SIG$signal: what it had started runs on"
done 2>/dev/null
