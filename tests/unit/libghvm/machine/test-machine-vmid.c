/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMIDs: what is taken from ALLOCATE, and what is believed of a tag, is the same.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/memory/tag.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define RAM_PAGES 0x90
#define SEEN_ON_A_SOC 45 /* outside of the usual range, 0x80 to 0xbe */

/* The rule, for both sides. */
static const struct {
	uint16_t vmid;
	bool guest;
} rule[] = {
	{ 0, false },	{ 1, false },	{ 2, false },	       { 3, false },  { 4, true },
	{ 31, true },	{ 45, true },	{ 63, true },	       { 64, true },  { 0x7f, true },
	{ 0x80, true }, { 0xbe, true }, { 0xbf, true },	       { 254, true }, { 255, false },
	{ 256, false }, { 301, false }, { UINT16_MAX, false },
};

static void init(struct bench *b, uint16_t first_vmid)
{
	const struct bench_options o = {
		.host = { .ram_size = GHVM_MIB(2), .first_vmid = first_vmid },
		.demo = { .memory = RAM_PAGES * GHVM_PAGE, .window = true },
	};

	bench_init(b, &o);
}

/* RM answers the next ALLOCATE with @vmid, whatever it has allocated. */
static void lie(struct bench *b, uint16_t vmid)
{
	const uint8_t bytes[4] = { (uint8_t)vmid, (uint8_t)(vmid >> 8) };

	model_lie(b->f->model, GHVM_RM_VM_ALLOCATE, 4, bytes, sizeof(bytes), 0);
}

static unsigned int sent(const struct bench *b, uint32_t id)
{
	unsigned int n = 0;

	for (size_t i = 0; i < b->f->n_sent; i++)
		n += b->f->sent[i] == id;
	return n;
}

static void allocate_takes_what_the_rule_says(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rule); i++) {
		_cleanup_(bench_done) struct bench b;
		struct ghvm_error err = {};
		char number[16];

		init(&b, rule[i].guest ? rule[i].vmid : 0);
		if (rule[i].guest) {
			assert_int_equal(bench_start_reboot_stop(&b, &err), 0);
		} else {
			lie(&b, rule[i].vmid);
			assert_int_equal(bench_run(&b, &err), -EBADMSG);
			(void)snprintf(number, sizeof(number), "VMID %u", rule[i].vmid);
			assert_non_null(strstr(err.msg, number));
			assert_int_equal(sent(&b, GHVM_RM_MEM_LEND), 0);
		}
		bench_assert_clean(&b); /* also of the VM that RM has made */
	}
}

static void forge(struct bench *b, uint16_t vmid)
{
	for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++) {
		struct ghvm_tag t;

		if (!b->f->pins[i].quarantined)
			continue;
		assert_int_equal(ghvm_tag_decode(b->f->pins[i].tag, &t), 0);
		t.vmid.id = vmid;
		ghvm_tag_encode(&t, b->f->pins[i].tag);
	}
}

/* A guest runs, its process dies, and its tags say @vmid, which is no guest's. */
static void assert_not_believed(uint16_t vmid)
{
	_cleanup_(freep) struct ghvm_orphan *v = NULL;
	_cleanup_(bench_done) struct bench b;
	struct ghvm_machine *m = NULL;
	size_t n, before;

	init(&b, 0);
	assert_int_equal(bench_run(&b, NULL), 0);
	ghvm_machine_free(TAKE_PTR(b.m));
	forge(&b, vmid);
	before = b.f->n_sent;
	assert_int_equal(ghvm_orphans_list(&b.f->host, &v, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(ghvm_machine_adopt(&b.f->host, b.rm, &b.ledger, NULL, v, n, &m, NULL),
			 -EINVAL);
	assert_null(m);
	assert_int_equal(b.f->n_sent, before);
	assert_int_equal(fake_rm_counts(b.f).lent_pages, RAM_PAGES);
	assert_int_equal(fake_rm_quarantined(b.f), 2);
}

/* The same with tags that are true: all comes back, and no VMID is lost. */
static void assert_adopted(uint16_t vmid)
{
	_cleanup_(bench_done) struct bench b;

	init(&b, vmid);
	assert_int_equal(bench_run(&b, NULL), 0);
	assert_int_equal(ghvm_machine_vmid(b.m).id, vmid);
	assert_int_equal(bench_recover(&b, NULL), 0);
	bench_assert_clean(&b);
}

static void adoption_believes_what_the_rule_says(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rule); i++) {
		if (rule[i].guest)
			assert_adopted(rule[i].vmid);
		else
			assert_not_believed(rule[i].vmid);
	}
}

/* Each step of a start dies once: a VMID with a tag is found, whichever it is. */
static void an_unusual_vmid_with_pages_is_found_after_a_crash(void **state)
{
	size_t steps = 1;

	for (size_t n = 1; n <= steps; n++) {
		_cleanup_(bench_done) struct bench b;

		init(&b, SEEN_ON_A_SOC);
		steps = b.demo.plan.n_steps;
		b.demo.plan.n_steps = n;
		assert_int_equal(ghvm_machine_build(b.m, &b.demo.files, NULL, NULL), 0);
		if (!fake_rm_guarded(b.f))
			continue; /* no tag yet */
		assert_int_equal(bench_recover(&b, NULL), 0);
		bench_assert_clean(&b);
	}
}

/* Build up to the step that allocates it, and die. */
static void die_after_allocate(struct bench *b)
{
	size_t n = 0;

	init(b, SEEN_ON_A_SOC);
	while (b->demo.plan.steps[n].kind != GHVM_STEP_ALLOCATE)
		n++;
	b->demo.plan.n_steps = n + 1;
	assert_int_equal(ghvm_machine_build(b->m, &b->demo.files, NULL, NULL), 0);
	assert_int_equal(fake_rm_counts(b->f).vms, 1);
	assert_int_equal(fake_rm_guarded(b->f), 0);
}

/* It has no tag: a later process finds it if it was noted, and does not ask about it if it was not. */
static void an_unusual_vmid_without_pages_is_found_if_it_was_noted(void **state)
{
	for (unsigned int noted = 0; noted < 2; noted++) {
		_cleanup_(bench_done) struct bench b;

		die_after_allocate(&b);
		b.noted.id = noted ? SEEN_ON_A_SOC : 0;
		assert_int_equal(bench_recover(&b, NULL), 0);
		assert_int_equal(fake_rm_counts(b.f).vms, !noted);
		assert_int_equal(sent(&b, GHVM_RM_VM_DEALLOCATE), noted);
	}
}

/* A VM of ours has a tag in all states but two: in another one it is that of others, whatever was noted. */
static void nothing_is_done_to_a_noted_vmid_in_another_state(void **state)
{
	static const uint8_t states[] = { GHVM_VM_NONE,	   GHVM_VM_INIT,   GHVM_VM_READY,
					  GHVM_VM_RUNNING, GHVM_VM_PAUSED, GHVM_VM_EXITED };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		_cleanup_(bench_done) struct bench b;

		die_after_allocate(&b);
		b.noted.id = SEEN_ON_A_SOC;
		model_lie(b.f->model, GHVM_RM_VM_GET_STATE, 4, &states[i], 1, 0);
		assert_int_equal(bench_recover(&b, NULL), 0);
		assert_int_equal(sent(&b, GHVM_RM_VM_STOP) + sent(&b, GHVM_RM_VM_RESET) +
					 sent(&b, GHVM_RM_VM_DEALLOCATE),
				 0);
	}
}

struct heard {
	unsigned int used;
	unsigned int over;
};

static void on_vmid(void *data, struct ghvm_vmid vmid, bool used)
{
	struct heard *h = data;

	assert_int_equal(vmid.id, SEEN_ON_A_SOC);
	h->used += used;
	h->over += !used;
	assert_true(h->over <= h->used);
}

/* The note begins before the VMID is used for anything, and ends when RM has taken it back. */
static void each_vmid_is_told_of(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct heard h = {};

	init(&b, SEEN_ON_A_SOC);
	ghvm_ledger_watch_vmids(&b.ledger, on_vmid, &h);
	assert_int_equal(bench_run(&b, NULL), 0);
	assert_int_equal(h.used, 1);
	assert_int_equal(h.over, 0);
	assert_int_equal(bench_teardown(&b, NULL), 0);
	assert_int_equal(h.over, 1);
}

/* Another thread's ALLOCATE waits until the VMID that RM may hand out again is not in use here any more. */
static void on_vmid_of_numbers(void *data, struct ghvm_vmid vmid, bool used)
{
	struct ghvm_ledger *l = data;

	assert_int_equal(pthread_mutex_trylock(&l->numbering), EBUSY);
}

static void no_vmid_is_allocated_while_one_is_given_back(void **state)
{
	_cleanup_(bench_done) struct bench b;

	init(&b, 0);
	ghvm_ledger_watch_vmids(&b.ledger, on_vmid_of_numbers, &b.ledger);
	assert_int_equal(bench_run(&b, NULL), 0);
	assert_int_equal(bench_teardown(&b, NULL), 0);
	bench_assert_clean(&b);
}

/* One reply is not enough for a VMID outside of the usual range: RM has no such VM. */
static void an_unusual_vmid_is_asked_about(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	init(&b, 0);
	lie(&b, SEEN_ON_A_SOC);
	assert_int_equal(bench_run(&b, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "VMID 45"));
	assert_non_null(strstr(err.msg, "none"));
	assert_int_equal(sent(&b, GHVM_RM_MEM_LEND), 0);
	assert_false(fake_rm_counts(b.f).rm_dead);
	bench_assert_clean(&b);
}

/* Any state but LOAD: the VM is not the one that was just allocated, and nothing is done to it. */
static void nor_is_it_taken_in_another_state(void **state)
{
	static const uint8_t states[] = { GHVM_VM_INIT,
					  GHVM_VM_READY,
					  GHVM_VM_RUNNING,
					  GHVM_VM_PAUSED,
					  GHVM_VM_EXITED,
					  GHVM_VM_RESET,
					  7,
					  255 };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		_cleanup_(bench_done) struct bench b;

		init(&b, SEEN_ON_A_SOC);
		model_lie(b.f->model, GHVM_RM_VM_GET_STATE, 4, &states[i], 1, 0);
		assert_int_equal(bench_run(&b, NULL), -EBADMSG);
		assert_int_equal(sent(&b, GHVM_RM_VM_STOP) + sent(&b, GHVM_RM_VM_RESET), 0);
		bench_assert_clean(&b); /* the next answer was true: it was in LOAD, and ours */
	}
}

/* The number is kept, since no search finds it. */
static void an_unusual_vmid_that_was_not_confirmed_is_given_back(void **state)
{
	_cleanup_(bench_done) struct bench b;

	init(&b, SEEN_ON_A_SOC);
	model_refuse(b.f->model, GHVM_RM_VM_GET_STATE, GHVM_RM_BUSY, 0);
	assert_int_equal(bench_run(&b, NULL), -EREMOTEIO);
	assert_int_equal(sent(&b, GHVM_RM_MEM_LEND), 0);
	bench_assert_clean(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocate_takes_what_the_rule_says),
		cmocka_unit_test(adoption_believes_what_the_rule_says),
		cmocka_unit_test(an_unusual_vmid_with_pages_is_found_after_a_crash),
		cmocka_unit_test(an_unusual_vmid_without_pages_is_found_if_it_was_noted),
		cmocka_unit_test(nothing_is_done_to_a_noted_vmid_in_another_state),
		cmocka_unit_test(each_vmid_is_told_of),
		cmocka_unit_test(no_vmid_is_allocated_while_one_is_given_back),
		cmocka_unit_test(an_unusual_vmid_is_asked_about),
		cmocka_unit_test(nor_is_it_taken_in_another_state),
		cmocka_unit_test(an_unusual_vmid_that_was_not_confirmed_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
