/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tags that lie, with a good checksum: nothing is done on their word.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/machine/internal.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/memory/ledger.h"
#include "libghvm/memory/tag.h"
#include "libghvm/rm/quirks.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#define RAM_PAGES 0x90

static const struct bench_options small = {
	.host = { .ram_size = GHVM_MIB(2) },
	.demo = { .memory = RAM_PAGES * GHVM_PAGE, .window = true },
};

/* Whatever @change makes of it. */
static void forge(struct fake_pin *pin, void (*change)(struct ghvm_tag *t, uint64_t to),
		  uint64_t to)
{
	struct ghvm_tag t;

	assert_int_equal(ghvm_tag_decode(pin->tag, &t), 0);
	change(&t, to);
	ghvm_tag_encode(&t, pin->tag);
}

static void to_life(struct ghvm_tag *t, uint64_t to)
{
	t->incarnation = to;
}

static void to_label(struct ghvm_tag *t, uint64_t to)
{
	t->label = (uint32_t)to;
}

static void to_handle(struct ghvm_tag *t, uint64_t to)
{
	t->handle.id = (uint32_t)to;
	t->flags |= GHVM_TAG_SURE;
}

static void to_name(struct ghvm_tag *t, uint64_t to)
{
	t->name[0] = (char)to;
}

/* A second guest that has the pages as well. */
static void to_with(struct ghvm_tag *t, uint64_t to)
{
	t->with.id = (uint16_t)to;
	t->kind = GHVM_TAG_SHARED;
}

/* A guest runs, and its process is dead. */
static void orphan(struct bench *b)
{
	bench_init(b, &small);
	assert_int_equal(bench_run(b, NULL), 0);
	ghvm_machine_free(TAKE_PTR(b->m));
	ghvm_ledger_done(&b->ledger);
	ghvm_ledger_init(&b->ledger, ghvm_quirks_unknown());
	assert_int_equal(fake_rm_quarantined(b->f), 2);
}

/* RM's: nothing was asked for that a lie could have made it do. */
static void assert_untouched(struct bench *b, size_t sent)
{
	struct model_counts c = fake_rm_counts(b->f);

	assert_int_equal(b->f->n_sent, sent);
	assert_int_equal(c.lent_pages, RAM_PAGES);
	assert_int_equal(c.parcels, 2);
	assert_int_equal(fake_rm_pins(b->f), 0);
	assert_int_equal(fake_rm_quarantined(b->f), 2);
}

static void no_second_vmid_but_a_guests(void **state)
{
	static const uint16_t vmids[] = { 1, 3, 255, 256, UINT16_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(vmids); i++) {
		_cleanup_(freep) struct ghvm_orphan *v = NULL;
		_cleanup_(bench_done) struct bench b;
		struct ghvm_machine *m = NULL;
		size_t n, sent;

		orphan(&b);
		sent = b.f->n_sent;
		forge(&b.f->pins[1], to_with, vmids[i]);
		assert_int_equal(ghvm_orphans_list(&b.f->host, &v, &n, NULL), 0);
		assert_int_equal(
			ghvm_machine_adopt(&b.f->host, b.rm, &b.ledger, NULL, v, n, &m, NULL),
			-EINVAL);
		assert_null(m);
		assert_untouched(&b, sent);
	}
}

/* The other machine cannot have a region of that label, too. */
static void a_region_of_two_guests_is_in_one_tag(void **state)
{
	struct ghvm_tag a = { .vmid = { 0x80 }, .label = 7, .with = { 0x81 } };
	struct ghvm_tag b = { .vmid = { 0x81 }, .label = 7 };
	struct ghvm_tag c = { .vmid = { 0x82 }, .label = 7, .with = { 0x81 } };

	a.handle.id = b.handle.id = c.handle.id = GHVM_PARCEL_NONE;
	assert_non_null(strstr(ghvm_orphans_contradiction(&a, &b), "label of another"));
	assert_non_null(strstr(ghvm_orphans_contradiction(&b, &a), "label of another"));
	assert_non_null(strstr(ghvm_orphans_contradiction(&a, &c), "label of another"));
	b.label = 8;
	assert_null(ghvm_orphans_contradiction(&a, &b));
}

/* It is unknown which of two contradicting tags is wrong: both pins stay. */
static void contradictions(void **state)
{
	static const struct {
		void (*change)(struct ghvm_tag *t, uint64_t to);
		uint64_t to[2];
		const char *flaw;
	} v[] = {
		{ to_life, { 5, 6 }, "VMID of another run" },
		{ to_name, { 'a', 'b' }, "VMID of another run" },
		{ to_label, { 9, 9 }, "label of another" },
		{ to_handle, { 0, 0 }, "handle of another" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		_cleanup_(freep) struct ghvm_orphan *o = NULL;
		_cleanup_(bench_done) struct bench b;
		struct ghvm_machine *m = NULL;
		size_t n, sent;

		orphan(&b);
		sent = b.f->n_sent;
		forge(&b.f->pins[0], v[i].change, v[i].to[0]);
		forge(&b.f->pins[1], v[i].change, v[i].to[1]);
		assert_int_equal(ghvm_orphans_list(&b.f->host, &o, &n, NULL), 0);
		for (size_t k = 0; k < 2; k++) {
			assert_false(o[k].readable);
			assert_non_null(strstr(o[k].flaw, v[i].flaw));
			o[k].readable = true; /* adoption checks it again */
		}
		assert_int_equal(
			ghvm_machine_adopt(&b.f->host, b.rm, &b.ledger, NULL, o, n, &m, NULL),
			-EINVAL);
		assert_untouched(&b, sent);
	}
}

/* The other VM is alive and well, and known. */
static void the_handle_of_another_vm(void **state)
{
	static const struct ghvm_ledger_parcel others = {
		.vmid = { 0x90 }, .incarnation = 1, .label = 3, .handle = { 77 }, .entries = 1
	};
	_cleanup_(freep) struct ghvm_orphan *v = NULL;
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct ghvm_machine *m = NULL;
	unsigned int entry;
	size_t n, sent;

	orphan(&b);
	sent = b.f->n_sent;
	forge(&b.f->pins[0], to_handle, 77);
	assert_int_equal(ghvm_ledger_adopt(&b.ledger, &others, "others", &entry, NULL), 0);
	assert_int_equal(ghvm_orphans_list(&b.f->host, &v, &n, NULL), 0);
	assert_true(v[0].readable && v[1].readable);
	assert_int_equal(ghvm_machine_adopt(&b.f->host, b.rm, &b.ledger, NULL, v, n, &m, &err),
			 -EINVAL);
	assert_non_null(strstr(err.msg, "handle 77 is another parcel's"));
	assert_untouched(&b, sent);
	ghvm_ledger_abandon(&b.ledger, entry); /* gone too, its pages not */
	assert_int_equal(ghvm_machine_adopt(&b.f->host, b.rm, &b.ledger, NULL, v, n, &m, NULL),
			 -EINVAL);
	assert_untouched(&b, sent);
}

/* A VMID that was lost may not be looked for where a VM in LOAD may have pages. */
static void a_lost_vmid_is_not_looked_for_among_the_distrusted(void **state)
{
	struct bench_options o = small;
	_cleanup_(bench_done) struct bench b;

	o.patience_ms = 5;
	bench_init(&b, &o);
	ghvm_ledger_distrust(&b.ledger);
	model_mute(b.f->model, GHVM_RM_VM_ALLOCATE, 0);
	assert_int_equal(ghvm_machine_build(b.m, &b.demo.files, NULL, NULL), -ETIMEDOUT);
	assert_int_equal(fake_rm_counts(b.f).vms, 1);
	assert_int_equal(fake_rm_pins(b.f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_second_vmid_but_a_guests),
		cmocka_unit_test(a_region_of_two_guests_is_in_one_tag),
		cmocka_unit_test(contradictions),
		cmocka_unit_test(the_handle_of_another_vm),
		cmocka_unit_test(a_lost_vmid_is_not_looked_for_among_the_distrusted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
