#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check-licences.sh: every source says its licence in its first lines, and it is its folder's.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
bad=0

licence_of_folder() {
  case $1 in
  kmod/uapi/*) echo "GPL-2.0-only WITH Linux-syscall-note" ;;
  kmod/* | examples/guest-module/*) echo "GPL-2.0-only" ;;
  libghvm/* | include/*) echo "LGPL-2.1-or-later" ;;
  *) echo "GPL-2.0-or-later" ;;
  esac
}

while IFS= read -r file; do
  want=$(licence_of_folder "$file")
  if ! head -n 3 "$file" | grep -qE "SPDX-License-Identifier: $want( |\$|\))"; then
    echo "$file: no line SPDX-License-Identifier: $want"
    bad=1
  fi
done < <(find kmod include libghvm daemon examples/guest-module tests systemd dev .ci -type f \( -name '*.[chS]' -o -name '*.sh' \
  -o -name '*.py' -o -name '*.in' -o -name '*.ld' -o -name Kbuild -o -path dev -o -path .ci/run \) |
  sort)
exit $bad
