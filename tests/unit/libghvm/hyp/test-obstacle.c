/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in the way of guests on a host is named, with what to do about it.
 */
#include "libghvm/hyp/obstacle.h"

#include "libghvm/base/bits.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#define GUNYAH                                                                                     \
	{                                                                                          \
		0xcd8fd5c1, 0xdb5f53a4, 0x36ce6592, 0x145f3d67                                     \
	}
#define KVM                                                                                        \
	{                                                                                          \
		0xb66fb428, 0xe911c52e, 0x564bcaa9, 0x743a004d                                     \
	}
#define IDENTIFY                                                                                   \
	{                                                                                          \
		0x8001                                                                             \
	} /* version 1, 64 bit, little endian */

static const struct ghvm_info good = { .uid = GUNYAH, .identify = IDENTIFY };

/**
 * struct obstacle_case - a host
 * @r: what the check returns
 * @says, @advises: parts of its message
 */
struct obstacle_case {
	struct ghvm_info info;
	bool kvm;
	int r;
	const char *says;
	const char *advises;
};

static const struct obstacle_case cases[] = {
	{ { .obstacle = GHVM_OBSTACLE_EL2 }, false, -ENODEV, "runs at EL2", "use KVM" },
	{ { .obstacle = GHVM_OBSTACLE_NO_NODE },
	  false,
	  -ENODEV,
	  "the device tree has no resource manager",
	  "firmware that starts Gunyah" },
	{ { .obstacle = GHVM_OBSTACLE_NO_NODE }, true, -ENODEV, "is a KVM host", "/dev/kvm" },
	{ { .obstacle = GHVM_OBSTACLE_NO_NODE, .uid = KVM },
	  false,
	  -ENODEV,
	  "is a guest of KVM",
	  "run VMs on its host" },
	{ { .obstacle = GHVM_OBSTACLE_NODE, .uid = GUNYAH },
	  false,
	  -ENODEV,
	  "no capabilities in reg",
	  "device tree of that firmware" },
	{ { .obstacle = GHVM_OBSTACLE_FOREIGN, .uid = KVM },
	  false,
	  -ENODEV,
	  "the hypervisor below is KVM",
	  "device tree of that firmware" },
	{ { .obstacle = GHVM_OBSTACLE_FOREIGN, .uid = { 1, 2, 3, 0xfedcba98 } },
	  false,
	  -ENODEV,
	  "UID 00000001 00000002 00000003 fedcba98",
	  "device tree of that firmware" },
	{ { .uid = { 1 }, .identify = IDENTIFY }, false, -ENODEV, "UID 00000001", "firmware" },
	{ { .obstacle = GHVM_OBSTACLE_API, .uid = GUNYAH, .identify = { 0x8007 } },
	  false,
	  -EPROTO,
	  "API version is 7 (64-bit, little-endian)",
	  "speaks 1" },
	{ { .uid = GUNYAH, .identify = { 0xc001 } }, false, -EPROTO, "big-endian", "speaks 1" },
	{ { .obstacle = GHVM_OBSTACLE_DRIVER,
	    .uid = GUNYAH,
	    .identify = IDENTIFY,
	    .driver = "gunyah_rsc_mgr",
	    .device = "hypervisor:rm" },
	  false,
	  -ENODEV,
	  "driver gunyah_rsc_mgr of this kernel",
	  "echo hypervisor:rm >/sys/bus/platform/drivers/gunyah_rsc_mgr/unbind" },
	{ { .flags = GHVM_INFO_ASSIGN_NEEDED, .uid = GUNYAH, .identify = IDENTIFY },
	  false,
	  -ENODEV,
	  "cannot take pages back from a guest",
	  "Linux 6.3 or newer" },
	{ { .obstacle = 77, .uid = GUNYAH, .identify = IDENTIFY },
	  false,
	  -ENODEV,
	  "obstacle 77",
	  "dmesg" },
};

static void each_is_named_with_what_to_do(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct obstacle_case *c = &cases[i];
		struct ghvm_error err = {};

		print_message("%s\n", c->says);
		assert_int_equal(ghvm_obstacle_check(&c->info, "/dev/ghvm", c->kvm, &err), c->r);
		assert_int_equal(strncmp(err.msg, "/dev/ghvm: ", 11), 0);
		assert_non_null(strstr(err.msg, c->says));
		assert_non_null(strstr(err.msg, c->advises));
	}
}

static void a_good_host_has_none(void **state)
{
	struct ghvm_info assigning = good;

	assigning.flags = GHVM_INFO_ASSIGN_NEEDED | GHVM_INFO_ASSIGN;
	assert_int_equal(ghvm_obstacle_check(&good, "/dev/ghvm", false, NULL), 0);
	assert_int_equal(ghvm_obstacle_check(&good, "/dev/ghvm", true, NULL), 0);
	assert_int_equal(ghvm_obstacle_check(&assigning, "/dev/ghvm", false, NULL), 0);
}

/* The module ends its texts; a broken one does not make this program read beyond them. */
static void texts_without_an_end_are_bounded(void **state)
{
	struct ghvm_info info = good;
	struct ghvm_error err = {};

	info.obstacle = GHVM_OBSTACLE_DRIVER;
	memset(info.driver, 'd', sizeof(info.driver));
	memset(info.device, 'e', sizeof(info.device));
	assert_int_equal(ghvm_obstacle_check(&info, "x", false, &err), -ENODEV);
	assert_non_null(strstr(err.msg, "/unbind"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_named_with_what_to_do),
		cmocka_unit_test(a_good_host_has_none),
		cmocka_unit_test(texts_without_an_end_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
