#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# build.sh OUT.bin: the self-testing guest (selftest.S), a flat image; runs at any address.
set -eu
cross=${CROSS:-aarch64-linux-gnu-}
elf=$(mktemp)
trap 'rm -f "$elf"' EXIT
"${cross}gcc" -nostdlib -static -Wl,--build-id=none,-Ttext=0x80000000 \
	"$(dirname "$0")/selftest.S" -o "$elf"
"${cross}objcopy" -O binary "$elf" "$1"
