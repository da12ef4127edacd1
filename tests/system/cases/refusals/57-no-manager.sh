# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A manager that cannot start is reported within ten seconds, and a guest can be stopped without it.
up one
conf=/run/systemd/system/gunyah-vmd.service.d
mkdir -p $conf
printf '[Service]\nExecStart=\nExecStart=/bin/false\n' >$conf/broken.conf
systemctl daemon-reload
systemctl kill -s KILL gunyah-vmd

without_manager() {
	for words in "start other" "status one" "host"; do
		began=$(uptime_s)
		status=0
		# shellcheck disable=SC2086 # words they are
		ghvmctl $words >/run/no-manager.out 2>&1 || status=$?
		cat /run/no-manager.out
		[ $status = 4 ] || fail "ghvmctl $words: status $status"
		grep -q "the manager cannot start: gunyah-vmd.service: exit-code, status 1" \
			/run/no-manager.out || fail "ghvmctl $words does not say why"
		[ $(($(uptime_s) - began)) -le $((12 * patience)) ] || fail "ghvmctl $words took longer than twelve seconds"
	done
	ghvmctl list >/run/no-manager.out 2>&1 || fail "list: $(cat /run/no-manager.out)"
	grep -q "one  *unknown" /run/no-manager.out || fail "list: $(cat /run/no-manager.out)"
}

status=0
(without_manager) || status=1
rm -r $conf
systemctl daemon-reload
systemctl reset-failed gunyah-vmd 2>/dev/null || true
[ $status = 0 ] || fail "the lines above say what failed"
must 30 ghvmctl host
ghvmctl stop one
