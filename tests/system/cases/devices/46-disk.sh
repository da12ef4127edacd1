# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with a stock kernel, whose RAM is shared with the host, has two disks, a raw image and one of qcow2. Their
# storage daemons are killed while the guest writes: what it reads later is what it has written, and so is what the
# raw image has. Each daemon sees its image and no other file; with the VM all that was made for them ends.
host_says() { # TEXT
	ghvmctl host | grep -q "$1"
}

must 60 host_says "image-share"
if ! host_says "image-share *yes"; then
	is_model && fail "the model does not share RAM: $(ghvmctl host)"
	skip "the resource manager refuses RAM that is shared" && return 0
fi

disks() { # DISK...: rows of the descriptor
	vm one 1 256M ""
	sed -i 's/^memory: .*/memory: {size: 256M, protection: none}/' $vms/one.yaml
	for _disk in "$@"; do
		sed -i "s|^  - console: {}|&\n  - disk: $_disk|" $vms/one.yaml
	done
}

make_qcow2() { # FILE BYTES
	: >"$1"
	{
		echo '{"execute": "qmp_capabilities"}'
		echo '{"execute": "blockdev-create", "arguments": {"job-id": "make", "options":
			{"driver": "qcow2", "file": "file", "size": '"$2"'}}}'
		sleep 3
		echo '{"execute": "quit"}'
	} | qemu-storage-daemon --blockdev driver=file,node-name=file,filename="$1" \
		--chardev stdio,id=commands --monitor commands | grep -q concluded || fail "cannot make $1"
}

truncate -s 16M /root/disk.img
make_qcow2 /root/disk.qcow2 16777216
chmod 600 /root/disk.*
raw="{image: /root/disk.img, format: raw}"
qcow2="{image: /root/disk.qcow2, format: qcow2}"
disks "$qcow2" "$raw" # each is put before the one before: vda is the raw one

said_by() { # UNIT TEXT
	journalctl -q --no-pager -o cat -u "$1" | grep -q "$2"
}

unit_of_disk() { # NTH
	echo "gunyah-vm-disk$1@one.service"
}

pid_of_disk() { # NTH
	systemctl show -P MainPID "$(unit_of_disk "$1")"
}

# Fill half of each disk three times, while its storage daemon is killed three times.
guest_writes() {
	type_line one "sh"
	type_line one "dd if=/dev/urandom of=/data bs=64k count=128 2>/dev/null; echo made \$(md5sum </data)"
	hears one 60 "made [0-9a-f]* -"
	type_line one "bad=0; for n in 1 2 3; do for d in vda vdb; do dd if=/data of=/dev/\$d bs=16k oflag=direct 2>/dev/null || bad=1; done; done; echo filled \$bad"
	for _n in 1 2 3; do
		sleep 1
		systemctl kill -s KILL "$(unit_of_disk 0)" "$(unit_of_disk 1)"
	done
	hears one 180 "filled 0"
}

guest_reads_the_same() {
	type_line one "sync; echo 3 >/proc/sys/vm/drop_caches; for d in vda vdb; do head -c 8388608 /dev/\$d | cmp - /data; echo compared \$d \$?; done"
	hears one 60 "compared vda 0"
	hears one 60 "compared vdb 0"
	type_line one "exit"
	_sum=$(sed -n 's/.*made \([0-9a-f]\{32\}\) .*/\1/p' $logs/one.log | tail -n 1)
	[ "$(head -c 8388608 /root/disk.img | md5sum)" = "$_sum  -" ] || fail "the image is not what the guest has written"
}

# What a storage daemon sees: programs, libraries and its image. Another one's is not there, nor are files of root.
sees_only_its_image() { # NTH IMAGE
	_root=/proc/$(pid_of_disk "$1")/root
	[ "$(stat -c %i "$_root/image")" = "$(stat -c %i "$2")" ] || fail "disk $1 does not have the image $2"
	for _file in /root /etc/passwd /etc/gunyah /run/gunyah /var/log /home; do
		[ -z "$(ls -A "$_root$_file" 2>/dev/null)" ] || fail "disk $1 sees $_file" # a hidden one is empty
	done
	[ "$(awk '/^Uid:/ { print $2 }' "/proc/$(pid_of_disk "$1")/status")" != 0 ] || fail "disk $1 runs as root"
}

nothing_is_left() {
	[ ! -e /image ] || return 1
	[ -z "$(ls /run/gunyah/disks)" ] || return 1
	! grep -q /run/gunyah/disks /proc/self/mounts || return 1
	[ -z "$(systemctl list-units --all --plain --no-legend 'gunyah-vm-disk*')" ]
}

up one
sees_only_its_image 0 /root/disk.img
sees_only_its_image 1 /root/disk.qcow2
guest_writes
guest_reads_the_same
must 15 said_by gunyah-vm@one "Device disk: the connection to its back-end is lost: it was closed"
must 15 said_by gunyah-vm@one "Device disk 1: its back-end is there again"
say "another VM with the same image, whatever its path"
cp $vms/one.yaml $vms/other.yaml
ln /root/disk.img /root/other.img
sed -i 's|/root/disk.img|/root/other.img|' $vms/other.yaml
refused systemctl start gunyah-vm@other
must 15 said_by gunyah-vm@other "devices.1..disk.image: /root/other.img: is in use by VM one, as its disk 0"
systemctl stop gunyah-vm@other # which tries again and again, as VM one may end
[ -e /run/gunyah/disks/one.0/root/image ] || fail "the end of VM other has removed the disk of VM one"
say "after a reboot in place"
mark one
type_line one reboot
hears one 90 "guest: user space reached"
type_line one "sh"
for _disk in vda vdb; do
	type_line one "echo read \$(head -c 8388608 /dev/$_disk | md5sum)"
	hears one 60 "read $_sum"
	mark one
done
type_line one "exit"
down one
must 15 nothing_is_left
rm -f /root/disk.img /root/other.img /root/disk.qcow2
systemctl reset-failed
prepare_guests
