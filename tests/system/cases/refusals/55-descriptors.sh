# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Descriptors that are added, removed or changed while the manager runs, unreadable descriptors, and a
# reload. VMs appear on the bus without a call that would scan the folders.
shown() { # NAME
	busctl --list tree org.gunyah.vmm1 | grep -q "/vm/$1\$"
}

hidden() { # NAME
	! shown "$1"
}

descriptor_is() { # NAME STATE
	[ "$(busctl get-property org.gunyah.vmm1 "/org/gunyah/vmm1/vm/$1" org.gunyah.vmm1.VM \
		DescriptorState)" = "s \"$2\"" ]
}

must 10 shown one
say "one that comes, and goes"
vm late 1 256M ""
must 10 shown late
rm $vms/late.yaml
must 10 hidden late

say "in a folder that was not there"
rm -rf /run/gunyah/vms
sleep 1
mkdir /run/gunyah/vms
sed 's/256M/128M/' $vms/one.yaml >/run/gunyah/vms/late.yaml
must 10 shown late
rm /run/gunyah/vms/late.yaml
must 10 hidden late

say "a folder that only root may read takes no VM away"
chmod 700 $vms
must 10 journalctl -q -u gunyah-vmd --grep="incomplete: $vms: cannot be read"
sleep 1
shown one || fail "the VM one is not on the bus"
chmod 755 $vms

say "and drop-ins that only root may read start nothing"
mkdir -m 700 $vms/one.yaml.d
echo "memory: {protection: protected}" >$vms/one.yaml.d/50-protection.yaml
start_refused one 'one.yaml.d: cannot be read'
[ "$(unit_show one NRestarts)" = 0 ] || fail "systemd started the unit again"
chmod 755 $vms/one.yaml.d
chmod 600 $vms/one.yaml.d/50-protection.yaml
start_refused one '50-protection.yaml: Permission denied'
chmod 644 $vms/one.yaml.d/50-protection.yaml

say "a reload"
systemctl reload gunyah-vmd
must 10 systemctl is-active gunyah-vmd

say "what changes while it runs"
up one
descriptor_is one current || fail "the descriptor of one is not shown as current"
echo "# a comment" >>$vms/one.yaml
echo "memory: {size: 128M}" >$vms/one.yaml.d/60-size.yaml
must 10 descriptor_is one changed
ghvmctl status one | grep "changed on disk since the start"
rm -r $vms/one.yaml.d
must 10 descriptor_is one current
refused sh -c 'ghvmctl status one | grep "on disk"'
down one
