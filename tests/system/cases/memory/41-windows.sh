# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A Linux guest finds its shared regions, at the addresses of its descriptor or at chosen ones, also after a reboot. A guest
# that does not talk to the resource manager is offered memory at run time: it never maps the memory, which
# is then returned. With the module of examples/guest-module it takes regions, uses them and gives them back.
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
ghvmctl region remove one --label=22

# The module of examples/guest-module takes regions. The shell echoes what is typed, so what is waited for is not in it.
guest_runs() { # TEXT COMMAND: in the guest's shell, until it says TEXT
	mark one
	type_line one "$2"
	hears one 30 "$1"
}

begins() { # TEXT: so does region 20
	ghvmctl region dump one 20 /run/dumped
	[ "$(head -c ${#1} /run/dumped)" = "$1" ]
}

# By whatever manager: VmPin is only its own.
keeps_pages() {
	[ "$(pins)" -gt "$pins" ] || fail "there were $pins pins without the region, now $(pins)"
}

gave_pages() {
	[ "$(pins)" = "$pins" ] || fail "there were $pins pins, now $(pins)"
}

node=/dev/gunyah-region-20
offers_region() {
	ghvmctl region add one --label=20 --address=0x60000000 --size=2M
}

takes_region() {
	guest_runs "node 0" "until [ -c $node ]; do sleep 1; done; echo node \$?"
	keeps_pages
}

adds_region() {
	offers_region
	takes_region
}

# The removal waits for the guest, which has the region open.
stays_until_closed() {
	ghvmctl region remove one --label=20 &
	guest_runs "kept 6" "sleep 2; cat $node; echo kept \$(head -c 6 <&7 | wc -c)"
	keeps_pages
	guest_runs "closed 0" "exec 7<&-; echo closed \$?"
	wait $! || fail "region 20 was not removed"
	gave_pages
}

say "a guest that takes what it is offered"
pins=$(pins)
type_line one sh
guest_runs "loaded 0" "insmod /modules/gunyah_region.ko; echo loaded \$?"
adds_region
guest_runs "wrote 0" "printf fromguest | dd of=$node conv=notrunc; echo wrote \$?"
must 5 begins fromguest
printf fromhost: | ghvmctl region load one 20 -
guest_runs "read fromhost:" "exec 7<$node; echo read \$(head -c 9 $node)"
stays_until_closed

say "a new manager while the guest has a region"
adds_region
guest_runs "held 0" "exec 7<$node; echo held \$?"
systemctl kill -s KILL gunyah-vmd
must 30 begins ""
stays_until_closed

say "a guest that gives a region back by itself"
adds_region
guest_runs "left 1" "echo 1 >/sys/class/misc/gunyah-region-20/release; sleep 1; ls $node; echo left \$?"
keeps_pages
ghvmctl region remove one --label=20
adds_region
guest_runs "unloaded 0" "rmmod gunyah_region; echo unloaded \$?"
ghvmctl region remove one --label=20
gave_pages

say "a guest that dies with a region, which was offered before its driver was there"
offers_region
guest_runs "loaded 0" "insmod /modules/gunyah_region.ko; echo loaded \$?"
takes_region
guest_runs "held 0" "exec 7<$node; echo held \$?"
mark one
kill -KILL "$(unit_show one MainPID)"
hears one 90 "guest: user space reached"
[ "$(pins)" -le "$pins" ] || fail "there were $pins pins, now $(pins)"
down one
prepare_guests
