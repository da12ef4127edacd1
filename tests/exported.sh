#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# exported.sh LIBRARY: the shared library exports the functions that its map names, and these are
# those that the public headers declare; nothing of it needs a name outside ghvm_.
set -euo pipefail
library=$(realpath "$1")
cd "$(dirname "$(realpath "$0")")/.."

declared() {
  cat include/ghvm/*.h | gcc -fpreprocessed -dD -E -P - 2>/dev/null |
    grep -oE '\bghvm_[a-z0-9_]+ ?\(' | tr -d ' (' | sort -u
}
mapped() { sed -n '/global:/,/local:/s/^[[:space:]]*\(ghvm_[a-z0-9_]*\);/\1/p' libghvm/libghvm.map | sort; }
exported() { nm -D --defined-only "$library" | awk '$2 != "A" { sub("@.*", "", $3); print $3 }' | sort; }

bad=0
same() { # WHAT HAS WANTED
  [ "$2" != "$3" ] || return 0
  echo "$1 (<) differs from the public headers (>):"
  diff <(echo "$2") <(echo "$3") || bad=1
}
same "libghvm/libghvm.map" "$(mapped)" "$(declared)"
same "$library" "$(exported)" "$(declared)"
[ "$(declared | wc -l)" -gt 40 ] || { echo "include/ghvm: its declarations are not found"; bad=1; }
exit $bad
