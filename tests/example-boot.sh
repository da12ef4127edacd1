#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# example-boot.sh BOOT MODEL: examples/boot.c boots a scripted guest on the model, and leaves
# nothing behind
set -euo pipefail
boot=$1 model=$2
dir=$(mktemp -d)
trap 'kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT

"$model" --delay=5 --ram=512 --control="$dir/control" "$dir/hypervisor" &
pid=$!
for _ in {1..100}; do
  [ -S "$dir/control" ] && break
  sleep 0.05
done

# An arm64 Image of 1 MiB, and the model's script behind its header
{
  printf '\x4d\x5a\x00\x91\x00\x00\x00\x00'
  printf '\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00'
  printf '\x00%.0s' {1..24}
  printf 'ARM\x64\x00\x00\x00\x00'
  printf 'GHVM-SCRIPT\nprint hello, world\nsleep 20\nprint and good night\noff\n'
} >"$dir/Image"
echo initrd >"$dir/initrd"

out=$("$boot" "unix:$dir/hypervisor" "$dir/Image" "$dir/initrd" | tr -d '\r')
[ "$out" = $'hello, world\nand good night' ] || { echo "it said: $out"; exit 1; }

python3 - "$dir/control" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect(sys.argv[1])
s.sendall(b"counts\n")
counts = dict(w.split("=") for w in s.recv(4096).decode().split() if "=" in w)
left = {k: v for k, v in counts.items() if k in ("vms", "parcels", "pins", "quarantine", "grants", "violations") and v != "0"}
sys.exit(f"left behind: {left}" if left or "vms" not in counts else 0)
PY
