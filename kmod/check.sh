#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh [build | checkpatch | size]...: the module against every kernel we support, and the guests' module of
# examples/guest-module.
# Build is W=1 and sparse. Without arguments all of them. Silent but for complaints and one line for each thing done.
set -eu
here=$(dirname "$(realpath "$0")")
kernel=$here/../tests/system/kernel.sh
guest=$here/../examples/guest-module
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What clang-format decides, what matters only in the kernel's own tree, and the usual form of a
# comparison with LINUX_VERSION_CODE.
ignore=LONG_LINE,LONG_LINE_COMMENT,FILE_PATH_CHANGES,LINUX_VERSION_CODE,CONSTANT_COMPARISON
ignore=$ignore,UNDOCUMENTED_DT_STRING

# make_for SOURCES KIND ARCH MAKEFLAGS...: build a copy; any word from the tools is a failure
make_for()
{
	sources=$1
	shift
	headers=$("$kernel" headers "$1" "$2")
	dir=$work/$1-$2
	log=$dir.log
	shift
	case $1 in
	arm64) set -- "$@" ARCH=arm64 CROSS_COMPILE="${CROSS:-aarch64-linux-gnu-}" ;;
	*) set -- "$@" ARCH=x86_64 ;;
	esac
	shift
	rm -rf "$dir"
	mkdir "$dir"
	cp "$sources"/Kbuild "$sources"/*.[ch] "$dir"
	[ ! -d "$sources/uapi" ] || cp -r "$sources/uapi" "$dir"
	status=0
	nice make -s -j "$(nproc)" -C "$headers" M="$dir" "$@" modules >"$log" 2>&1 || status=$?
	sed -i '/Skipping BTF generation/d' "$log"
	if [ $status != 0 ] || [ -s "$log" ]; then
		sed "s#$dir/##" "$log" >&2
		return 1
	fi
}

matrix()
{
	for k in "6.1 arm64" "6.12 arm64" "6.1 amd64"; do
		# shellcheck disable=SC2086 # two words
		make_for "$here" $k "$@"
		echo "kmod: $k $*"
	done
	for k in "6.1 arm64" "6.12 arm64"; do
		# shellcheck disable=SC2086 # two words
		make_for "$guest" $k "$@"
		echo "guest-module: $k $*"
	done
}

checkpatch()
{
	scripts=$("$kernel" scripts)
	"$scripts/scripts/checkpatch.pl" --no-tree --strict --terse --quiet --no-summary \
		--max-line-length=100 --root="$scripts" --ignore "$ignore" \
		-f "$here"/*.[ch] "$here"/uapi/*.h "$guest"/*.[ch] 2>&1 | grep -v "^grep: " >&2 && return 1
	echo "kmod: checkpatch"
}

# It is to be read in one go: lines that are neither blank nor comment.
size()
{
	lines=$(cat "$here"/*.[ch] | awk '
		/\/\*/ && !/\*\// { if ($1 ~ /^\/\*/) { c = 1 } }
		!c && NF && $1 !~ /^(\/\/|\/\*)/ { n++ }
		/\*\// { c = 0 }
		END { print n }')
	echo "kmod: $lines lines of code"
	[ "$lines" -lt 1800 ]
}

[ $# -gt 0 ] || set -- build checkpatch size
for what; do
	case $what in
	build) matrix W=1 C=1 CF=-Wsparse-error ;;
	checkpatch | size) "$what" ;;
	*) echo "usage: check.sh [build | checkpatch | size]..." >&2 && exit 2 ;;
	esac
done
