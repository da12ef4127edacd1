#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run-pin.sh FOLDER: bench-pin with the module, under the model hypervisor, on one CPU whose clock
# counts instructions (QEMU's -icount): a nanosecond is one. FOLDER gets what was made and said.
#
# GHVM_KERNEL: a kind that tests/system/kernel.sh knows. GHVM_MIB, GHVM_ROUNDS: of bench-pin.
set -eu
here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../..")
kernel=$root/tests/system/kernel.sh
kind=${GHVM_KERNEL:-6.12-cloud}
cross=${CROSS:-aarch64-linux-gnu-}
out=$(realpath -m "$1")
tree=$out/tree

rm -rf "$tree" "$out/kmod"
mkdir -p "$tree/bin" "$tree/proc" "$tree/sys" "$tree/dev"
cp -r "$root/kmod" "$out/kmod"
make -s -C "$("$kernel" headers "$kind")" M="$out/kmod" ARCH=arm64 CROSS_COMPILE="$cross" \
	modules >"$out/make.log" 2>&1 || { cat "$out/make.log" && exit 1; }
cp "$out/kmod/ghvm.ko" "$tree/"
"${cross}gcc" -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Wshadow -Wno-unused-parameter -static -I "$root" \
	-I "$root/include" "$here/pin.c" "$root"/libghvm/hyp/{dev,host,mapping}.c "$root"/libghvm/base/*.c \
	-o "$tree/bench-pin"
cp "$("$kernel" busybox)" "$tree/bin/busybox"
"$root/tests/model/el2/build.sh" "$out/el2.bin"

# The last line ends QEMU with the status, by a register of the model.
cat >"$tree/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
insmod /ghvm.ko
echo "kernel \$(uname -r)"
status=1
/bench-pin ${GHVM_MIB:-256} ${GHVM_ROUNDS:-5} && status=0
devmem 0x40ffe014 32 \$status
END
chmod +x "$tree/init"
(cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$out/initrd"

status=0
QEMU_ARGS="-icount shift=0,sleep=off ${QEMU_ARGS:-}" CPUS=1 MEM=2G \
	setpriv --pdeathsig TERM timeout "${GHVM_SECONDS:-1500}" "$root/tests/model/el2/run-qemu.sh" \
	"$out/el2.bin" "$("$kernel" image "$kind")/vmlinuz" "$out/initrd" "$out/model.log" \
	quiet loglevel=3 </dev/null >"$out/console.log" 2>&1 || status=$?
tr -d '\r' <"$out/console.log"
exit $status
