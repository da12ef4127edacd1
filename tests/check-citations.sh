#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check-citations.sh: every "abi K.6" has its section in docs/gunyah-abi.md, every "decision 12"
# its heading in docs/decisions.md, every file that a comment or document names is in the tree, and so is what
# tests/mutate breaks.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$(realpath "$0")")/.."
abi=docs/gunyah-abi.md
decisions=docs/decisions.md

# What can be cited: "A", "A.4.1", the numbered items of section I as "I.7", decisions as "12".
targets() {
  sed -n 's/^##* \([A-K]\)\. .*/\1/p; s/^##* \([A-K]\.[0-9.]*[0-9]\) .*/\1/p' $abi
  sed -n '/^## I\. /,/^## J\. /s/^\([0-9]*\)\. .*/I.\1/p' $abi
  sed -n 's/^### \([0-9]*\)\. .*/\1/p' $decisions
}

# Citations in files, a line each: "FILE:LINE: abi K.6". A list ("abi C.6, K.9 and F") is one for each
# member, also where a comment's line ends within it.
cited() { # FILE...
  awk '
    function list(text, word, member) {
      while (match(text, "(^|[^A-Za-z0-9_-])" word " " member "((,| and| to| or) " member ")*")) {
        found = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        sub(".*" word " ", "", found)
        n = split(found, part, /(, | and | to | or )/)
        for (i = 1; i <= n; i++)
          print FILENAME ":" line ": " word " " part[i]
      }
    }
    {
      text = $0
      line = FNR
      while (text ~ /(^|[^a-z])(abi|decision)( [A-K0-9][0-9.]*,)*( [A-K0-9][0-9.]*,? and)?$/ && (getline next_line) > 0) {
        sub(/^[ \t*\/#]+/, "", next_line)
        text = text " " next_line
      }
      list(text, "abi", "[A-K]([.][0-9]+)*")
      list(text, "decision", "[0-9]+")
    }' "$@"
}

# Sections as the notes themselves name them: "(D.6)"
cross_references() {
  grep -noE '(^|[^A-Za-z0-9.])[A-K](\.[0-9]+)+' $abi | sed -E "s|^([0-9]+):.*([A-K](\.[0-9]+)+)$|$abi:\1: abi \2|"
}

# Citations (as cited() prints them) without a target
unresolved() {
  awk 'NR == FNR { known[$1] = 1; next } !($3 in known)' <(targets) -
}

# Names of files in comments and documents that no file in the tree has: "FILE:LINE: parcel.c". STYLE.md
# has examples.
missing_files() { # FILE...
  awk '
    FILENAME ~ /^[/]dev[/]fd/ { sub(/.*\//, ""); known[$0] = 1; next }
    FILENAME !~ /[.](md|c|h)$/ || FILENAME == "STYLE.md" { nextfile }
    /#include/ { next }
    {
      text = $0
      while (match(text, /[A-Za-z0-9_-][A-Za-z0-9_-][A-Za-z0-9_-]+[.](c|h|md|py|sh)([^A-Za-z0-9_]|$)/)) {
        name = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        sub(/[^A-Za-z0-9_]$/, "", name)
        if (!(name in known) && name !~ /NAME/) print FILENAME ":" FNR ": " name
      }
    }' <(printf '%s\n' "${files[@]}" gunyah-abi.md check-citations.sh) "$@"
}

bad=0
complain() { # TEXT LINES
  [ -z "$2" ] && return
  printf '%s:\n%s\n' "$1" "$2"
  bad=1
}

mapfile -t files < <(find . \( -path ./.git -o -path './build*' -o -path ./.cache -o -path ./tests/fuzz/corpus \) -prune -o \
  -type f ! -path "./$abi" ! -name check-citations.sh -printf '%P\n' | sort)

[ "$(targets | wc -l)" -ge 120 ] || complain "The headings are not where they were" "$abi, $decisions"
complain "No such section or decision" "$( (cited "${files[@]}" && cross_references) | unresolved)"
complain "Not in the tree, or not in this form (\"abi K.6\", \"decision 12\")" "$(
  grep -nE '\b(DESIGN|USERS|UNITS|MODEL|TESTBED|DEVICES|HOUSE|DECISIONS)(\.md| [0-9]|,| section)|\bABI [A-K]\.[0-9]|\b[Ss]ections? [A-K]\.[0-9]|[Dd]ecisions [0-9]' "${files[@]}" /dev/null || true
)"
complain "No such file" "$(missing_files "${files[@]}")"
complain "Not in the table of contents of $abi" "$(
  comm -23 <(sed -n 's/^###\{0,1\} \([0-9A-K][0-9.]*\) .*/\1/p' $abi | sort) \
    <(sed -n 's/^ *- \[\([0-9A-K][0-9.]*\) .*](#.*)$/\1/p' $abi | sort)
)"

python3 tests/mutate --places || bad=1

# Does it find what is wrong? A file with mistakes:
wrong=$(mktemp --suffix .c)
trap 'rm -f "$wrong"' EXIT
printf '%s\n' '/* abi K.99 */' ' * right: abi K.6; not here (abi K.1,' ' * C.77). A decision' ' * 999, abi Z' 'in abi' ' L, abi I.99' >"$wrong"
found=$(cited "$wrong" | unresolved | sed 's/.*: //' | paste -sd' ')
[ "$found" = 'abi K.99 abi C.77 decision 999 abi I.99' ] || complain "Wrong citations were not all found" "$found"
echo '/* see gone.c, not check-citations.sh */' >"$wrong"
[ "$(missing_files "$wrong")" = "$wrong:1: gone.c" ] || complain "A missing file was not found" "gone.c"
exit $bad
