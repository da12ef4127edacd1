# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The console works both ways, and for one reader after another.
up one
for n in 1 2 3 4 5; do
	type_line one "echo line $n of five"
	hears one 10 "guest: line $n of five"
done
say "what the guest says comes back on the console, not only into the log"
{
	sleep 1
	echo "echo and back"
	sleep 4
} | timeout 20 ghvmctl console one >/run/console.out || true
cat /run/console.out
grep -q "guest: and back" /run/console.out || fail "it did not come back"
say "a long line arrives whole"
long=$(printf '%0200d' 7)
type_line one "echo $long"
hears one 20 "guest: $long"
down one
