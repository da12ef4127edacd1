#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run-exits.sh FOLDER: bench-exits with the module, under the model hypervisor, on one CPU whose clock
# counts instructions (QEMU's -icount): a nanosecond is one. FOLDER gets what was made and said.
#
# GHVM_KERNEL: a kind that tests/system/kernel.sh knows. GHVM_HYPERVISOR, GHVM_HYPERVISOR_CPUS: a real
# image of Gunyah instead of the model, as for tests/system/run.sh.
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
"${cross}gcc" -I "$root" -c "$here/machine/guest.S" -o "$out/guest.o"
"${cross}objcopy" -O binary -j .text "$out/guest.o" "$tree/guest.bin"
"${cross}gcc" -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Wshadow -Wno-unused-parameter -static -pthread \
	-I "$root" -I "$root/include" "$here/machine/exits.c" "$root"/tests/kmod/machine/{t,rm/vm,rm/rpc}.c \
	"$root"/libghvm/hyp/{dev,host,hvc,mapping,vcpu}.c "$root"/libghvm/base/*.c \
	"$root"/daemon/runner/{vcpu-thread,devices/mmio}.c "$root/daemon/ipc/thread.c" -o "$tree/bench-exits"
dtc -q -I dts -O dtb -o "$tree/guest.dtb" "$root/tests/kmod/machine/rm/guest.dts"
cp "$("$kernel" busybox)" "$tree/bin/busybox"

# The last lines end QEMU with the status: the line itself, or a register of the model. The console has to be empty then.
cat >"$tree/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
insmod /ghvm.ko
echo "kernel \$(uname -r)"
status=1
/bench-exits /guest.bin && status=0
sleep 1
[ -z "${GHVM_HYPERVISOR:-}" ] || echo "testbed: status \$status"
devmem 0x40ffe014 32 \$status
END
chmod +x "$tree/init"
(cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$out/initrd"

image=$("$kernel" image "$kind")/vmlinuz
export QEMU_ARGS="-icount shift=0,sleep=off ${QEMU_ARGS:-}"
if [ -n "${GHVM_HYPERVISOR:-}" ]; then
	machine=("$root/tests/system/run-gunyah.sh" "$GHVM_HYPERVISOR" "$image" "$out/initrd" "$out"
		"${GHVM_HYPERVISOR_CPUS:-8}")
else
	"$root/tests/model/el2/build.sh" "$out/el2.bin"
	machine=(env CPUS=1 "$root/tests/model/el2/run-qemu.sh" "$out/el2.bin" "$image" "$out/initrd" "$out/model.log")
fi
status=0
setpriv --pdeathsig TERM timeout "${GHVM_SECONDS:-1500}" "${machine[@]}" quiet loglevel=3 </dev/null \
	>"$out/console.log" 2>&1 || status=$?
tr -d '\r' <"$out/console.log"
exit $status
