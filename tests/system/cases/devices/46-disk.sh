# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with a stock kernel, whose RAM is shared with the host, has a disk, which a process of the host serves. That
# is killed while the guest writes: what the guest reads later is what it has written, and the image has the same.
host_says() { # TEXT
	ghvmctl host | grep -q "$1"
}

must 60 host_says "image-share"
if ! host_says "image-share *yes"; then
	is_model && fail "the model does not share RAM: $(ghvmctl host)"
	skip "the resource manager refuses RAM that is shared" && return 0
fi
vm one 1 256M ""
sed -i -e 's/^memory: .*/memory: {size: 256M, protection: none}/' \
	-e 's|^  - console: {}|&\n  - vhost-user: {socket: /run/disk/socket, id: 2}|' $vms/one.yaml

# Units as in configs/FORMAT.md: the socket is systemd's.
truncate -s 16M /root/disk.img
cat >/run/systemd/system/disk.socket <<-END
	[Socket]
	ListenStream=/run/disk/socket
	SocketMode=0666
	DirectoryMode=0700
END
cat >/run/systemd/system/disk.service <<-END
	[Service]
	ExecStart=/usr/bin/qemu-storage-daemon --blockdev driver=file,node-name=disk,filename=/root/disk.img \\
	 --export type=vhost-user-blk,id=disk,node-name=disk,writable=on,addr.type=fd,addr.str=3
	ProtectSystem=strict
	ReadWritePaths=/root/disk.img
	PrivateDevices=yes
	PrivateNetwork=yes
END
systemctl daemon-reload
systemctl start disk.socket disk.service # the start of the guest waits for it ten seconds only

said_by() { # UNIT TEXT
	journalctl -q --no-pager -o cat -u "$1" | grep -q "$2"
}

# Fill half of the disk six times, while its process is killed three times.
guest_writes() {
	type_line one "sh"
	type_line one "dd if=/dev/urandom of=/data bs=64k count=128 2>/dev/null; echo made \$(md5sum </data)"
	hears one 60 "made [0-9a-f]* -"
	type_line one "bad=0; for n in 1 2 3 4 5 6; do dd if=/data of=/dev/vda bs=16k oflag=direct 2>/dev/null || bad=1; done; echo filled \$bad"
	for _n in 1 2 3; do
		sleep 1
		systemctl kill -s KILL disk.service
	done
	hears one 120 "filled 0"
}

guest_reads_the_same() {
	type_line one "sync; echo 3 >/proc/sys/vm/drop_caches; head -c 8388608 /dev/vda | cmp - /data; echo compared \$?"
	hears one 60 "compared 0"
	type_line one "exit"
	_sum=$(sed -n 's/.*made \([0-9a-f]\{32\}\) .*/\1/p' $logs/one.log | tail -n 1)
	[ "$(head -c 8388608 /root/disk.img | md5sum)" = "$_sum  -" ] || fail "the image is not what the guest has written"
}

up one
guest_writes
guest_reads_the_same
must 15 said_by gunyah-vm@one "Device vhost-user: the connection to its back-end is lost: it was closed"
must 15 said_by gunyah-vm@one "Device vhost-user: its back-end is there again"
say "after a reboot in place"
mark one
type_line one reboot
hears one 90 "guest: user space reached"
type_line one "sh"
type_line one "echo read \$(head -c 8388608 /dev/vda | md5sum)"
hears one 60 "read $_sum"
type_line one "exit"
down one
systemctl stop disk.socket disk.service
rm -rf /root/disk.img /run/systemd/system/disk.socket /run/systemd/system/disk.service /run/disk
systemctl daemon-reload
systemctl reset-failed
prepare_guests
