#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# model.sh -o FOLDER [DEATHS]: searches all states of crash.pml and pair.pml with spin, with that many deaths of managers
# (by default 2), and demands that there is no violation. Then each -DBREAK_..., which makes one step wrong, and each
# -DREACH_..., which asserts that something possible never happens, must have one.
#
# Speaks TAP.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
[ "${1:-}" = -o ] || { echo "usage: model.sh -o FOLDER [DEATHS]" >&2; exit 2; }
out=$(realpath -m "$2")
deaths=${3:-2}
n=0 failed=0

# search NAME [OPTION...]: searches the model $model; sets errors and states
search() {
  local dir=$out/$model-$1
  rm -rf "$dir" && mkdir -p "$dir" && cd "$dir" || exit 1
  spin -a -DDEATHS="$deaths" "${@:2}" "$here/$model.pml" >spin.log
  # -w: in spin's own code
  gcc -w "$optimise" -DSAFETY -DCOLLAPSE -o pan pan.c
  ./pan -m1000000 -w24 >log 2>&1 || true
  errors=$(sed -nE 's/.*errors: ([0-9]+)$/\1/p' log)
  states=$(sed -nE 's/^ *([0-9e+.]+) states, stored.*/\1/p' log)
  if grep -qE 'search not completed|max search depth too small|out of memory' log && [ "$errors" = 0 ]; then
    errors=incomplete
  fi
}

judge() { # WANTED DESCRIPTION
  n=$((n + 1))
  if [ "$1" = none ] && [ "$errors" = 0 ] || { [ "$1" = some ] && [ "${errors:-0}" = 1 ]; }; then
    echo "ok $n - $2"
  else
    echo "not ok $n - $2: errors: ${errors:-no result}"
    failed=1
  fi
}

for model in crash pair; do
  optimise=-O2
  search whole
  judge none "$model: $states states with up to $deaths managers dead, no violation"
  optimise=-O0 # these end soon: most of their time is the compiler's
  mapfile -t breaks < <(grep -oE '(BREAK|REACH)_[A-Z_]+[A-Z]' "$here/$model.pml" | sort -u)
  for b in "${breaks[@]}"; do
    search "$b" "-D$b"
    judge some "$model: $b is found after $states states"
  done
done
echo "1..$n"
exit $failed
