#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# run-qemu.sh EL2.bin KERNEL INITRD LOG [ARGS]: boot a primary under the model hypervisor.
#
# KERNEL is an uncompressed arm64 Image (Debian's vmlinuz is one). LOG gets the hypervisor's
# own words. ARGS go to the kernel; el2.model=strict among them ends QEMU with status 3 when
# the primary touches lent memory. CPUS, MEM (1G to 3G), QEMU_ARGS: more of the same.
set -eu
el2=$1 kernel=$2 initrd=$3 log=$4
shift 4
# shellcheck disable=SC2086 # QEMU_ARGS is words
exec qemu-system-aarch64 \
	-M virt,virtualization=on,gic-version=3,highmem=off,dtb-randomness=off \
	-cpu cortex-a72 -smp "${CPUS:-2}" -m "${MEM:-1G}" -nographic -nic none -no-reboot \
	-kernel "$el2" -device loader,file="$kernel",addr=0x41000000,force-raw=on \
	-initrd "$initrd" -chardev file,id=model,path="$log" \
	-semihosting-config enable=on,target=native,chardev=model \
	-append "console=ttyAMA0 rdinit=/init panic=-1 $*" ${QEMU_ARGS:-}
