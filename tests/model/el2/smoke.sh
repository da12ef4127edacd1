#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# smoke.sh EL2.bin KERNEL BUSYBOX: boots to a shell on 1, 2 and 4 CPUs, sees our nodes, and
# ends QEMU with a status of its choice. BUSYBOX is a static arm64 one.
set -eu
here=$(dirname "$(realpath "$0")")
el2=$(realpath "$1") kernel=$(realpath "$2") busybox=$(realpath "$3")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/sys" "$work/root/dev"
cp "$busybox" "$work/root/bin/busybox"
cat >"$work/root/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
dmesg | grep -i -e 'warning' -e 'BUG' -e 'firmware bug'
rm=$(echo /proc/device-tree/hypervisor/qcom,resource-manager-rpc@*)
echo "cpus $(nproc) rm $(tr '\0' ' ' <"$rm/compatible") magic $(devmem 0x40fff000 64)"
devmem 0x40ffe014 32 42
END
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet) >"$work/initrd"

for cpus in 1 2 4; do
	start=$(date +%s.%N)
	status=0
	CPUS=$cpus timeout 120 "$here/run-qemu.sh" "$el2" "$kernel" "$work/initrd" "$work/log" \
		el2.model=strict quiet >"$work/console" 2>&1 </dev/null || status=$?
	end=$(date +%s.%N)
	want="cpus $cpus rm gunyah-resource-manager qcom,resource-manager-1-0"
	if [ $status != 42 ] || ! grep -q "$want.*magic 0x314C45444F4D4748" "$work/console"; then
		echo "$cpus CPUs: status $status" >&2
		cat "$work/console" "$work/log" >&2
		exit 1
	fi
	echo "$cpus CPUs: $(echo "$end - $start" | bc) s"
done
