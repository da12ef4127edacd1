# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for ghvmctl(1)

_ghvmctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' what='' word i
  local dirs=()

  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    [[ $verb != region || ! $word =~ ^(list|add|remove|dump|load)$ ]] || what=${what:-$word}
    case $word in
    --dir) dirs+=("${COMP_WORDS[i + 2]}") ;; # "--dir=X" is three words here
    list | status | start | stop | console | validate | plan | cat | define | edit | run | undefine | why | host | quarantine | region | trace)
      [ "${COMP_WORDS[i - 1]}" = = ] || verb=${verb:-$word}
      ;;
    esac
  done

  COMPREPLY=()
  [ "$cur" != = ] || cur=''
  [ "$prev" != = ] || prev=${COMP_WORDS[COMP_CWORD - 2]}
  case $prev in
  --dir | --file | --pcapng | --kernel | --initrd)
    compopt -o filenames
    if [ "$prev" = --dir ]; then
      mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
    return
    ;;
  esac
  case $cur in
  -*)
    mapfile -t COMPREPLY < <(compgen -W '--json --dir= --follow --force --offline --pcapng= --running --retry --label= --address= --size= --kernel= --initrd= --cmdline= --memory= --name= --readonly --read-only --wait --file= --help --version' -- "$cur")
    [[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace
    return
    ;;
  esac
  case $verb$what in
  '')
    mapfile -t COMPREPLY < <(compgen -W 'list status start stop console validate plan cat define edit run undefine why
      host quarantine region trace' -- "$cur")
    ;;
  region)
    mapfile -t COMPREPLY < <(compgen -W 'list add remove dump load' -- "$cur")
    ;;
  status | start | stop | console | validate | plan | cat | edit | undefine | why | trace | region*)
    mapfile -t COMPREPLY < <(compgen -W "$(ghvmctl "${dirs[@]/#/--dir=}" list 2>/dev/null |
      sed '1d; s/ .*//')" -- "$cur")
    ;;
  esac
  case $verb in
  validate | plan | define | run)
    compopt -o filenames
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -X '!*.yaml' -- "$cur"; compgen -d -- "$cur")
    ;;
  esac
}

complete -F _ghvmctl ghvmctl
