/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory may be added at run time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "daemon/manager/instance/memory-quota.h"
#include "tests/unit/folder.h"

#define NONE UINT64_MAX

static int check(const struct allowance *a, const struct allowance_use *use, uint64_t bytes,
		 const char *figure)
{
	struct ghvm_error err = {};
	int r = allowance_check(a, use, bytes, &err);

	assert_int_equal(err.code, r);
	if (r < 0)
		assert_non_null(strstr(err.msg, figure));
	return r;
}

static void one_vm_has_half(void **state)
{
	const struct allowance a = { .memlock = NONE, .cgroup = NONE, .ram = 1000 };

	assert_int_equal(check(&a, &(struct allowance_use){}, 500, ""), 0);
	assert_int_equal(check(&a, &(struct allowance_use){}, 501, "of at most 500 added"),
			 -EDQUOT);
	assert_int_equal(check(&a, &(struct allowance_use){}, UINT64_MAX, "of at most 500 added"),
			 -EDQUOT);
	assert_int_equal(
		check(&a, &(struct allowance_use){ .added = 400, .vm_added = 400 }, 100, ""), 0);
	assert_int_equal(check(&a, &(struct allowance_use){ .added = 400, .vm_added = 400 }, 101,
			       "has 400 of at most"),
			 -EDQUOT);
}

static void all_have_it_together(void **state)
{
	const struct allowance a = { .memlock = NONE, .cgroup = 1000, .ram = NONE };

	assert_int_equal(check(&a, &(struct allowance_use){ .added = 800 }, 200, ""), 0);
	assert_int_equal(check(&a, &(struct allowance_use){ .added = 800 }, 201,
			       "this host has 800 of at most 1000 added bytes"),
			 -EDQUOT);
}

static void what_guests_began_with_is_locked_too(void **state)
{
	const struct allowance a = { .memlock = 1000, .cgroup = NONE, .ram = NONE };

	assert_int_equal(check(&a, &(struct allowance_use){ .pinned = 600 }, 200, ""), 0);
	assert_int_equal(check(&a, &(struct allowance_use){ .pinned = 600 }, 201,
			       "virtual machine has 0 of at most 200 added"),
			 -EDQUOT);
	/* what was added counts once */
	assert_int_equal(check(&a, &(struct allowance_use){ .pinned = 800, .added = 200 }, 200, ""),
			 0);
	assert_int_equal(
		check(&a, &(struct allowance_use){ .pinned = 2000 }, 1, "of at most 0 added"),
		-EDQUOT);
}

static void no_limit_is_none(void **state)
{
	const struct allowance a = { .memlock = NONE, .cgroup = NONE, .ram = NONE };

	assert_int_equal(check(&a, &(struct allowance_use){ .pinned = 1 }, NONE / 2, ""), 0);
}

static void limits_are_read(void **state)
{
	struct rlimit was, l;
	struct allowance a;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &was), 0);
	l = was;
	l.rlim_cur = 12288;
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &l), 0);
	allowance_read(true, &a);
	assert_int_equal(a.memlock, 12288);
	assert_true(a.ram > 0 && a.ram < NONE);
	assert_true(a.cgroup > 0);
	allowance_read(false, &a);
	assert_true(a.memlock == NONE);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &was), 0);
}

static void assert_no_room(const struct ghvm_room_sources *from, uint64_t bytes, int want,
			   const char *figure)
{
	struct ghvm_error err = {};

	assert_int_equal(allowance_room(from, bytes, &err), want);
	if (!strstr(err.msg, figure))
		fail_msg("\"%s\" is not in \"%s\"", figure, err.msg);
}

/* A machine that is only files: 100 MiB are free, and our slice has 60 of 512 left. */
static void what_is_free_is_asked_now(void **state)
{
	char dir[FOLDER_SIZE];
	struct ghvm_room_sources from = { dir, dir };
	struct ghvm_error err = {};

	folder_make(dir);
	folder_put(dir, "meminfo", "MemTotal: 1 kB\nMemAvailable:  102400 kB\n");
	folder_put(dir, "self/cgroup", "0::/a.slice/gunyah-vmd.service\n");
	assert_int_equal(allowance_room(&from, 64 << 20, &err), 0);
	assert_no_room(&from, 100 << 20, -ENOSPC, "takes 103 MiB, the host has 100 MiB available");

	folder_put(dir, "fs/cgroup/a.slice/memory.max", "536870912\n");
	folder_put(dir, "fs/cgroup/a.slice/memory.current", "473956352\n");
	assert_int_equal(allowance_room(&from, 32 << 20, &err), 0);
	assert_no_room(&from, 64 << 20, -ENOSPC,
		       "MemoryMax= of a.slice leaves 60 of 512 MiB: raise it, or add less");
	assert_no_room(&from, 512 << 20, -EDQUOT, "leaves 60 of 512");
	folder_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_vm_has_half),
		cmocka_unit_test(all_have_it_together),
		cmocka_unit_test(what_guests_began_with_is_locked_too),
		cmocka_unit_test(no_limit_is_none),
		cmocka_unit_test(limits_are_read),
		cmocka_unit_test(what_is_free_is_asked_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
