# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# While a protected guest runs, no process has a mapping or a file descriptor of its memory.
up one
if is_model; then
	[ "$(model lent_pages)" -ge 65536 ] || fail "only $(model lent_pages) pages are lent"
fi
found=
for p in /proc/[0-9]*; do
	for f in "$p"/fd/*; do
		case $(readlink "$f") in
		/memfd:* | /dev/shm/* | /dev/zero*)
			size=$(stat -L -c %s "$f" 2>/dev/null || echo 0)
			[ "$size" -lt 1048576 ] || found="$found $f=$(readlink "$f"):$size"
			;;
		esac
	done
	# shared mappings of a file without a name
	awk -v p="$p" '$2 ~ /s$/ && $6 ~ /^\/memfd:/ {
		split($1, a, "-")
		if (length(a[2]) > 0 && ("0x" a[2]) != ("0x" a[1])) print p, $1, $6
	}' "$p/maps" >>/run/maps.found 2>/dev/null || true
done
grep -v -e /memfd:machine /run/maps.found || true
[ -z "$found" ] || fail "files of guest memory:$found"
! grep -q ram /run/maps.found || fail "mappings of guest memory"
rm -f /run/maps.found
type_line one "echo hello"
hears one 10 "guest: hello"
if is_model; then
	untouched || fail "the host has touched lent memory"
fi
down one
