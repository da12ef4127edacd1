#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# build.sh OUT.bin: the model hypervisor for QEMU. Says nothing but errors.
#
# CROSS: prefix of the tools. GHVM_CACHE: where Debian packages are kept, as libfdt for arm64
# is taken from one (libfdt-dev:arm64 cannot be installed next to the native one).
set -eu
out=$(realpath -m "$1")
here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../../..")
cross=${CROSS:-aarch64-linux-gnu-}
cache=${GHVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ghvm}
fdt=$cache/libfdt-arm64
core=$here/../core

mkdir -p "$cache"
(
	flock 9
	if ! [ -e "$fdt/usr/lib/aarch64-linux-gnu/libfdt.a" ]; then
		cd "$cache"
		set -- libfdt-dev_*_arm64.deb
		[ -e "$1" ] || apt-get download -qq libfdt-dev:arm64 2>/dev/null
		rm -rf "$fdt.new"
		dpkg -x libfdt-dev_*_arm64.deb "$fdt.new"
		mv "$fdt.new" "$fdt"
	fi
) 9>"$cache/.libfdt.lock"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${cross}gcc" -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -Wshadow -Wvla \
	-Wmissing-prototypes -Wstrict-prototypes \
	-ffreestanding -nostdlib -static -mgeneral-regs-only -fno-pic -no-pie \
	-fno-stack-protector -fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables \
	-Wl,--build-id=none -Wl,--no-warn-rwx-segments -T "$here/el2.ld" \
	-I "$root" -isystem "$fdt/usr/include" \
	"$here"/*.S "$here"/*.c "$here"/memory/*.c "$here"/vcpu/*.c "$core"/*.c "$core"/rm/*.c \
	"$fdt/usr/lib/aarch64-linux-gnu/libfdt.a" \
	-o "$work/el2.elf"
"${cross}objcopy" -O binary "$work/el2.elf" "$work/el2.bin"
mkdir -p "$(dirname "$out")"
mv "$work/el2.elf" "${out%.bin}.elf"
mv "$work/el2.bin" "$out"
