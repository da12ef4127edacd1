/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parcels by themselves: what is known after each answer and each
 * silence, and that a lost handle is found among those of others.
 */
#include "libghvm/memory/parcel.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/model/core/core.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE (100 * GHVM_PAGE)
#define INCARNATION 5

static const struct bench_options scattered = { .host = { .chunk_pages = 1 } };
static const struct bench_options hurried = { .host = { .chunk_pages = 1 }, .patience_ms = 5 };

static int memory(uint64_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void init(struct bench *b, struct ghvm_parcel *p, uint32_t label, bool lend)
{
	const struct ghvm_parcel_config config = { .name = "test",
						   .vm_name = "demo",
						   .label = label,
						   .ipa = GHVM_GIB(2),
						   .lend = lend,
						   .rights =
							   ghvm_parcel_rights(label, lend, false) };

	ghvm_parcel_init(p, &b->f->host, b->rm, &b->ledger, &config);
}

static struct ghvm_vmid allocate(struct bench *b)
{
	struct ghvm_vmid vmid;

	assert_int_equal(ghvm_rm_vm_allocate(b->rm, &vmid, NULL), 0);
	return vmid;
}

/* Pinned and guarded. */
static void prepare(struct bench *b, struct ghvm_parcel *p, uint32_t label, bool lend,
		    struct ghvm_vmid vmid, uint64_t size)
{
	_cleanup_(closep) int fd = memory(size);

	init(b, p, label, lend);
	assert_int_equal(ghvm_parcel_pin(p, fd, size, NULL), 0);
	assert_int_equal(ghvm_parcel_guard(p, vmid, INCARNATION, NULL), 0);
}

static void take_back(struct ghvm_parcel *p)
{
	assert_int_equal(ghvm_parcel_reclaim(p, NULL), 0);
	assert_int_equal(ghvm_parcel_unguard(p, NULL), 0);
	ghvm_parcel_done(p);
}

static struct ghvm_tag tag_of(struct bench *b, const struct ghvm_parcel *p)
{
	struct ghvm_pin_status st;
	struct ghvm_tag tag;

	assert_int_equal(b->f->host.ops->pin_status(&b->f->host, p->pin, &st), 0);
	assert_int_equal(ghvm_tag_decode(st.tag, &tag), 0);
	return tag;
}

/* ---- the way there and back ---- */

static void moves_through_its_states(void **state)
{
	_cleanup_(closep) int fd = memory(SIZE);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_ledger_figures g;
	struct ghvm_parcel p;

	bench_init(&b, &scattered);
	init(&b, &p, 0, true);
	assert_int_equal(ghvm_parcel_pin(&p, fd, SIZE, NULL), 0);
	assert_int_equal(p.state, GHVM_PARCEL_OURS);
	assert_int_equal(p.n_extents, 100);
	ghvm_ledger_figures(&b.ledger, &g);
	assert_int_equal(g.entries, 100);
	assert_int_equal(ghvm_parcel_write(&p, SIZE - 3, "abc", 3, NULL), 0);
	assert_memory_equal(fake_rm_ram(b.f, p.extents[99].pa + GHVM_PAGE - 3), "abc", 3);

	assert_int_equal(ghvm_parcel_guard(&p, allocate(&b), INCARNATION, NULL), 0);
	assert_int_equal(p.state, GHVM_PARCEL_GUARDED);
	assert_int_equal(fake_rm_guarded(b.f), 1);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	assert_int_equal(p.state, GHVM_PARCEL_LENT);
	assert_int_equal(fake_rm_counts(b.f).lent_pages, 100);
	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), 0);
	assert_int_equal(p.state, GHVM_PARCEL_GUARDED);
	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), 0); /* nothing to do */
	assert_memory_equal(fake_rm_ram(b.f, p.extents[99].pa + GHVM_PAGE - 3), "\0\0\0", 3);
	assert_int_equal(ghvm_parcel_unguard(&p, NULL), 0);
	assert_int_equal(fake_rm_guarded(b.f), 0);
	assert_int_equal(ghvm_parcel_unguard(&p, NULL), 0); /* nothing to do */
	ghvm_parcel_done(&p);
	assert_int_equal(p.state, GHVM_PARCEL_UNPINNED);
	assert_int_equal(fake_rm_pins(b.f), 0);
}

static void keeps_what_is_in_shared_memory(void **state)
{
	_cleanup_(closep) int fd = memory(GHVM_PAGE);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, NULL);
	init(&b, &p, 3, false);
	assert_int_equal(ghvm_parcel_pin(&p, fd, GHVM_PAGE, NULL), 0);
	assert_int_equal(ghvm_parcel_write(&p, 0, "abc", 3, NULL), 0);
	assert_int_equal(ghvm_parcel_guard(&p, allocate(&b), INCARNATION, NULL), 0);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	assert_int_equal(p.state, GHVM_PARCEL_SHARED);
	assert_int_equal(fake_rm_counts(b.f).shared_pages, 1);
	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), 0);
	assert_memory_equal(fake_rm_ram(b.f, p.extents[0].pa), "abc", 3);
	take_back(&p);
}

static void writes_nowhere_else(void **state)
{
	_cleanup_(closep) int fd = memory(GHVM_PAGE);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, NULL);
	init(&b, &p, 0, true);
	assert_int_equal(ghvm_parcel_pin(&p, fd, GHVM_PAGE, NULL), 0);
	assert_int_equal(ghvm_parcel_write(&p, GHVM_PAGE, "a", 1, NULL), -ERANGE);
	assert_int_equal(ghvm_parcel_write(&p, GHVM_PAGE - 1, "ab", 2, NULL), -ERANGE);
	assert_int_equal(ghvm_parcel_write(&p, UINT64_MAX, "ab", 2, NULL), -ERANGE);
	assert_int_equal(ghvm_parcel_write(&p, 0, "a", GHVM_PAGE + 1, NULL), -ERANGE);
	assert_int_equal(ghvm_parcel_write(&p, GHVM_PAGE, "a", 0, NULL), 0);
	ghvm_parcel_done(&p);
}

static void refuses_sizes_that_are_not_pages(void **state)
{
	_cleanup_(closep) int fd = memory(SIZE);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, NULL);
	init(&b, &p, 0, true);
	assert_int_equal(ghvm_parcel_pin(&p, fd, 0, NULL), -EINVAL);
	assert_int_equal(ghvm_parcel_pin(&p, fd, GHVM_PAGE + 1, NULL), -EINVAL);
	assert_true(ghvm_parcel_pin(&p, fd, UINT64_MAX - GHVM_PAGE + 1, NULL) < 0);
	assert_int_equal(fake_rm_pins(b.f), 0);
}

/* ---- tags ---- */

static void tag_says_what_is_known(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel first, p;
	struct ghvm_vmid vmid;
	struct ghvm_tag tag;

	bench_init(&b, NULL);
	vmid = allocate(&b);
	prepare(&b, &first, 1, false, vmid, GHVM_PAGE);
	tag = tag_of(&b, &first);
	assert_int_equal(tag.handle.id, GHVM_PARCEL_NONE); /* none was ever seen */
	assert_int_equal(tag.flags, 0);
	assert_int_equal(tag.after.id, GHVM_PARCEL_NONE);
	assert_int_equal(ghvm_parcel_give(&first, NULL), 0);
	tag = tag_of(&b, &first);
	assert_int_equal(tag.handle.id, 0);
	assert_int_equal(tag.flags, 0); /* so far there is one reply that says so */
	assert_int_equal(ghvm_parcel_show(&first, NULL), 1);
	assert_int_equal(tag_of(&b, &first).flags, GHVM_TAG_SURE);

	prepare(&b, &p, 2, true, vmid, GHVM_PAGE);
	tag = tag_of(&b, &p);
	assert_int_equal(tag.flags, 0);
	assert_int_equal(tag.handle.id, GHVM_PARCEL_NONE);
	assert_int_equal(tag.after.id, 0);
	assert_int_equal(tag.vmid.id, vmid.id);
	assert_int_equal(tag.kind, GHVM_TAG_LENT);
	assert_int_equal(tag.label, 2);
	assert_int_equal(tag.incarnation, INCARNATION);
	assert_int_equal(tag.ipa, GHVM_GIB(2));
	assert_string_equal(tag.name, "demo");
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	tag = tag_of(&b, &p);
	assert_int_equal(tag.flags, 0);
	assert_int_equal(tag.handle.id, 1);
	take_back(&p);
	take_back(&first);
}

/* ---- what RM answers ---- */

static void sends_as_many_entries_as_the_row_says(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_quirks q = *ghvm_quirks_unknown();
	struct ghvm_parcel p;
	size_t n;

	bench_init(&b, &scattered);
	q.v[GHVM_QUIRK_MESSAGE_ENTRIES].value = 30;
	ghvm_ledger_set_quirks(&b.ledger, &q);
	prepare(&b, &p, 1, true, allocate(&b), SIZE);
	n = b.f->n_sent;
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	assert_int_equal(b.f->n_sent - n, 4); /* 100 entries: 30, 30, 30, 10 */
	assert_int_equal(fake_rm_counts(b.f).entries, 100);
	take_back(&p);
}

static void undoes_a_parcel_whose_append_failed(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct ghvm_parcel p;

	bench_init(&b, &scattered);
	prepare(&b, &p, 0, true, allocate(&b), SIZE);
	model_refuse(b.f->model, GHVM_RM_MEM_APPEND, GHVM_RM_NOMEM, 0);
	assert_int_equal(ghvm_parcel_give(&p, &err), -EREMOTEIO);
	assert_int_equal(err.rm_message, GHVM_RM_MEM_APPEND);
	assert_int_equal(p.state, GHVM_PARCEL_GUARDED);
	assert_int_equal(fake_rm_counts(b.f).parcels, 0);
	assert_int_equal(tag_of(&b, &p).handle.id, 0);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0); /* a new handle, and the tag has it */
	assert_int_equal(tag_of(&b, &p).handle.id, 1);
	take_back(&p);
}

static void keeps_half_a_parcel_that_cannot_be_undone(void **state)
{
	static const uint8_t nomem[] = { GHVM_RM_NOMEM, 0, 0, 0 };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, &scattered);
	prepare(&b, &p, 0, true, allocate(&b), SIZE);
	model_reply(b.f->model, GHVM_RM_MEM_APPEND, nomem, sizeof(nomem), 0);
	model_refuse(b.f->model, GHVM_RM_MEM_RECLAIM, GHVM_RM_MEM_INUSE, 0);
	assert_int_equal(ghvm_parcel_give(&p, NULL), -EREMOTEIO);
	assert_int_equal(p.state, GHVM_PARCEL_PARTIAL);
	assert_int_equal(fake_rm_counts(b.f).parcels, 1);
	take_back(&p);
	assert_int_equal(fake_rm_counts(b.f).parcels, 0);
}

/* ---- what RM does not answer ---- */

static void finds_a_lost_parcel_by_its_pages(void **state)
{
	static const struct bench_options options = { .patience_ms = 5 };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, &options);
	prepare(&b, &p, 0, true, allocate(&b), SIZE);
	model_mute(b.f->model, GHVM_RM_MEM_LEND, 0);
	assert_int_equal(ghvm_parcel_give(&p, NULL), -ETIMEDOUT);
	assert_int_equal(p.state, GHVM_PARCEL_GUARDED); /* found, and undone */
	assert_int_equal(fake_rm_counts(b.f).parcels, 0);
	take_back(&p);
}

/* Between those of others, which stay. */
static void finds_a_lost_parcel_by_counting(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel before, p, after;
	struct ghvm_vmid vmid;

	bench_init(&b, &hurried);
	vmid = allocate(&b);
	prepare(&b, &before, 1, true, vmid, GHVM_PAGE);
	assert_int_equal(ghvm_parcel_give(&before, NULL), 0);
	assert_int_equal(ghvm_parcel_show(&before, NULL), 1);
	prepare(&b, &p, 2, true, vmid, SIZE);
	prepare(&b, &after, 3, true, vmid, GHVM_PAGE);

	model_mute(b.f->model, GHVM_RM_MEM_LEND, 0);
	model_refuse(b.f->model, GHVM_RM_MEM_RECLAIM, GHVM_RM_BUSY, 0); /* not found at once */
	assert_int_equal(ghvm_parcel_give(&p, NULL), -ETIMEDOUT);
	assert_int_equal(p.state, GHVM_PARCEL_LOST);
	assert_non_null(p.probe);
	assert_int_equal(ghvm_parcel_give(&after, NULL), 0);

	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), -EBUSY); /* that one's handle may be ours */
	assert_int_equal(p.state, GHVM_PARCEL_LOST);
	assert_int_equal(ghvm_parcel_show(&after, NULL), 1);
	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), 0);
	assert_int_equal(before.state, GHVM_PARCEL_LENT);
	assert_int_equal(model_page_owner(b.f->model, before.extents[0].pa), 1);
	assert_int_equal(model_page_owner(b.f->model, after.extents[0].pa), 1);
	take_back(&p);
	take_back(&after);
	take_back(&before);
	assert_int_equal(fake_rm_counts(b.f).parcels, 0);
	assert_int_equal(fake_rm_pins(b.f) + fake_rm_quarantined(b.f), 0);
}

static void keeps_a_lost_parcel_that_it_cannot_count_to(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, &hurried);
	prepare(&b, &p, 0, true, allocate(&b), SIZE);
	b.f->model->next_handle = 5000; /* and none was ever seen */
	model_mute(b.f->model, GHVM_RM_MEM_LEND, 0);
	assert_int_equal(ghvm_parcel_give(&p, NULL), -ETIMEDOUT);
	assert_int_equal(p.state, GHVM_PARCEL_LOST);
	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), -ENOTUNIQ);
	assert_int_equal(p.state, GHVM_PARCEL_LOST);
	ghvm_parcel_done(&p);
	assert_int_equal(fake_rm_quarantined(b.f), 1);
}

static void asks_again_when_a_reclaim_is_not_answered(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, &hurried);
	prepare(&b, &p, 0, true, allocate(&b), SIZE);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	model_mute(b.f->model, GHVM_RM_MEM_RECLAIM, 0);
	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), 0); /* the second time: no such parcel */
	take_back(&p);
}

static void malformed_handles_are_no_handles(void **state)
{
	static const uint8_t shorter[] = { 0, 0, 0, 0, 7, 0 };
	static const uint8_t longer[] = { 0, 0, 0, 0, 7, 0, 0, 0, 9 };
	const uint8_t *replies[] = { shorter, longer };
	const size_t sizes[] = { sizeof(shorter), sizeof(longer) };

	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		_cleanup_(bench_done) struct bench b;
		struct ghvm_parcel p;

		bench_init(&b, &scattered);
		prepare(&b, &p, 0, true, allocate(&b), SIZE);
		model_reply(b.f->model, GHVM_RM_MEM_LEND, replies[i], sizes[i], 0);
		assert_int_equal(ghvm_parcel_give(&p, NULL), -EBADMSG);
		assert_int_equal(fake_rm_counts(b.f).parcels, 0); /* found and undone */
		take_back(&p);
	}
}

/* RM has made a parcel and says something else: known refusals of a LEND, others', and none. */
static void no_status_makes_pages_ours(void **state)
{
	static const uint32_t statuses[] = {
		0x2509b8f5,	GHVM_RM_UNIMPLEMENTED,	  GHVM_RM_NOMEM,
		GHVM_RM_DENIED, GHVM_RM_ARGUMENT_INVALID, GHVM_RM_HANDLE_INVALID,
		GHVM_RM_BUSY
	};
	static const uint64_t sizes[] = { GHVM_PAGE, SIZE }; /* one message, and two */

	for (size_t i = 0; i < 4 * ARRAY_SIZE(statuses); i++) {
		const uint64_t size = sizes[i / 2 % 2];
		_cleanup_(bench_done) struct bench b;
		struct ghvm_parcel p;

		bench_init(&b, &scattered);
		prepare(&b, &p, 1, i % 2, allocate(&b), size);
		model_lie(b.f->model, 0, 0, (const uint8_t *)&statuses[i / 4], 4, 0);
		assert_true(ghvm_parcel_give(&p, NULL) < 0);
		assert_int_equal(p.state, GHVM_PARCEL_GUARDED); /* found, and undone */
		assert_int_equal(fake_rm_counts(b.f).parcels, 0);
		take_back(&p);
	}
}

/* The pages' own life goes on with what the last one knew: a number that RM has said once. */
static void whoever_adopts_believes_no_more(void **state)
{
	static const uint32_t handles[] = { 0x77777777, 1, 12 };

	for (size_t i = 0; i < 2 * ARRAY_SIZE(handles); i++) {
		_cleanup_(bench_done) struct bench b;
		struct ghvm_parcel p, heir;
		struct ghvm_tag tag;

		bench_init(&b, &scattered);
		prepare(&b, &p, 1, i % 2, allocate(&b), GHVM_PAGE);
		model_lie(b.f->model, 0, 4, (const uint8_t *)&handles[i / 2], 4, 0);
		assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
		tag = tag_of(&b, &p);
		assert_int_equal(tag.handle.id, handles[i / 2]);
		assert_int_equal(tag.flags, 0);

		init(&b, &heir, 1, i % 2);
		assert_int_equal(ghvm_parcel_adopt(&heir, p.pin, &tag, NULL), 0);
		assert_int_equal(ghvm_parcel_reclaim(&heir, NULL), 0); /* the real one, 0 */
		assert_int_equal(fake_rm_counts(b.f).parcels, 0);
		take_back(&heir);
		free(p.extents); /* of the process that has died */
	}
}

/* Two handles in the tags of two that RM has named alike: neither is believed. */
static void a_handle_that_two_have_is_nobodys(void **state)
{
	static const uint8_t first[] = { 0, 0, 0, 0 };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct ghvm_parcel p, other;
	struct ghvm_vmid vmid;

	bench_init(&b, NULL);
	vmid = allocate(&b);
	prepare(&b, &p, 1, true, vmid, GHVM_PAGE);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	prepare(&b, &other, 2, true, vmid, GHVM_PAGE);
	model_lie(b.f->model, 0, 4, first, sizeof(first), 0); /* it is 1 */
	assert_int_equal(ghvm_parcel_give(&other, &err), -EBADMSG);
	assert_int_equal(other.state, GHVM_PARCEL_GUARDED);
	assert_int_equal(model_page_owner(b.f->model, p.extents[0].pa), 1);
	take_back(&p);
	take_back(&other);
	assert_int_equal(fake_rm_counts(b.f).parcels, 0);
}

/* ---- many VMs at once on one connection ---- */

#define THREADS 4
#define ROUNDS 20

struct worker {
	struct bench *b;
	uint32_t label;
	struct ghvm_vmid vmid;
	int failures;
};

static int one_round(struct worker *w, int fd)
{
	struct ghvm_parcel p;
	int r;

	init(w->b, &p, w->label, true);
	r = ghvm_parcel_pin(&p, fd, SIZE, NULL);
	if (r == 0)
		r = ghvm_parcel_guard(&p, w->vmid, INCARNATION, NULL);
	if (r == 0)
		r = ghvm_parcel_give(&p, NULL);
	if (r == 0)
		r = ghvm_parcel_reclaim(&p, NULL);
	if (r == 0)
		r = ghvm_parcel_unguard(&p, NULL);
	ghvm_parcel_done(&p);
	return r;
}

static void *work(void *data)
{
	struct worker *w = data;
	int fd = memfd_create("test", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		w->failures++;
	for (unsigned int i = 0; i < ROUNDS; i++)
		w->failures += one_round(w, fd) < 0;
	closep(&fd);
	return NULL;
}

static void many_vms_share_one_ledger(void **state)
{
	struct worker workers[THREADS] = {};
	_cleanup_(bench_done) struct bench b;
	pthread_t threads[THREADS];
	struct ghvm_ledger_figures g;

	bench_init(&b, &scattered);
	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .b = &b, .label = i, .vmid = allocate(&b) };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(workers[i].failures, 0);
	}
	ghvm_ledger_figures(&b.ledger, &g);
	assert_int_equal(g.entries, 0);
	assert_int_equal(g.parcels, 0);
	assert_int_equal(fake_rm_counts(b.f).parcels, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_through_its_states),
		cmocka_unit_test(keeps_what_is_in_shared_memory),
		cmocka_unit_test(writes_nowhere_else),
		cmocka_unit_test(refuses_sizes_that_are_not_pages),
		cmocka_unit_test(tag_says_what_is_known),
		cmocka_unit_test(sends_as_many_entries_as_the_row_says),
		cmocka_unit_test(undoes_a_parcel_whose_append_failed),
		cmocka_unit_test(keeps_half_a_parcel_that_cannot_be_undone),
		cmocka_unit_test(finds_a_lost_parcel_by_its_pages),
		cmocka_unit_test(finds_a_lost_parcel_by_counting),
		cmocka_unit_test(keeps_a_lost_parcel_that_it_cannot_count_to),
		cmocka_unit_test(asks_again_when_a_reclaim_is_not_answered),
		cmocka_unit_test(malformed_handles_are_no_handles),
		cmocka_unit_test(no_status_makes_pages_ours),
		cmocka_unit_test(whoever_adopts_believes_no_more),
		cmocka_unit_test(a_handle_that_two_have_is_nobodys),
		cmocka_unit_test(many_vms_share_one_ledger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
