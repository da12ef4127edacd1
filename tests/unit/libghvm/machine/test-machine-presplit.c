/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trying out a LEND: both answers, when neither can be believed, and that nothing of it is
 * left whatever fails.
 */
#include "libghvm/machine/presplit-probe.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK GHVM_MIB(2)
#define PAGES GHVM_PRESPLIT_PAGES

/**
 * struct witness - a witness who is told what to see
 * @answer: of each look
 * @open_errno: of opening
 */
struct witness {
	struct bench *b;
	int answer[PAGES];
	int open_errno;
	unsigned int opened;
	unsigned int looks;
	unsigned int closed;
};

static int witness_open(void *data, const int memfds[PAGES])
{
	struct witness *w = data;
	struct stat st;

	for (size_t i = 0; i < PAGES; i++) {
		assert_int_equal(fstat(memfds[i], &st), 0);
		assert_int_equal(st.st_size, GHVM_PAGE);
	}
	assert_int_equal(fake_rm_pins(w->b->f), 0);
	w->opened++;
	return w->open_errno;
}

static int witness_look(void *data, size_t i)
{
	struct witness *w = data;
	struct model_counts c = fake_rm_counts(w->b->f);

	/* now is when it has to look */
	assert_int_equal(c.lent_pages, PAGES);
	assert_int_equal(fake_rm_guarded(w->b->f), PAGES);
	assert_int_equal(w->looks++, i);
	return w->answer[i];
}

static void witness_close(void *data)
{
	struct witness *w = data;

	w->closed++;
}

static int probe(struct bench *b, struct witness *w, struct ghvm_error *err)
{
	const struct ghvm_presplit_witness ops = { w, witness_open, witness_look, witness_close };

	w->b = b;
	w->looks = 0;
	return ghvm_presplit_probe(&b->f->host, b->rm, &ops, err);
}

/* The host's next pages are these, so many at each address. */
static void only_pages(struct bench *b, const uint64_t *pa, size_t n)
{
	memset(b->f->taken, 1, b->f->ram_size / GHVM_PAGE);
	for (size_t i = 0; i < n; i++)
		b->f->taken[(pa[i] - FAKE_RM_RAM_BASE) / GHVM_PAGE] = 0;
}

/* The last ones are for who looks for lost handles. */
static const uint64_t apart[PAGES + 2] = {
	FAKE_RM_RAM_BASE + GHVM_PAGE,	      FAKE_RM_RAM_BASE + 2 * GHVM_PAGE,
	FAKE_RM_RAM_BASE + BLOCK + GHVM_PAGE, FAKE_RM_RAM_BASE + 5 * BLOCK + GHVM_PAGE,
	FAKE_RM_RAM_BASE + 6 * BLOCK,	      FAKE_RM_RAM_BASE + 7 * BLOCK,
};

static void init(struct bench *b)
{
	bench_init(b, NULL);
	only_pages(b, apart, ARRAY_SIZE(apart));
}

static void nothing_is_seen(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct witness w = {};

	init(&b);
	assert_int_equal(probe(&b, &w, &err), 0);
	assert_int_equal(w.opened + w.closed, 2);
	assert_int_equal(w.looks, PAGES);
	assert_int_equal(fake_rm_leftovers(b.f), 0);
}

/* One that is still mapped is enough, whichever it is, and needs no fresh host. */
static void something_is_seen(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	init(&b);
	for (size_t i = 0; i < PAGES; i++) {
		struct witness w = {};

		w.answer[i] = 1;
		assert_int_equal(probe(&b, &w, &err), 1);
		assert_int_equal(fake_rm_leftovers(b.f), 0);
	}
}

static void parcels_before_spoil_it(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct witness w = {};

	init(&b);
	assert_int_equal(probe(&b, &w, &err), 0);
	assert_int_equal(probe(&b, &w, &err), -ENODATA);
	assert_non_null(strstr(err.msg, "parcels were made before"));
	assert_int_equal(fake_rm_leftovers(b.f), 0);
}

static void pages_that_lie_badly_spoil_it(void **state)
{
	static const uint64_t one_block[PAGES] = {
		FAKE_RM_RAM_BASE + 1 * GHVM_PAGE,
		FAKE_RM_RAM_BASE + 2 * GHVM_PAGE,
		FAKE_RM_RAM_BASE + 3 * GHVM_PAGE,
		FAKE_RM_RAM_BASE + 4 * GHVM_PAGE,
	};
	static const uint64_t at_a_base[PAGES] = {
		FAKE_RM_RAM_BASE + GHVM_PAGE,
		FAKE_RM_RAM_BASE + BLOCK,
		FAKE_RM_RAM_BASE + 2 * BLOCK + GHVM_PAGE,
		FAKE_RM_RAM_BASE + 3 * BLOCK + GHVM_PAGE,
	};
	const uint64_t *const bad[] = { one_block, at_a_base };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(bench_done) struct bench b;
		struct ghvm_error err = {};
		struct witness w = {};

		bench_init(&b, NULL);
		only_pages(&b, bad[i], PAGES);
		assert_int_equal(probe(&b, &w, &err), -ENODATA);
		assert_int_equal(fake_rm_leftovers(b.f), 0);
	}
}

static void a_witness_who_does_not_know(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct witness w = { .answer = { 1, 1, -ETIMEDOUT } };

	init(&b);
	assert_int_equal(probe(&b, &w, &err), -ETIMEDOUT);
	assert_int_equal(w.closed, 1);
	assert_int_equal(fake_rm_leftovers(b.f), 0);

	w = (struct witness){ .open_errno = -EPERM };
	assert_int_equal(probe(&b, &w, &err), -EPERM);
	assert_int_equal(w.opened + w.closed, 2);
	assert_int_equal(w.looks, 0);
	assert_int_equal(fake_rm_leftovers(b.f), 0);
}

/* Where lent pages are the firmware's business, no look is risked. */
static void not_where_firmware_watches(void **state)
{
	static const struct bench_options options = { .host = { .assigns = true } };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct witness w = {};
	size_t sent;

	bench_init(&b, &options);
	sent = b.f->n_sent;
	assert_int_equal(probe(&b, &w, &err), -EOPNOTSUPP);
	assert_int_equal(w.opened, 0);
	assert_int_equal(b.f->n_sent, sent);
}

/* The nth host call fails, for each n: an answer or an error, and nothing is left for good. */
static void any_host_call_may_fail(void **state)
{
	unsigned int failed = 0, n = 1;

	for (bool over = false; !over; n++) {
		_cleanup_(bench_done) struct bench b;
		struct ghvm_error err = {};
		struct witness w = {};
		int r;

		init(&b);
		b.f->fail_at = b.f->calls + n;
		r = probe(&b, &w, &err);
		over = b.f->fail_at > b.f->calls;
		failed += r < 0;
		assert_true(r <= 0);
		assert_int_equal(w.opened, w.closed);
		b.f->fail_at = 0;
		if (fake_rm_leftovers(b.f))
			assert_int_equal(bench_recover(&b, &err), 0);
		assert_int_equal(fake_rm_leftovers(b.f), 0);
	}
	printf("%u points, %u of them failed\n", n - 1, failed);
	assert_true(failed > 20);
}

static void rm_may_refuse(void **state)
{
	static const uint32_t ids[] = { GHVM_RM_VM_ALLOCATE, GHVM_RM_MEM_LEND, GHVM_RM_MEM_RECLAIM,
					GHVM_RM_VM_DEALLOCATE };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		_cleanup_(bench_done) struct bench b;
		struct ghvm_error err = {};
		struct witness w = {};

		init(&b);
		model_refuse(b.f->model, ids[i], GHVM_RM_DENIED, 0);
		assert_int_equal(probe(&b, &w, &err), -EREMOTEIO);
		assert_int_equal(err.rm_message, ids[i]);
		if (fake_rm_leftovers(b.f))
			assert_int_equal(bench_recover(&b, &err), 0);
		assert_int_equal(fake_rm_leftovers(b.f), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_seen),
		cmocka_unit_test(something_is_seen),
		cmocka_unit_test(parcels_before_spoil_it),
		cmocka_unit_test(pages_that_lie_badly_spoil_it),
		cmocka_unit_test(a_witness_who_does_not_know),
		cmocka_unit_test(not_where_firmware_watches),
		cmocka_unit_test(any_host_call_may_fail),
		cmocka_unit_test(rm_may_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
