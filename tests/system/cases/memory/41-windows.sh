# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A Linux guest finds its shared regions, at the addresses of its descriptor or at chosen ones, also after a reboot. A guest
# that does not talk to the resource manager is offered memory at run time: it never maps the memory, which
# is then returned.
vm one 1 256M ""
cat >>$vms/one.yaml <<END
rm-rpc: true
regions:
  - {label: 5, size: 64K, address: 0x50000000}
  - {label: 6, size: 4K, address: 0x50010000, readonly: true}
  - {label: 7, size: 64K}
END

# Ours, and what the resource manager has made of them; /dev/mem gives no access, as they are RAM.
guest_finds() {
	type_line one "sh"
	type_line one "cd /proc/device-tree; echo nodes \$(ls reserved-memory | grep -c ^window@) \$(ls hypervisor | grep -c ^shm-)"
	hears one 15 "nodes 3 3"
	type_line one "exit"
}

up one
if is_model; then
	[ "$(model parcels)" = 4 ] || fail "$(model parcels) parcels, not 4"
fi
guest_finds
say "after a reboot in place as well"
mark one
type_line one reboot
hears one 90 "guest: user space reached"
guest_finds

say "memory that is offered at run time"
ghvmctl region add one --label=20 --address=0x60000000 --size=2M
ghvmctl region list one
ghvmctl --json region list one | grep -q '"label":20' || fail "region 20 is not listed"
pinned=$(pinned_pages)
[ "$pinned" -gt 512 ] || fail "only $pinned pages are pinned"
refused ghvmctl region add one --label=20 --address=0x60200000 --size=4K
refused ghvmctl region add one --label=21 --address=0x50000000 --size=4K
ghvmctl region remove one --label=20
[ $((pinned - $(pinned_pages))) = 512 ] || fail "$pinned pages were pinned, now $(pinned_pages)"
ghvmctl region add one --label=22 --address=0x60000000 --size=64K
type_line one "echo unharmed"
hears one 15 "guest: unharmed"
down one
prepare_guests
