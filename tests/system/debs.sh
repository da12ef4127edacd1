# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# debs.sh, to be sourced: create folders in the cache from Debian packages, once.
#
# Packages are downloaded and unpacked, not installed, and their scripts are not run.

cache=${GHVM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ghvm}

# cached NAME KEY COMMAND...: print the folder NAME-(hash of KEY), created by COMMAND FOLDER
# if it does not exist. A failure leaves no folder.
cached() {
  local name=$1 hash dir
  hash=$(printf '%s' "$2" | sha256sum | cut -c 1-12)
  dir=$cache/$name-$hash
  shift 2
  mkdir -p "$cache"
  (
    flock 9
    [ ! -d "$dir" ] || exit 0
    rm -rf "$dir.new"
    mkdir "$dir.new"
    "$@" "$dir.new" || { rm -rf "$dir.new"; exit 1; }
    mv "$dir.new" "$dir"
    # remove folders of other keys
    find "$cache" -maxdepth 1 -name "$name-????????????" ! -path "$dir" -exec rm -rf {} +
  ) 9>"$cache/.$name.lock" >&2 || return
  echo "$dir"
}

# debs_fetch FOLDER PACKAGE...
debs_fetch() {
  local dir=$1
  shift
  mkdir -p "$dir"
  (cd "$dir" && apt-get download -q -o APT::Sandbox::User=root "$@") >"$dir/.log" 2>&1 ||
    { cat "$dir/.log"; return 1; }
}

# debs_unpack FOLDER OF-DEBS: keep the symbolic links of a merged /usr, which dpkg -x would replace
debs_unpack() {
  local deb
  for deb in "$2"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -xpf - -C "$1" --keep-directory-symlink || return
  done
}
