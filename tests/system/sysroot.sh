#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sysroot.sh ARCHITECTURE: print the folder of a sysroot for cross builds, created if it does not exist. ARCHITECTURE
# is Debian's name of it. Its -dev packages cannot be installed next to the native ones.
set -euo pipefail

arch=$1
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/system/debs.sh
. "$here/debs.sh"

packages=(
  libc6 libc6-dev libcrypt1 libgcc-s1 linux-libc-dev
  libcmocka0 libcmocka-dev libfdt1 libfdt-dev libyaml-0-2 libyaml-dev
  libevent-2.1-7 libevent-core-2.1-7 libevent-pthreads-2.1-7 libevent-dev
  libsystemd0 libsystemd-dev libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1
  zlib1g zlib1g-dev
)

make_sysroot() {
  local dir=$1 link target
  debs_fetch "$dir/.debs" "${packages[@]/%/:$arch}" || return
  mkdir -p "$dir/usr/lib"
  ln -s usr/lib "$dir/lib"
  debs_unpack "$dir" "$dir/.debs" || return
  rm -rf "${dir:?}"/{.debs,usr/share}
  find "$dir" -type l -lname '/*' -printf '%p\t%l\n' | while IFS=$'\t' read -r link target; do
    ln -sfr "$dir$target" "$link"
  done
}

cached "sysroot-$arch" "$(cat "$0")" make_sysroot
