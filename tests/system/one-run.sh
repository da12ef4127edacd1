# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# one-run.sh, to be sourced: a folder belongs to one run, and what a run has started ends with it.

alone_in() { # FOLDER: or this run ends here. Until the last of its processes has ended
  exec {alone_fd}>>"$1/lock"
  flock -n "$alone_fd" && return
  echo "${0##*/}: another run uses $1 (process $(tail -n 1 "$1/lock")): wait for it, or name another folder"
  exit 1
}

say_alone() { # FOLDER: which process has it
  echo $$ >"$1/lock"
}

# As that COMMAND, but ended by SIGTERM when the shell that called this is gone, even by SIGKILL. To
# be called from that shell itself, no subshell of it.
mortal() { # COMMAND...
  setpriv --pdeathsig TERM "$@"
}
