#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What was made is made again whenever something that it is made from has changed, and only then.
set -euo pipefail

root=$(dirname "$(realpath "$0")")/../../..
# shellcheck source=tests/system/made.sh
. "$root/tests/system/made.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree

fail() {
  echo "FAIL: $*"
  exit 1
}

key() {
  made_key "$tree" "gcc 12"
}

same() { # WHAT
  [ "$(key)" = "$before" ] || fail "$1 changes the key"
}

differs() { # WHAT: and becomes the one to compare with
  local now
  now=$(key)
  [ "$now" != "$before" ] || fail "$1 does not change the key"
  before=$now
}

mkdir -p "$tree/sub" "$tree/build" "$tree/.git" "$tree/x.p"
echo one >"$tree/a"
echo two >"$tree/sub/b"
before=$(key)
same "nothing"
touch "$tree/a"
same "a time"
echo x >"$tree/build/object"
echo x >"$tree/.git/index"
echo x >"$tree/x.p/object"
echo x >"$tree/.ninja_log"
same "what no result is made from"

echo three >"$tree/sub/b"
differs "the contents of a file"
chmod +x "$tree/a"
differs "a mode"
echo new >"$tree/sub/c"
differs "a new file"
mv "$tree/sub/c" "$tree/sub/d"
differs "a name"
mkdir "$tree/empty"
differs "an empty folder"
ln -s a "$tree/link"
differs "a link"
ln -sf sub/b "$tree/link"
differs "the target of a link"
rm "$tree/sub/d"
differs "a file that is gone"
[ "$(made_key "$tree" "gcc 13")" != "$before" ] || fail "a word does not change the key"

echo result >"$work/result"
! made_is "$work/stamp" "$before" "$work/result" || fail "made without a stamp"
made_note "$work/stamp" "$before"
made_is "$work/stamp" "$before" "$work/result" || fail "not made although noted"
! made_is "$work/stamp" "$(made_key other)" "$work/result" || fail "made with another key"
! made_is "$work/stamp" "$before" "$work/result" "$work/second" || fail "made without a result"
rm "$work/result"
! made_is "$work/stamp" "$before" "$work/result" || fail "made although it is gone"
echo "ok"
