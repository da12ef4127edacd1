# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for ghvmctl(1)

_ghvmctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' word i
  local dirs=()

  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
    --dir) dirs+=("${COMP_WORDS[i + 2]}") ;; # "--dir=X" is three words here
    list | status | start | stop | console | validate | plan | why | host | quarantine)
      [ "${COMP_WORDS[i - 1]}" = = ] || verb=${verb:-$word}
      ;;
    esac
  done

  COMPREPLY=()
  if [ "$prev" = --dir ] || [ "$prev" = = ]; then
    [ "$cur" != = ] || cur=
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    return
  fi
  case $cur in
  -*)
    mapfile -t COMPREPLY < <(compgen -W '--json --dir= --force --retry --help --version' -- "$cur")
    [ "${COMPREPLY[*]}" != --dir= ] || compopt -o nospace
    return
    ;;
  esac
  case $verb in
  '')
    mapfile -t COMPREPLY < <(compgen -W 'list status start stop console validate plan why host
      quarantine' -- "$cur")
    ;;
  status | start | stop | console | validate | plan | why)
    mapfile -t COMPREPLY < <(compgen -W "$(ghvmctl "${dirs[@]/#/--dir=}" list 2>/dev/null |
      sed '1d; s/ .*//')" -- "$cur")
    ;;
  esac
  case $verb in
  validate | plan)
    compopt -o filenames
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -X '!*.yaml' -- "$cur"; compgen -d -- "$cur")
    ;;
  esac
}

complete -F _ghvmctl ghvmctl
