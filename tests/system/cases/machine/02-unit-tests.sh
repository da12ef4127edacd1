# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The unit tests on arm64 and a real kernel, without the sweeps, which take long and do not depend on the machine;
# test-manager-definition is one: it kills the writer at each system call. 58-define defines here.
# Two run at a time, to use both CPUs of the host.
export GHVM_CONFIGS=$here/configs
export GHVM_INTERFACES=/usr/share/dbus-1/interfaces
rm -rf /run/unit
mkdir /run/unit

unit_tests() { # FIRST STEP: each STEPth test from the FIRST on
	n=$1
	for t in "$here"/unit/test-*; do
		case $t in
		*-sweep | *-kill | *-lies | *-lies-heir | *-manager-definition) continue ;;
		esac
		n=$((n - 1))
		[ $n -lt 0 ] || continue
		n=$(($2 - 1))
		log=/run/unit/$(basename "$t")
		if timeout 60 "$t" >"$log" 2>&1; then
			say "$(basename "$t"): $(sed -n 's/^\[  PASSED  \] //p' "$log")"
		else
			mv "$log" "$log.failed"
		fi
	done
}

unit_tests 0 2 &
unit_tests 1 2
wait
failures=
for f in /run/unit/*.failed; do
	[ -e "$f" ] || continue
	cat "$f"
	failures="$failures $(basename "$f" .failed)"
done
[ -z "$failures" ] || fail "failed:$failures"
rm -rf /run/unit
