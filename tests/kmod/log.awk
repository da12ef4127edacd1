# SPDX-License-Identifier: GPL-2.0-or-later
# log.awk: what a kernel's log says is wrong. Exit status 0: something is.
#
# One warning is not the module's: the irq core, when an allocation fails as it makes the entry of a
# new interrupt in /proc/irq, warns as it removes that entry (remove_proc_entry).
/\[ cut here \]/ {
	block = ""
	inside = 1
}
inside {
	block = block $0 "\n"
	if (/\[ end trace/) {
		inside = 0
		if (block !~ /remove_proc_entry/ || block !~ /irq_dispose_mapping/) {
			printf "%s", block
			bad = 1
		}
	}
	next
}
/BUG: |WARNING: |KASAN|Oops|Internal error|Unable to handle|genirq:|suspected memory leak/ ||
/INFO: task|detected stall|DEBUG_LOCKS/ {
	print
	bad = 1
}
END {
	if (inside)
		printf "%s", block
	exit !(bad || inside)
}
