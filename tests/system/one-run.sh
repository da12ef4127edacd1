# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# one-run.sh, to be sourced: allow only one run per folder, and end its processes with it.

alone_in() { # FOLDER: or this run ends here. Until the last of its processes has ended
  exec {alone_fd}>>"$1/lock"
  flock -n "$alone_fd" && return
  echo "${0##*/}: another run uses $1 (process $(tail -n 1 "$1/lock")): wait for it, or name another folder"
  exit 1
}

say_alone() { # FOLDER: which process has it
  echo $$ >"$1/lock"
}

# Run COMMAND; it gets SIGTERM when the calling shell ends, even by SIGKILL. Must
# be called from that shell, not from a subshell.
mortal() { # COMMAND...
  setpriv --pdeathsig TERM "$@"
}
