// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * main [GROUP]...: the tests of /dev/ghvm, TAP. The module is loaded. Without a group all but those
 * of the debug kernel, which have to be named; "debug" is really all.
 * main obstacle NUMBER: on a machine where that is in the way of guests.
 */
#include "tests/kmod/machine/t.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	void (*run)(void);
	bool debug;
} groups[] = {
	{ "ioctl", test_ioctl, false },	 { "irq", test_irq, false },
	{ "pin", test_pin, false },	 { "memfd", test_memfd, false },
	{ "write", test_write, false },	 { "grant", test_grant, false },
	{ "rm", test_rm, false },	 { "vcpu", test_vcpu, false },
	{ "guard", test_guard, false },	 { "unload", test_unload, false },
	{ "faults", test_faults, true }, { "stress", test_stress, true },
	{ "left", test_left, true },
};

static bool wanted(const char *name, bool debug, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(name, argv[i]) || !strcmp(argv[i], "debug"))
			return true;
	return argc == 1 && !debug;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "obstacle")) {
		test_obstacle((uint32_t)strtoul(argv[2], NULL, 0));
		return t_plan();
	}
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (!wanted(groups[i].name, groups[i].debug, argc, argv))
			continue;
		printf("# %s\n", groups[i].name);
		groups[i].run();
	}
	return t_plan();
}
