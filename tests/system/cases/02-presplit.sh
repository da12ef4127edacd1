# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The manager finds out whether a LEND unmaps memory by accessing it. This case must be the first that
# lends memory, because the result is accepted only if RM has not created a parcel before.
needs_model || return 0
quirk() { # its value and where that is from
	ghvmctl --json host | sed -n 's/.*"presplit":{"value":\([a-z]*\),"source":"\([^"]*\)"}.*/\1 \2/p'
}

# The manager asks anew; what it had found out is forgotten.
probe() { # EXPECTED
	rm -f /run/gunyah-vmd/presplit.probe
	systemctl restart gunyah-vmd
	case $(quirk) in
	"$1"*) ;;
	*)
		journalctl -q --no-pager -u gunyah-vmd | tail -n 20
		fail "presplit: $(quirk), not $1"
		;;
	esac
	must 15 returned
}

touched() { # so many pages that were lent, in all
	[ "$(model lent_faults)" = "$1" ] || fail "$(model lent_faults) touches of lent pages, not $1"
	echo "$1" >/run/lent-faults-meant
}

conf=/run/systemd/system/gunyah-vmd.service.d
mkdir -p $conf
exec=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/gunyah-vmd.service)
printf '[Service]\nExecStart=\nExecStart=%s --probe-presplit\n' "$exec" >$conf/probe.conf
systemctl daemon-reload

say "a LEND unmaps, and nothing was lent before"
knob PRESPLIT 0
probe "false tried out"
grep unneeded /run/gunyah-vmd/presplit.probe
touched 4

say "the same once a boot"
systemctl restart gunyah-vmd
[ "$(quirk)" = "false tried out on this host" ] || fail "it was forgotten: $(quirk)"
touched 4

say "a guest's memory is unmapped without a SHARE"
up one
[ "$(model lent_pages)" -ge 65536 ] || fail "only $(model lent_pages) pages are lent"
down one

say "a LEND unmaps, but parcels were made before"
probe "true abi"
grep unclear /run/gunyah-vmd/presplit.probe
touched 8

say "a LEND leaves what lies in a larger block"
knob PRESPLIT 1
probe "true tried out"
grep needed /run/gunyah-vmd/presplit.probe
model lent_faults >/run/lent-faults-meant

say "and is not enough of itself then, so it is not alone"
up one
down one

! find / -xdev -name 'core*' -newer /run/lent-faults-meant -path '*gunyah*' 2>/dev/null | grep . ||
	fail "a core dump of a page that was lent"
! dmesg | grep -iE 'oops|synchronous external abort.*\[#' || fail "the kernel was hurt"
rm -r $conf /run/gunyah-vmd/presplit.probe
systemctl daemon-reload
systemctl restart gunyah-vmd
