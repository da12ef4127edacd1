#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check-form.sh: what STYLE.md says of form and a program can see: clang-format, the lengths of
# files and functions, white space, no notes to self, and no path spelled in two places.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
bad=0

fail() {
  printf '%s\n' "$*"
  bad=1
}

mapfile -t sources < <(find kmod include libghvm daemon configs examples tests -name '*.[ch]' | sort)
clang-format --dry-run -Werror "${sources[@]}" || fail "clang-format would change the above"

# file:line, for functions in kernel form: "{" and "}" in the first column
long=$(awk '
  FNR == 1 { start = 0 }
  /^\{/ { start = FNR }
  /^\}/ && start { if (FNR - start - 1 > 100) print FILENAME ":" start ": a function of " FNR - start - 1 " lines"; start = 0 }
' "${sources[@]}")
[ -z "$long" ] || fail "$long"
mapfile -t scripts < <(find kmod configs examples tests \( -name '*.py' -o -name '*.sh' \) | sort)
for f in dev "${sources[@]}" "${scripts[@]}"; do
  lines=$(wc -l <"$f")
  [ "$lines" -le 600 ] || fail "$f: $lines lines are two nouns"
done

mapfile -t texts < <(find . \( -path ./.git -o -path './build*' -o -path ./.cache \
  -o -path ./tests/fuzz/corpus \) -prune -o -type f -print | sort | xargs grep -lI '' --)
note='TO''DO|FIX''ME|XX''X'
if grep -nwE "$note" "${texts[@]}" | grep -v '^./STYLE.md:'; then
  fail "notes to self: open an issue or do it"
fi
if grep -nE '[[:space:]]+$' "${texts[@]}"; then
  fail "white space at the end of the lines above"
fi

# One place knows where a thing is. Tests may spell what they check.
paths=$(grep -hvE '^[[:space:]]*/?\*' -r include libghvm daemon --include='*.[ch]' |
  grep -oE '"(/run/gunyah|/etc/gunyah|/var/log/gunyah|/usr/lib/gunyah|/dev/ghvm)[^"]*"' |
  sort | uniq -d)
[ -z "$paths" ] || fail "spelled more than once: $paths"
exit $bad
