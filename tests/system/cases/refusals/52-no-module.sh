# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Without /dev/ghvm each program reports that immediately. When the module is loaded, nothing has to
# be restarted.
systemctl stop gunyah-vmd
rmmod ghvm
mkdir -p /run/modprobe.d
echo "blacklist ghvm" >/run/modprobe.d/none.conf

without_module() {
	for words in "start one" "stop one" "host" "console one"; do
		began=$(uptime_s)
		status=0
		# shellcheck disable=SC2086 # words they are
		ghvmctl $words >/run/no-module.out 2>&1 </dev/null || status=$?
		cat /run/no-module.out
		[ $status = 4 ] || fail "ghvmctl $words: status $status"
		grep -q "/dev/ghvm: no such device" /run/no-module.out || fail "ghvmctl $words does not say why"
		[ $(($(uptime_s) - began)) -le $((10 * patience)) ] || fail "ghvmctl $words took longer than ten seconds"
	done
	ghvmctl start one 2>&1 | grep -q "modprobe ghvm" || fail "start does not say what to do"
	ghvmctl host | grep -q entries && fail "ghvmctl host prints limits without a resource manager"
	start_refused one '/dev/ghvm'
	ghvmctl why one >/run/no-module.out 2>&1
	cat /run/no-module.out
	grep -q "step   host" /run/no-module.out || fail "ghvmctl why does not show the failed start"
}

status=0
(without_module) || status=1
rm /run/modprobe.d/none.conf
modprobe ghvm
say "with the module loaded, a start works"
began=$(uptime_s)
mark one
ghvmctl start one || status=1
[ $status = 0 ] || fail "the lines above say what failed"
[ $(($(uptime_s) - began)) -le $((20 * patience)) ] || fail "the start took longer than twenty seconds"
hears one 90 "guest: user space reached"
[ "$(systemctl show -P Result gunyah-vmd)" = success ] || fail "the manager has failed"
down one
