#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Download or build a Debian kernel and keep it in the cache; prints the path.
#
#   kernel.sh image 6.12-cloud          folder with vmlinuz (arm64) and lib/modules/RELEASE
#   kernel.sh image 6.1                 likewise: all drivers, needed for guests
#   kernel.sh headers 6.12 [amd64]      what "make -C" wants; arm64 unless said
#   kernel.sh image guest               folder with vmlinuz and config: small, has virtio in protected guests; built on first use
#   kernel.sh image debug               the debug kernel of the module's tests, built on first use
#   kernel.sh headers debug             likewise, to build the module for it
#   kernel.sh scripts                   kernel tree with only scripts/checkpatch.pl and its data
#   kernel.sh busybox                   static arm64 busybox
#   kernel.sh uboot                     U-Boot for QEMU's arm64 machine "virt", which runs at any address
#
# KIND is VERSION or VERSION-cloud; image and headers of one kind are the same release. What the
# metapackage names today wins; without apt's lists, the newest in the cache. Nothing is installed:
# the arm64 headers would pull a foreign compiler.
set -eu
PATH=$PATH:/usr/sbin:/sbin
cache=${GHVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ghvm}/kernels
here=$(dirname "$(realpath "$0")")
default=6.1	# what the metapackages without a version mean on Debian 12

die()
{
	echo "kernel.sh: $*" >&2
	exit 1
}

# meta VERSION FLAVOUR: RELEASE that the image metapackage depends on, e.g. 6.1.0-56-cloud-arm64. apt-cache takes
# seconds, so its answer is kept while apt's lists are the same.
meta()
{
	m=linux-image-$1-$2
	[ "$1" != $default ] || m=linux-image-$2
	memo=$cache/.$m
	if ! [ -s "$memo" ] || [ -z "$(find "$memo" -newer /var/lib/apt/lists 2>/dev/null)" ]; then
		mkdir -p "$cache"
		apt-cache depends "$m:${2##*-}" 2>/dev/null |
			sed -n 's/^ *Depends: linux-image-\([^:]*\).*/\1/p' | head -n 1 >"$memo.$$"
		mv "$memo.$$" "$memo"
	fi
	cat "$memo"
}

# newest WHAT VERSION FLAVOUR: the newest RELEASE in the cache
newest()
{
	for d in "$cache/$1-$2."*"-$3"; do
		[ -d "$d" ] && echo "${d#"$cache/$1-"}"
	done | grep -E "^[0-9.]+(-[0-9]+|\+deb[0-9]+)-$3\$" | sort -V | tail -n 1
}

# release WHAT KIND ARCH
release()
{
	case $2 in
	*-cloud) v=${2%-cloud} f=cloud-$3 ;;
	*) v=$2 f=$3 ;;
	esac
	r=$(meta "$v" "$f")
	[ -n "$r" ] || r=$(newest "$1" "$v" "$f")
	[ -n "$r" ] || die "no kernel $2 for $3 (apt-get update? dpkg --add-architecture $3?)"
	echo "$r"
}

# unpack DIR PACKAGE...: download and unpack into DIR
unpack()
{
	into=$1
	shift
	mkdir "$into.deb"
	(cd "$into.deb" && apt-get -qq -o APT::Sandbox::User=root download "$@") >&2 ||
		die "cannot download $*"
	for deb in "$into.deb"/*.deb; do
		dpkg -x "$deb" "$into"
	done
	rm -rf "$into.deb"
}

make_image()
{
	unpack "$2" "linux-image-$1:arm64"
	mv "$2/boot/vmlinuz-$1" "$2/vmlinuz"
	mv "$2/boot/config-$1" "$2/config"
	rm -rf "${2:?}/boot" "${2:?}/usr"
	depmod -b "$2" "$1" || die "depmod is needed (package kmod)"
}

make_headers()
{
	arch=${1##*-}
	base=${1%-"$arch"}
	base=${base%-cloud}
	kbuild=$base
	case $base in 6.1.*) kbuild=6.1 ;; esac
	unpack "$2" "linux-headers-$1:$arch" "linux-headers-$base-common" \
		"linux-kbuild-$kbuild:$(dpkg --print-architecture)"
	sed -i "s#include /usr/src#include $3/usr/src#" "$2/usr/src/linux-headers-$1/Makefile"
	# Otherwise each module build needs pahole for BTF.
	rm -f "$2/usr/src/linux-headers-$1/vmlinux"
}

make_scripts()
{
	unpack "$2" linux-source-6.12
	tar -xf "$2"/usr/src/linux-source-6.12.tar.* -C "$2" --strip-components=1 --wildcards \
		'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch' \
		'*/scripts/coccinelle'
	rm -rf "${2:?}/usr"
}

# config_of KIND: options of a kernel that is built here; all others are off
config_of()
{
	case $1 in
	debug) echo "$here/../kmod/debug.config" ;;
	guest) echo "$here/guest-kernel.config" ;;
	esac
}

# built_release KIND: VERSION-HASH of Debian's source and of the options
built_release()
{
	hash=$(sha256sum "$(config_of "$1")" | cut -c 1-12)
	v=$(apt-cache show --no-all-versions linux-source-6.12 2>/dev/null | sed -n 's/^Version: //p')
	if [ -z "$v" ]; then
		v=$(cd "$cache" && printf '%s\n' "$1-"*"-$hash" | sort -V | tail -n 1)
		v=${v#"$1-"}
		v=${v%-"$hash"}
	fi
	echo "$v-$hash"
}

# configure CONFIG COMMAND...: each line of CONFIG must be in the resulting .config.
configure()
{
	wanted=$1
	shift
	"$@" KCONFIG_ALLCONFIG="$wanted" allnoconfig
	missing=$(grep '^CONFIG' "$wanted" | grep -vxFf .config) || return 0
	die "the kernel has not taken: $missing"
}

# build KIND RELEASE DIR TARGET...: unpack Debian's source into DIR/src and build it; DIR/vmlinuz, DIR/config
build()
{
	kind=$1 tree=$3
	echo "kernel.sh: building the $kind kernel $2, once" >&2
	unpack "$tree" "linux-source-6.12=${2%-*}"
	shift 3
	mkdir "$tree/src"
	tar -xf "$tree"/usr/src/linux-source-6.12.tar.* -C "$tree/src" --strip-components=1
	rm -rf "${tree:?}/usr"
	cc=${CROSS:-aarch64-linux-gnu-}gcc
	! command -v ccache >/dev/null || cc="ccache $cc"
	(
		cd "$tree/src"
		targets=$*
		set -- make -s -j"$(nproc)" ARCH=arm64 \
			CROSS_COMPILE="${CROSS:-aarch64-linux-gnu-}" CC="$cc"
		configure "$(config_of "$kind")" "$@"
		# shellcheck disable=SC2086 # words
		"$@" $targets
		mv arch/arm64/boot/Image ../vmlinuz
		cp .config ../config
	) >&2
}

# Takes about ten minutes on two CPUs. Keeps only the kernel and the files for building modules.
make_debug()
{
	build debug "$1" "$2" Image modules
	(
		cd "$2/src"
		find . -path ./scripts -prune -o -type f \( -name '*.[coS]' -o -name '*.o.*' -o \
			-name '*.a' -o -name 'vmlinux*' \) -exec rm -f {} +
		for d in arch/* *; do
			case $d in
			arch/arm64 | arch | include | scripts | Kbuild | Makefile | Module.symvers) ;;
			*) rm -rf "$d" ;;
			esac
		done
	)
}

make_guest()
{
	build guest "$1" "$2" Image
	rm -rf "${2:?}/src"
}

make_busybox()
{
	unpack "$2" busybox-static:arm64
	mv "$2/bin/busybox" "$2/busybox"
	rm -rf "${2:?}/bin" "${2:?}/usr"
}

make_uboot()
{
	unpack "$2" u-boot-qemu
	mv "$2/usr/lib/u-boot/qemu_arm64/u-boot.bin" "$2/uboot"
	rm -rf "${2:?}/usr"
}

# once WHAT RELEASE: create cache/WHAT-RELEASE unless it is complete; print it
once()
{
	dir=$cache/$1-$2
	mkdir -p "$cache"
	(
		flock 9
		if ! [ -d "$dir" ]; then
			rm -rf "$dir.new" "$dir.new.deb"
			mkdir "$dir.new"
			"make_$1" "$2" "$dir.new" "$dir"
			mv "$dir.new" "$dir"
		fi
	) 9>"$cache/.lock$(case $1 in debug | guest) echo "-$1" ;; esac)"
	echo "$dir"
}

case ${1:-}:${2:-} in
image:debug | image:guest | headers:debug)
	r=$(built_release "$2")
	dir=$(once "$2" "$r")
	[ "$1" = image ] && echo "$dir" || echo "$dir/src"
	;;
image:*)
	[ $# = 2 ] || die "usage: kernel.sh image KIND"
	r=$(release image "$2" arm64)
	once image "$r"
	;;
headers:*)
	[ $# = 2 ] || [ $# = 3 ] || die "usage: kernel.sh headers KIND [arm64|amd64]"
	r=$(release headers "$2" "${3:-arm64}")
	dir=$(once headers "$r")
	echo "$dir/usr/src/linux-headers-$r"
	;;
scripts: | busybox: | uboot:)
	dir=$(once "$1" arm64)
	[ "$1" = scripts ] && echo "$dir" || echo "$dir/$1"
	;;
*)
	die "usage: kernel.sh image KIND | headers KIND [ARCH] | scripts | busybox | uboot"
	;;
esac
