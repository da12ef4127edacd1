#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# progress.sh: a command that works is never silent, on a terminal and elsewhere, and nothing is left running.
# The parts run side by side, because most of their time is waiting.
set -euo pipefail

root=$(realpath "$(dirname "$(realpath "$0")")/../../..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
progress=$root/tests/progress.sh
export TERM=xterm

fail() { # PART TEXT
  echo "FAIL: $*; the output was:"
  head -n 30 "$work/$1"
  exit 1
}

# run PART SCRIPT: a shell with progress.sh, in the background. The file PART gets its output, each line after the
# second in which it came.
run() {
  local line
  {
    bash -euc ". '$progress'; log=$work/$1.log; $2" 2>&1 </dev/null |
      while IFS= read -r line; do printf '%d %s\n' $((SECONDS - begun)) "$line"; done
  } >"$work/$1" &
}

has() { # PART PATTERN
  grep -qE -- "$2" "$work/$1" || fail "$1" "no line like: $2"
}

# shellcheck disable=SC2016 # the other shell expands it
period=$(env -u GHVM_PROGRESS_SECONDS bash -c '. "$1"; echo $progress_period' - "$progress")
[ "$period" -lt 10 ] || { echo "FAIL: silent for $period seconds"; exit 1; }

# --- begin all ---------------------------------------------------------------------------------
begun=$SECONDS
export GHVM_PROGRESS_SECONDS=1

# shellcheck disable=SC2016
run ninja 'work() { echo "[3/14] first"; sleep 3.5; return 7; }
  status=0; progress_run "a build" $log work || status=$?; echo "status $status"'
# shellcheck disable=SC2016
run meson 'work() { printf "\033[31mred\r\n"; sleep 1.5; echo " 5/60 unit - wire   OK  0.1s"; sleep 2; }
  progress_run tests $log work'
# shellcheck disable=SC2016
run copy '{ echo one; printf tw; sleep 2.5; echo o; printf three; } | progress_copy cases $log'
# shellcheck disable=SC2016
run follow ': >$log; progress_follow cases $log
  { echo begun; sleep 2.5; seq 3000; printf "ended\r\n"; } >$log; progress_followed; echo after'
# shellcheck disable=SC2016
GHVM_PROGRESS=off run off 'progress_run quiet $log sleep 1.5'

cat >"$work/terminal.sh" <<END
. '$progress'
work() { echo "[7/14] half"; sleep 2.5; }
progress_run "a build" '$work/terminal.log' work
END
script -qec "stty cols 60; bash -eu '$work/terminal.sh'" /dev/null >"$work/typescript" </dev/null &

# shellcheck disable=SC2016
bash -euc '. "$1"; progress_run killed "$2" sleep 3' - "$progress" "$work/killed.log" >"$work/killed" 2>&1 &
shell=$!
{ sleep 2.5; kill -KILL $shell; sleep 1.5; stat -c %s "$work/killed"; sleep 1.5; stat -c %s "$work/killed"; } \
  >"$work/sizes" &
wait 2>/dev/null # it says which shell was killed

# --- no terminal: plain lines, with what, how long, how far, and where the log is --------------------
has ninja '^[12] +\.\.\.  a build: working for [12] s, 3 of 14 done \(log: .*ninja\.log\)$'
has ninja '^[23] +\.\.\.  a build: working for [23] s'
has ninja '^[0-9]+ status 7$'
! grep -qF "first" "$work/ninja" || fail ninja "shows what goes to the log"
! grep -q $'[\r\033]' "$work/ninja" || fail ninja "draws without a terminal"
grep -q first "$work/ninja.log" || fail ninja "nothing in the log"

# a log that does not count, with control characters; then meson's way to count
has meson 'tests: working for 1 s, last line: \[31mred \(log'
has meson 'tests: working for [23] s, 5 of 60 done'

# lines are copied when they come, which is just before or after a second's end; a gap is told of even in the middle of a line
has copy '^[01] one$'
has copy '^[12] +\.\.\.  cases: working for [12] s'
has copy '^[0-9]+ two$'
has copy '^[0-9]+ three$'

# a file that another program writes: shown as it grows, and all of it is shown before the next step
has follow '^[01] begun$'
has follow '^[12] +\.\.\.  cases: working for [12] s'
[ "$(tail -n 3 "$work/follow" | cut -d ' ' -f 2)" = $'3000\nended\nafter' ] || fail follow "the end is missing"

[ ! -s "$work/off" ] || fail off "GHVM_PROGRESS=off prints"

# --- a terminal: one line with a bar, redrawn, and removed at the end ----------------------------------
tr '\r' '\n' <"$work/typescript" >"$work/terminal"
grep -qF '] 7/14' "$work/terminal" || fail terminal "no bar"
! grep -q "working for" "$work/terminal" || fail terminal "plain lines on a terminal"
[ "$(sed 's/\x1b\[K//g' "$work/terminal" | wc -L)" -lt 60 ] || fail terminal "wider than the terminal"
[ "$(tail -n 1 "$work/terminal")" = $'\033[K' ] || fail terminal "the line stays"

# --- a shell that is killed: its watcher ends too ------------------------------------------------------
has killed "killed: working for"
[ "$(uniq "$work/sizes" | wc -l)" = 1 ] || fail killed "prints after its shell was killed"
