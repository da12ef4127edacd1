#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# guest.sh FOLDER: create Image, Image-small, initrd, window and u-boot, the files of the guests, in FOLDER. Image is
# Debian's full arm64 kernel, because the cloud flavour lacks gpio-keys, which the power key needs. Image-small is the
# kernel that has virtio devices in a protected guest. The module of examples/guest-module is in initrd, but not loaded.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../..")
out=$(realpath -m "$1")
image=$("$here/kernel.sh" image 6.1)
small=$("$here/kernel.sh" image guest)
headers=$("$here/kernel.sh" headers 6.1)
busybox=$("$here/kernel.sh" busybox)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# modules NAME...: copy modules and their dependencies, and write the order in which to load them
modules() {
  local name release path
  release=$(basename "$image"/lib/modules/*)
  : >"$work/modules/order"
  for name in "$@"; do
    modprobe -d "$image" -S "$release" --show-depends "$name" | awk '$1 == "insmod" { print $2 }' |
      while IFS= read -r path; do
        cp "$path" "$work/modules/"
        basename "$path" >>"$work/modules/order"
      done
  done
}

mkdir -p "$work"/{bin,dev,proc,sys,modules} "$out"
modules gpio-pl061 evdev gpio_keys virtio_mmio virtio-rng virtio_blk vmw_vsock_virtio_transport
cp -r "$root/examples/guest-module" "$work/build"
make -s -C "$headers" M="$work/build" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- modules
mv "$work/build/gunyah_region.ko" "$work/modules/"
rm -rf "$work/build"
cp "$busybox" "$work/bin/busybox"
aarch64-linux-gnu-gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static \
  "$here/guest-init.c" -o "$work/init"
aarch64-linux-gnu-gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static \
  "$here/ghvm-vsock.c" -o "$work/bin/vsock"
aarch64-linux-gnu-strip "$work/init" "$work/bin/vsock"
(cd "$work" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$out/initrd"
cp "$image/vmlinuz" "$out/Image"
cp "$small/vmlinuz" "$out/Image-small"

# U-Boot behind 64 KiB of zeroes, which are no instructions: it runs only if the guest starts where its descriptor says.
# It has a driver for a PL011 alone, whose data register is where that of the 16550 is; the flags that it reads are 0 there.
{
  head -c 65536 /dev/zero
  cat "$("$here/kernel.sh" uboot)"
} >"$out/u-boot"
dtc -q -I dts -O dtb -o "$out/u-boot.dtbo" - <<'END'
/dts-v1/;
/plugin/;
&{/serial@10000000} { compatible = "arm,pl011"; };
END

# A guest of a few instructions.
aarch64-linux-gnu-gcc -nostdlib -static -Wl,--build-id=none,-Ttext=0,--no-warn-rwx-segments,-N \
  -o "$work/window" "$here/guest-window.S"
aarch64-linux-gnu-objcopy -O binary "$work/window" "$out/window"
