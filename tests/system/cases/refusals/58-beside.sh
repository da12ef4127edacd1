# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Another hypervisor, or another driver, has what this one needs: the journal, ghvmctl host and each start say
# which, and what to do; then it works.
needs_model || return 0

named() { # TEXT: by all that can be asked
	began=$(date +%s)
	for _ in 1 2; do
		refused ghvmctl start one >/run/beside.out 2>&1
		cat /run/beside.out
		grep -qF "$1" /run/beside.out || fail "start does not say: $1"
	done
	ghvmctl host >/run/beside.out 2>&1 || true
	grep -qF "$1" /run/beside.out || fail "host does not say: $1: $(cat /run/beside.out)"
	journalctl -q --no-pager -o cat -u gunyah-vmd --since="@$began" | grep -qF "$1" ||
		fail "the journal does not say: $1"
	systemctl stop gunyah-vmd.service
}

foreign() {
	named "the hypervisor below is KVM"
	dmesg | tail -n 5 | grep "ghvm: no guest can run: the hypervisor is not Gunyah" ||
		fail "the kernel's log does not say it"
}

# A driver that takes any device plays the one of Android's kernels.
in_kernel_driver() {
	device=$(for d in /sys/bus/platform/devices/*; do
		grep -qs gunyah-resource-manager "$d/of_node/compatible" && basename "$d"
	done | head -n 1)
	[ -n "$device" ] || fail "the resource manager's node has no platform device"
	driver=/sys/bus/platform/drivers/alarmtimer
	echo alarmtimer >"/sys/bus/platform/devices/$device/driver_override"
	echo "$device" >$driver/bind
	named "echo $device >$driver/unbind"
	say "as it says"
	echo "$device" >$driver/unbind
	echo >"/sys/bus/platform/devices/$device/driver_override"
	ghvmctl host | grep "state  *ok" || fail "$(ghvmctl host)"
}

systemctl stop gunyah-vmd.service
(
	in_kernel_driver
) || fail "see above"
systemctl stop gunyah-vmd.service
rmmod ghvm
knob FOREIGN 1
modprobe ghvm
status=0
(
	foreign
) || status=1
systemctl stop gunyah-vmd.service
rmmod ghvm
knob FOREIGN 0
modprobe ghvm
[ $status = 0 ] || fail "see above"
up one
down one
