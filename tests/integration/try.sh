#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# try.sh [COMMAND...]: set up the host of lib.sh, without QEMU, privileges or systemd, and run COMMAND or a
# shell there. A single argument is a line for a shell, as 'ghvmctl start hello; ghvmctl list'. It offers ghvmctl and
#   model COMMAND...   control the model: counts, refuse MESSAGE STATUS, kill-rm; see
#                      ghvm-model --help
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$(realpath "$0")")/lib.sh"

# The stand-in for systemd starts the real start helper and the real runner, as the unit does.
start_units() {
  "$GHVM_BUILD/tests/integration/stand-in" "$DBUS_SYSTEM_BUS_ADDRESS" "$prepare" "$runner" \
    "$work/run/prepare.sock" "$work/log" "$work/vms" yes >"$work/out/units" 2>&1 &
  must 10 grep -q ready "$work/out/units"
}

words() {
  mkdir "$work/bin"
  printf '#!/bin/sh\nexec %q --dir=%q --dir=%q "$@"\n' "$ctl" "$work/vms" "$work/run/lib/vms" >"$work/bin/ghvmctl"
  printf '#!/bin/sh\nexec %q %q "$@"\n' "$here/tell.py" "$work/control" >"$work/bin/model"
  printf '#!/bin/sh\n' >"$work/bin/pkttyagent" # the stand-in for polkit asks for no password
  chmod +x "$work"/bin/*
  export PATH=$work/bin:$PATH
}

start_bus
start_model
ready_manager
start_units
words
memory=32M script hello 'devices:' '  - console: {}' <<'END'
print hello from a guest
powerkey
END

cd "$work/vms"
if [ $# = 1 ]; then
  bash -c "$1"
  exit
elif [ $# -gt 0 ]; then
  "$@"
  exit
fi
cat <<END
This shell has a model of Gunyah, a manager, and a VM "hello" whose guest is a script.
Descriptors are in $work/vms; you can add your own. Try:
  ghvmctl start hello; ghvmctl console hello; ghvmctl status hello; ghvmctl stop hello
  model refuse MEM_LEND 1; ghvmctl start hello; ghvmctl why hello
When you exit, everything is stopped and removed.
END
"${SHELL:-/bin/bash}" -i || true
