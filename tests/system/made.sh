# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# made.sh, to be sourced: what was made is kept while all that it was made from has the same contents.

# Of a folder: what is in none of these.
made_skip=(\( -type d \( -name .git -o -name build -o -name meson-logs -o -name '*.p' \) -o -name '.ninja_*' \) -prune)

# made_key WORD...: a word that differs whenever one of them does. A file counts with its contents, a folder with
# all below it: names, modes, links and contents, but no history of git and no intermediate results of builds.
made_key() {
  local word
  for word; do
    if [ -e "$word" ]; then
      find "$word" "${made_skip[@]}" -o -printf '%y %m %p %l\n' | LC_ALL=C sort
      find "$word" "${made_skip[@]}" -o -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
    else
      printf '%s\n' "$word"
    fi
  done | sha256sum | cut -d ' ' -f 1
}

# made_is STAMP KEY RESULT...: were all RESULTs made with that key, and are they still there?
made_is() {
  local stamp=$1 key=$2 result
  shift 2
  for result; do
    [ -e "$result" ] || return 1
  done
  [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]
}

# made_note STAMP KEY: they are now. Before they are made anew STAMP has to be removed.
made_note() {
  echo "$2" >"$1"
}
