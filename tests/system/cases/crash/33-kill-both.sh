# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runner and manager die at the same time: the guest's memory is quarantined and then returned automatically.
up one
systemctl stop --no-block gunyah-vm@one
systemctl kill --kill-who=main -s KILL gunyah-vmd
systemctl kill --kill-who=main -s KILL gunyah-vm@one || true
must 60 unit_ended one
must 30 returned
systemctl reset-failed gunyah-vm@one 2>/dev/null || true
