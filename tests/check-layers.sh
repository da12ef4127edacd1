#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check-layers.sh: no include goes the wrong way (STYLE.md section 2), and every header compiles
# alone. The tables below are that section, as data.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
bad=0

complain() { # FILE TEXT
  printf '%s: %s\n' "$1" "$2"
  bad=1
}

# The files of one layer may include each other and every layer before it.
library=(
  "types cleanup bits error file foreign guest-map hint wire packet rm-abi backlog caller name near populate printable region room tag trace trace-* quirks ledger layout layout-* dt dt-* image spec spec-* yaml"
  "host"
  "hvc dev sock"
  "msgq"
  "rm rm-connect rm-internal"
  "rm-mem rm-probe rm-vm"
  "parcel parcel-* vcpu"
  "machine machine-* transaction transaction-*"
  "link link-* need runinfo"
)
# host.c only picks the implementation that a URI names.
allowed=(
  "libghvm/host.c:dev"
  "libghvm/host.c:sock"
  "libghvm/host.c:hvc"
)
manager=(
  "allowance failure folders log loop node probe reboots record settled store verdict witness"
  "control guest guest-* op"
  "admission vm vm-*"
  "quarantine"
  "adopt"
  "manager"
  "prepare"
  "peer"
  "auth bus"
  "bus-*"
  "main"
)

# doors FOLDER LIBRARY FILES: who in FOLDER may include that foreign header (a pattern)
doors=(
  "libghvm|kmod/uapi/*|host.h dev.c sock.c"
  "libghvm|libfdt*|dt.c dt-lint.c dt-overlay.c"
  "libghvm|yaml.h|yaml.c spec.c yaml.h"
  "libghvm|systemd/*|"
  "libghvm|event*|"
  "libghvm|daemon/*|"
  "libghvm|tests/*|"
  "daemon/manager|systemd/sd-bus*|bus*.[ch] auth.[ch] peer.[ch]"
  "daemon/manager|event*|loop.c bus.c"
  "daemon/prepare|systemd/sd-bus*|machined.[ch]"
  "daemon/runner|systemd/sd-bus*|"
  "daemon|kmod/*|"
  "daemon|libfdt*|"
  "daemon|yaml.h|"
  "daemon|tests/*|"
)

includes() { # FILE: what it includes, as "kind<TAB>name", kind being " or <
  sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*(["<])([^">]*)[">].*/\1\t\2/p' "$1"
}

matches() { # NAME PATTERNS
  local name=$1 pattern
  for pattern in $2; do
    # shellcheck disable=SC2053 # patterns are meant
    [[ $name == $pattern ]] && return 0
  done
  return 1
}

layer_of() { # NAME LAYERS...: prints the index of its layer
  local name=$1 n=0 layer
  shift
  for layer in "$@"; do
    if matches "$name" "$layer"; then
      echo $n
      return
    fi
    n=$((n + 1))
  done
  return 1
}

check_layer() { # FILE FOLDER NAME-INCLUDED LAYERS...
  local file=$1 other=$3 mine theirs own
  own=$(basename "${file%.[ch]}")
  shift 3
  [ "$own" != "$other" ] || return 0
  [[ " ${allowed[*]} " != *" $file:$other "* ]] || return 0
  mine=$(layer_of "$own" "$@") || { complain "$file" "is in no layer of tests/check-layers.sh"; return; }
  theirs=$(layer_of "$other" "$@") || { complain "$file" "includes $other, which is in no layer"; return; }
  [ "$theirs" -le "$mine" ] || complain "$file" "includes \"$other.h\", which is a higher layer"
}

check_doors() { # FILE NAME-INCLUDED
  local door folder pattern files
  for door in "${doors[@]}"; do
    IFS='|' read -r folder pattern files <<<"$door"
    if [[ $1 != "$folder"/* ]] || ! matches "$2" "$pattern"; then
      continue
    fi
    matches "$(basename "$1")" "$files" || complain "$1" "may not include $2"
  done
}

check_file() {
  local file=$1 kind name program
  while IFS=$'\t' read -r kind name; do
    check_doors "$file" "$name"
    [ "$kind" = '"' ] || continue
    [ -e "$name" ] || complain "$file" "\"$name\" is not written from the root of the tree"
    case $file:$name in
    libghvm/*:libghvm/*)
      check_layer "$file" libghvm "$(basename "$name" .h)" "${library[@]}"
      ;;
    daemon/manager/*:daemon/manager/*)
      check_layer "$file" daemon/manager "$(basename "$name" .h)" "${manager[@]}"
      ;;
    daemon/*:daemon/ipc/*) ;; # what the programs share
    daemon/*:daemon/*)
      program=${file#daemon/}
      [[ $name == daemon/${program%%/*}/* ]] || complain "$file" "includes another program's $name"
      ;;
    esac
  done < <(includes "$file")
}

check_module() {
  local file=$1 kind name
  while IFS=$'\t' read -r kind name; do
    case $kind$name in
    '"uapi/'* | '"ghvm_'*) ;;
    '<linux/'* | '<asm/'* | '<uapi/'*) ;;
    *) complain "$file" "the module may not include $name" ;;
    esac
  done < <(includes "$file")
}

check_alone() { # HEADER
  gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -Werror -I. \
    -fsyntax-only -x c - <<<"#include \"$1\"" || complain "$1" "does not compile alone"
}

while IFS= read -r file; do
  check_file "$file"
done < <(find libghvm daemon tests -name '*.[ch]' ! -path 'tests/kmod/*' | sort)
while IFS= read -r file; do
  check_module "$file"
done < <(find kmod -maxdepth 1 -name '*.[ch]' | sort)
while IFS= read -r file; do
  check_alone "$file"
done < <(find libghvm daemon tests kmod/uapi -name '*.h' ! -path 'tests/kmod/*' \
  ! -path 'tests/model/el2/*' | sort)
exit $bad
