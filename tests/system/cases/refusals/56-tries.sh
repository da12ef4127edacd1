# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The output of ghvmctl for a start that systemd tries again, and for starts that are stopped.
is_model || return 0
out=/run/tries.out

says() { # PATTERN
	grep -qE "$1" $out || {
		cat $out
		fail "the output lacks: $1"
	}
}

state_is() { # NAME STATE
	[ "$(ghvmctl status "$1" | sed -n "1s/$1: \([a-z]*\).*/\1/p")" = "$2" ]
}

say "one try is refused"
for knob in "SKIP 0" "STATUS 3" "REFUSE 0x5600000b"; do
	# shellcheck disable=SC2086 # a name and a value
	set -- $knob
	devmem "$(awk -v n="KNOB_$1" '$1 == n { print $2 }' $here/knobs)" 32 "$2"
done
ghvmctl start cycle >$out 2>&1 || fail "$(cat $out)"
says "VM_INIT refused with DENIED"
says "^ghvmctl: systemd tries again to start cycle (in 1 s )?\(2 of 30\)$"
says "ghvmctl: cycle runs after 2 tries"
ghvmctl why cycle >$out
says "VM_INIT refused with DENIED"
says "cycle is running"

say "what does not run is stopped"
for words in "stop" "stop" "--force stop"; do
	# shellcheck disable=SC2086 # words they are
	ghvmctl $words cycle
	unit_is cycle inactive || fail "ghvmctl $words: $(unit_show cycle ActiveState)"
done

say "stopped while it starts"
for by in "ghvmctl stop one" "systemctl stop gunyah-vm@one"; do
	ghvmctl start one >$out 2>&1 &
	start=$!
	must 20 state_is one starting
	$by
	! wait $start || fail "the start succeeded"
	cat $out
	must 20 unit_ended one
	must 5 state_is one stopped
	sleep 3 # three times what systemd waits before it tries again
	unit_ended one || fail "$by: systemd started the unit again"
	says "stopped before the start was complete"
	systemctl reset-failed gunyah-vm@one 2>/dev/null || true
	must 15 returned
done

say "stopped before its helper has begun"
for _ in 1 2 3; do
	systemctl --no-block start gunyah-vm@one
	systemctl stop gunyah-vm@one
	unit_is one inactive || fail "$(systemctl status gunyah-vm@one)"
done
