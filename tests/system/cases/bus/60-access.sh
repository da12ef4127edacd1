# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Permissions of root, of a member of group gunyah, and of another user, whom polkit asks for a
# password if there is an agent. Tests each method on the bus with the real dbus, polkit and systemd.
root=/org/gunyah/vmm1
agent=$here/polkit-agent

grep -q '^member:' /etc/passwd || {
	echo "member:x:2001:2001::/:/bin/sh" >>/etc/passwd
	echo "stranger:x:2002:2002::/:/bin/sh" >>/etc/passwd
	printf 'member:x:2001:\nstranger:x:2002:\n' >>/etc/group
	sed -i '/^gunyah:/s/$/member/' /etc/group
}

as() { # USER COMMAND...: of words without blanks
	_user=$1
	shift
	su -s /bin/sh "$_user" -c "exec $*" # as words of its own su would take their options
}

# as_asked ANSWER USER COMMAND...: run COMMAND as USER with a polkit agent that gives ANSWER
as_asked() {
	_answer=$1 _user=$2
	shift 2
	su -s /bin/sh "$_user" -c "kill -STOP \$\$; exec $*" &
	_pid=$!
	must 10 grep -q '^State:.T' /proc/$_pid/status
	$agent $_pid "$_answer" >/run/agent.out 2>&1 &
	_agent=$!
	must 10 grep -q ready /run/agent.out
	kill -CONT $_pid
	_status=0
	wait $_pid || _status=$?
	kill $_agent
	wait $_agent 2>/dev/null || true
	return $_status
}

# verb NAME: its call, for busctl
verb() {
	case $1 in
	start) echo "$root org.gunyah.vmm1.Manager StartVM sa{sv} one 0" ;;
	stop) echo "$root/vm/one org.gunyah.vmm1.VM Stop sa{sv} force 0" ;;
	console) echo "$root/vm/one org.gunyah.vmm1.VM OpenConsole a{sv} 0" ;;
	plan) echo "$root/vm/one org.gunyah.vmm1.VM Plan a{sv} 0" ;;
	memory) echo "$root/vm/one org.gunyah.vmm1.VM BeginTransaction a{sv} 0" ;;
	retry) echo "$root/host org.gunyah.vmm1.Host RetryQuarantine a{sv} 0" ;;
	undefine) echo "$root org.gunyah.vmm1.Manager UndefineVM sa{sv} one 0" ;;
	trace) echo "$root/host org.gunyah.vmm1.Host Trace ta{sv} 0 0" ;;
	esac
}

# try HOW... -- VERB: call the method of VERB; HOW is as or as_asked with its first words; the output is in
# /run/said
try() {
	_how=
	while [ "$1" != -- ]; do
		_how="$_how $1"
		shift
	done
	# shellcheck disable=SC2046,SC2086 # words
	$_how busctl --timeout=30 call org.gunyah.vmm1 $(verb "$2") >/run/said 2>&1
}

# allowed HOW... -- VERB: the call is not refused for missing rights
allowed() {
	try "$@" || {
		grep -q "NotAuthorized\|not authorized\|Access denied\|Rejected" /run/said && {
			cat /run/said
			fail "not allowed: $*"
		}
	}
	return 0
}

# denied TEXT HOW... -- VERB
denied() {
	_text=$1
	shift
	if try "$@"; then
		fail "allowed: $*"
	fi
	grep -q "is not authorized: $_text" /run/said || {
		cat /run/said
		fail "refused for another reason: $*"
	}
}

running() {
	busctl get-property org.gunyah.vmm1 $root/vm/one org.gunyah.vmm1.VM State | grep -q running
}

gone() {
	unit_ended one && all_returned
}

say "everybody may look, and is not asked for a password"
for user in root member stranger; do
	as $user ghvmctl list | grep -q one
	as $user ghvmctl status one >/dev/null
	as $user ghvmctl why one >/dev/null
	as $user ghvmctl host >/dev/null
	as $user ghvmctl quarantine >/dev/null
	as $user busctl call org.gunyah.vmm1 $root org.gunyah.vmm1.Manager ListVMs >/dev/null
	as $user busctl call org.gunyah.vmm1 $root org.gunyah.vmm1.Manager GetVM s one >/dev/null
	as $user busctl introspect org.gunyah.vmm1 $root/vm/one >/dev/null
done

say "a stranger without an agent is told what there is to do; one with an agent is asked"
for v in start retry trace undefine; do
	denied "authentication is required.*group gunyah.*pkttyagent" as stranger -- $v
	denied "polkit" as_asked no stranger -- $v
	grep -q "^asked: org.gunyah.vmm1" /run/agent.out || fail "nobody was asked"
done
grep -q "^asked: org.gunyah.vmm1.undefine: .* the virtual machine one" /run/agent.out ||
	fail "the question does not name the VM"
! running || fail "started"
if as stranger ghvmctl start one >/run/said 2>&1; then
	fail "a stranger has started it"
fi
cat /run/said
grep -q "authentication is required.*group gunyah" /run/said || fail "ghvmctl does not say why"

say "root and members start, use and stop, without a word of polkit"
for user in root member; do
	mark one
	as $user ghvmctl start one
	running || fail "does not run"
	for v in console plan memory retry trace undefine; do
		allowed as $user -- $v
	done
	hears one 90 "guest: user space reached"
	echo "echo by $user" | as $user timeout 20 ghvmctl console one
	hears one 10 "guest: by $user"
	as $user ghvmctl --force stop one
	must 30 gone
	allowed as $user -- start
	must 60 running
	allowed as $user -- stop
	must 30 gone
done

say "a stranger whose password is right does all of it, too"
mark one
allowed as_asked yes stranger -- start
cat /run/agent.out
grep -q "^asked: org.gunyah.vmm1.start: Authentication is required" /run/agent.out
must 60 running
for v in console plan memory stop; do
	denied "authentication is required" as stranger -- $v
done
running || fail "stopped"
for v in console plan memory retry trace stop; do
	allowed as_asked yes stranger -- $v
done
must 30 gone
as_asked yes stranger ghvmctl start one
as_asked yes stranger ghvmctl --force stop one
must 30 gone

say "the files of a definition are the manager's: a member is told so, and what can be checked"
mkdir /run/defined
sed 's/256M/128M/' $vms/one.yaml >/run/defined/defined.yaml
as member ghvmctl define /run/defined/defined.yaml
if as member ghvmctl validate defined >/run/said 2>&1; then
	fail "a member reads the copies"
fi
grep -q "only root and the manager may read the files of a definition" /run/said || fail "$(cat /run/said)"
as member ghvmctl validate --offline defined
ghvmctl validate defined
as member ghvmctl undefine defined
rm -r /run/defined

say "units stay root's: with the right to manage them came modes of jobs that touch all others"
for user in member stranger; do
	if as $user systemctl --no-ask-password start gunyah-vm@one >/run/said 2>&1; then
		fail "$user has started a unit"
	fi
done
