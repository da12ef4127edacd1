# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The console works in both directions, and for several clients in turn.
up one
for n in 1 2 3 4 5; do
	type_line one "echo line $n of five"
	hears one 10 "guest: line $n of five"
done
say "what the guest says comes back on the console, not only into the log"
# talk TEXT [OPTION]: a console client types TEXT and stays until its echo is on the console; the output is in
# /run/console.out
talk() { # TEXT OPTION...
	_text=$1
	shift
	mark one
	{
		echo "echo $_text"
		wait_for 20 said one "guest: $_text" || true
	} | timeout $((30 * patience)) ghvmctl console "$@" one >/run/console.out
	cat /run/console.out
	grep -q "guest: $_text" /run/console.out
}
talk "and back" || fail "the echo of a second client is not on the console"
say "a long line arrives whole"
long=$(printf '%0200d' 7)
type_line one "echo $long"
hears one 20 "guest: $long"
say "one types, others watch, and --force takes over"
mkfifo /run/types.in
sleep 600 >/run/types.in &
keeps_open=$!
ghvmctl console one </run/types.in >/run/types.out 2>&1 &
types=$!
ghvmctl console --read-only one >/run/watches.out 2>&1 </dev/null &
watches=$!
both_are_there() {
	echo "echo to both" >/run/types.in
	grep -q "guest: to both" /run/types.out && grep -q "guest: to both" /run/watches.out
}
must 20 both_are_there
refused ghvmctl console one </dev/null
talk "to all of you" --force || fail "the client that took the console over gets no output"
must 10 grep -q "guest: to all of you" /run/watches.out
must 10 grep -q "another client has taken over the console" /run/types.out
kill "$watches" "$keeps_open"
wait "$types" || true
rm /run/types.in
down one
say "a log takes no more than its size, in the runner's sandbox"
sed 's/console: {}/console: {log-size: 64K, log-count: 2}/' $vms/one.yaml >$vms/small.yaml
rm -f "$logs"/small.log*
up small
type_line small sh
type_line small "sleep 2; for i in \$(seq 340); do echo \$i $long; done; echo all \$((600 + 11))"
hears small 120 "all 611"
ls -l "$logs"/small.log*
[ "$(stat -c %s "$logs"/small.log)" -le 65536 ] || fail "small.log is too large"
[ "$(stat -c %s "$logs"/small.log.1)" -le 65536 ] || fail "small.log.1 is too large"
[ "$(stat -c %s "$logs"/small.log.1)" -ge 60000 ] || fail "small.log.1 is smaller than the full log that it replaces"
type_line small exit
down small
rm $vms/small.yaml
