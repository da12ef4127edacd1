#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run-entries.sh FOLDER: how many pieces of memory the resource manager bears, with bench-entries and the module, in one
# boot without systemd. FOLDER gets what was made and said.
#
# GHVM_HYPERVISOR=hypvm.elf: a real Gunyah image instead of the model, configured for GHVM_HYPERVISOR_CPUS CPUs.
# GHVM_ENTRIES: arguments of bench-entries, one run a line, all in one boot.
set -eu
here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../..")
kernel=$root/tests/system/kernel.sh
kind=6.12-cloud
cross=aarch64-linux-gnu-
out=$(realpath -m "$1")
tree=$out/tree
runs=${GHVM_ENTRIES:-1 0 4000 7500 500
3 0 4000 7500 500
6 0 4000 6000 500 20}

rm -rf "$tree" "$out/kmod"
mkdir -p "$tree/bin" "$tree/proc" "$tree/sys" "$tree/dev"
cp -r "$root/kmod" "$out/kmod"
make -s -C "$("$kernel" headers "$kind")" M="$out/kmod" ARCH=arm64 CROSS_COMPILE="$cross" \
  modules >"$out/make.log" 2>&1 || { cat "$out/make.log" && exit 1; }
cp "$out/kmod/ghvm.ko" "$tree/"
libs=$("$root/tests/system/sysroot.sh" arm64)/usr
# shellcheck disable=SC2046 # file names without spaces
"${cross}gcc" -std=gnu17 -D_GNU_SOURCE -O1 -static -I "$root" -I "$root/include" -I "$libs/include" \
  "$here/entries.c" $(find "$root/libghvm" -name '*.c') -L "$libs/lib/aarch64-linux-gnu" -lyaml -lfdt \
  -o "$tree/bench-entries"
cp "$("$kernel" busybox)" "$tree/bin/busybox"
{
  cat <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
ulimit -l unlimited
insmod /ghvm.ko
echo "kernel \$(uname -r)"
END
  while read -r line; do
    echo "/bench-entries $line"
  done <<<"$runs"
  echo 'echo "testbed: status 0"; sleep 1; devmem 0x40ffe014 32 0'
} >"$tree/init"
chmod +x "$tree/init"
(cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$out/initrd"
image=$("$kernel" image "$kind")/vmlinuz

if [ -n "${GHVM_HYPERVISOR:-}" ]; then
  machine=("$root/tests/system/run-gunyah.sh" "$GHVM_HYPERVISOR" "$image" "$out/initrd" "$out"
    "${GHVM_HYPERVISOR_CPUS:-8}" quiet loglevel=3)
else
  "$root/tests/model/el2/build.sh" "$out/el2.bin"
  machine=(env CPUS=2 MEM=2G "$root/tests/model/el2/run-qemu.sh" "$out/el2.bin" "$image" "$out/initrd"
    "$out/model.log" quiet loglevel=3)
fi
status=0
setpriv --pdeathsig TERM timeout "${GHVM_SECONDS:-1500}" "${machine[@]}" </dev/null >"$out/console.log" 2>&1 ||
  status=$?
tr -d '\r' <"$out/console.log"
exit $status
