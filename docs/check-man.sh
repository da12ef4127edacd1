#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The pages are well formed, and name each verb, option and key that there is.
# check-man.sh GHVMCTL SOURCE
set -eu
ctl=$1 source=$2
bad=0

fail() {
	echo "$*"
	bad=1
}

if command -v mandoc >/dev/null; then
	mandoc -T lint -W warning "$source"/docs/*.[158] || bad=1
fi

for verb in $("$ctl" --help | awk '/^  [a-z]/ { print $1 }'); do
	grep -q "^\.It Cm $verb" "$source/docs/ghvmctl.1" || fail "ghvmctl.1: no $verb"
	grep -qw "$verb" "$source/docs/ghvmctl.bash" || fail "ghvmctl.bash: no $verb"
	grep -qw "$verb" "$source/docs/_ghvmctl" || fail "_ghvmctl: no $verb"
done
for option in $("$ctl" --help | sed -n 's/^  --\([a-z]*\).*/\1/p'); do
	grep -q -e "-$option" "$source/docs/ghvmctl.1" || fail "ghvmctl.1: no --$option"
done
# shellcheck disable=SC2016 # these are FORMAT.md's quotes
sed -n 's/^| `\([^`]*\)` .*/\1/p' "$source/configs/FORMAT.md" | tr -d '[]' | while read -r key; do
	case $key in
	devices.* | regions.*) key=${key##*.} ;;
	esac
	grep -qw -e "$key" "$source/docs/gunyah-vm.yaml.5" || echo "$key"
done >"${TMPDIR:-/tmp}/check-man.$$"
[ ! -s "${TMPDIR:-/tmp}/check-man.$$" ] ||
	fail "gunyah-vm.yaml.5: no $(cat "${TMPDIR:-/tmp}/check-man.$$")"
rm "${TMPDIR:-/tmp}/check-man.$$"
# programs against their own help
for page in gunyah-vmd:manager gunyah-vm-prepare:prepare gunyah-vm:runner; do
	options=$(sed -n 's/^	*"  --\([a-z-]*\).*/\1/p' "$source/daemon/${page#*:}/main.c")
	for option in $options; do
		grep -q -e "-$option" "$source/docs/${page%:*}.8" || [ "$option" = help ] ||
			fail "${page%:*}.8: no --$option"
	done
done
exit $bad
