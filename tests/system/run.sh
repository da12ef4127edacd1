#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run.sh [--test|--demo|--bench|--instructions|--shell] FOLDER [CASE...]: boot the testbed once.
#
# All results are written to FOLDER: the module, the guest, the hypervisor, the initramfs, and the
# logs (console.log, model.log). What was made by an earlier run is made again only if the contents of
# what it is made from have changed. The programs are those of build/arm64. Without a mode the cases of
# tests/system/cases are run, with TAP output.
#
# Only one run at a time can use FOLDER. Killing a run also ends its QEMU.
#
# GHVM_HYPERVISOR=hypvm.elf: a real Gunyah image instead of the model, configured for
# GHVM_HYPERVISOR_CPUS CPUs (default 8).
# GHVM_SECONDS: time limit, default 2400. QEMU_ARGS: additional arguments for QEMU.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../..")
# shellcheck source=tests/system/one-run.sh
. "$here/one-run.sh"
# shellcheck source=tests/system/made.sh
. "$here/made.sh"
# shellcheck source=tests/progress.sh
. "$root/tests/progress.sh"
mode="test"
case ${1:-} in
--test | --demo | --bench | --instructions | --shell)
  mode=${1#--}
  shift
  ;;
esac
out=$(realpath -m "$1")
shift
cases=$*
for case in $cases; do
  [ "$mode" != test ] || [ -n "$(find "$here/cases" -name "$case.sh")" ] || {
    echo "run.sh: there is no case '$case' in tests/system/cases"
    exit 2
  }
done
programs=$root/build/arm64
cpus=4
[ "$mode" = test ] || [ "$mode" = bench ] || cpus=2
# One CPU, whose clock and whose counter count instructions.
if [ "$mode" = instructions ]; then
  cpus=1
  export QEMU_ARGS="-icount shift=0,sleep=off ${QEMU_ARGS:-}"
fi
patience=${GHVM_SECONDS:-2400}
mkdir -p "$out"
alone_in "$out"
say_alone "$out"

# step TEXT COMMAND...: run COMMAND and print its time; its output goes to a log, which is shown on failure
step() {
  local text=$1 start
  start=$(date +%s%N)
  shift
  if ! progress_run "$text" "$out/step.log" "$@"; then
    cat "$out/step.log"
    echo "run.sh: failed: $text"
    exit 1
  fi
  printf '# %s: %d.%d s\n' "$text" $((($(date +%s%N) - start) / 1000000000)) \
    $((($(date +%s%N) - start) / 100000000 % 10))
}

# made NAME TEXT KEY RESULT COMMAND...: as step, unless an earlier run has made RESULT in FOLDER with that key
made() {
  local stamp=$out/$1.made text=$2 key=$3 result=$out/$4
  shift 4
  if made_is "$stamp" "$key" "$result"; then
    printf '# %s: unchanged\n' "$text"
    return
  fi
  rm -f "$stamp"
  step "$text" "$@"
  made_note "$stamp" "$key"
}

build_module() {
  local headers
  headers=$("$here/kernel.sh" headers 6.12-cloud)
  rm -rf "$out/kmod"
  cp -r "$root/kmod" "$out/kmod"
  make -s -C "$headers" M="$out/kmod" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- modules
}

# Names and addresses of the model's counters and controls, for the cases.
model_names() {
  local header=$root/tests/model/el2/counters.h
  awk -v base=$((0x40fff000)) \
    'match($0, /^[[:space:]]*X\([a-z_0-9]+\)/) {
       name = $0; sub(/.*X\(/, "", name); sub(/\).*/, "", name)
       if (name != "name") printf "%s %#x\n", name, base + 8 * n++
     }' "$header" >"$1/counters"
  sed -nE 's/^[[:space:]]*(KNOB_[A-Z_]+) = (0x[0-9a-f]+),.*/\1 \2/p' "$header" |
    while read -r name offset; do
      printf '%s %#x\n' "$name" $((0x40ffe000 + offset))
    done >"$1/knobs"
}

# As the package's script does it when it is installed. The unit that does it at boot has 90 s, which is not
# enough where other work leaves QEMU a tenth of a CPU; then there is no user, and no manager.
make_users() { # TREE ROOT-CPIO
  (cd "$1" && cpio -i -d --quiet etc/{passwd,group,shadow,gshadow} <"$2") &&
    grep -q ^messagebus: "$1/etc/passwd" || return
  SYSTEMD_LOG_LEVEL=warning systemd-sysusers --root="$1" || return
  ln -s /dev/null "$1/etc/systemd/system/systemd-sysusers.service"
}

# Files of Debian's modules and of what they depend on.
host_modules() { # IMAGE RELEASE NAME...
  local image=$1 release=$2 name
  shift 2
  for name; do
    /sbin/modprobe -d "$image" -S "$release" --show-depends "$name" | awk '$1 == "insmod" { print $2 }'
  done
}

# All files of the project for the testbed, on top of the root of root.sh.
make_overlay() {
  local tree=$out/tree release image test root_cpio
  image=$("$here/kernel.sh" image 6.12-cloud)
  release=$(basename "$image"/lib/modules/*)
  rm -rf "$tree"
  mkdir -p "$tree/usr/lib/ghvm-tests" "$tree/usr/lib/modules"
  DESTDIR=$tree meson install -C "$programs" --no-rebuild --quiet
  # a package would enable its units
  mkdir -p "$tree"/etc/systemd/system/{sockets,multi-user}.target.wants
  ln -s /usr/lib/systemd/system/gunyah-vmd.socket "$tree/etc/systemd/system/sockets.target.wants/"
  root_cpio=$("$here/root.sh")
  make_users "$tree" "$root_cpio" || return

  cp -r "$image/lib/modules/$release" "$tree/usr/lib/modules/"
  # only modules used by the testbed: ghvm has no dependencies
  rm -rf "$tree/usr/lib/modules/$release/kernel"
  mkdir -p "$tree/usr/lib/modules/$release/kernel"
  host_modules "$image" "$release" vhost_vsock | xargs cp -t "$tree/usr/lib/modules/$release/kernel" || return
  mkdir -p "$tree/usr/lib/modules/$release/extra"
  cp "$out/kmod/ghvm.ko" "$tree/usr/lib/modules/$release/extra/"
  ln -s usr/lib "$tree/lib"
  /sbin/depmod -b "$tree" "$release"
  rm "$tree/lib"

  cp -r "$here/machine/." "$root/tests/bench" "$out/guest" "$tree/usr/lib/ghvm-tests/"
  mkdir "$tree/usr/lib/ghvm-tests/cases" # all in one folder there, in the order of their numbers
  find "$here/cases" -name '*.sh' -exec cp -t "$tree/usr/lib/ghvm-tests/cases" {} + || return
  cp "$programs"/tests/system/{ghvm-forbidden,ghvm-pages,ghvm-selftest,ghvm-vsock,polkit-agent} "$tree/usr/lib/ghvm-tests/"
  cp "$programs/tests/bench/bench-unit" "$tree/usr/lib/ghvm-tests/"
  mkdir "$tree/usr/lib/ghvm-tests/unit"
  for test in "$programs"/tests/unit/test-*; do
    [ -d "$test" ] || aarch64-linux-gnu-strip -o "$tree/usr/lib/ghvm-tests/unit/${test##*/}" "$test"
  done
  cp "$programs/tests/model/sock/ghvm-model" "$tree/usr/lib/ghvm-tests/unit/"
  cp -r "$root/configs" "$tree/usr/lib/ghvm-tests/"
  mkdir "$tree/usr/lib/ghvm-tests/docs"
  cp "$root/docs/gunyah-vm.yaml.5" "$tree/usr/lib/ghvm-tests/docs/" # test-configs reads it
  model_names "$tree/usr/lib/ghvm-tests"
  mv "$tree/usr/lib/ghvm-tests/ghvm-testbed.service" "$tree/usr/lib/systemd/system/"
  ln -s /usr/lib/systemd/system/ghvm-testbed.service \
    "$tree/etc/systemd/system/multi-user.target.wants/"
  (cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$out/overlay.cpio"
  cat "$root_cpio" "$out/overlay.cpio" >"$out/initramfs"
}

build_model() {
  "$root/tests/model/el2/build.sh" "$out/el2.bin"
}

# Kernel command line. quiet keeps kernel messages out of the TAP output. No word of the project may begin with the
# name of a module, because it would be taken for a module parameter.
words() {
  echo "quiet loglevel=3 systemd.show_status=0 systemd.log_level=warning testbed.mode=$mode" \
    "testbed.cases=${cases// /,}"
}

# Set machine, the command that boots the testbed.
choose_machine() {
  local kernel w
  kernel=$("$here/kernel.sh" image 6.12-cloud)/vmlinuz
  read -ra w < <(words)
  if [ -n "${GHVM_HYPERVISOR:-}" ]; then
    machine=("$here/run-gunyah.sh")
    [ "$mode" != shell ] || machine+=(--shell)
    machine+=("$GHVM_HYPERVISOR" "$kernel" "$out/initramfs" "$out" "${GHVM_HYPERVISOR_CPUS:-8}")
  else
    machine=(env CPUS="$cpus" MEM=3G "$root/tests/model/el2/run-qemu.sh" "$out/el2.bin" "$kernel"
      "$out/initramfs" "$out/model.log" el2.model=scm)
  fi
  machine+=("${w[@]}")
}

# What the results are made from besides files of this tree.
tools=$(aarch64-linux-gnu-gcc --version | head -n 1)
made module "module" \
  "$(made_key "$root/kmod" "$0" "$tools" "$("$here/kernel.sh" headers 6.12-cloud)/Makefile")" kmod/ghvm.ko build_module
step "guest kernel, built on first use" "$here/kernel.sh" image guest
made guest "guest" \
  "$(made_key "$here"/guest* "$here/ghvm-vsock.c" "$root/examples/guest-module" "$tools" "$("$here/kernel.sh" image 6.1)/vmlinuz" \
    "$("$here/kernel.sh" headers 6.1)/Makefile" \
    "$("$here/kernel.sh" image guest)/vmlinuz" "$("$here/kernel.sh" busybox)" \
    "$("$here/kernel.sh" uboot)")" guest/Image "$here/guest.sh" "$out/guest"
[ -n "${GHVM_HYPERVISOR:-}" ] || made model "model hypervisor" \
  "$(made_key "$root"/{tests/model,libghvm,include,kmod/uapi} "$tools")" el2.bin build_model
made initramfs "initramfs" \
  "$(made_key "$root" "$programs" "$out"/{guest,kmod/ghvm.ko} "$("$here/root.sh")")" initramfs make_overlay

: >"$out/model.log"
choose_machine
if [ "$mode" = shell ]; then
  status=0
  mortal "${machine[@]}" || status=$?
  exit $status
fi
# The console output is written to a file, so that nothing is lost, and shown at the same time.
status=0
: >"$out/console.log"
progress_follow "the testbed" "$out/console.log"
mortal timeout -k 10 "$patience" "${machine[@]}" >"$out/console.log" 2>&1 </dev/null || status=$?
progress_followed
[ $status != 124 ] || echo "run.sh: nothing after $patience s; see $out/console.log"
if [ "$mode" = test ] && [ $status = 0 ] && ! grep -q '^1\.\.[0-9]' "$out/console.log"; then
  echo "run.sh: the machine ended before its last case; see $out/console.log"
  status=1
fi
if [ $status != 0 ] && [ -s "$out/model.log" ]; then
  echo "# status $status; $out/model.log says:"
  grep -v '^el2: counter' "$out/model.log" | tail -n 20 | sed 's/^/# /'
fi
exit $status
