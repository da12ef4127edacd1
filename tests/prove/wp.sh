#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# wp.sh -o FOLDER [FILE]: proves the contracts of functions (the comments that begin with an @) with Frama-C's WP and
# CVC4 or Z3: that each keeps its contract for all inputs, and has no run-time error and no unsigned overflow.
#
# Then EVA runs each decoder of tests/prove/eva on every message of some lengths, whatever its bytes are, and says
# whether it may read or write outside of memory, use what is not initialised, overflow or shift too far.
#
# Speaks TAP, a case a file of proofs.txt, and one a file of eva. A case passes if all goals are proved, and there is
# one; or if EVA has no alarm. What a prover may do for a goal is limited by steps: seconds would depend on
# what else the machine does.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../..")
[ "${1:-}" = -o ] || { echo "usage: wp.sh -o FOLDER [FILE]" >&2; exit 2; }
out=$(realpath -m "$2")
only=${3:-}
mkdir -p "$out"

language=(
  -c11 -machdep gcc_x86_64
  -cpp-extra-args="-I$root -I$root/include -I$here/shim -include $here/shim/lacks.h -D_GNU_SOURCE -std=gnu17"
)
options=(
  -instantiate -instantiate-no-calloc -instantiate-no-free -instantiate-no-malloc
  -wp -wp-rte -warn-unsigned-overflow -wp-split -wp-steps 20000000 -wp-timeout 300 -wp-par "$(nproc)"
)

# prove FILE FUNCTIONS PROVER: sets goals, "proved / all", and says which are not
prove() {
  local log
  log=$out/$(basename "$1")-$3.log
  goals=
  (cd "$root" && WHY3CONFIG=$out/why3.conf frama-c "${language[@]}" "${options[@]}" -wp-prover "$3" -wp-fct "$2" \
    "$1") >"$log" 2>&1 || { tail -n 20 "$log"; return 1; }
  goals=$(sed -nE 's,.*Proved goals: +([0-9]+) / ([0-9]+).*,\1 / \2,p' "$log")
  grep -E '\[(Failed|Unknown|Timeout|Stepout)\] Goal|Goal .* : (Failed|Unknown|Timeout|Stepout)' "$log" || true
  [ -n "$goals" ] && [ "${goals% / *}" = "${goals#* / }" ] && [ "${goals% / *}" -gt 0 ]
}

# decode FILE: sets statements, "reached / all". The preconditions are those of C's library and of the cursors.
decode() {
  local log own
  log=$out/eva-$(basename "$1").log
  read -ra own < <(sed -n 's,^ \* eva: ,,p' "$root/$1") || true # the file's own options
  (cd "$root" && frama-c "${language[@]}" -eva -eva-precision 2 "${own[@]}" "$1") \
    >"$log" 2>&1 || { tail -n 20 "$log"; return 1; }
  statements=$(sed -nE 's,.* ([0-9]+) statements reached \(out of ([0-9]+)\).*,\1 / \2,p' "$log")
  grep -A3 '^\[eva:alarm\].*Warning' "$log" | grep -E 'assert|precondition' || true
  grep -q ' 0 alarms generated' "$log" && grep -qE 'Preconditions +[0-9]+ valid +0 unknown +0 invalid' "$log"
}

why3 config detect -C "$out/why3.conf" >/dev/null 2>&1 || { echo "Bail out! why3 finds no prover"; exit 1; }
n=0 failed=0 all=0
while read -r file functions prover; do
  case $file in '#'* | '') continue ;; esac
  [ -z "$only" ] || [ "$only" = "$file" ] || continue
  n=$((n + 1))
  if prove "$file" "$functions" "${prover:-cvc4}"; then
    echo "ok $n - $file: ${goals% / *} goals, all proved"
    all=$((all + ${goals% / *}))
  else
    echo "not ok $n - $file: proved ${goals:-nothing}"
    failed=1
  fi
done <"$here/proofs.txt"
for file in "$here"/eva/*.c; do
  file=${file#"$root/"}
  [ -z "$only" ] || [ "$only" = "$file" ] || continue
  n=$((n + 1))
  if decode "$file"; then
    echo "ok $n - $file: no alarm, statements $statements"
  else
    echo "not ok $n - $file: alarms, see $out/eva-$(basename "$file").log"
    failed=1
  fi
done
echo "1..$n"
echo "# $all goals proved"
exit $failed
