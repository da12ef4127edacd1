# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The unit tests on arm64 and a real kernel, without the sweeps, which are long, and alike everywhere.
failures=
export GHVM_CONFIGS=$here/configs
for t in "$here"/unit/test-*; do
	case $t in
	*-sweep | *-kill | *-lies) continue ;;
	esac
	if timeout 60 "$t" >/run/unit.log 2>&1; then
		say "$(basename "$t"): $(sed -n 's/^\[  PASSED  \] //p' /run/unit.log)"
	else
		cat /run/unit.log
		failures="$failures $(basename "$t")"
	fi
done
[ -z "$failures" ] || fail "failed:$failures"
