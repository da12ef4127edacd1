# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# progress.sh, to be sourced: while a command works it says which, for how long, how far, and where the log is.
#
# On a terminal it redraws one line each second, with a bar where the log counts, as ninja and meson do
# ("[12/345] ..."). Elsewhere it prints a plain line whenever there was none for progress_period seconds.
# GHVM_PROGRESS=off: nothing, because the caller of this script already does the same.

progress_period=${GHVM_PROGRESS_SECONDS:-9}

progress_on_terminal() {
  [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]
}

# progress_state LOG: sets progress_done and progress_all, 0 if the log does not count, and progress_last, the
# log's last line
progress_state() {
  local lines line i counts='^ *\[? *([0-9]+)/([0-9]+)[] ]'
  progress_done=0 progress_all=0 progress_last=
  mapfile -t lines < <(tail -n 20 "$1" 2>/dev/null)
  for ((i = ${#lines[@]} - 1; i >= 0; i--)); do
    line=${lines[i]//[^[:print:]]/}
    [ -n "$progress_last" ] || progress_last=$line
    if [[ $line =~ $counts ]] && [ "${BASH_REMATCH[2]}" -gt 0 ]; then
      progress_done=${BASH_REMATCH[1]} progress_all=${BASH_REMATCH[2]}
      return
    fi
  done
}

# progress_draw TEXT SECONDS: the line on a terminal, never wider than it
progress_draw() {
  local width=24 full bar line turn='|/-+'
  line="${turn:$2%4:1} $1: $2 s"
  if [ "$progress_all" -gt 0 ]; then
    full=$((progress_done * width / progress_all))
    printf -v bar '%*s' "$full" ''
    bar=${bar// /=}
    printf -v bar '%-*s' $width "$bar"
    line+="  [$bar] $progress_done/$progress_all"
  elif [ -n "$progress_last" ]; then
    line+="  $progress_last"
  fi
  shopt -s checkwinsize
  (:) # sets COLUMNS
  printf '\r%s\033[K' "${line:0:${COLUMNS:-80}-1}"
  progress_drawn=1
}

# progress_wipe: takes the drawn line away before something else is printed
progress_wipe() {
  [ -z "${progress_drawn:-}" ] || printf '\r\033[K'
  progress_drawn=
}

# progress_say TEXT SECONDS LOG: the plain line
progress_say() {
  local far=
  if [ "$progress_all" -gt 0 ]; then
    far=", $progress_done of $progress_all done"
  elif [ -n "$progress_last" ]; then
    far=", last line: ${progress_last:0:60}"
  fi
  printf '   ...  %s: working for %d s%s (log: %s)\n' "$1" "$2" "$far" "$3"
}

# progress_tell TEXT SECONDS SILENT LOG: to be called each second; SILENT is how long nothing was printed. True if a
# line was printed.
progress_tell() {
  [ "${GHVM_PROGRESS:-}" != off ] || return 1
  if progress_on_terminal; then
    progress_state "$4"
    progress_draw "$1" "$2"
    return 1
  fi
  [ "$3" -ge "$progress_period" ] || return 1
  progress_state "$4"
  progress_say "$1" "$2" "$4"
}

# progress_watch PID TEXT LOG: tells of TEXT until killed, or until PID is no more
progress_watch() {
  local start=$SECONDS told=$SECONDS never
  # a pipe that nothing is written to: a sleep without a process that could outlive this one
  exec {never}<> <(:)
  while true; do
    read -r -t 1 -u "$never" || true
    [ -e "/proc/$1" ] || return 0
    ! progress_tell "$2" $((SECONDS - start)) $((SECONDS - told)) "$3" || told=$SECONDS
  done
}

# progress_run TEXT LOG COMMAND...: runs COMMAND, whose output goes to LOG, and returns its status
progress_run() {
  local text=$1 log=$2 status=0 watch me=$BASHPID
  shift 2
  : >"$log"
  progress_watch "$me" "$text" "$log" &
  watch=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  { kill $watch && wait $watch; } 2>/dev/null || true
  ! progress_on_terminal || printf '\r\033[K'
  return $status
}

# progress_read TEXT START LOG: the next line of the standard input into progress_line, telling of TEXT, which works
# since START (of SECONDS), until it has come. Fails at the input's end, with what came after the last newline.
progress_read() {
  local part status heard=$SECONDS
  progress_line=
  while true; do
    status=0
    IFS= read -r -t 1 part || status=$?
    progress_line+=$part
    if [ $status -le 128 ]; then
      progress_wipe
      return $status
    fi
    ! progress_tell "$1" $((SECONDS - $2)) $((SECONDS - heard)) "$3" || heard=$SECONDS
  done
}

# progress_copy TEXT LOG: the standard input to the standard output, telling of TEXT while nothing comes
progress_copy() {
  local start=$SECONDS
  while progress_read "$1" "$start" "$2"; do
    printf '%s\n' "$progress_line"
  done
  [ -z "$progress_line" ] || printf '%s\n' "$progress_line"
}

# progress_follow TEXT FILE: shows what is written to FILE from now on, telling of TEXT while nothing comes, until
# progress_followed
progress_follow() {
  setpriv --pdeathsig TERM sleep infinity & # when it ends, tail shows the rest and ends too
  progress_more=$!
  tail --pid=$progress_more -n +1 -f "$2" 2>/dev/null | sed -u 's|\r||g' | progress_copy "$1" "$2" &
  progress_show=$!
}

# progress_followed: FILE is complete; returns when all of it is shown
progress_followed() {
  { kill "$progress_more" && wait "$progress_more"; } 2>/dev/null || true
  wait "$progress_show" || true
}
