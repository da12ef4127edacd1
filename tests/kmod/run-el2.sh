#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# run-el2.sh [-d] [-k KIND] [-o FOLDER] [GROUP...]: the module's tests under the model hypervisor.
#
# Builds the module, the tests and the model, boots Linux with a busybox and prints the TAP lines.
# KIND is a kernel that tests/system/kernel.sh knows; 6.12-cloud unless told. FOLDER keeps what
# was made and said. GROUP: only these (tests/kmod/machine/main.c). -d: the debug kernel, and the
# groups that need it too. Exit status 0: all passed, and the kernel's log has no complaint.
set -eu
here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../..")
kernel=$root/tests/system/kernel.sh
cross=${CROSS:-aarch64-linux-gnu-}
kind=6.12-cloud
out="" words="loglevel=3"
while getopts dk:o: option; do
	case $option in
	d) kind=debug words="loglevel=4 log_buf_len=4M kasan_multi_shot" ;;
	k) kind=$OPTARG ;;
	o) out=$(realpath -m "$OPTARG") ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ "$kind" != debug ] || [ $# -gt 0 ] || set -- debug
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
	"$here"/machine/*.c "$here"/machine/*/*.c -o "$tree/kmod-test"
dtc -q -I dts -O dtb -o "$tree/guest.dtb" "$here/machine/rm/guest.dts"
cp "$here/log.awk" "$tree/"
cp "$("$kernel" busybox)" "$tree/bin/busybox"
"$root/tests/model/el2/build.sh" "$out/el2.bin"

# The last line ends QEMU with the tests' status, by a register of the model. Where RM's RX virq has
# no controller yet, the module waits, and keeps nothing meanwhile. Where no guest can run, there is no
# model either.
cat >"$tree/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
status=1
obstacle=\$(tr ' ' '\n' </proc/cmdline | sed -n 's/^obstacle=//p')
if [ -n "\$obstacle" ]; then
	insmod /ghvm.ko || echo "not ok 1 - insmod"
	/kmod-test obstacle \$obstacle
	poweroff -f
elif grep -q rx-unready /proc/cmdline; then
	before=\$(ls /sys/kernel/irq)
	if insmod /ghvm.ko 2>/dev/null; then
		echo "not ok - unready: the module is loaded"
	elif [ "\$(ls /sys/kernel/irq)" != "\$before" ]; then
		echo "not ok - unready: an interrupt stays mapped"
	else
		status=0
		echo "ok 1 - unready: the module waits for RM rx, and maps nothing meanwhile"
	fi
	echo 1..1
else
	insmod /ghvm.ko || echo "not ok 1 - insmod"
	/kmod-test $* && status=0
fi
if dmesg | awk -f /log.awk >/complaints; then
	echo "not ok - the kernel's log"
	sed 's/^/# /' /complaints
	status=1
fi
devmem 0x40ffe014 32 \$status
END
chmod +x "$tree/init"
(cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$out/initrd"

boot() # WORDS...
{
	status=0
	CPUS=${CPUS:-2} setpriv --pdeathsig TERM timeout "${GHVM_SECONDS:-600}" "$root/tests/model/el2/run-qemu.sh" \
		"$out/el2.bin" "$("$kernel" image "$kind")/vmlinuz" "$out/initrd" "$out/model.log" \
		quiet "$@" </dev/null >"$out/console.log" 2>&1 || status=$?
	tr -d '\r' <"$out/console.log"
	# a panic or a reset ends QEMU too, with status 0
	grep -q '^1\.\.[0-9]' "$out/console.log" || {
		echo "not ok - QEMU ended before the plan's last line"
		status=1
	}
	[ $status = 0 ] || tail -n 30 "$out/model.log" 2>/dev/null | sed 's/^/# model: /'
	return $status
}

# A machine without the model: what is in the way of guests there (GHVM_OBSTACLE_*)
bare() # NUMBER QEMU-ARGS...
{
	number=$1
	shift
	setpriv --pdeathsig TERM timeout "${GHVM_SECONDS:-600}" qemu-system-aarch64 "$@" -smp 1 -m 1G \
		-nographic -nic none -no-reboot -kernel "$("$kernel" image "$kind")/vmlinuz" \
		-initrd "$out/initrd" -append "console=ttyAMA0 rdinit=/init panic=-1 quiet loglevel=3 obstacle=$number" \
		</dev/null >"$out/console.log" 2>&1 || return 1
	tr -d '\r' <"$out/console.log"
	grep -q '^1\.\.[0-9]' "$out/console.log" && ! grep -q '^not ok' "$out/console.log"
}

failed=0
if [ $# = 0 ] || [ "$*" = debug ]; then
	boot loglevel=3 el2.model=rx-unready || failed=1
	bare 1 -M virt,virtualization=on,gic-version=3 -cpu neoverse-n1 || failed=1
	bare 2 -M virt,gic-version=3 -cpu cortex-a72 || failed=1
fi
# shellcheck disable=SC2086 # words
boot $words || failed=1
exit $failed
