# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tally.sh, to be sourced: counts cases that passed and failed, and says which and where the log is.

tally_init() { # FOLDER of logs
  tally_logs=$1
  tally_passed=0
  tally_failed=0
  tally_failures=()
  mkdir -p "$tally_logs"
}

tally_pass() { # NAME [SECONDS]
  tally_passed=$((tally_passed + 1))
  printf 'ok      %s%s\n' "$1" "${2:+ ($2 s)}"
}

tally_fail() { # NAME LOG
  tally_failed=$((tally_failed + 1))
  tally_failures+=("$1: $2")
  printf 'NOT OK  %s: the end of %s:\n' "$1" "$2"
  tail -n 60 "$2" 2>/dev/null | sed 's/^/        | /'
}

tally_log() { # NAME: its log's path
  printf '%s/%s.log' "$tally_logs" "$(printf %s "$1" | tr -cs 'a-zA-Z0-9_' -)"
}

tally() { # NAME COMMAND...: one case, by its exit status
  local name=$1 log start=$SECONDS
  log=$(tally_log "$name")
  shift
  if "$@" >"$log" 2>&1 </dev/null; then
    tally_pass "$name" $((SECONDS - start))
  else
    tally_fail "$name" "$log"
    return 1
  fi
}

# Each case of each program that meson runs; a program that has no cases inside counts as one. Ends
# with how long all of it took, and how many points its sweeps have tried.
tally_meson() { # LABEL FOLDER ARGS...
  local label=$1 dir=$2 log name passed failed points own own_logs all=0 n=0 start=$SECONDS
  shift 2
  log=$(tally_log "$label")
  own_logs=${log%.log}
  rm -rf "$dir/meson-logs/testlog.json" "$own_logs"
  mkdir -p "$own_logs"
  meson test -C "$dir" --no-rebuild --print-errorlogs "$@" >"$log" 2>&1 </dev/null || true
  while IFS=$'\t' read -r name passed failed points own; do
    n=$((n + 1))
    all=$((all + points))
    tally_passed=$((tally_passed + passed))
    if [ "$failed" -gt 0 ]; then
      tally_fail "$label: $name" "$own"
      tally_failed=$((tally_failed + failed - 1))
    else
      printf 'ok      %s: %s (%s cases)\n' "$label" "$name" "$passed"
    fi
  done < <(python3 "$(dirname "${BASH_SOURCE[0]}")/meson-cases.py" \
    "$dir/meson-logs/testlog.json" "$own_logs")
  [ $n -gt 0 ] || tally_fail "$label: no test ran" "$log"
  printf '        %s: %s s, %s points of sweeps\n' "$label" $((SECONDS - start)) "$all"
}

# A program that speaks TAP on its output; what it says else is shown as it comes.
tally_tap() { # LABEL COMMAND...
  local label=$1 log line status=0 ended=0 before=$tally_failed
  log=$(tally_log "$1")
  shift
  : >"$log"
  while IFS= read -r line; do
    case $line in
    "ok "*) tally_pass "$label: ${line#ok * - }" ;;
    "not ok "*)
      tally_failed=$((tally_failed + 1))
      tally_failures+=("$label: ${line#not ok * - }: $log")
      printf 'NOT OK  %s\n' "$label: ${line#not ok * - }"
      ;;
    "tap end "*)
      ended=1
      status=${line#tap end }
      ;;
    *) printf '        %s\n' "$line" ;;
    esac
  done < <(
    "$@" 2>&1 </dev/null | tee "$log"
    echo "tap end ${PIPESTATUS[0]}"
  )
  if [ "$tally_failed" = "$before" ] && { [ $ended = 0 ] || [ "$status" != 0 ]; }; then
    tally_fail "$label: ended with status $status" "$log"
  fi
}

# Ends with a line that counts; before it each failure, with the end of its log once more, for whoever
# keeps no more than the end of this. Fails if one failed, or none ran.
tally_end() {
  local f
  for f in "${tally_failures[@]}"; do
    printf 'failed: %s\n' "$f"
    tail -n 20 "${f##*: }" 2>/dev/null | sed 's/^/        | /'
  done
  printf '%d passed, %d failed\n' "$tally_passed" "$tally_failed"
  [ "$tally_failed" = 0 ] && [ "$tally_passed" -gt 0 ]
}
