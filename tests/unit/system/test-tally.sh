#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tally.sh: what passed and what failed is counted, however it was run; the end has the times and the counts.
set -euo pipefail

root=$(realpath "$(dirname "$(realpath "$0")")/../../..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAIL: $*; the output was:"
  cat "$work/out"
  exit 1
}

has() { # PATTERN
  grep -qE -- "$1" "$work/out" || fail "no line like: $1"
}

for n in 1 2 3 4; do
  printf '#!/bin/sh\necho script %s\nexit %s\n' $n $((n == 3 ? 7 : 0)) >"$work/s$n"
done
chmod +x "$work"/s?

# shellcheck disable=SC2016 # the other shell expands it
bash -euc '. "$1/tests/tally.sh"; cd "$2"; tally_init "$2/logs"
  tally_suite scripts tally_scripts checks a=./s1 "b c=./s2" d=./s3 e=./s4 gone=./nosuch
  tally_suite one tally single true
  tally_suite lone tally broken false || echo "status $?"
  tally_suite tap tally_tap tap printf "ok 1 - x\nnot ok 2 - y\n"
  tally_end || echo "end $?"' - "$root" "$work" >"$work/out" 2>&1 </dev/null || fail "status $?"

has '^ok      a \([0-9]+ s\)$'
has '^ok      b c '
has '^NOT OK  d: the end of .*logs/d\.log:$'
has '^        \| script 3$'
has '^ok      e '
has '^NOT OK  gone: '
has '^ok      single '
has '^NOT OK  broken: '
has '^status 1$'
has '^ok      tap: x$'
has '^failed: tap: y: '
for suite in scripts one lone tap; do
  has "^time +[0-9]+ s, +[0-9]+ s of CPU: $suite$"
done
# What runs beside is counted and shown, also when it is killed, and does not outlive a shell that ends early.
cat >"$work/slow" <<'END'
. "$1/tests/tally.sh"
tally_init "$2/logs"
sleep 0.5
tally_suite tap tally_tap tap printf "ok 1 - x\nnot ok 2 - y\n"
tally_end
END
# shellcheck disable=SC2016
bash -euc '. "$1/tests/tally.sh"; cd "$2"; tally_init "$2/logs"
  tally_beside bash -eu slow "$@"
  tally_suite one tally single true
  tally_join slow
  tally_beside bash -c "kill -9 \$\$"
  tally_join dies
  tally_end || echo "end $?"' - "$root" "$work" >"$work/beside" 2>&1 </dev/null || fail "beside: status $?"
mv "$work/out" "$work/first"
mv "$work/beside" "$work/out"
has '^ok      tap: x$'
has '^NOT OK  tap: y$'
has '^failed: tap: y: '
has '^NOT OK  dies: ended before its last case: '
has '^time +[0-9]+ s, +[0-9]+ s of CPU: tap$'
[ "$(tail -n 2 "$work/out")" = $'2 passed, 2 failed\nend 1' ] || fail "the last lines"

# shellcheck disable=SC2016
bash -uc '. "$1/tests/tally.sh"; tally_init "$2/logs"
  tally_beside bash -c "sleep 987 & echo \$! >$2/pid; wait"
  until [ -s "$2/pid" ]; do sleep 0.1; done
  exit 3' - "$root" "$work" >"$work/out" 2>&1 </dev/null && fail "succeeded"
for _ in {1..50}; do
  [ -e "/proc/$(cat "$work/pid")" ] || break
  sleep 0.1
done
[ ! -e "/proc/$(cat "$work/pid")" ] || fail "what ran beside is still there"

mv "$work/first" "$work/out"
[ "$(tail -n 2 "$work/out")" = $'5 passed, 4 failed\nend 1' ] || fail "the last lines"
