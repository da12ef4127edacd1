# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
_ghvmctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} verb="" word words=""
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] || { verb=$word && break; }
  done
  case $cur:$verb in
  -*) words="--json --dir= --force --retry --help --version" ;;
  *:) words="list status start stop console validate plan why host quarantine" ;;
  *:list | *:host | *:quarantine) ;;
  *) words=$(ghvmctl list 2>/dev/null | awk 'NR > 1 { print $1 }') ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  [[ $verb != validate && $verb != plan ]] || mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -X '!*.yaml' -- "$cur")
}
complete -F _ghvmctl ghvmctl
