/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys about how a guest boots: what is complained about, and where. */
#include "libghvm/base/bits.h"
#include "ghvm/spec.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#define HEAD "version: 1\nkernel: {image: /boot/Image}\n"
#define GOOD HEAD "memory: {size: 512M}\n"

static const struct {
	const char *text;
	const char *complaint;
} bad[] = {
	{ GOOD "boot: {entry: 0x80000002}\n",
	  "demo.yaml:4:15: boot.entry: 0x80000002 is not a multiple of 4" },
	{ GOOD "boot: {sp: 8}\n", "demo.yaml:4:12: boot.sp: 0x8 is not a multiple of 16" },
	{ GOOD "boot: {x0: \"1\"}\n",
	  "demo.yaml:4:12: boot.x0: not a whole number, but a text: remove the quotes" },
	{ GOOD "boot: {x1: -1}\n", "demo.yaml:4:12: boot.x1: not a whole number" },
	{ GOOD "boot: {x2: 0x10000000000000000}\n", "boot.x2: not a whole number" },
	{ GOOD "auth: {type: platform}\n",
	  "auth.pas-id: is missing; auth.type: platform needs it" },
	{ GOOD "auth: {pas-id: 3}\n",
	  "demo.yaml:4:16: auth.pas-id: is for auth.type: platform only" },
	{ GOOD "auth: {type: signed}\n",
	  "auth.type: 'signed' is none of: none, platform, android" },
	{ GOOD "firmware: {size: 4M}\n",
	  "demo.yaml:4:18: firmware.size: is for auth.type: android only" },
	{ GOOD "auth: {type: android}\nfirmware: {size: 5}\n",
	  "firmware.size: 5 is not a multiple of 4K" },
	{ HEAD "memory: {size: 64M, protection: none}\nauth: {type: android}\n",
	  "memory.protection: none: the memory of a guest with auth.type must be lent" },
	{ GOOD "auth: {type: android}\nboot: {entry: 0x80000000}\n",
	  "demo.yaml:5:15: boot.entry: a guest with auth.type starts where" },
	{ GOOD "auth: {type: android}\nboot: {x0: 0}\n",
	  "boot.x0: a guest with auth.type starts where" },
	{ GOOD "boot: {x4: 1}\n", "boot.x4: unknown key" },
	{ HEAD "memory: {size: 64M, address: 0x80100000}\n",
	  "demo.yaml:3:30: memory.address: 0x80100000 is not a multiple of 2M" },
	{ HEAD "memory: {size: 64M, address: 0x3fe00000}\n",
	  "memory.address: 0x3fe00000 is not in 0x40000000 to 0x7ffffffff" },
	{ HEAD "memory: {size: 64M, address: 0x800000000}\n",
	  "memory.address: 0x800000000 is not in" },
	{ HEAD "memory: {size: 64M, address: 0x7fe000000}\n", "memory.size: more than 32M" },
	{ HEAD "memory: {size: 64M, address: 0x40000000}\n"
	       "regions: [{label: 1, size: 4K, address: 0x43fff000}]\n",
	  "regions[0].address: 0x43fff000 overlaps the VM's RAM" },
	{ "version: 1\nkernel: {image: /i, format: elf}\nmemory: {size: 64M}\n",
	  "kernel.format: 'elf' is none of: image, raw" },
};

static void complains(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ghvm_error err = {};
		struct ghvm_spec spec;

		assert_int_equal(ghvm_spec_parse("demo", "demo.yaml", bad[i].text,
						 strlen(bad[i].text), &spec, NULL, &err),
				 -EINVAL);
		if (!strstr(err.msg, bad[i].complaint))
			fail_msg("\"%s\" is not in \"%s\"", bad[i].complaint, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
