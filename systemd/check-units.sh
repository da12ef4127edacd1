#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The units load without a complaint, and are as tight as they were measured to be.
# check-units.sh BUILT SOURCE LIBEXECDIR
set -eu

built=$1
source=$2
libexecdir=$3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# `verify` wants the programs to exist, which here they need not yet
for u in gunyah-vm@.service gunyah-vmd.service gunyah-vmd.socket; do
	sed "s#$libexecdir/gunyah-vm[a-z-]*#/bin/true#" "$built/$u" >"$tmp/$u"
done
cp "$tmp/gunyah-vm@.service" "$tmp/gunyah-vm@demo.service"

cd "$tmp"
systemd-analyze verify --man=no ./gunyah-vmd.socket ./gunyah-vmd.service \
	./gunyah-vm@demo.service 2>"$tmp/said" || { cat "$tmp/said"; exit 1; }
# of this folder's files only: what else the machine has installed is not our business
if grep -i "gunyah" "$tmp/said"; then
	exit 1
fi

# exposure times ten: manager 0.5, runner 0.2
security()
{
	systemd-analyze security --offline=yes --no-pager --threshold="$1" "./$2" >"$tmp/score" ||
		{ tail -n 1 "$tmp/score"; exit 1; }
}
security 5 gunyah-vmd.service
security 2 gunyah-vm@demo.service

systemd-sysusers --dry-run "$source/gunyah.sysusers.conf" >/dev/null
if command -v xmllint >/dev/null; then
	xmllint --noout --nonet "$source"/org.gunyah.vmm1.conf "$source"/org.gunyah.vmm1.policy
fi
