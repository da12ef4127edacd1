# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Without /dev/ghvm a start says that, and nothing waits for ever.
systemctl stop gunyah-vmd
rmmod ghvm
mkdir -p /run/modprobe.d
echo "blacklist ghvm" >/run/modprobe.d/none.conf
status=0
(start_refused one '/dev/ghvm') || status=1
rm /run/modprobe.d/none.conf
modprobe ghvm
systemctl reset-failed gunyah-vmd 2>/dev/null || true
systemctl restart gunyah-vmd.socket
[ $status = 0 ] || fail "no clear refusal"
say "and as soon as it is there, it works"
up one
down one
