#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# watch.sh NAME: start a virtual machine that has a descriptor, and print each signal of the manager until the guest
# has ended. It needs only busctl, which belongs to systemd.
#
# Only root may see signals this way. busctl cannot send files: define.py and run.py do. gunyah-vmd.8 describes the
# interface.
set -eu

bus=org.gunyah.vmm1
root=/org/gunyah/vmm1
[ $# = 1 ] || {
	echo "usage: watch.sh NAME" >&2
	exit 2
}

# 's "running"' is printed as running
value() { # BUSCTL-COMMAND...
	_value=$(busctl "$@") || exit
	_value=${_value#*\"}
	echo "${_value%\"*}"
}

vm=$(value call $bus $root $bus.Manager GetVM s "$1")
signals=$(mktemp)
busctl --json=short --match="type='signal',sender='$bus',path_namespace='$root'" monitor >"$signals" 2>&1 &
monitor=$!
trap 'kill $monitor; rm "$signals"' EXIT
until grep -q '^Monitoring' "$signals"; do
	kill -0 $monitor
	sleep 0.1
done

value call $bus $root $bus.Manager StartVM 'sa{sv}' "$1" 0
until grep -q "\"$vm\".*\"StateChanged\".*\"data\":\[\"[a-z]*\",\"\(stopped\|failed\)\"" "$signals"; do
	kill -0 $monitor
	sleep 0.1
done
cat "$signals"
state=$(value get-property $bus "$vm" $bus.VM State)
echo "$1 is $state"
[ "$state" = stopped ]
