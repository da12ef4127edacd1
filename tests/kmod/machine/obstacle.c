// SPDX-License-Identifier: GPL-2.0-or-later
/* On a machine where no guest can run the module loads, and says why, and does nothing else. */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void test_obstacle(uint32_t wanted)
{
	int dev = t_open();
	struct ghvm_info i = t_info(dev);
	struct ghvm_hcall call = {};
	struct ghvm_pin pin = { .length = PAGE, .memfd = t_memfd(PAGE, 0) };

	t_eq(i.obstacle, wanted, "INFO: the obstacle");
	t_eq(i.abi, GHVM_ABI_LEVEL, "INFO: ABI level");
	t_eq(i.flags, 0, "INFO: flags");
	t_ok(!i.driver[0] && !i.device[0], "INFO: no driver has the node");
	t_eq(t_call(dev, GHVM_HCALL, &call), -ENOTTY, "no HCALL");
	t_eq(t_call(dev, GHVM_PIN, &pin), -ENOTTY, "no PIN");
	close(dev);
}
