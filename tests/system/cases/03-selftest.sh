# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The model hypervisor does to a guest what it should: the guest checks it, and ends in every way.
needs_model || return 0
systemctl stop gunyah-vmd.socket gunyah-vmd.service # the resource manager's virq is wanted here
"$here/ghvm-selftest"
systemctl start gunyah-vmd.socket
untouched || fail "lent memory was touched"
