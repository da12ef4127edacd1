# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What the runner's sandbox forbids is refused in it, and possible without it.
./ghvm-forbidden outside || fail "some tries prove nothing"
d=/run/systemd/system/gunyah-vm@sandbox.service.d
mkdir -p $d
cat >$d/forbidden.conf <<END
[Service]
Type=oneshot
Restart=no
RestartForceExitStatus=
ExecStartPre=
ExecStart=
ExecStart=$here/ghvm-forbidden inside
ExecStartPost=
ExecStopPost=
END
systemctl daemon-reload
systemctl start gunyah-vm@sandbox || {
	unit_journal sandbox
	fail "the sandbox has holes"
}
rm -r $d
systemctl daemon-reload
