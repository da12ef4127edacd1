#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check-docs.sh: the manual pages, the completions and FORMAT.md name what there is, and nothing
# else: every verb, option and key. The programs' sources are what they are held against.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
bad=0

fail() {
  printf '%s\n' "$*"
  bad=1
}

# same WHAT LIST LIST: two lists, a word a line
same() {
  local d
  d=$(diff <(sort -u <<<"$2") <(sort -u <<<"$3") | grep '^[<>]' || true) # diff fails if they differ
  [ -n "$d" ] || return 0
  fail "$1 (< is in the program, > in the document):" "$d"
}

mdoc_tags() { # FILE MACRO: what "It MACRO x" names, "It Ar x" and arguments left out
  sed -n "s/^\.It $2 \([^ ]*\).*/\1/p" "$1"
}

# --- ghvmctl: verbs and options ------------------------------------------------------------

main=daemon/ctl/main.c
verbs=$(sed -n 's/^\t{ "\([a-z]*\)", verb_.*/\1/p' $main)
[ "$(wc -l <<<"$verbs")" -ge 7 ] || fail "$main: its verbs are not where they were"
same "ghvmctl.1: verbs" "$verbs" "$(mdoc_tags docs/ghvmctl.1 Cm)"
for v in $verbs; do
  grep -qE "^    '$v:" docs/_ghvmctl || fail "docs/_ghvmctl: no verb $v"
  [ "$(grep -cE "(^|[ |'])$v(['[:space:])]|\$)" docs/ghvmctl.bash)" -ge 2 ] || fail "docs/ghvmctl.bash: no verb $v"
done

long_options() { # FILE: of its "struct option" table
  sed -n 's/^\t*{ "\([a-z-]*\)", \(no\|required\)_argument.*/\1/p' "$1"
}

options_of_page() { # FILE
  grep '^\.It .*Fl ' "$1" | grep -oE ' -[a-z][a-z-]*' | sed 's/^ -//' # "Fl -one , -two" are two
}

options=$(long_options $main)
same "ghvmctl.1: options" "$options" "$(options_of_page docs/ghvmctl.1)"
for o in $options; do
  grep -q -- "--$o" docs/ghvmctl.bash || fail "docs/ghvmctl.bash: no --$o"
  grep -q -- "--$o" docs/_ghvmctl || fail "docs/_ghvmctl: no --$o"
done

# What bash would offer after these words; the last one is being typed.
offers() { # WORD...
  (
    ghvmctl() { printf 'NAME  STATE\ndemo  stopped\nother running\n'; }
    compopt() { :; } # works within a completion only
    # shellcheck source=docs/ghvmctl.bash
    . docs/ghvmctl.bash
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _ghvmctl
    printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd ' '
  )
}

offered() { # WANTED WORD...
  local got wanted=$1
  shift
  got=$(offers "$@")
  [ "$got" = "$wanted" ] || fail "docs/ghvmctl.bash: '$*' is offered '$got', not '$wanted'"
}
offered "$(sort <<<"$verbs" | paste -sd ' ')" ghvmctl ''
offered 'start status stop' ghvmctl st
offered 'demo other' ghvmctl status ''
offered 'other' ghvmctl --json console o
offered '' ghvmctl host ''
offered '--json' ghvmctl --j
offered 'add dump list load remove' ghvmctl region ''
offered 'demo' ghvmctl region list de
offered 'demo other' ghvmctl region dump ''
offered 'demo other' ghvmctl region add --label = 7 ''
offered 'configs/appliance.yaml configs/demo.yaml configs/disk.yaml configs/pair.yaml configs/shared-memory.yaml' ghvmctl validate configs/
offered 'demo' ghvmctl --dir = status plan de
offered 'daemon' ghvmctl --dir = daem
offered 'dev' ghvmctl --pcapng = dev

# --- the other programs --------------------------------------------------------------------

for p in manager:gunyah-vmd prepare:gunyah-vm-prepare runner:gunyah-vm; do
  same "${p#*:}.8: options" "$(long_options "daemon/${p%:*}/main.c")" \
    "$(options_of_page "docs/${p#*:}.8")"
done

# --- the bus: gunyah-vmd.8 has a paragraph for each object, with what is on its interface ---

for f in systemd/dbus-interfaces/*.xml; do
  interface=$(basename "$f" .xml)
  paragraph=$(awk -v i="[.]Li ${interface//./[.]}[ \n]" 'BEGIN { RS = "\n[.](It Pa|El)" } $0 ~ i' docs/gunyah-vmd.8)
  while read -r m; do
    grep -qw "$m" <<<"$paragraph" || fail "gunyah-vmd.8: $interface has no $m"
  done < <(sed -n 's/.*<\(method\|property\|signal\) name="\([A-Za-z]*\)".*/\2/p' "$f")
done

named=$(sed -n 's/.*FAILURE_PREFIX "\([A-Za-z]*\)".*/\1/p' daemon/manager/bus/error-names.[ch])
[ "$(wc -l <<<"$named")" -ge 20 ] || fail "daemon/manager/bus/error-names.c: its names are not where they were"
same "gunyah-vmd.8: errors" "$named" \
  "$(sed -n 's/^\.It Er //p' docs/gunyah-vmd.8 | sed 's/ , /\n/g')"

# --- layers: those that check-layers.sh holds ----------------------------------------------

# shellcheck disable=SC2016 # Markdown's quotes
layers=$(sed -n '/check-layers.sh` holds them:$/,/^`/p' ARCHITECTURE.md | sed -n 's/^    //p')
held=$(sed -n "/^layers='/,/^'/p" tests/check-layers.sh | sed '1d;$d')
[ "$layers" = "$held" ] ||
  fail "ARCHITECTURE.md: its layers (<) are not those of check-layers.sh (>):" \
    "$(diff <(printf '%s\n' "$layers") <(printf '%s\n' "$held"))"

# --- descriptors: FORMAT.md, which a unit test holds against the parser, and the page --------

# shellcheck disable=SC2016 # Markdown's quotes
keys=$(sed -n 's/^| `\([^`]*\)` |.*/\1/p' configs/FORMAT.md)
[ "$(wc -l <<<"$keys")" -ge 20 ] || fail "configs/FORMAT.md: its keys are not where they were"
same "gunyah-vm.yaml.5: keys" "$keys" "$(mdoc_tags docs/gunyah-vm.yaml.5 Cm)"

# --- form ----------------------------------------------------------------------------------

# Dates and system names of other systems are none of our business
for page in docs/*.[158]; do
  lint=$(mandoc -T lint -W warning "$page" 2>&1) || fail "$lint"
done
while read -r name section; do
  [ -e "docs/$name.$section" ] || case $name in
  systemctl | journalctl | systemd.resource-control | kexec) ;;
  *) fail "there is no page $name($section)" ;;
  esac
done < <(sed -n 's/^\.Xr \([^ ]*\) \([0-9]\).*/\1 \2/p' docs/*.[158] | sort -u)
exit $bad
