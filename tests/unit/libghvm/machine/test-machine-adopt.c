/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a dead process leaves, in each state of abi K.6: torn down, or carried on.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/rpc.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#define RAM_PAGES 0x90

static const struct bench_options small = {
	.host = { .ram_size = GHVM_MIB(2) },
	.demo = { .memory = RAM_PAGES * GHVM_PAGE, .window = true },
};

/* Build as far as and with @last. */
static void build_until(struct bench *b, enum ghvm_step_kind last)
{
	struct ghvm_plan *p = &b->demo.plan;
	size_t n = p->n_steps;
	struct ghvm_error err = {};

	while (n && p->steps[n - 1].kind != last)
		n--;
	assert_true(n > 0);
	p->n_steps = n;
	if (ghvm_machine_build(b->m, &b->demo.files, NULL, &err) < 0)
		fail_msg("%s", err.msg);
}

static void start(struct bench *b)
{
	build_until(b, GHVM_STEP_GRANT);
	assert_int_equal(ghvm_machine_start(b->m, NULL), 0);
}

static uint8_t status_of(struct bench *b)
{
	struct ghvm_rm_vm_state s;

	assert_int_equal(ghvm_rm_vm_get_state(b->rm, ghvm_machine_vmid(b->m), &s, NULL), 0);
	return s.status;
}

/* The process dies now; the next one gives all back. */
static void assert_recovers(struct bench *b, enum ghvm_vm_status in)
{
	struct ghvm_error err = {};

	assert_int_equal(status_of(b), in);
	if (bench_recover(b, &err) < 0)
		fail_msg("in %s: %s", ghvm_vm_status_to_string(in), err.msg);
	assert_false(fake_rm_counts(b->f).rm_dead);
	bench_assert_clean(b);
}

static void in_load(void **state)
{
	static const enum ghvm_step_kind last[] = { GHVM_STEP_ALLOCATE, GHVM_STEP_PIN,
						    GHVM_STEP_GUARD, GHVM_STEP_LEND,
						    GHVM_STEP_SHARE };

	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		_cleanup_(bench_done) struct bench b;

		bench_init(&b, &small);
		build_until(&b, last[i]);
		assert_recovers(&b, GHVM_VM_LOAD);
	}
}

static void in_init(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &small);
	build_until(&b, GHVM_STEP_CONFIG_IMAGE);
	assert_recovers(&b, GHVM_VM_INIT);
}

static void in_ready(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &small);
	build_until(&b, GHVM_STEP_GRANT);
	assert_recovers(&b, GHVM_VM_READY);
}

static void running(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &small);
	start(&b);
	assert_recovers(&b, GHVM_VM_RUNNING);
}

static void end_guest(struct bench *b, unsigned int type)
{
	int slot = model_slot(b->f->model, ghvm_machine_vmid(b->m).id);

	assert_true(slot >= 0);
	model_guest_ended(b->f->model, (unsigned int)slot, type, NULL, 0);
}

static void exited(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &small);
	start(&b);
	end_guest(&b, GHVM_EXIT_SYSTEM_OFF);
	assert_recovers(&b, GHVM_VM_EXITED);
}

static void in_init_failed_with_configuration(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &small);
	b.demo.dtb[0] ^= 1; /* no tree any more */
	build_until(&b, GHVM_STEP_CONFIG_IMAGE);
	assert_int_equal(ghvm_rm_vm_init(b.rm, ghvm_machine_vmid(b.m), NULL), -EREMOTEIO);
	assert_recovers(&b, GHVM_VM_INIT_FAILED);
}

/* CONFIG_IMAGE outside the parcel, which our own codec would not send. */
static void config_badly(struct bench *b)
{
	static uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	struct ghvm_get reply;

	ghvm_put_u16(&w, ghvm_machine_vmid(b->m).id);
	ghvm_put_u16(&w, 0);
	ghvm_put_u32(&w, 0); /* the first handle */
	ghvm_put_u64(&w, 0);
	ghvm_put_u64(&w, 0);
	ghvm_put_u64(&w, GHVM_GIB(1));
	ghvm_put_u64(&w, GHVM_PAGE);
	assert_int_equal(ghvm_rm_call(b->rm, GHVM_RM_VM_CONFIG_IMAGE, &w, &reply, NULL),
			 -EREMOTEIO);
}

static void in_init_failed_without_configuration(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_ledger_figures g;
	struct ghvm_error err = {};

	bench_init(&b, &small);
	build_until(&b, GHVM_STEP_SHARE);
	config_badly(&b);
	assert_int_equal(status_of(&b), GHVM_VM_INIT_FAILED);
	if (bench_recover(&b, &err) < 0)
		fail_msg("%s", err.msg);

	/* RM lives, all memory is back, but the VMID is stuck and counted */
	assert_false(fake_rm_counts(b.f).rm_dead);
	assert_int_equal(fake_rm_counts(b.f).vms, 1);
	assert_int_equal(fake_rm_counts(b.f).parcels, 0);
	assert_int_equal(fake_rm_pins(b.f) + fake_rm_quarantined(b.f), 0);
	ghvm_ledger_figures(&b.ledger, &g);
	assert_int_equal(g.stuck, 1);
	assert_int_equal(g.vmids, 1);
	assert_int_equal(g.entries, 0);
}

static void resetting_and_reset(void **state)
{
	for (uint64_t delay = 0; delay <= 20000000; delay += 20000000) {
		struct bench_options o = small;
		_cleanup_(bench_done) struct bench b;

		o.host.delay_ns = delay;
		bench_init(&b, &o);
		build_until(&b, GHVM_STEP_GRANT);
		assert_int_equal(ghvm_rm_vm_reset(b.rm, ghvm_machine_vmid(b.m), NULL), 0);
		assert_recovers(&b, delay ? GHVM_VM_RESETTING : GHVM_VM_RESET);
	}
}

static void reclaimed_but_not_unguarded(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &small);
	build_until(&b, GHVM_STEP_SHARE);
	/* the process dies between an OK and its consequence: handles are unknown to RM */
	assert_int_equal(ghvm_rm_mem_reclaim(b.rm, (struct ghvm_parcel_handle){ 0 }, true, 0, NULL),
			 0);
	assert_int_equal(
		ghvm_rm_mem_reclaim(b.rm, (struct ghvm_parcel_handle){ 1 }, false, 0, NULL), 0);
	assert_recovers(&b, GHVM_VM_LOAD);
}

/* ---- a recovery that is disturbed ---- */

static unsigned int count_recovery(enum ghvm_step_kind last)
{
	_cleanup_(bench_done) struct bench b;
	size_t sent;

	bench_init(&b, &small);
	build_until(&b, last);
	sent = b.f->n_sent;
	assert_int_equal(bench_recover(&b, NULL), 0);
	return (unsigned int)(b.f->n_sent - sent);
}

/* @status: what message @nth is refused with; GHVM_RM_OK: its reply goes missing instead */
static void disturb_recovery(enum ghvm_step_kind last, unsigned int nth, uint32_t status)
{
	struct bench_options o = small;
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	o.patience_ms = 5;
	bench_init(&b, &o);
	build_until(&b, last);
	if (status == GHVM_RM_OK)
		model_mute(b.f->model, 0, nth - 1);
	else
		model_refuse(b.f->model, 0, status, nth - 1);
	if (bench_recover(&b, NULL) < 0 && bench_recover(&b, &err) < 0)
		fail_msg("message %u: %s", nth, err.msg);
	assert_false(fake_rm_counts(b.f).rm_dead);
	bench_assert_clean(&b);
}

/* In the middle there are the 63 questions about strays, of which some will do. */
static unsigned int step(unsigned int nth, unsigned int n)
{
	return nth > 5 && nth + 20 < n ? 9 : 1;
}

static void recovers_though_disturbed(void **state)
{
	static const enum ghvm_step_kind last[] = { GHVM_STEP_ALLOCATE, GHVM_STEP_LEND,
						    GHVM_STEP_CONFIG_IMAGE, GHVM_STEP_GRANT };
	static const uint32_t statuses[] = { GHVM_RM_OK, GHVM_RM_DENIED, GHVM_RM_VM_STATE,
					     GHVM_RM_MEM_INUSE };
	unsigned int points = 0;

	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		unsigned int n = count_recovery(last[i]);

		for (size_t k = 0; k < ARRAY_SIZE(statuses); k++)
			for (unsigned int nth = 2; nth <= n; nth += step(nth, n), points++)
				disturb_recovery(last[i], nth, statuses[k]);
	}
	assert_true(points > 250);
	print_message("recoveries disturbed: %u points\n", points);
}

/* ---- carrying on ---- */

/* The next process, up to its machine. */
static void adopt(struct bench *b, const struct ghvm_plan *plan)
{
	_cleanup_(freep) struct ghvm_orphan *v = NULL;
	struct ghvm_error err = {};
	size_t n;

	ghvm_machine_free(TAKE_PTR(b->m));
	ghvm_rm_free(TAKE_PTR(b->rm));
	ghvm_ledger_done(&b->ledger);
	ghvm_ledger_init(&b->ledger, ghvm_quirks_unknown());
	assert_int_equal(ghvm_rm_new(&b->f->host, &b->rm, NULL), 0);
	assert_int_equal(ghvm_orphans_list(&b->f->host, &v, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_true(v[0].readable && v[1].readable);
	if (ghvm_machine_adopt(&b->f->host, b->rm, &b->ledger, plan, v, n, &b->m, &err) < 0)
		fail_msg("%s", err.msg);
	bench_listen(b);
}

static void carries_on_a_running_guest(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_machine_vcpu vcpu;
	struct ghvm_vmid vmid;
	enum ghvm_exit_type type;
	size_t n;

	bench_init(&b, &small);
	start(&b);
	vmid = ghvm_machine_vmid(b.m);
	vcpu = ghvm_machine_vcpus(b.m, &n)[0];

	adopt(&b, NULL);
	assert_int_equal(ghvm_machine_carry_on(b.m, NULL), 0);
	assert_int_equal(ghvm_machine_vmid(b.m).id, vmid.id);
	assert_int_equal(ghvm_machine_incarnation(b.m), BENCH_INCARNATION);
	assert_int_equal(ghvm_machine_vcpus(b.m, &n)[0].cap.id, vcpu.cap.id);
	assert_int_equal(n, 1);
	(void)ghvm_machine_doorbells(b.m, &n);
	assert_int_equal(n, 2);
	assert_int_equal(ghvm_machine_pages_lent(b.m), RAM_PAGES);
	assert_int_equal(ghvm_machine_pages_shared(b.m), 4);
	assert_int_equal(fake_rm_quarantined(b.f), 0);
	assert_int_equal(fake_rm_guarded(b.f), 2);

	end_guest(&b, GHVM_EXIT_SYSTEM_RESET);
	assert_int_equal(ghvm_rm_dispatch(b.rm), 0);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 1);
	assert_int_equal(type, GHVM_EXIT_SYSTEM_RESET);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

static void hears_of_an_exit_that_came_while_nobody_listened(void **state)
{
	_cleanup_(bench_done) struct bench b;
	enum ghvm_exit_type type;

	bench_init(&b, &small);
	start(&b);
	end_guest(&b, GHVM_EXIT_SYSTEM_OFF);
	adopt(&b, NULL);
	assert_int_equal(ghvm_rm_dispatch(b.rm), 0);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 1);
	assert_int_equal(type, GHVM_EXIT_SYSTEM_OFF);
	assert_int_equal(ghvm_machine_carry_on(b.m, NULL), -ESTALE);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

static void rebuilds_what_it_adopted_if_it_has_the_plan(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	bench_init(&b, &small);
	start(&b);
	adopt(&b, &b.demo.plan);
	assert_int_equal(ghvm_machine_carry_on(b.m, NULL), 0);
	if (ghvm_machine_rebuild(b.m, &b.demo.files, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(ghvm_machine_start(b.m, NULL), 0);
	assert_int_equal(ghvm_machine_pages_lent(b.m), RAM_PAGES);
	assert_int_equal(fake_rm_pins(b.f), 2);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

/* Its extents are read on demand. */
static void knows_its_huge_pages(void **state)
{
	static const struct bench_options options = { .demo = { .window = true } };
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &options);
	start(&b);
	assert_int_equal(ghvm_machine_huge(b.m, 0), 2);
	adopt(&b, &b.demo.plan);
	assert_int_equal(ghvm_machine_huge(b.m, 0), 2);
	assert_int_equal(ghvm_machine_huge(b.m, 1), 0);
	assert_int_equal(ghvm_machine_huge(b.m, 2), 0);
	assert_int_equal(ghvm_machine_carry_on(b.m, NULL), 0);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

static void does_not_rebuild_with_another_plan(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &small);
	start(&b);
	b.demo.plan.parcels[1].size += GHVM_PAGE;
	adopt(&b, &b.demo.plan);
	assert_int_equal(ghvm_machine_carry_on(b.m, NULL), 0);
	assert_int_equal(ghvm_machine_rebuild(b.m, &b.demo.files, NULL, NULL), -EOPNOTSUPP);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

/* tags that cannot be trusted */

static struct fake_pin *first_quarantined(struct bench *b)
{
	for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++)
		if (b->f->pins[i].quarantined)
			return &b->f->pins[i];
	fail();
	return NULL;
}

static void leaves_torn_tags_alone(void **state)
{
	_cleanup_(bench_done) struct bench b;
	_cleanup_(freep) struct ghvm_orphan *v = NULL;
	struct ghvm_machine *m = NULL;
	size_t n;

	bench_init(&b, &small);
	start(&b);
	ghvm_machine_free(TAKE_PTR(b.m));
	first_quarantined(&b)->tag[20] ^= 0x80;

	assert_int_equal(ghvm_orphans_list(&b.f->host, &v, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_true(v[0].readable);
	assert_false(v[1].readable); /* last */
	assert_int_equal(v[1].pages, RAM_PAGES);
	assert_int_equal(ghvm_machine_adopt(&b.f->host, b.rm, &b.ledger, NULL, v, 2, &m, NULL),
			 -EINVAL);
	assert_null(m);
	assert_int_equal(fake_rm_quarantined(b.f), 2);
	assert_int_equal(ghvm_machine_adopt(&b.f->host, b.rm, &b.ledger, NULL, v, 1, &m, NULL), 0);
	ghvm_ledger_distrust(&b.ledger);
	assert_int_equal(ghvm_machine_teardown(m, NULL), 0); /* the VM ends all the same */
	ghvm_machine_free(m);
	assert_int_equal(fake_rm_quarantined(b.f), 1);
	assert_int_equal(fake_rm_counts(b.f).vms, 1); /* or the next would inherit the parcel */
}

/* An adoption that fails half-way puts everything back. */
static void adopts_all_or_nothing(void **state)
{
	_cleanup_(freep) struct ghvm_orphan *v = NULL;
	_cleanup_(bench_done) struct bench b;
	struct ghvm_machine *m = NULL;
	size_t n;

	bench_init(&b, &small);
	start(&b);
	ghvm_machine_free(TAKE_PTR(b.m));
	assert_int_equal(ghvm_orphans_list(&b.f->host, &v, &n, NULL), 0);
	for (unsigned long nth = 1; nth <= 4; nth++) {
		b.f->fail_at = b.f->calls + nth;
		assert_int_equal(
			ghvm_machine_adopt(&b.f->host, b.rm, &b.ledger, NULL, v, n, &m, NULL),
			-EIO);
		assert_int_equal(fake_rm_quarantined(b.f), 2);
		assert_int_equal(fake_rm_pins(b.f), 0);
	}
	assert_int_equal(ghvm_machine_adopt(&b.f->host, b.rm, &b.ledger, NULL, v, n, &m, NULL), 0);
	assert_int_equal(ghvm_machine_teardown(m, NULL), 0);
	ghvm_machine_free(m);
	bench_assert_clean(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_load),
		cmocka_unit_test(in_init),
		cmocka_unit_test(in_ready),
		cmocka_unit_test(running),
		cmocka_unit_test(exited),
		cmocka_unit_test(in_init_failed_with_configuration),
		cmocka_unit_test(in_init_failed_without_configuration),
		cmocka_unit_test(resetting_and_reset),
		cmocka_unit_test(reclaimed_but_not_unguarded),
		cmocka_unit_test(recovers_though_disturbed),
		cmocka_unit_test(carries_on_a_running_guest),
		cmocka_unit_test(hears_of_an_exit_that_came_while_nobody_listened),
		cmocka_unit_test(rebuilds_what_it_adopted_if_it_has_the_plan),
		cmocka_unit_test(knows_its_huge_pages),
		cmocka_unit_test(does_not_rebuild_with_another_plan),
		cmocka_unit_test(leaves_torn_tags_alone),
		cmocka_unit_test(adopts_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
