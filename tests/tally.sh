# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tally.sh, to be sourced: counts cases that passed and failed, and says which, where the log is, and how
# long each suite took. While one works it says so (progress.sh).
# shellcheck source=tests/progress.sh
. "$(dirname "${BASH_SOURCE[0]}")/progress.sh"

tally_init() { # FOLDER of logs
  tally_logs=$1
  tally_zero
  mkdir -p "$tally_logs"
}

tally_zero() {
  tally_passed=0
  tally_failed=0
  tally_failures=()
  tally_times=()
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

# Sets tally_cpu to the seconds of CPU that this shell, and what it has run and seen end, have used.
tally_take_cpu() {
  local file=$tally_logs/.times-$BASHPID
  times >"$file" # not $(times): a subshell counts from zero
  tally_cpu=$(awk '{ for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); all += 60 * t[1] + t[2] } }
    END { printf "%d", all }' "$file")
  rm "$file"
}

# tally_suite LABEL COMMAND...: one part of the tests, whose time is told at the end
tally_suite() {
  local label=$1 start=$SECONDS status=0 cpu
  shift
  tally_take_cpu
  cpu=$tally_cpu
  "$@" || status=$?
  tally_take_cpu
  tally_times+=("$(printf '%5d s, %5d s of CPU: %s' $((SECONDS - start)) $((tally_cpu - cpu)) "$label")")
  return $status
}

tally() { # NAME COMMAND...: one case, by its exit status
  local name=$1 log start=$SECONDS
  log=$(tally_log "$name")
  shift
  if progress_run "$name" "$log" "$@"; then
    tally_pass "$name" $((SECONDS - start))
  else
    tally_fail "$name" "$log"
    return 1
  fi
}

# The scripts of tally_scripts, as many at a time as there are CPUs, each with its log and then its status and seconds.
# A shell of its own, because it waits for whatever ends next.
tally_run_scripts() (
  free=$(nproc) ended=0
  for pair; do
    if [ "$free" = 0 ]; then
      wait -n || true
      free=1 ended=$((ended + 1))
      echo "[$ended/$#]"
    fi
    free=$((free - 1))
    {
      log=$(tally_log "${pair%%=*}") start=$SECONDS status=0
      "${pair#*=}" >"$log" 2>&1 </dev/null || status=$?
      echo "$status $((SECONDS - start))" >"$log.status"
    } &
  done
  wait
)

# tally_scripts LABEL NAME=SCRIPT...: each script is a case, by its exit status; they run side by side
tally_scripts() {
  local label=$1 pair log status seconds
  shift
  for pair; do
    rm -f "$(tally_log "${pair%%=*}").status"
  done
  progress_run "$label" "$tally_logs/$label.log" tally_run_scripts "$@" || true
  for pair; do
    log=$(tally_log "${pair%%=*}") status='' seconds=''
    read -r status seconds <"$log.status" || true
    if [ "$status" = 0 ]; then
      tally_pass "${pair%%=*}" "$seconds"
    else
      tally_fail "${pair%%=*}" "$log"
    fi
    rm -f "$log.status"
  done
}

# Each case of each program that meson runs; a program that has no cases inside counts as one. Ends
# with how many points its sweeps have tried.
tally_meson() { # LABEL FOLDER ARGS...
  local label=$1 dir=$2 log name passed failed points own own_logs all=0 n=0
  shift 2
  log=$(tally_log "$label")
  own_logs=${log%.log}
  rm -rf "$dir/meson-logs/testlog.json" "$own_logs"
  mkdir -p "$own_logs"
  progress_run "$label" "$log" meson test -C "$dir" --no-rebuild --print-errorlogs "$@" || true
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
  [ "$all" = 0 ] || printf '        %s: %s points of sweeps\n' "$label" "$all"
}

# A program that speaks TAP on its output; what it says else is shown as it comes.
tally_tap() { # LABEL COMMAND...
  local label=$1 log status=0 ended=0 start=$SECONDS before=$tally_failed
  log=$(tally_log "$1")
  shift
  : >"$log"
  while progress_read "$label" "$start" "$log"; do
    case $progress_line in
    "ok "*) tally_pass "$label: ${progress_line#ok * - }" ;;
    "not ok "*)
      tally_failed=$((tally_failed + 1))
      tally_failures+=("$label: ${progress_line#not ok * - }: $log")
      printf 'NOT OK  %s\n' "$label: ${progress_line#not ok * - }"
      ;;
    "tap end "*)
      ended=1
      status=${progress_line#tap end }
      ;;
    *) printf '        %s\n' "$progress_line" ;;
    esac
  done < <(
    GHVM_PROGRESS=off "$@" 2>&1 </dev/null | tee "$log"
    echo "tap end ${PIPESTATUS[0]}"
  )
  if [ "$tally_failed" = "$before" ] && { [ $ended = 0 ] || [ "$status" != 0 ]; }; then
    tally_fail "$label: ended with status $status" "$log"
  fi
}

# tally_beside COMMAND...: runs COMMAND, a program whose tests end with tally_end, while this shell runs others. Its
# processes end a second after this shell at the latest. tally_join must follow; one at a time.
tally_beside() {
  tally_beside=$tally_logs/beside
  rm -f "$tally_beside".*
  # a session of its own, so that all of its processes can be killed
  GHVM_TALLY_KEEP=$tally_beside GHVM_PROGRESS=off setsid "$@" >"$tally_beside.log" 2>&1 </dev/null &
  tally_beside_pid=$!
  # Not a trap: bash runs that in a subshell too, if a signal ends the subshell early.
  # shellcheck disable=SC2016 # the other shell expands it
  setsid bash -c 'tail --pid="$1" -f /dev/null; kill -- "-$2"' - $$ $tally_beside_pid >/dev/null 2>&1 &
  tally_beside_guard=$!
}

# For the tally_join of another shell: tally_end writes FILE.failures, FILE.times and FILE.counts.
tally_keep() { # FILE
  printf '%s\n' "${tally_failures[@]}" >"$1.failures"
  printf '%s\n' "${tally_times[@]}" >"$1.times"
  echo "$tally_passed $tally_failed" >"$1.counts" # last: now all are complete
}

# tally_join LABEL: waits for what tally_beside runs, shows its output, and adds what it counted
tally_join() {
  local passed failed
  progress_follow "$1" "$tally_beside.log"
  wait "$tally_beside_pid" || true
  { kill -- "-$tally_beside_guard" && wait "$tally_beside_guard"; } 2>/dev/null || true
  progress_followed
  if [ -e "$tally_beside.counts" ]; then
    read -r passed failed <"$tally_beside.counts"
    tally_passed=$((tally_passed + passed))
    tally_failed=$((tally_failed + failed))
    mapfile -t -O ${#tally_times[@]} tally_times <"$tally_beside.times"
    [ "$failed" = 0 ] || mapfile -t -O ${#tally_failures[@]} tally_failures <"$tally_beside.failures"
  else
    tally_fail "$1: ended before its last case" "$tally_beside.log"
  fi
}

# The end: each failure, with the end of its log once more for a reader who has only the end of this output;
# how long each suite took; and the line that counts. Fails if a case failed, or none ran.
tally_end() {
  local f
  if [ -n "${GHVM_TALLY_KEEP:-}" ]; then
    tally_keep "$GHVM_TALLY_KEEP"
    return 0
  fi
  for f in "${tally_failures[@]}"; do
    printf 'failed: %s\n' "$f"
    tail -n 20 "${f##*: }" 2>/dev/null | sed 's/^/        | /'
  done
  printf 'time    %s\n' "${tally_times[@]}"
  printf '%d passed, %d failed\n' "$tally_passed" "$tally_failed"
  [ "$tally_failed" = 0 ] && [ "$tally_passed" -gt 0 ]
}
