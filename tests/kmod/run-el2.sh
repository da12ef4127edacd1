#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# run-el2.sh [-k KIND] [-o FOLDER] [GROUP...]: the module's tests under the model hypervisor.
#
# Builds the module, the tests and the model, boots Linux with a busybox and prints the TAP lines.
# KIND is a kernel that tests/system/kernel.sh knows; 6.12-cloud unless told. FOLDER keeps what
# was made and said. GROUP: only these (tests/kmod/machine/main.c). Exit status 0: all passed.
set -eu
here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../..")
kernel=$root/tests/system/kernel.sh
cross=${CROSS:-aarch64-linux-gnu-}
kind=6.12-cloud
out=
while getopts k:o: option; do
	case $option in
	k) kind=$OPTARG ;;
	o) out=$(realpath -m "$OPTARG") ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
if [ -z "$out" ]; then
	out=$(mktemp -d)
	trap 'rm -rf "$out"' EXIT
fi
tree=$out/tree
rm -rf "$tree" "$out/kmod"
mkdir -p "$tree/bin" "$tree/proc" "$tree/sys" "$tree/dev"

cp -r "$root/kmod" "$out/kmod"
make -s -C "$("$kernel" headers "$kind")" M="$out/kmod" ARCH=arm64 CROSS_COMPILE="$cross" \
	modules >"$out/make.log" 2>&1 || { cat "$out/make.log" && exit 1; }
cp "$out/kmod/ghvm.ko" "$tree/"
"${cross}gcc" -std=gnu17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter \
	-Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes -static -pthread -I "$root" \
	"$here"/machine/*.c -o "$tree/kmod-test"
dtc -q -I dts -O dtb -o "$tree/guest.dtb" "$here/machine/guest.dts"
cp "$("$kernel" busybox)" "$tree/bin/busybox"
"$root/tests/model/el2/build.sh" "$out/el2.bin"

# The last line ends QEMU with the tests' status, by a register of the model.
cat >"$tree/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
insmod /ghvm.ko || echo "not ok 1 - insmod"
status=1
/kmod-test $* && status=0
if dmesg | grep -e 'BUG:' -e 'WARNING:' -e 'Oops' -e 'Call trace' -e 'genirq:'; then
	dmesg | tail -n 100
	status=1
fi
devmem 0x40ffe014 32 \$status
END
chmod +x "$tree/init"
(cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$out/initrd"

status=0
CPUS=${CPUS:-2} timeout "${GHVM_SECONDS:-600}" "$root/tests/model/el2/run-qemu.sh" \
	"$out/el2.bin" "$("$kernel" image "$kind")/vmlinuz" "$out/initrd" "$out/model.log" \
	quiet loglevel=3 </dev/null >"$out/console.log" 2>&1 || status=$?
tr -d '\r' <"$out/console.log"
if [ $status != 0 ]; then
	tail -n 30 "$out/model.log" 2>/dev/null | sed 's/^/# model: /'
	exit 1
fi
