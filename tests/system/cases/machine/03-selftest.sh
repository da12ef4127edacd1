# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest checks the behaviour of the model hypervisor, and ends in each possible way.
needs_model || return 0
systemctl stop gunyah-vmd.socket gunyah-vmd.service # the resource manager's virq is wanted here
"$here/ghvm-selftest"
systemctl start gunyah-vmd.socket
untouched || fail "lent memory was touched"
