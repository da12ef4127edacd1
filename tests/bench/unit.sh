# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Instructions of a warm `systemctl start` of a guest of 256 MiB, in a machine under -icount, which
# `tests/system/run.sh --instructions` boots. The first start, which is not warm, is not counted.
#
# The guest's kernel is as large as ever, but its first instruction waits for an interrupt, again and again: a guest
# that computes would be counted, too.
mount -t tracefs tracefs /sys/kernel/tracing
image=/run/Image-asleep
cp $here/guest/Image $image
printf '\177\040\003\325\377\377\377\027' | dd of=$image bs=1 conv=notrunc 2>/dev/null # wfi; b .-4
shmem_enabled=/sys/kernel/mm/transparent_hugepage/shmem_enabled

count_start() { # OPTION...
	sleep 2 # for what the last stop leaves to do
	$here/bench-unit "$@" systemctl start gunyah-vm@bench
	systemctl kill -s KILL gunyah-vm@bench
	systemctl stop gunyah-vm@bench
	systemctl reset-failed gunyah-vm@bench 2>/dev/null || true
	all_returned
}

vm bench 1 256M "" 1s
count_start >/dev/null
for shmem in never advise; do
	say "shmem_enabled is $shmem: three starts, and one that is split"
	echo $shmem >$shmem_enabled
	count_start
	count_start
	count_start
	count_start --split
done
