#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Check that the units load without warnings and that their exposure level has not grown.
# check-units.sh BUILT SOURCE LIBEXECDIR
set -eu

built=$1
source=$2
libexecdir=$3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# `verify` requires the programs to exist; they may not be installed yet
for u in gunyah-vm@.service gunyah-vmd.service gunyah-vmd.socket; do
	sed "s#$libexecdir/gunyah-vm[a-z-]*#/bin/true#" "$built/$u" >"$tmp/$u"
done
for u in gunyah-vm-disk0@.service gunyah-vm-disk0@.socket; do
	sed "s#^ExecStart=[^ ]*#ExecStart=/bin/true#" "$built/$u" >"$tmp/$(echo $u | sed 's/@/@demo/')"
done
cp "$tmp/gunyah-vm@.service" "$tmp/gunyah-vm@demo.service"

cd "$tmp"
systemd-analyze verify --man=no ./gunyah-vmd.socket ./gunyah-vmd.service \
	./gunyah-vm@demo.service ./gunyah-vm-disk0@demo.socket ./gunyah-vm-disk0@demo.service 2>"$tmp/said" || { cat "$tmp/said"; exit 1; }
# ignore warnings about other units of this machine
if grep -i "gunyah" "$tmp/said"; then
	exit 1
fi

# exposure times ten: manager 0.5, runner 0.4 (decision 66), a disk 0.6 (decision 69)
security()
{
	systemd-analyze security --offline=yes --no-pager --threshold="$1" "./$2" >"$tmp/score" ||
		{ tail -n 1 "$tmp/score"; exit 1; }
}
security 5 gunyah-vmd.service
security 4 gunyah-vm@demo.service
security 6 gunyah-vm-disk0@demo.service

systemd-sysusers --dry-run "$source/gunyah.sysusers.conf" >/dev/null
if command -v xmllint >/dev/null; then
	xmllint --noout --nonet "$source"/org.gunyah.vmm1.conf "$source"/org.gunyah.vmm1.policy
fi

# without the annotation polkitd answers the manager with an error
policy=$source/org.gunyah.vmm1.policy
owner='<annotate key="org.freedesktop.policykit.owner">unix-user:gunyah-vmd</annotate>'
[ "$(grep -c '<action id=' "$policy")" = "$(grep -cF "$owner" "$policy")" ] ||
	{ echo "$policy: an action without its owner"; exit 1; }
# the policy has exactly the actions that the manager uses
sed -n 's/.*"\(org\.gunyah\.vmm1\.[a-z]*\)", .*error);/\1/p' "$source"/../daemon/manager/bus/*.c \
	"$source"/../daemon/manager/objects/*.c |
	sort -u >"$tmp/asked"
sed -n 's/.*<action id="\(.*\)">/\1/p' "$policy" | sort -u | diff "$tmp/asked" - ||
	{ echo "< is used in daemon/manager, > is in $policy"; exit 1; }
