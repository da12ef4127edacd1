#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# root.sh: print the path of a cpio of a small arm64 Debian with systemd, dbus, udev, kmod and polkit, created
# if it does not exist. run.sh appends the project's own files.
#
# The scripts of the packages are not run; this script does their work. Units that
# are needed only on real machines are masked, which makes the boot a minute shorter.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/system/debs.sh
. "$here/debs.sh"

packages=(
  systemd libsystemd-shared libsystemd0 udev libudev1 kmod libkmod2 mount libmount1 libsmartcols1
  dbus dbus-daemon dbus-bin libdbus-1-3 libexpat1 libapparmor1 polkitd libpolkit-agent-1-0
  libpolkit-gobject-1-0 libglib2.0-0 libduktape207 libffi8 zlib1g libpcre2-8-0
  libaudit1 libcap-ng0 libselinux1 libacl1 libblkid1 libcap2 libcrypt1 libgcrypt20
  libgpg-error0 libip4tc2 liblz4-1 liblzma5 libzstd1 libssl3 libseccomp2 libpam0g libc6 libgcc-s1
  libevent-2.1-7 libevent-core-2.1-7 libevent-pthreads-2.1-7 libyaml-0-2 libfdt1 libcmocka0
  libnss-systemd busybox-static strace libunwind8
  # qemu-storage-daemon, and what it needs
  qemu-system-common libaio1 libfuse3-3 libgmp10 libgnutls30 libhogweed6 libidn2-0 libnettle8 libnuma1 libp11-kit0
  libtasn1-6 libunistring2 liburing2
)

# Services that are not needed here.
masked=(
  systemd-journal-flush systemd-random-seed systemd-update-utmp systemd-update-utmp-runlevel
  systemd-hwdb-update systemd-firstboot systemd-machine-id-commit
  systemd-journal-catalog-update systemd-update-done systemd-logind systemd-user-sessions
  console-getty getty-static systemd-networkd systemd-network-generator systemd-pstore
  systemd-boot-system-token systemd-binfmt systemd-vconsole-setup systemd-remount-fs
  systemd-sysctl systemd-repart systemd-growfs-root systemd-fsck-root systemd-pcrphase
  systemd-pcrphase-sysinit modprobe@configfs modprobe@drm modprobe@efi_pstore modprobe@fuse
)
masked_units=(
  getty.target remote-fs.target systemd-tmpfiles-clean.timer systemd-ask-password-console.path
  systemd-ask-password-wall.path proc-sys-fs-binfmt_misc.automount dev-hugepages.mount
  dev-mqueue.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
)

make_folders() {
  local root=$1 d
  mkdir -p "$root"/{etc/systemd/system,proc,sys,dev,run,tmp,root,usr/{bin,sbin,lib},var/{lib,log,tmp}}
  for d in bin sbin lib; do
    ln -s "usr/$d" "$root/$d"
  done
  ln -s ../run "$root/var/run"
  chmod 1777 "$root/tmp" "$root/var/tmp"
}

# Files that the packages' scripts would have written to /etc. sysusers adds the project's users at boot.
make_etc() {
  local etc=$1/etc u
  echo root:x:0:0:root:/root:/bin/sh >"$etc/passwd"
  echo root:x:0: >"$etc/group"
  SYSTEMD_LOG_LEVEL=warning systemd-sysusers --root="$1" || return
  printf 'passwd: files systemd\ngroup: files systemd\n' >"$etc/nsswitch.conf"
  echo 00112233445566778899aabbccddeeff >"$etc/machine-id"
  echo testbed >"$etc/hostname"
  : >"$etc/fstab"
  ln -s /usr/lib/systemd/system/multi-user.target "$etc/systemd/system/default.target"
  for u in "${masked[@]/%/.service}" "${masked_units[@]}"; do
    ln -sf /dev/null "$etc/systemd/system/$u"
  done
}

# busybox provides the shell and all tools that the packages above lack.
make_tools() {
  local root=$1 tool
  # tar has kept /bin as a link, so files of the package are in usr/bin
  while IFS= read -r tool; do
    case $tool in
    init | mount | umount | halt | poweroff | reboot | runlevel | shutdown | telinit) ;;
    *)
      [ -e "$root/usr/bin/$tool" ] || [ -e "$root/usr/sbin/$tool" ] ||
        ln -s busybox "$root/usr/bin/$tool"
      ;;
    esac
  done < <(qemu-aarch64-static "$root/usr/bin/busybox" --list)
  ln -sf ../lib/systemd/systemd "$root/usr/sbin/init"
  ln -sf usr/sbin/init "$root/init"
}

check_libraries() {
  local root=$1 missing
  missing=$(
    find "$root/usr" -type f \( -perm -1 -o -name '*.so*' \) -exec \
      aarch64-linux-gnu-objdump -p {} + 2>/dev/null | awk '/NEEDED/ { print $2 }' | sort -u |
      while IFS= read -r lib; do
        find "$root/usr/lib" -name "$lib" | grep -q . || echo "$lib"
      done
  )
  [ -z "$missing" ] || { echo "root.sh: no such library in the root: $missing"; return 1; }
}

make_root() {
  local dir=$1 root=$1/root
  make_folders "$root" || return
  debs_fetch "$dir/debs" "${packages[@]/%/:arm64}" dbus-system-bus-common || return
  debs_unpack "$root" "$dir/debs" || return
  rm -rf "$dir/debs" "${root:?}"/usr/share/{doc,man,locale,bash-completion,zsh,lintian,bug,info} \
    "$root"/usr/lib/aarch64-linux-gnu/{gconv,perl-base} "$root/usr/lib/udev/hwdb.d" \
    "$root/usr/share/systemd/kbd-model-map" "$root"/usr/bin/systemd-{cryptenroll,repart} \
    "$root"/usr/lib/systemd/systemd-{cryptsetup,integritysetup,veritysetup} \
    "$root/usr/lib/aarch64-linux-gnu/cryptsetup" "$root"/usr/lib/{,aarch64-linux-gnu/}qemu "$root/usr/share/qemu"
  # of qemu-system-common the storage daemon alone
  rm -f "$root/usr/bin/qemu-pr-helper"
  make_etc "$root" && make_tools "$root" && check_libraries "$root" || return
  (cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$dir/root.cpio" || return
  rm -rf "$root"
}

dir=$(cached root "$(cat "$0")" make_root)
echo "$dir/root.cpio"
