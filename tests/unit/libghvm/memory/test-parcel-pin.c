/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a parcel believes of its pin, and what it says when there is none. */
#include "libghvm/memory/parcel.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static int memory(uint64_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void init(struct bench *b, struct ghvm_parcel *p)
{
	const struct ghvm_parcel_config config = { .name = "test",
						   .vm_name = "demo",
						   .ipa = GHVM_GIB(2),
						   .lend = true,
						   .rights = ghvm_parcel_rights(0, true, false) };

	ghvm_parcel_init(p, &b->f->host, b->rm, &b->ledger, &config);
}

static struct ghvm_extent lie[4];
static int lie_n;
static struct ghvm_pin_status lie_status;

static int lying_extents(struct ghvm_host *h, int pin, uint64_t first, struct ghvm_extent *ret,
			 uint32_t count)
{
	if (lie_n > 0)
		memcpy(ret, lie,
		       sizeof(lie[0]) * ((uint32_t)lie_n < count ? (uint32_t)lie_n : count));
	return lie_n;
}

static int lying_status(struct ghvm_host *h, int pin, struct ghvm_pin_status *ret)
{
	*ret = lie_status;
	return 0;
}

static void believes_no_nonsense_about_a_pin(void **state)
{
	static const struct {
		uint64_t length, n_extents;
		int n;
		struct ghvm_extent v[2];
	} lies[] = {
		{ 0x2000, 2, 2, { { 0x80000000, 0x1000 }, { 0x80002000, 0x2000 } } }, /* too much */
		{ 0x2000, 2, 2, { { 0x80000000, 0x1000 }, { 0x80002000, 0 } } },
		{ 0x2000, 1, 1, { { 0x80000000, 0x1000 } } }, /* too little */
		{ 0x2000, 1, 1, { { 0x80000800, 0x2000 } } },
		{ 0x2000, 1, 1, { { 0x80000000, 0x1800 } } },
		{ 0x2000, 2, 2, { { 0x1000, ~0xfffULL }, { 0x80000000, 0x3000 } } }, /* wraps */
		{ 0x2000, 1, 0, {} },
		{ 0x2000, 1, 2, { { 0x80000000, 0x2000 } } }, /* more than asked for */
		{ 0x1000, 1, 1, { { 0x80000000, 0x1000 } } }, /* another length */
		{ 0x2000, 0, 1, {} },
		{ 0x2000, 3, 1, {} }, /* more than pages */
		{ 0, 0, 1, {} },
	};
	struct ghvm_host_ops ops; /* outlives the bench, which unbinds by it */
	_cleanup_(closep) int fd = memory(2 * GHVM_PAGE);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, NULL);
	init(&b, &p);
	ops = *b.f->host.ops;
	ops.pin_status = lying_status;
	ops.pin_extents = lying_extents;
	b.f->host.ops = &ops;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		lie_status = (struct ghvm_pin_status){ .length = lies[i].length,
						       .n_extents = lies[i].n_extents };
		lie_n = lies[i].n;
		memcpy(lie, lies[i].v, sizeof(lies[i].v));
		assert_int_equal(ghvm_parcel_pin(&p, fd, 2 * GHVM_PAGE, NULL), -EBADMSG);
		assert_int_equal(fake_rm_pins(b.f), 0);
		assert_int_equal(p.state, GHVM_PARCEL_UNPINNED);
	}
	bench_assert_clean(&b);
}

static int refused_pin;

static int refusing_pin(struct ghvm_host *h, int memfd, uint64_t offset, uint64_t length,
			bool readonly)
{
	return refused_pin;
}

static void says_why_memory_was_not_pinned(void **state)
{
	static const struct {
		int module, code;
		const char *text;
	} cases[] = {
		{ -ENOMEM, -ENOMEM, "raise LimitMEMLOCK= of gunyah-vmd.service" },
		{ -E2BIG, -E2BIG, "huge pages make fewer: memory.hugepages" },
		{ -EOPNOTSUPP, -EFAULT, "on tmpfs or hugetlbfs" },
		{ -EIO, -EIO, "cannot pin 8 KiB: Input/output error" },
	};
	struct ghvm_host_ops ops; /* outlives the bench, which unbinds by it */
	_cleanup_(closep) int fd = memory(2 * GHVM_PAGE);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err;
	struct ghvm_parcel p;

	bench_init(&b, NULL);
	init(&b, &p);
	ops = *b.f->host.ops;
	ops.pin = refusing_pin;
	b.f->host.ops = &ops;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		refused_pin = cases[i].module;
		assert_int_equal(ghvm_parcel_pin(&p, fd, 2 * GHVM_PAGE, &err), cases[i].code);
		if (!strstr(err.msg, cases[i].text))
			fail_msg("\"%s\" is not in \"%s\"", cases[i].text, err.msg);
		assert_int_equal(p.state, GHVM_PARCEL_UNPINNED);
	}
	bench_assert_clean(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(believes_no_nonsense_about_a_pin),
		cmocka_unit_test(says_why_memory_was_not_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
