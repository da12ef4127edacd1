#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The commands that README.md shows for ./dev try work: start, list, plan, trace, stop; and why explains a
# refused request.
set -euo pipefail
here=$(dirname "$(realpath "$0")")

if [ "${1:-}" = inside ]; then
  ghvmctl validate hello 2>&1 | grep -qx 'hello: no errors' # and no warning
  [ "$(ghvmctl validate hello 2>&1 | wc -l)" = 1 ]
  ghvmctl start hello
  ghvmctl list | grep -q '^hello  *running'
  ghvmctl plan hello >printed
  grep -qi allocate printed
  ghvmctl trace | grep -q '> .*VM_START'
  ghvmctl stop hello
  ghvmctl list | grep -q '^hello  *stopped'
  model refuse MEM_LEND 1
  if ghvmctl start hello 2>refused; then exit 1; fi
  grep -q 'MEM_LEND refused with NOMEM' refused
  ghvmctl why hello | grep -q 'step  *lend'
  model counts | grep -q ' lent_pages=0 .* violations=0 '
  exit
fi
"$here/../try.sh" "$here/test-try.sh" inside
[ "$("$here/../try.sh" 'cd /; pwd; ghvmctl list | wc -l')" = $'/\n2' ]
