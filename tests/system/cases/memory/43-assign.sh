# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The secure firmware tracks the owner of each page, as on a Snapdragon: a lent page is the guest's alone, a
# shared one both's, and all come back, whatever is refused and whatever dies.
needs_model || return 0

reload() { # 0|1: whether the firmware tells that it is Qualcomm's
	systemctl stop gunyah-vmd.socket gunyah-vmd
	rmmod ghvm
	knob SCM "$1"
	modprobe ghvm
	systemctl start gunyah-vmd.socket
}

owned() { # GUEST-ONLY SHARED: pages
	[ "$(model scm_guest_only)" = "$1" ] || fail "$(model scm_guest_only) pages are the guest's alone, not $1"
	[ "$(model scm_assigned)" = $(($1 + $2)) ] || fail "$(model scm_assigned) pages are assigned, not $(($1 + $2))"
}

refuse() { # 1|2 STATUS SKIP: the firmware does not do it, or does it all the same; STATUS is not 0
	knob SKIP "$3"
	knob STATUS $(($2 & 0xffffffff))
	knob SCM_REFUSE "$1"
}

home() {
	[ "$(model scm_assigned)" = 0 ]
}

given_back() {
	ghvmctl quarantine --retry >/dev/null
	returned
}

guest_lives() {
	vm one 1 128M ""
	cat >>$vms/one.yaml <<-END
		rm-rpc: true
		regions:
		  - {label: 5, size: 64K, address: 0x50000000}
		  - {label: 6, size: 4K, address: 0x50010000, readonly: true}
	END
	calls=$(model scm_calls)
	up one
	say "$(($(model scm_calls) - calls)) calls of the firmware for a start"
	owned 32768 17
	say "the manager dies"
	systemctl kill --kill-who=main -s KILL gunyah-vmd
	owned 32768 17
	must 30 systemctl is-active gunyah-vmd
	say "the guest reboots in place"
	mark one
	type_line one reboot
	hears one 90 "guest: user space reached"
	owned 32768 17
	say "memory comes and goes"
	ghvmctl region add one --label=20 --address=0x60000000 --size=2M
	owned 32768 529
	ghvmctl region remove one --label=20
	owned 32768 17
	say "the firmware refuses to give a page back: it waits in quarantine"
	refuse 1 -2 0
	systemctl stop gunyah-vm@one || true
	must 60 given_back
	systemctl reset-failed
	home || fail "pages stay assigned: $(model scm_assigned)"
}

# Each is undone; the numbers are those of qcom_scm.h, and one that it does not know.
starts_are_refused() {
	conf=/run/systemd/system/gunyah-vm@cycle.service.d
	mkdir -p $conf
	printf '[Service]\nRestart=no\n' >$conf/once.conf
	systemctl daemon-reload
	for how in "1 -2 0" "2 -1 0" "1 5 1" "2 -77 2"; do
		say "refused: $how"
		# shellcheck disable=SC2086 # words
		refuse $how
		start_refused cycle "the firmware refused"
		must 15 returned
		home || fail "pages stay assigned: $(model scm_assigned)"
	done
	rm -r $conf
	systemctl daemon-reload
}

status=0
reload 1
(
	pages info
	ghvmctl host
	guest_lives
	starts_are_refused
	[ "$(model scm_violations)" = 0 ] || fail "pages of a parcel were assigned"
	[ "$(model scm_denied)" = 0 ] || fail "the guest has pages that the firmware does not give it"
) || status=1
systemctl stop 'gunyah-vm@*.service' || true
wait_for 30 returned || true
reload 0
prepare_guests
[ $status = 0 ] || fail "see above"
