#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run.sh PROGRAM CORPUS FOLDER: one of libFuzzer's programs, for GHVM_FUZZ_SECONDS (10). What it
# finds is left in FOLDER; what it only learns is not kept.
set -euo pipefail

name=$(basename "$1")
learned=$(mktemp -d)
trap 'rm -rf "$learned"' EXIT

# to go on after undefined behaviour would hide it
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
if "$1" -max_total_time="${GHVM_FUZZ_SECONDS:-10}" -timeout=20 -rss_limit_mb=2048 \
  -artifact_prefix="$3/$name-" "$learned" "$2"; then
  exit 0
fi
echo "$name: the input is in $3; mend it, and put it into $2"
exit 1
