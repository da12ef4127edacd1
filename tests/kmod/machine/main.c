// SPDX-License-Identifier: GPL-2.0-or-later
/* main [GROUP]...: the tests of /dev/ghvm, TAP. The module is loaded. */
#include "tests/kmod/machine/t.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "ioctl", test_ioctl }, { "irq", test_irq },	  { "pin", test_pin },
	{ "write", test_write }, { "grant", test_grant }, { "rm", test_rm },
	{ "vcpu", test_vcpu },	 { "guard", test_guard }, { "unload", test_unload },
};

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(name, argv[i]))
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (!wanted(groups[i].name, argc, argv))
			continue;
		printf("# %s\n", groups[i].name);
		groups[i].run();
	}
	return t_plan();
}
