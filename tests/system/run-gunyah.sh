#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run-gunyah.sh [--shell] HYPVM.ELF KERNEL INITRAMFS FOLDER CPUS [WORD...]: boot a real Gunyah image,
# built for QEMU, with the same testbed inside.
#
# The image requires: the primary VM has 0x40000000 to 0x7fffffff, its kernel at 0x41000000, its
# device tree at 0x40f00000, without an ITS; memory above 0x80000000 belongs to the hypervisor. CPUS is the number the
# image was configured for. The testbed cannot set QEMU's exit status; it prints a line "testbed: status N" instead. With
# --shell, QEMU uses the terminal and ends when the machine powers off.
set -euo pipefail

shell=
if [ "$1" = --shell ]; then
  shell=1
  shift
fi
hypvm=$1 kernel=$2 initramfs=$3 out=$4 cpus=$5
shift 5
initrd=$((0x48000000))
size=$(stat -L -c %s "$initramfs")
machine=(-M "virt,virtualization=on,gic-version=3,highmem=off" -cpu "max,sve128=on,pauth-impdef=on"
  -smp "$cpus" -nographic -nic none -no-reboot)
read -ra more <<<"${QEMU_ARGS:-}"
dtb=$out/primary.dtb

make_tree() {
  local node prop
  qemu-system-aarch64 "${machine[@]}" -M dumpdtb="$dtb" -m 1G 2>"$out/dumpdtb.log" ||
    { cat "$out/dumpdtb.log"; return 1; }
  for node in $(fdtget -l "$dtb" /intc@8000000); do
    fdtput -r "$dtb" "/intc@8000000/$node"
  done
  for prop in msi-map msi-parent; do
    fdtput -d "$dtb" /pcie@10000000 $prop 2>/dev/null || true
  done
  fdtput -t s "$dtb" /chosen bootargs "console=ttyAMA0 rdinit=/init panic=-1 $*"
  fdtput -t x "$dtb" /chosen linux,initrd-start 0 "$(printf %x $initrd)"
  fdtput -t x "$dtb" /chosen linux,initrd-end 0 "$(printf %x $((initrd + size)))"
}

make_tree "$@"
machine+=(-m 2G -kernel "$hypvm"
  -device "loader,file=$kernel,addr=0x41000000,force-raw=on"
  -device "loader,file=$dtb,addr=0x40f00000,force-raw=on"
  -device "loader,file=$initramfs,addr=$initrd,force-raw=on")
machine+=("${more[@]}")
[ -z "$shell" ] || exec qemu-system-aarch64 "${machine[@]}"
coproc QEMU {
  exec setpriv --pdeathsig TERM qemu-system-aarch64 "${machine[@]}" </dev/null 2>&1
}
# shellcheck disable=SC2153 # coproc sets it
pid=$QEMU_PID
trap 'kill $pid 2>/dev/null' EXIT
while IFS= read -r line <&"${QEMU[0]}"; do
  printf '%s\n' "$line"
  case $line in
  "testbed: status "*)
    status=${line#testbed: status }
    exit "${status%$'\r'}"
    ;;
  esac
done
echo "run-gunyah.sh: QEMU has ended before the machine was done"
exit 1
