/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory in thousands of pieces: small messages, one budget for all VMs, and an RM that runs
 * out of memory or falls silent anywhere. Everything comes back.
 */
#include "libghvm/memory/parcel.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/model/core/core.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define INCARNATION 5
#define PER_MESSAGE 64

static const struct bench_options scattered = {
	.host = { .ram_size = GHVM_MIB(96), .chunk_pages = 1 },
	.patience_ms = 50,
};

static int memory(uint64_t pages)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(pages * GHVM_PAGE)), 0);
	return fd;
}

static int pin(struct bench *b, struct ghvm_parcel *p, uint32_t label, bool lend, uint64_t pages,
	       struct ghvm_error *err)
{
	const struct ghvm_parcel_config config = { .name = "test",
						   .vm_name = "demo",
						   .label = label,
						   .lend = lend,
						   .rights =
							   ghvm_parcel_rights(label, lend, false) };
	_cleanup_(closep) int fd = memory(pages);

	ghvm_parcel_init(p, &b->f->host, b->rm, &b->ledger, &config);
	return ghvm_parcel_pin(p, fd, pages * GHVM_PAGE, err);
}

static struct ghvm_vmid allocate(struct bench *b)
{
	struct ghvm_vmid vmid;

	assert_int_equal(ghvm_rm_vm_allocate(b->rm, &vmid, NULL), 0);
	return vmid;
}

static void prepare(struct bench *b, struct ghvm_parcel *p, uint32_t label, bool lend,
		    struct ghvm_vmid vmid, uint64_t pages)
{
	struct ghvm_error err = {};

	if (pin(b, p, label, lend, pages, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(p->n_extents, pages);
	assert_int_equal(ghvm_parcel_guard(p, vmid, INCARNATION, NULL), 0);
}

static void take_back(struct ghvm_parcel *p)
{
	struct ghvm_error err = {};

	if (ghvm_parcel_reclaim(p, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(ghvm_parcel_unguard(p, NULL), 0);
	ghvm_parcel_done(p);
}

static unsigned int count_sent(const struct bench *b, size_t from, uint32_t id)
{
	unsigned int n = 0;

	for (size_t i = from; i < b->f->n_sent; i++)
		n += b->f->sent[i] == id;
	return n;
}

/* Nothing in RM, in the module and in the accounts, but for the VMs. */
static void assert_all_back(struct bench *b, uint64_t heap)
{
	struct ghvm_ledger_figures g;

	ghvm_ledger_figures(&b->ledger, &g);
	assert_int_equal(g.entries, 0);
	assert_int_equal(g.parcels, 0);
	assert_int_equal(fake_rm_counts(b->f).parcels, 0);
	assert_int_equal(fake_rm_counts(b->f).lent_pages + fake_rm_counts(b->f).shared_pages, 0);
	assert_int_equal(fake_rm_counts(b->f).heap_used, heap);
	assert_int_equal(fake_rm_pins(b->f) + fake_rm_quarantined(b->f), 0);
}

/* fake-rm dies of a message with more than 64 entries. */
static void go_out_in_small_messages(void **state)
{
	static const uint64_t sizes[] = { 1, 63, 64, 65, 127, 128, 129, 1000, 3999, 4000 };

	for (unsigned int lend = 0; lend < 2; lend++) {
		_cleanup_(bench_done) struct bench b;
		struct ghvm_vmid vmid;
		uint64_t heap;

		bench_init(&b, &scattered);
		vmid = allocate(&b);
		heap = fake_rm_counts(b.f).heap_used;
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			uint32_t create = lend ? GHVM_RM_MEM_LEND : GHVM_RM_MEM_SHARE;
			size_t from = b.f->n_sent;
			struct ghvm_parcel p;

			prepare(&b, &p, 3, lend, vmid, sizes[i]);
			assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
			assert_int_equal(count_sent(&b, from, create), 1);
			assert_int_equal(count_sent(&b, from, GHVM_RM_MEM_APPEND),
					 (sizes[i] - 1) / PER_MESSAGE);
			assert_int_equal(fake_rm_counts(b.f).entries, sizes[i]);
			take_back(&p);
			assert_all_back(&b, heap);
			b.f->n_sent = 0; /* it keeps only so many */
		}
	}
}

static void one_budget_for_all_vms(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p[3];
	struct ghvm_error err = {};
	struct ghvm_vmid vmid;
	uint64_t heap;
	size_t sent;

	bench_init(&b, &scattered);
	vmid = allocate(&b);
	heap = fake_rm_counts(b.f).heap_used;
	for (uint32_t i = 0; i < 2; i++) {
		prepare(&b, &p[i], i, true, i ? allocate(&b) : vmid, 1500);
		assert_int_equal(ghvm_parcel_give(&p[i], NULL), 0);
	}

	sent = b.f->n_sent;
	assert_int_equal(pin(&b, &p[2], 2, true, 1001, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "too scattered"));
	assert_non_null(strstr(err.msg, "needs 1001"));
	assert_non_null(strstr(err.msg, "4000 entries, of which others use 3000"));
	assert_int_equal(b.f->n_sent, sent); /* RM never heard of it */
	assert_int_equal(fake_rm_pins(b.f), 2);

	take_back(&p[0]);
	prepare(&b, &p[2], 2, true, vmid, 2500); /* to the last one */
	assert_int_equal(ghvm_parcel_give(&p[2], NULL), 0);
	assert_int_equal(fake_rm_counts(b.f).entries, 4000);
	take_back(&p[1]);
	take_back(&p[2]);
	assert_int_equal(fake_rm_counts(b.f).heap_used - heap, HEAP_VM); /* the second VM */
}

/* A budget that is too large for this RM: it says NOMEM, and that is all that happens. */
static void no_memory_beyond_the_budget(void **state)
{
	static struct ghvm_quirks generous;
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct ghvm_parcel p;
	struct ghvm_vmid vmid;
	uint64_t heap;

	bench_init(&b, &scattered);
	generous = *ghvm_quirks_unknown();
	generous.v[GHVM_QUIRK_ENTRIES].value = 20000;
	ghvm_ledger_set_quirks(&b.ledger, &generous);
	vmid = allocate(&b);
	heap = fake_rm_counts(b.f).heap_used;

	prepare(&b, &p, 0, true, vmid, 8500);
	assert_int_equal(ghvm_parcel_give(&p, &err), -EREMOTEIO);
	assert_int_equal(err.rm_message, GHVM_RM_MEM_APPEND);
	assert_int_equal(err.rm_code, GHVM_RM_NOMEM);
	assert_int_equal(p.state, GHVM_PARCEL_GUARDED);
	assert_int_equal(fake_rm_counts(b.f).lent_pages, 0);
	take_back(&p);
	assert_all_back(&b, heap);

	prepare(&b, &p, 0, true, vmid, 4000); /* RM is as good as before */
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	take_back(&p);
	assert_all_back(&b, heap);
}

/*
 * The open RM's production row: with one VM or several, all that the budget allows is given, and one entry more is
 * refused before RM hears of it.
 */
static void the_open_row_is_borne(void **state)
{
	const struct ghvm_quirks *row = ghvm_quirks_row(0);

	for (uint32_t n = 1; n <= 8; n++) {
		struct bench_options options = scattered;
		_cleanup_(bench_done) struct bench b;
		struct ghvm_error err = {};
		struct ghvm_parcel p[9];
		uint64_t left;
		size_t sent;

		options.host.production = true;
		bench_init(&b, &options);
		assert_string_equal(row->generation, "open-2023");
		ghvm_ledger_set_quirks(&b.ledger, row);
		left = ghvm_quirk(row, GHVM_QUIRK_ENTRIES) -
		       n * ghvm_quirk(row, GHVM_QUIRK_VM_ENTRIES);
		assert_true(n > 1 || left == ghvm_quirks_entries_alone(row));
		for (uint32_t i = 0; i < n; i++) {
			const uint64_t share = left / (n - i);

			prepare(&b, &p[i], 0, true, allocate(&b), share);
			assert_int_equal(ghvm_parcel_give(&p[i], NULL), 0);
			left -= share;
		}
		sent = b.f->n_sent;
		assert_int_equal(pin(&b, &p[n], 3, false, 1, &err), -E2BIG);
		assert_non_null(strstr(err.msg, "in 1 pieces it needs 1 of"));
		assert_int_equal(b.f->n_sent, sent);
		assert_int_equal(fake_rm_pins(b.f), n);
		for (uint32_t i = 0; i < n; i++)
			take_back(&p[i]);
		b.f->n_sent = 0; /* it keeps only so many */
	}
}

#define SWEPT 1000
#define SWEPT_MESSAGES ((SWEPT + PER_MESSAGE - 1) / PER_MESSAGE)

/* Message @nth is refused with @status, or (OK) done without an answer. */
static void disturb(unsigned int nth, uint32_t status, bool lend)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct ghvm_parcel p;
	struct ghvm_vmid vmid;
	uint64_t heap;
	int r;

	bench_init(&b, &scattered);
	vmid = allocate(&b);
	heap = fake_rm_counts(b.f).heap_used;
	prepare(&b, &p, 3, lend, vmid, SWEPT);
	if (status == GHVM_RM_OK)
		model_mute(b.f->model, 0, nth);
	else
		model_refuse(b.f->model, 0, status, nth);
	r = ghvm_parcel_give(&p, &err);
	assert_int_equal(r, status == GHVM_RM_OK ? -ETIMEDOUT : -EREMOTEIO);
	assert_int_equal(p.state, GHVM_PARCEL_GUARDED); /* undone already */
	assert_int_equal(fake_rm_counts(b.f).parcels, 0);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0); /* and none the worse for it */
	take_back(&p);
	assert_all_back(&b, heap);
}

static void any_message_may_fail_or_go_unanswered(void **state)
{
	static const uint32_t statuses[] = { GHVM_RM_OK, GHVM_RM_NOMEM, GHVM_RM_DENIED };
	unsigned int points = 0;

	for (unsigned int nth = 0; nth < SWEPT_MESSAGES; nth++)
		for (size_t i = 0; i < ARRAY_SIZE(statuses); i++, points++)
			disturb(nth, statuses[i], points % 2);
	print_message("scattered parcels disturbed: %u points\n", points);
}

/* The page that it is looked for with needs an entry too, and gets it: or it would stay lost. */
static void a_lost_one_is_found_when_the_budget_is_used_up(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel other, p;
	struct ghvm_vmid vmid;
	uint64_t heap;

	bench_init(&b, &scattered);
	vmid = allocate(&b);
	heap = fake_rm_counts(b.f).heap_used;
	prepare(&b, &other, 0, true, vmid, 3900);
	assert_int_equal(ghvm_parcel_give(&other, NULL), 0);
	prepare(&b, &p, 1, true, vmid, 100);
	model_mute(b.f->model, GHVM_RM_MEM_LEND, 0);
	assert_int_equal(ghvm_parcel_give(&p, NULL), -ETIMEDOUT);
	assert_int_equal(p.state, GHVM_PARCEL_GUARDED);
	assert_int_equal(fake_rm_counts(b.f).parcels, 1);
	take_back(&p);
	take_back(&other);
	assert_all_back(&b, heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(go_out_in_small_messages),
		cmocka_unit_test(one_budget_for_all_vms),
		cmocka_unit_test(no_memory_beyond_the_budget),
		cmocka_unit_test(the_open_row_is_borne),
		cmocka_unit_test(any_message_may_fail_or_go_unanswered),
		cmocka_unit_test(a_lost_one_is_found_when_the_budget_is_used_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
