/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a stop believes of notifications: RM is asked once where the VM stands, and a notification that is wrong frees
 * no page.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/machine/internal.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <string.h>

#define DELAY_NS 5000000 /* of a reset: a real one takes its time */

static const struct bench_options slow = { .host = { .delay_ns = DELAY_NS } };

static void start(struct bench *b, const struct bench_options *options)
{
	bench_init(b, options);
	assert_int_equal(ghvm_machine_build(b->m, &b->demo.files, NULL, NULL), 0);
	assert_int_equal(ghvm_machine_start(b->m, NULL), 0);
}

static unsigned int count_sent(const struct bench *b, size_t from, uint32_t id)
{
	unsigned int n = 0;

	for (size_t i = from; i < b->f->n_sent; i++)
		n += b->f->sent[i] == id;
	return n;
}

static void a_stop_asks_once(void **state)
{
	_cleanup_(bench_done) struct bench b;
	enum ghvm_exit_type type;
	size_t from;

	start(&b, NULL);
	from = b.f->n_sent;
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_int_equal(count_sent(&b, from, GHVM_RM_VM_GET_STATE), 1);
	assert_int_equal(count_sent(&b, from, GHVM_RM_VM_STOP), 1);
	assert_int_equal(count_sent(&b, from, GHVM_RM_VM_RESET), 1);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 1);
	assert_int_equal(type, GHVM_EXIT_FORCED);
	bench_assert_clean(&b);
}

/* Without notifications RM is asked until it says so. */
static void a_deaf_stop_asks(void **state)
{
	_cleanup_(bench_done) struct bench b;
	size_t from;

	start(&b, &slow);
	ghvm_rm_set_on_notify(b.rm, NULL, NULL);
	from = b.f->n_sent;
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_true(count_sent(&b, from, GHVM_RM_VM_GET_STATE) >= 3);
	bench_assert_clean(&b);
}

/**
 * struct forger - once @after was sent, and VM_STATUS has said @told last, a notification comes that says @status
 * @due: it is to come
 */
struct forger {
	struct bench *b;
	uint32_t after;
	enum ghvm_vm_status told;
	enum ghvm_vm_status status;
	bool due;
};

static void tell_status(struct bench *b, enum ghvm_vm_status status)
{
	const uint16_t vmid = ghvm_machine_vmid(b->m).id;
	uint8_t buf[8] = { (uint8_t)vmid, (uint8_t)(vmid >> 8), 0, 0, (uint8_t)status };
	struct ghvm_rm_notification n = { .id = GHVM_RM_NOTIFY_VM_STATUS,
					  .payload = { .buf = buf, .len = sizeof(buf) } };

	assert_true(ghvm_machine_on_notify(b->m, &n));
}

/* Once, before the reply is read. */
static void forge(void *data)
{
	struct forger *f = data;
	const struct fake_rm *rm = f->b->f;

	if (!f->due || rm->sent[rm->n_sent - 1] != f->after || f->b->m->told != f->told)
		return;
	f->due = false;
	tell_status(f->b, f->status);
}

/* The guest is not reset yet, so RM does not give its pages back; fake_rm ends the test if one is unpinned. */
static void an_early_reset_frees_no_page(void **state)
{
	struct forger f = { NULL, GHVM_RM_VM_RESET, GHVM_VM_RESETTING, GHVM_VM_RESET, true };
	_cleanup_(bench_done) struct bench b; /* ends before @f, which it calls */
	struct ghvm_error err = {};

	start(&b, &slow);
	f.b = &b;
	b.f->on_leave_data = &f;
	b.f->on_leave = forge;
	assert_true(ghvm_machine_teardown(b.m, &err) < 0);
	assert_false(f.due);
	assert_int_equal(err.rm_code, GHVM_RM_MEM_INUSE);
	assert_true(fake_rm_guarded(b.f) > 0);
	assert_true(ghvm_machine_quarantined(b.m) > 0);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

/* RM refuses the RESET of a VM that runs, and is asked then. */
static void an_early_exit_costs_a_refusal(void **state)
{
	static const struct bench_options late = { .host = { .delay_ns = DELAY_NS,
							     .late_stop = true } };
	struct forger f = { NULL, GHVM_RM_VM_STOP, GHVM_VM_NONE, GHVM_VM_EXITED, true };
	_cleanup_(bench_done) struct bench b; /* ends before @f, which it calls */
	size_t from;

	start(&b, &late);
	f.b = &b;
	b.f->on_leave_data = &f;
	b.f->on_leave = forge;
	from = b.f->n_sent;
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_false(f.due);
	assert_int_equal(count_sent(&b, from, GHVM_RM_VM_RESET), 2);
	assert_false(fake_rm_counts(b.f).rm_dead);
	bench_assert_clean(&b);
}

/* What was told before a request is no effect of it. */
static void what_came_before_is_not_believed(void **state)
{
	_cleanup_(bench_done) struct bench b;
	size_t from;

	start(&b, &slow);
	tell_status(&b, GHVM_VM_RESET);
	from = b.f->n_sent;
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_int_equal(b.f->sent[from], GHVM_RM_VM_GET_STATE);
	assert_int_equal(count_sent(&b, from, GHVM_RM_VM_STOP), 1);
	bench_assert_clean(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stop_asks_once),
		cmocka_unit_test(a_deaf_stop_asks),
		cmocka_unit_test(an_early_reset_frees_no_page),
		cmocka_unit_test(an_early_exit_costs_a_refusal),
		cmocka_unit_test(what_came_before_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
