/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room for a guest's memory, on machines that are only files.
 */
#include "daemon/prepare/room.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT "/fs/cgroup/machine.slice/gunyah-vm@demo.service"
#define POOL "/kernel/mm/hugepages/hugepages-2048kB"

struct machine {
	char dir[FOLDER_SIZE];
	char proc[64];
	char sys[64];
	struct ghvm_room_sources from;
};

/* 8 GiB available, the unit may have 512 MiB and uses 12, its slice is not limited. */
static int set_up(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));

	folder_make(m->dir);
	(void)snprintf(m->proc, sizeof(m->proc), "%s/proc", m->dir);
	(void)snprintf(m->sys, sizeof(m->sys), "%s/sys", m->dir);
	m->from = (struct ghvm_room_sources){ m->proc, m->sys };
	folder_put(m->proc, "/meminfo",
		   "MemTotal:       16000000 kB\nMemFree:         1000 kB\nMemAvailable:    "
		   "8388608 kB\n");
	folder_put(m->proc, "/self/cgroup",
		   "1:name=systemd:/\n0::/machine.slice/gunyah-vm@demo.service\n");
	folder_put(m->sys, UNIT "/memory.max", "536870912\n");
	folder_put(m->sys, UNIT "/memory.current", "12582912\n");
	folder_put(m->sys, UNIT "/memory.stat", "anon 4096\ninactive_file 0\nactive_file 0\n");
	folder_put(m->sys, "/fs/cgroup/machine.slice/memory.max", "max\n");
	folder_put(m->sys, "/fs/cgroup/machine.slice/memory.current", "12582912\n");
	folder_put(m->sys, POOL "/free_hugepages", "20\n");
	folder_put(m->sys, POOL "/resv_hugepages", "8\n");
	folder_put(m->sys, POOL "/nr_overcommit_hugepages", "5\n");
	folder_put(m->sys, POOL "/surplus_hugepages", "1\n");
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	struct machine *m = *state;

	folder_remove(m->dir);
	free(m);
	return 0;
}

static int ask(struct machine *m, uint64_t pages, struct ghvm_error *err)
{
	const struct room_want want = { .pages = pages };

	return room_check(&m->from, &want, err);
}

static void there_is_room(void **state)
{
	struct ghvm_error err = {};

	assert_int_equal(ask(*state, GHVM_MIB(256), &err), 0);
	assert_int_equal(ask(*state, 0, &err), 0);
}

static void the_units_limit_is_named(void **state)
{
	struct machine *m = *state;
	struct ghvm_error err = {};

	/* it would fit in an empty unit */
	assert_int_equal(ask(m, GHVM_MIB(500), &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "takes 506 MiB")); /* with page tables */
	assert_non_null(strstr(err.msg, "leaves 500 of 512 MiB"));
	assert_non_null(strstr(err.msg, "MemoryMax= of gunyah-vm@demo.service"));

	/* it would not */
	assert_int_equal(ask(m, GHVM_MIB(512), &err), -EDQUOT);
	assert_int_equal(ask(m, UINT64_MAX, &err), -EDQUOT);
}

/* What is cached is given up before anybody is killed. */
static void cached_files_do_not_count(void **state)
{
	struct machine *m = *state;

	folder_put(m->sys, UNIT "/memory.current", "400000000\n");
	assert_int_equal(ask(m, GHVM_MIB(256), NULL), -ENOSPC);
	folder_put(m->sys, UNIT "/memory.stat", "inactive_file 200000000\nactive_file 190000000\n");
	assert_int_equal(ask(m, GHVM_MIB(256), NULL), 0);
	folder_put(m->sys, UNIT "/memory.stat",
		   "inactive_file 900000000\n"); /* it has moved on since */
	assert_int_equal(ask(m, GHVM_MIB(256), NULL), 0);
}

static void limits_above_the_unit_count(void **state)
{
	struct machine *m = *state;
	struct ghvm_error err = {};

	folder_put(m->sys, "/fs/cgroup/machine.slice/memory.max", "314572800\n");
	folder_put(m->sys, "/fs/cgroup/machine.slice/memory.current", "104857600\n");
	assert_int_equal(ask(m, GHVM_MIB(256), &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "MemoryMax= of machine.slice leaves 200 of 300 MiB"));
	folder_put(m->sys, "/fs/cgroup/machine.slice/memory.current", "524288000\n"); /* over it */
	assert_int_equal(ask(m, GHVM_MIB(1), &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "leaves 0 of 300 MiB"));
}

/* Above it a start would stand still until its time-out, without a word. */
static void memory_high_is_a_limit(void **state)
{
	struct machine *m = *state;
	struct ghvm_error err = {};

	folder_put(m->sys, UNIT "/memory.high", "268435456\n");
	assert_int_equal(ask(m, GHVM_MIB(300), &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "MemoryHigh= of gunyah-vm@demo.service leaves 244 of 256"));
	folder_put(m->sys, UNIT "/memory.high", "max\n");
	assert_int_equal(ask(m, GHVM_MIB(300), &err), 0);
	folder_put(m->sys, "/fs/cgroup/machine.slice/memory.high", "134217728\n");
	assert_int_equal(ask(m, GHVM_MIB(300), &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "MemoryHigh= of machine.slice"));
	folder_put(m->sys, "/fs/cgroup/machine.slice/memory.high", "1073741824\n");
	folder_put(m->sys, UNIT "/memory.high", "1073741824\n"); /* higher than memory.max */
	assert_int_equal(ask(m, GHVM_MIB(600), &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "MemoryMax= of gunyah-vm@demo.service"));
}

/* The pool has them, but not for us. */
static void huge_pages_have_limits_in_a_cgroup(void **state)
{
	struct machine *m = *state;
	struct room_want want = { .pool_2m = GHVM_MIB(16) };
	struct ghvm_error err = {};

	folder_put(m->sys, UNIT "/hugetlb.2MB.max", "16777216\n");
	folder_put(m->sys, UNIT "/hugetlb.2MB.current", "0\n");
	folder_put(m->sys, "/fs/cgroup/machine.slice/hugetlb.2MB.rsvd.max", "max\n");
	folder_put(m->sys, "/fs/cgroup/machine.slice/hugetlb.2MB.rsvd.current", "0\n");
	assert_int_equal(room_check(&m->from, &want, &err), 0);
	folder_put(m->sys, UNIT "/hugetlb.2MB.current", "4194304\n");
	assert_int_equal(room_check(&m->from, &want, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "16 MiB of huge pages, hugetlb.2MB.max of the cgroup "
					"gunyah-vm@demo.service leaves 12 of 16 MiB"));
	folder_put(m->sys, "/fs/cgroup/machine.slice/hugetlb.2MB.rsvd.max", "8388608\n");
	assert_int_equal(room_check(&m->from, &want, &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "hugetlb.2MB.rsvd.max of the cgroup machine.slice"));
	want = (struct room_want){ .pool_1g = GHVM_GIB(1) };
	folder_put(m->sys, UNIT "/hugetlb.1GB.max", "0\n");
	folder_put(m->sys, UNIT "/hugetlb.1GB.current", "0\n");
	assert_int_equal(room_check(&m->from, &want, &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "hugetlb.1GB.max"));
}

static void free_memory_counts(void **state)
{
	struct machine *m = *state;
	struct ghvm_error err = {};

	folder_put(m->proc, "/meminfo", "MemTotal: 16000000 kB\nMemAvailable:     102400 kB\n");
	assert_int_equal(ask(m, GHVM_MIB(100), &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "takes 103 MiB, the host has 100 MiB available"));
	assert_int_equal(ask(m, GHVM_MIB(90), &err), 0);
}

static void what_is_not_told_is_not_checked(void **state)
{
	static const char *const cgroups[] = {
		"",	   "4:memory:/somewhere\n", "0::/../outside\n", "0::/nowhere\n", "0::/\n",
		"garbage",
	};
	struct machine *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cgroups); i++) {
		folder_put(m->proc, "/self/cgroup", cgroups[i]);
		assert_int_equal(ask(m, GHVM_GIB(4), NULL), 0);
	}
	folder_put(m->proc, "/meminfo", "");
	assert_int_equal(ask(m, GHVM_GIB(400), NULL), 0);
	m->from.proc = "/nonexistent";
	m->from.sys = "/nonexistent";
	assert_int_equal(ask(m, GHVM_GIB(400), NULL), 0);
}

/* 20 free, of which 8 are promised, and 4 more than the pool has may be made. */
static void pools_of_huge_pages(void **state)
{
	struct machine *m = *state;
	struct room_want want = { .pool_2m = GHVM_MIB(32) };
	struct ghvm_error err = {};

	assert_int_equal(room_check(&m->from, &want, &err), 0);
	want.pool_2m = GHVM_MIB(34);
	assert_int_equal(room_check(&m->from, &want, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "17 huge pages of 2 MiB, the pool has 16 free"));
	assert_non_null(strstr(err.msg, "nr_hugepages"));
	folder_put(m->sys, POOL "/nr_overcommit_hugepages", "0\n");
	want.pool_2m = GHVM_MIB(26);
	assert_int_equal(room_check(&m->from, &want, &err), -ENOSPC);
	want.pool_2m = 0;
	want.pool_1g = GHVM_GIB(1);
	assert_int_equal(room_check(&m->from, &want, &err), 0); /* no such pool: memfd says so */
	want.pool_2m = GHVM_GIB(8); /* not what the unit is limited in */
	folder_put(m->sys, POOL "/free_hugepages", "5000\n");
	assert_int_equal(room_check(&m->from, &want, &err), 0);
}

/* On this machine a page is always to be had. */
static void this_machine(void **state)
{
	const struct ghvm_room_sources from = ghvm_room_sources_default();
	struct room_want want = { .pages = GHVM_PAGE };
	struct ghvm_error err = {};

	assert_int_equal(room_check(&from, &want, &err), 0);
	want.pages = 1ULL << 60;
	assert_true(room_check(&from, &want, &err) < 0);
}

#define ROOM_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOM_TEST(there_is_room),
		ROOM_TEST(the_units_limit_is_named),
		ROOM_TEST(cached_files_do_not_count),
		ROOM_TEST(limits_above_the_unit_count),
		ROOM_TEST(memory_high_is_a_limit),
		ROOM_TEST(huge_pages_have_limits_in_a_cgroup),
		ROOM_TEST(free_memory_counts),
		ROOM_TEST(what_is_not_told_is_not_checked),
		ROOM_TEST(pools_of_huge_pages),
		cmocka_unit_test(this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
