#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check-rooms.sh [--write]: the list of source files at the end of ARCHITECTURE.md is that of the tree: each
# file with the first sentence of its opening comment. --write makes it so.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$(realpath "$0")")/.."
doc=ARCHITECTURE.md
begin='<!-- made by tests/check-rooms.sh --write -->'

# The first sentence of the first comment after the licence, on one line
sentence() { # FILE
  awk '
    NR == 1 && /SPDX/ { next }
    !inside && /^[ \t]*\/\*/ { inside = 1 }
    !inside && NF { exit }
    inside {
      last = /\*\//
      sub(/^[ \t]*\/\*+/, "")
      sub(/\*\/.*$/, "")
      sub(/^[ \t]*\*/, "")
      gsub(/^[ \t]+|[ \t]+$/, "")
      if ($0 == "" && text != "") exit
      text = text (text == "" || $0 == "" ? "" : " ") $0
      if (last) exit
    }
    END {
      if (match(text, /[.] /)) text = substr(text, 1, RSTART)
      sub(/[.:]$/, "", text)
      print text
    }' "$1"
}

# A noun is NAME.h and NAME.c; the header says what it is, unless it has nothing to say.
nouns() { # FOLDER
  find "$1" -maxdepth 1 -name '*.[ch]' -printf '%f\n' | sed 's/\.[ch]$//' | sort -u
}

room() { # FOLDER NOUN
  local files='' text='' f
  for f in "$1/$2.h" "$1/$2.c"; do
    [ -e "$f" ] || continue
    files=$files.${f##*.}
    [ -n "$text" ] || text=$(sentence "$f")
  done
  [ "$files" = .h.c ] && files='.[ch]'
  [ -n "$text" ] || echo "$1/$2: its opening comment does not say what it is" >&2
  # shellcheck disable=SC2016 # Markdown's quotes
  printf -- '- `%s`: %s\n' "$2$files" "${text:-?}"
}

rooms() {
  local folder noun
  find include kmod libghvm daemon examples tests/fakes tests/fixtures tests/model -name '*.[ch]' -printf '%h\n' |
    sort -u | while read -r folder; do
    # shellcheck disable=SC2016 # likewise
    printf '\n`%s/`\n\n' "$folder"
    for noun in $(nouns "$folder"); do
      room "$folder" "$noun"
    done
  done
}

now=$(mktemp)
trap 'rm -f "$now"' EXIT
awk -v end="$begin" '{ print } $0 == end { exit }' $doc >"$now"
grep -qxF -- "$begin" "$now" || {
  echo "$doc: the line '$begin' is missing"
  exit 1
}
rooms >>"$now"
# What has no opening comment has "?"
if grep -n '^- .*: ?$' "$now"; then
  exit 1
elif [ "${1-}" = --write ]; then
  cat "$now" >$doc
elif ! cmp -s "$now" $doc; then
  echo "$doc: its list of files is not that of the tree (tests/check-rooms.sh --write):"
  diff $doc "$now" | grep '^[<>]' | head -n 20
  exit 1
fi
