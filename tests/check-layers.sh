#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check-layers.sh: folders are layers (ARCHITECTURE.md). No include goes to a higher one, to another
# program or around in a circle; a foreign header is included by few; every header compiles alone; and a folder
# has few files.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
bad=0

# From the lowest to the highest. A file includes what is in its own folder and in those before it;
# "." is the folder itself. A main.c is above all of its program.
layers='
libghvm: base hyp spec trace rm plan memory machine
daemon: ipc
daemon/manager: core state host instance vm recovery . start bus objects
daemon/prepare: disk .
daemon/runner: base virtio net vhost devices .
daemon/ctl: output kernel . client verbs
'
# The folder whose layer a public header is of.
public='
base: api error guest-map types vm-state
hyp: host vcpu
spec: spec
trace: trace
rm: rm
plan: plan
machine: machine transaction
'
# Which files may include which header of somebody else: the header, where this is a rule, the files.
doors='
^kmod/uapi/ ^libghvm/ ^libghvm/hyp/(host\.h|dev\.c|sock\.c)$
^(kmod|libghvm)/ ^include/ ^$
^libfdt ^(libghvm|include)/ ^libghvm/plan/dt
^yaml\.h$ ^(libghvm|include)/ ^libghvm/spec/(reader|spec|fields)\.[ch]$
^(systemd/|event) ^(libghvm|include)/ ^$
^(kmod/|libfdt|yaml\.h$) ^daemon/ ^$
^systemd/sd-bus ^daemon/manager/ ^daemon/manager/(bus|objects)/
^zlib\.h$ ^(libghvm|include|daemon)/ ^daemon/ctl/kernel/config\.c$
^event ^daemon/manager/ ^daemon/manager/(core/loop|bus/connection)\.[ch]$
^systemd/sd-bus ^daemon/prepare/ ^daemon/prepare/machined\.[ch]$
^systemd/sd-bus ^daemon/(runner|ipc)/ ^$
^tests/ ^(libghvm|include|daemon|kmod)/ ^$
^(daemon|libghvm|ghvm)/ ^kmod/ ^$
^[a-z]+\.h$ ^kmod/ ^$
'

# FILE KIND NAME for each include, KIND being " or <
mapfile -t sources < <(find include libghvm daemon tests kmod -name '*.[ch]' ! -path 'tests/kmod/*' \
  ! -path 'tests/model/el2/*' | sort)
includes=$(grep -HoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<][^">]*' "${sources[@]}" |
  sed -E 's/:[[:space:]]*#[[:space:]]*include[[:space:]]*(["<])/ \1 /')

awk -v layers="$layers" -v public="$public" -v doors="$doors" '
  BEGIN {
    n = split(layers, line, "\n")
    for (i = 1; i <= n; i++) {
      words = split(line[i], w, /:? +/)
      for (k = 2; k <= words; k++)
        rank[w[k] == "." ? w[1] : w[1] "/" w[k]] = ++ranks
    }
    n = split(public, line, "\n")
    for (i = 1; i <= n; i++) {
      words = split(line[i], w, /:? +/)
      for (k = 2; k <= words; k++)
        rank["include/ghvm/" w[k] ".h"] = rank["libghvm/" w[1]]
    }
    n_doors = split(doors, door, "\n")
  }
  function complain(text) { print file ": " text; bad = 1 }
  function where(name) { return name ~ /^ghvm\// ? "include/" name : name }
  function level(name, folder) {
    if (name in rank)
      return rank[name]
    if (name ~ /^daemon\/[a-z]*\/main\.c$/)
      return ranks + 1
    folder = name
    sub("/[^/]*$", "", folder)
    if (!(folder in rank))
      complain("\"" name "\" is in no folder of tests/check-layers.sh")
    return rank[folder]
  }
  function program(name, part) { split(name, part, "/"); return part[1] "/" part[2] }
  {
    file = $1; name = $3; path = where(name)
    for (i = 1; i <= n_doors; i++)
      if (split(door[i], d, " ") == 3 && file ~ d[2] && name ~ d[1] && file !~ d[3])
        complain("may not include " name)
    if ($2 != "\"" || file ~ /^(kmod|tests)\//)
      next
    if (path !~ /^(include\/ghvm|libghvm|daemon|kmod\/uapi)\//)
      complain("\"" name "\" is written neither from the root of the tree nor from include/")
    else if (path !~ /^kmod/ && level(path) > level(file))
      complain("includes \"" name "\" of a higher layer")
    if (path ~ /^daemon\// && program(path) != program(file) && program(path) != "daemon/ipc")
      complain("includes another program'\''s " name)
  }
  END { exit bad }' <<<"$includes" || bad=1

# Circles, of headers and of rooms. A room is NAME.c with NAME.h; a public header belongs to several, and an
# internal one is the inside of its room, so these two are no rooms. tsort prints a circle, a line a room.
pairs=$(awk '$2 == "\"" && $3 ~ /\// { sub(/^ghvm\//, "include/ghvm/", $3); print $1, $3 }' <<<"$includes")
headers=$(awk '$1 ~ /[.]h$/' <<<"$pairs")
rooms=$(awk '!/include\/ghvm|internal[.]h/ { gsub(/[.][ch]/, ""); if ($1 != $2) print }' <<<"$pairs")
for edges in "$headers" "$rooms"; do
  tsort <<<"$edges" >/dev/null || bad=1
done

most=20
crowded=$(find . \( -path ./.git -o -path './build*' -o -path ./.cache \) -prune -o -type f -printf '%h\n' |
  sort | uniq -c | awk -v most=$most '$1 > most { print $2 ": " $1 " files, at most " most " are allowed: split it" }')
[ -z "$crowded" ] || {
  echo "$crowded"
  bad=1
}

alone() { # HEADER: it compiles, and nothing before it
  gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -Werror -I. -Iinclude \
    -fsyntax-only -x c - <<<"#include \"$1\"" || { echo "$1: does not compile alone"; return 1; }
}
export -f alone
# shellcheck disable=SC2016 # the inner shell expands
find include libghvm daemon tests kmod/uapi -name '*.h' ! -path 'tests/kmod/*' ! -path 'tests/prove/eva/*' \
  ! -path 'tests/model/el2/*' -print0 |
  xargs -0 -P "$(nproc)" -I '{}' bash -c 'alone "$1"' alone '{}' || bad=1
exit $bad
