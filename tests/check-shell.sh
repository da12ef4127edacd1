#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check-shell.sh: shellcheck on every script of the tree.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
mapfile -t scripts < <(
  find . \( -path ./.git -o -path './build*' -o -path ./.cache \) -prune -o -type f -print |
    sort | while IFS= read -r f; do
      case $f in
      *.sh) echo "$f" ;;
      *) head -n 1 "$f" | tr -d '\0' | grep -qaE '^#!.*\b(ba|da)?sh\b' && echo "$f" ;;
      esac
    done
)
shellcheck -x "${scripts[@]}"
