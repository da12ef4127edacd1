# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Invalid descriptors: errors have file, line and column, also in the unit's journal.
bad() { # NAME PATTERN, with the descriptor on stdin
	cat >"$vms/$1.yaml"
	refused ghvmctl validate "$1"
	start_refused "$1" "$2"
	[ "$(unit_show "$1" NRestarts)" = 0 ] || fail "systemd started $1 again"
	rm "$vms/$1.yaml"
}

good=$(sed '/^memory/d; /^cpus/d' $vms/one.yaml)

bad unknown-key 'unknown-key.yaml:[0-9]+:[0-9]+: .*colour' <<END
$good
memory: {size: 256M}
cpus: {count: 1}
colour: blue
END
bad no-memory 'no-memory.yaml:[0-9]+:[0-9]+: .*memory' <<END
$good
cpus: {count: 1}
END
bad twice 'twice.yaml:[0-9]+:[0-9]+: .*memory' <<END
$good
memory: {size: 256M}
memory: {size: 512M}
cpus: {count: 1}
END
bad unaligned 'unaligned.yaml:[0-9]+:[0-9]+: memory.size' <<END
$good
memory: {size: 1000001}
cpus: {count: 1}
END
bad too-many-cpus 'too-many-cpus.yaml:[0-9]+:[0-9]+: cpus' <<END
$good
memory: {size: 256M}
cpus: {count: 1000}
END
bad overflow 'overflow.yaml:[0-9]+:[0-9]+: memory.size' <<END
$good
memory: {size: 99999999999999999999G}
cpus: {count: 1}
END
bad not-yaml 'not-yaml.yaml:[0-9]+:[0-9]+' <<END
version: [1
END

say "and one that is not there"
start_refused nosuch nosuch
start_refused Bad_Name Bad_Name

say "a name that looks like an option"
start_refused -x "'-x' is not a valid VM name"
[ "$(unit_show -x NRestarts)" = 0 ] || fail "systemd started -x again"
