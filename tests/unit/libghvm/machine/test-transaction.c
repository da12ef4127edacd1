/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regions that come and go while the guest runs, against the model's RM: what works, what is
 * refused, and who looks on. The fake watches each page (tests/fakes/rm.h).
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/machine/orphans.h"
#include "tests/fixtures/region.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what works ---- */

static void comes_and_goes(void **state)
{
	struct ghvm_machine_region r;
	struct ghvm_transaction *t;
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	t = regions_begin(&b);
	regions_add(t, 7);
	assert_int_equal(regions_look(&b, 7).size, 0);
	regions_commit(t);
	ghvm_transaction_free(t);

	r = regions_look(&b, 7);
	assert_int_equal(r.ipa, regions_place(7));
	assert_int_equal(r.size, REGIONS_SIZE);
	assert_true(r.added && r.accepted && !r.lent && !r.readonly && !r.removing);
	assert_int_equal(fake_rm_counts(b.f).parcels, 3);
	assert_int_equal(fake_rm_guarded(b.f), 3);
	assert_int_equal(ghvm_machine_pages_shared(b.m), 4 + 3);
	regions_assert_count(&b, 3);

	t = regions_begin(&b);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), 0);
	assert_true(regions_look(&b, 7).removing);
	regions_commit(t);
	ghvm_transaction_free(t);
	assert_int_equal(regions_look(&b, 7).size, 0);
	assert_int_equal(fake_rm_counts(b.f).parcels, 2);
	assert_int_equal(fake_rm_pins(b.f), 2);
	regions_end(&b);
}

static void many_at_once(void **state)
{
	struct ghvm_transaction *t;
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	for (uint32_t label = 10; label < 18; label++)
		regions_must_change(&b, label, 0);
	t = regions_begin(&b);
	for (uint32_t label = 10; label < 18; label++) {
		assert_int_equal(ghvm_transaction_remove(t, label, NULL), 0);
		regions_add(t, label + 100);
	}
	regions_commit(t);
	regions_add(t, 7); /* it is empty again, and may be used */
	regions_commit(t);
	ghvm_transaction_free(t);
	for (uint32_t label = 10; label < 18; label++) {
		assert_false(regions_there(&b, label));
		assert_true(regions_look(&b, label + 100).accepted);
	}
	assert_true(regions_there(&b, 7));
	regions_assert_count(&b, 2 + 8 + 1);
	regions_end(&b);
}

/* Populated before it is pinned, to get huge pages; not if huge pages are off. */
static void memory_is_there_before_it_is_pinned(void **state)
{
	static const enum ghvm_hugepages kinds[] = { GHVM_HUGEPAGES_AUTO, GHVM_HUGEPAGES_NEVER };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_(closep) int fd = regions_memfd(REGIONS_SIZE, REGIONS_SEALS);
		const struct ghvm_transaction_add a = {
			.label = 7, .ipa = regions_place(7), .size = REGIONS_SIZE, .memfd = fd
		};
		struct ghvm_transaction *t;
		struct stat st;
		struct bench b;

		regions_setup(&b, BENCH_GUEST_SERVES);
		b.demo.spec.hugepages = kinds[i];
		t = regions_begin(&b);
		assert_int_equal(ghvm_transaction_add(t, &a, NULL), 0);
		regions_commit(t);
		ghvm_transaction_free(t);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_blocks * 512,
				 kinds[i] == GHVM_HUGEPAGES_NEVER ? 0 : REGIONS_SIZE);
		regions_end(&b);
	}
}

static void a_transaction_that_is_dropped_has_done_nothing(void **state)
{
	struct ghvm_transaction *t;
	struct bench b;
	size_t sent;

	regions_setup(&b, BENCH_GUEST_SERVES);
	regions_must_change(&b, 7, 0);
	sent = b.f->n_sent;
	t = regions_begin(&b);
	regions_add(t, 8);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), 0);
	ghvm_transaction_free(t);
	assert_int_equal(b.f->n_sent, sent);
	assert_true(regions_there(&b, 7));
	regions_assert_count(&b, 3);
	regions_must_change(&b, 8, 7); /* nothing is reserved any more */
	regions_end(&b);
}

static void says_what_it_would_do(void **state)
{
	struct ghvm_transaction *t;
	struct bench b;
	char *json;

	regions_setup(&b, BENCH_GUEST_SERVES);
	regions_must_change(&b, 7, 0);
	t = regions_begin(&b);
	regions_add(t, 8);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), 0);
	json = ghvm_transaction_to_json(t);
	assert_string_equal(
		json,
		"{\"version\":1,"
		"\"add\":[{\"label\":8,\"ipa\":1342701568,\"size\":12288,\"readonly\":false}],"
		"\"remove\":[{\"label\":7,\"ipa\":1342636032,\"size\":12288,\"readonly\":false}],"
		"\"steps\":[{\"step\":\"PIN\",\"label\":8},"
		"{\"step\":\"SHARE\",\"label\":8,"
		"\"messages\":[{\"message\":\"MEM_SHARE\",\"count\":[1,1]}]},"
		"{\"step\":\"RECALL\",\"label\":7,"
		"\"messages\":[{\"message\":\"MEM_NOTIFY\",\"count\":[1,1]}]},"
		"{\"step\":\"RECLAIM\",\"label\":7,"
		"\"messages\":[{\"message\":\"MEM_RECLAIM\",\"count\":[2,2]}]},"
		"{\"step\":\"TELL\",\"label\":8,"
		"\"messages\":[{\"message\":\"MEM_NOTIFY\",\"count\":[1,1]}]},"
		"{\"step\":\"UNPIN\",\"label\":7}]}\n");
	free(json);
	ghvm_transaction_free(t);
	regions_end(&b);
}

/* One message of each kind, but for so many MEM_APPENDs; GET_STATE changes nothing. */
static void assert_trace_is_planned(const struct bench *b, size_t from,
				    const struct ghvm_plan_message *v, size_t n, uint64_t appends)
{
	size_t at = from;

	for (size_t i = 0; i < n; i++) {
		uint64_t count = 0;

		for (; at < b->f->n_sent; at++) {
			if (b->f->sent[at] == GHVM_RM_VM_GET_STATE)
				continue;
			if (b->f->sent[at] != v[i].id || count == v[i].most)
				break;
			count++;
		}
		assert_in_range(count, v[i].least, v[i].most);
		if (v[i].id == GHVM_RM_MEM_APPEND)
			assert_int_equal(count, appends);
	}
	assert_int_equal(at, b->f->n_sent);
}

#define MANY_PAGES 150 /* three messages if each is an entry */

/* What is printed is what runs, also where one message does not hold all entries. */
static void does_what_it_says(void **state)
{
	static const unsigned int chunks[] = { 0, 2, 1 };
	static const uint64_t appends[] = { 0, 1, 2 };

	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		_cleanup_(closep) int fd = regions_memfd(MANY_PAGES * GHVM_PAGE, REGIONS_SEALS);
		const struct ghvm_transaction_add many = { .label = 9,
							   .ipa = regions_place(9),
							   .size = MANY_PAGES * GHVM_PAGE,
							   .memfd = fd };
		struct ghvm_plan_message v[GHVM_TRANSACTION_MESSAGES_MAX];
		struct ghvm_transaction *t;
		struct bench b;
		size_t n, sent;

		regions_setup(&b, BENCH_GUEST_SERVES);
		regions_must_change(&b, 7, 0);
		assert_true(regions_look(&b, 7).accepted);
		b.f->chunk_pages = chunks[i];
		t = regions_begin(&b);
		assert_int_equal(ghvm_transaction_add(t, &many, NULL), 0);
		assert_int_equal(ghvm_transaction_remove(t, 7, NULL), 0);
		n = ghvm_transaction_messages(t, v);
		assert_int_equal(n, 5);
		assert_int_equal(v[1].most, 2);
		sent = b.f->n_sent;
		regions_commit(t);
		assert_trace_is_planned(&b, sent, v, n, appends[i]);
		ghvm_transaction_free(t);
		regions_end(&b);
	}
}

/* ---- what is refused ---- */

static void only_a_linked_guest_that_runs_takes_them(void **state)
{
	static const struct bench_options plain = { .demo = { .memory = REGIONS_RAM } };
	_cleanup_(freep) struct ghvm_orphan *orphans = NULL;
	struct ghvm_transaction *t = NULL, *other;
	struct ghvm_machine *adopted;
	size_t n;
	struct bench b;

	bench_init(&b, &plain);
	assert_int_equal(bench_run(&b, NULL), 0);
	assert_int_equal(ghvm_transaction_new(b.m, &t, NULL), -EOPNOTSUPP);
	assert_false(fake_rm_counts(b.f).rm_dead);
	regions_end(&b);

	bench_init(&b, &regions_options);
	assert_int_equal(ghvm_transaction_new(b.m, &t, NULL), -EBUSY);
	assert_int_equal(ghvm_machine_build(b.m, &b.demo.files, NULL, NULL), 0);
	assert_int_equal(ghvm_transaction_new(b.m, &t, NULL), -EBUSY);
	assert_int_equal(ghvm_machine_start(b.m, NULL), 0);
	assert_int_equal(ghvm_transaction_new(b.m, &t, NULL), 0);
	assert_int_equal(ghvm_transaction_new(b.m, &other, NULL), -EALREADY);
	ghvm_transaction_free(t);

	/* left by another process: it is unknown whether it is regions_options */
	ghvm_machine_free(TAKE_PTR(b.m));
	ghvm_ledger_done(&b.ledger);
	ghvm_ledger_init(&b.ledger, ghvm_quirks_unknown());
	assert_int_equal(ghvm_orphans_list(&b.f->host, &orphans, &n, NULL), 0);
	assert_int_equal(
		ghvm_machine_adopt(&b.f->host, b.rm, &b.ledger, NULL, orphans, n, &adopted, NULL),
		0);
	assert_int_equal(ghvm_machine_carry_on(adopted, NULL), 0);
	assert_int_equal(ghvm_transaction_new(adopted, &t, NULL), -EOPNOTSUPP);
	b.m = adopted;
	regions_assert_count(&b, 2);
	regions_end(&b);
}

static void bad_places(void **state)
{
	static const struct {
		uint32_t label;
		uint64_t ipa;
		uint64_t size;
		int error;
	} v[] = {
		{ GHVM_LABEL_RAM, REGIONS_IPA, REGIONS_SIZE, -EINVAL },
		{ GHVM_LABEL_PROBE, REGIONS_IPA, REGIONS_SIZE, -EINVAL },
		{ UINT32_MAX, REGIONS_IPA, REGIONS_SIZE, -EINVAL },
		{ 7, 0, REGIONS_SIZE, -EINVAL },
		{ 7, GHVM_IPA_UART, REGIONS_SIZE, -EINVAL },
		{ 7, GHVM_IPA_DEVICES, REGIONS_SIZE, -EINVAL },
		{ 7, GHVM_IPA_GICR, REGIONS_SIZE, -EINVAL },
		{ 7, GHVM_IPA_GICD, REGIONS_SIZE, -EINVAL },
		{ 7, GHVM_IPA_REGIONS - 0x1000, REGIONS_SIZE, -EINVAL },
		{ 7, REGIONS_IPA + 0x800, REGIONS_SIZE, -EINVAL },
		{ 7, REGIONS_IPA, 0, -EINVAL },
		{ 7, REGIONS_IPA, 0x800, -EINVAL },
		{ 7, REGIONS_IPA, 0x1001, -EINVAL },
		{ 7, GHVM_IPA_END, REGIONS_SIZE, -EOVERFLOW },
		{ 7, GHVM_IPA_END - 0x1000, REGIONS_SIZE, -EOVERFLOW },
		{ 7, UINT64_MAX - 0xfff, REGIONS_SIZE, -EOVERFLOW },
		{ 7, GHVM_IPA_RAM, REGIONS_SIZE, -EEXIST },
		{ 7, GHVM_IPA_RAM - 0x1000, REGIONS_SIZE, -EEXIST },
		{ 7, GHVM_IPA_RAM + REGIONS_RAM - 0x1000, REGIONS_SIZE, -EEXIST },
		{ 7, GHVM_IPA_PLACED, REGIONS_SIZE, -EEXIST },
		{ DEMO_WINDOW_LABEL, REGIONS_IPA, REGIONS_SIZE, -EEXIST },
		{ 9, REGIONS_IPA, REGIONS_SIZE, -EEXIST }, /* as this transaction adds it */
		{ 7, REGIONS_IPA + 0x90000, REGIONS_SIZE, -EEXIST },
	};
	struct ghvm_transaction *t;
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	t = regions_begin(&b);
	regions_add(t, 9);
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		_cleanup_(closep) int fd = regions_memfd(REGIONS_SIZE, REGIONS_SEALS);
		const struct ghvm_transaction_add a = {
			.label = v[i].label, .ipa = v[i].ipa, .size = v[i].size, .memfd = fd
		};
		struct ghvm_error err = {};
		int r = ghvm_transaction_add(t, &a, &err);

		if (r != v[i].error)
			fail_msg("case %zu: %d, %s", i, r, err.msg);
		assert_true(err.msg[0]);
	}
	regions_commit(t);
	ghvm_transaction_free(t);
	regions_assert_count(&b, 3);
	regions_end(&b);
}

/* Such memory is for guests that only read; its content stays. */
static void sealed_memory_is_read(void **state)
{
	static const unsigned int seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE };

	for (size_t i = 0; i < ARRAY_SIZE(seals); i++) {
		_cleanup_(closep) int fd = regions_memfd(REGIONS_SIZE, REGIONS_SEALS);
		struct ghvm_transaction_add a = {
			.label = 7, .ipa = REGIONS_IPA, .size = REGIONS_SIZE, .memfd = fd
		};
		struct ghvm_error err = {};
		struct ghvm_transaction *t;
		uint8_t back[5] = {};
		struct bench b;

		assert_int_equal(pwrite(fd, "words", 5, 0), 5);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
		regions_setup(&b, BENCH_GUEST_SERVES);
		t = regions_begin(&b);
		assert_int_equal(ghvm_transaction_add(t, &a, &err), -EPERM);
		assert_non_null(strstr(err.msg, "sealed against writing"));
		a.readonly = true;
		assert_int_equal(ghvm_transaction_add(t, &a, NULL), 0);
		regions_commit(t);
		ghvm_transaction_free(t);
		assert_true(regions_look(&b, 7).readonly);
		assert_int_equal(pread(fd, back, 5, 0), 5);
		assert_memory_equal(back, "words", 5);
		regions_end(&b);
	}
}

static void bad_memory(void **state)
{
	int fds[] = { -1,
		      open("/dev/null", O_RDWR | O_CLOEXEC),
		      open("/proc/self/status", O_RDONLY | O_CLOEXEC),
		      regions_memfd(REGIONS_SIZE, 0),
		      regions_memfd(REGIONS_SIZE, F_SEAL_SHRINK),
		      regions_memfd(REGIONS_SIZE, F_SEAL_GROW),
		      regions_memfd(REGIONS_SIZE - 1, REGIONS_SEALS),
		      regions_memfd(0, REGIONS_SEALS) };
	static const int errors[] = {
		-EBADF, -EBADF, -EBADF, -EPERM, -EPERM, -EPERM, -E2BIG, -E2BIG
	};
	struct ghvm_transaction *t;
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	t = regions_begin(&b);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		const struct ghvm_transaction_add a = {
			.label = 7, .ipa = REGIONS_IPA, .size = REGIONS_SIZE, .memfd = fds[i]
		};
		struct ghvm_error err = {};
		int r = ghvm_transaction_add(t, &a, &err);

		if (r != errors[i])
			fail_msg("case %zu: %d, %s", i, r, err.msg);
	}
	regions_add(t, 7); /* none of them has left a reservation */
	ghvm_transaction_free(t);
	regions_end(&b);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		closep(&fds[i]);
}

static void bad_removals(void **state)
{
	struct ghvm_transaction *t;
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	regions_must_change(&b, 7, 0);
	t = regions_begin(&b);
	regions_add(t, 8);
	assert_int_equal(ghvm_transaction_remove(t, 77, NULL), -ENOENT);
	assert_int_equal(ghvm_transaction_remove(t, GHVM_LABEL_RAM, NULL), -EPERM);
	assert_int_equal(ghvm_transaction_remove(t, DEMO_WINDOW_LABEL, NULL), -EPERM);
	assert_int_equal(ghvm_transaction_remove(t, 8, NULL), -EBUSY);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), 0);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), -EBUSY);
	for (uint32_t label = 20; label < 20 + GHVM_TRANSACTION_CHANGES_MAX - 2; label++)
		regions_add(t, label);
	assert_int_equal(regions_try_add(t, 50, NULL), -E2BIG);
	assert_int_equal(ghvm_transaction_remove(t, 7, NULL), -E2BIG);
	ghvm_transaction_free(t);
	regions_assert_count(&b, 3);
	regions_end(&b);
}

/* Memory in more pieces than the host has entries left for: with the figures. */
static void over_the_budget(void **state)
{
	struct bench_options o = regions_options;
	struct ghvm_quirks small = *ghvm_quirks_unknown();
	struct ghvm_error err = {};
	struct ghvm_ledger_figures g;
	struct bench b;

	o.host.chunk_pages = 1;
	bench_init(&b, &o);
	assert_int_equal(bench_run(&b, NULL), 0);
	ghvm_ledger_figures(&b.ledger, &g);
	small.v[GHVM_QUIRK_ENTRIES].value = g.entries + 5; /* 3 pages each */
	ghvm_ledger_set_quirks(&b.ledger, &small);
	b.guest_does = BENCH_GUEST_SERVES;
	regions_must_change(&b, 7, 0);
	assert_int_equal(regions_change(&b, 8, 7, REGIONS_MS, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "it needs 3 of the resource manager's"));
	assert_true(regions_there(&b, 7) && regions_look(&b, 7).accepted);
	assert_false(regions_there(&b, 8));
	assert_int_equal(b.guest.recalls, 0); /* it did not notice */
	regions_must_change(&b, 0, 7);
	regions_end(&b);
}

/* ---- other threads ---- */

struct onlooker {
	struct bench *b;
	atomic_bool stop;
	atomic_ullong seen;
};

static void *look_on(void *data)
{
	struct onlooker *o = data;

	while (!atomic_load(&o->stop)) {
		struct ghvm_machine_region v[32];
		size_t n = ghvm_machine_regions(o->b->m, v, ARRAY_SIZE(v));

		for (size_t i = 1; i < n; i++)
			assert_true(v[i - 1].ipa + v[i - 1].size <= v[i].ipa);
		(void)atomic_fetch_add(&o->seen, n);
	}
	return NULL;
}

/* What is dispatched elsewhere: notifications come from another thread. */
static void *dispatch(void *data)
{
	struct onlooker *o = data;

	while (!atomic_load(&o->stop)) {
		struct pollfd p = { .fd = ghvm_rm_fd(o->b->rm), .events = POLLIN };

		if (poll(&p, 1, 1) == 1)
			(void)ghvm_rm_dispatch(o->b->rm); /* an error is the caller's as well */
	}
	return NULL;
}

static void others_may_look(void **state)
{
	struct onlooker o = {};
	pthread_t looks, dispatches;
	struct bench b;

	regions_setup(&b, BENCH_GUEST_SERVES);
	o.b = &b;
	ghvm_rm_set_dispatched(b.rm, true);
	assert_int_equal(pthread_create(&looks, NULL, look_on, &o), 0);
	while (!atomic_load(&o.seen)) /* a busy machine may let it begin when all is over */
		usleep(100);
	assert_int_equal(pthread_create(&dispatches, NULL, dispatch, &o), 0);
	regions_must_change(&b, 10, 0);
	for (uint32_t label = 11; label < 40; label++)
		regions_must_change(&b, label, label - 1);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	atomic_store(&o.stop, true);
	assert_int_equal(pthread_join(looks, NULL), 0);
	assert_int_equal(pthread_join(dispatches, NULL), 0);
	assert_true(o.seen > 0);
	bench_assert_clean(&b);
	bench_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_and_goes),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(memory_is_there_before_it_is_pinned),
		cmocka_unit_test(a_transaction_that_is_dropped_has_done_nothing),
		cmocka_unit_test(says_what_it_would_do),
		cmocka_unit_test(does_what_it_says),
		cmocka_unit_test(only_a_linked_guest_that_runs_takes_them),
		cmocka_unit_test(bad_places),
		cmocka_unit_test(sealed_memory_is_read),
		cmocka_unit_test(bad_memory),
		cmocka_unit_test(bad_removals),
		cmocka_unit_test(over_the_budget),
		cmocka_unit_test(others_may_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
