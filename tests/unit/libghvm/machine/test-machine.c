/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One VM from nothing to its end and back, against the model's resource manager.
 */
#include "ghvm/machine.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/hyp/host.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/rm/rpc.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

static void build(struct bench *b)
{
	struct ghvm_error err = {};

	if (ghvm_machine_build(b->m, &b->demo.files, NULL, &err) < 0)
		fail_msg("%s", err.msg);
}

static void start(struct bench *b)
{
	build(b);
	assert_int_equal(ghvm_machine_start(b->m, NULL), 0);
}

static void end_guest(struct bench *b, unsigned int type)
{
	int slot = model_slot(b->f->model, ghvm_machine_vmid(b->m).id);

	assert_true(slot >= 0);
	model_guest_ended(b->f->model, (unsigned int)slot, type, NULL, 0);
}

/* ---- a life ---- */

static void starts_and_stops(void **state)
{
	static const struct bench_options options = { .demo = { .cpus = 2, .window = true } };
	_cleanup_(bench_done) struct bench b;
	enum ghvm_exit_type type;
	struct model_counts c;
	size_t n;

	bench_init(&b, &options);
	build(&b);
	c = fake_rm_counts(b.f);
	assert_int_equal(c.vms, 1);
	assert_int_equal(c.parcels, 2);
	assert_int_equal(c.lent_pages, 1024);
	assert_int_equal(c.shared_pages, 4);
	assert_int_equal(ghvm_machine_pages_lent(b.m), 1024);
	assert_int_equal(ghvm_machine_pages_shared(b.m), 4);
	assert_int_equal(ghvm_machine_quarantined(b.m), 0);
	assert_int_equal(fake_rm_guarded(b.f), 2);
	assert_int_equal(fake_rm_grants(b.f), 1);
	assert_true(ghvm_machine_grant(b.m) >= 0);
	(void)ghvm_machine_vcpus(b.m, &n);
	assert_int_equal(n, 2);
	(void)ghvm_machine_doorbells(b.m, &n);
	assert_int_equal(n, 2);

	assert_int_equal(ghvm_machine_start(b.m, NULL), 0);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 0);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 1);
	assert_int_equal(type, GHVM_EXIT_FORCED);
	assert_int_equal(ghvm_machine_grant(b.m), -1);
	bench_assert_clean(&b);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0); /* nothing to do */
}

static void sends_what_the_plan_says(void **state)
{
	static const uint32_t want[] = {
		GHVM_RM_VM_ALLOCATE,	      GHVM_RM_MEM_LEND,	       GHVM_RM_MEM_SHARE,
		GHVM_RM_MEM_LOOKUP_SGL,	      GHVM_RM_VM_CONFIG_IMAGE, GHVM_RM_VM_INIT,
		GHVM_RM_VM_GET_HYP_RESOURCES, GHVM_RM_VM_START,
	};
	static const struct bench_options options = { .demo = { .window = true } };
	_cleanup_(bench_done) struct bench b;
	size_t from;

	bench_init(&b, &options);
	from = b.f->n_sent;
	start(&b);
	assert_int_equal(b.f->n_sent - from, ARRAY_SIZE(want));
	assert_memory_equal(b.f->sent + from, want, sizeof(want));
}

static void splits_scattered_memory_into_small_messages(void **state)
{
	static const struct bench_options options = { .host = { .chunk_pages = 1 } };
	_cleanup_(bench_done) struct bench b;
	unsigned int lends = 0, appends = 0;

	bench_init(&b, &options);
	build(&b);
	for (size_t i = 0; i < b.f->n_sent; i++) {
		lends += b.f->sent[i] == GHVM_RM_MEM_LEND;
		appends += b.f->sent[i] == GHVM_RM_MEM_APPEND;
	}
	assert_int_equal(lends, 1);
	assert_int_equal(appends, 1024 / 64 - 1);
	assert_int_equal(fake_rm_counts(b.f).entries, 1024);
	assert_int_equal(fake_rm_counts(b.f).lent_pages, 1024);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

static void shares_all_where_nothing_is_protected(void **state)
{
	static const struct bench_options options = { .demo = { .shared = true } };
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &options);
	start(&b);
	assert_int_equal(fake_rm_counts(b.f).lent_pages, 0);
	assert_int_equal(fake_rm_counts(b.f).shared_pages, 1024);
	assert_int_equal(ghvm_machine_pages_shared(b.m), 1024);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

static void presplits_where_lend_does_not_unmap(void **state)
{
	static const struct bench_options options = { .host = { .presplit_quirk = true },
						      .presplit = true };
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, &options);
	start(&b);
	assert_int_equal(b.f->sent[b.f->n_sent - 7], GHVM_RM_MEM_SHARE);
	assert_int_equal(b.f->sent[b.f->n_sent - 6], GHVM_RM_MEM_RECLAIM);
	assert_int_equal(b.f->sent[b.f->n_sent - 5], GHVM_RM_MEM_LEND);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

static void ends_by_itself(void **state)
{
	/* a real one takes its time */
	static const struct bench_options options = { .host = { .delay_ns = 5000000 } };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_rm_vm_state vm_state;
	enum ghvm_exit_type type;

	bench_init(&b, &options);
	start(&b);
	end_guest(&b, GHVM_EXIT_SYSTEM_OFF);
	while (ghvm_machine_exited(b.m, &type) == 0) /* its notification is read by a call */
		assert_int_equal(
			ghvm_rm_vm_get_state(b.rm, ghvm_machine_vmid(b.m), &vm_state, NULL), 0);
	assert_int_equal(type, GHVM_EXIT_SYSTEM_OFF);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 1);
	assert_int_equal(type, GHVM_EXIT_SYSTEM_OFF);
	bench_assert_clean(&b);
}

/* ---- notifications ---- */

static bool tell_exited(struct ghvm_machine *m, uint16_t vmid, uint16_t type)
{
	uint8_t buf[8] = { (uint8_t)vmid, (uint8_t)(vmid >> 8), (uint8_t)type };
	struct ghvm_rm_notification n = { .id = GHVM_RM_NOTIFY_VM_EXITED,
					  .payload = { .buf = buf, .len = sizeof(buf) } };

	return ghvm_machine_on_notify(m, &n);
}

static void takes_only_its_own_exit(void **state)
{
	_cleanup_(bench_done) struct bench b;
	enum ghvm_exit_type type;
	uint16_t vmid;

	bench_init(&b, NULL);
	assert_false(tell_exited(b.m, 0, 1)); /* it has no VM */
	build(&b);
	vmid = ghvm_machine_vmid(b.m).id;
	assert_false(tell_exited(b.m, vmid, 1)); /* late, about another that had this VMID */
	assert_int_equal(ghvm_machine_start(b.m, NULL), 0);
	assert_false(tell_exited(b.m, vmid + 1, 1));
	assert_int_equal(ghvm_machine_exited(b.m, &type), 0);
	assert_true(tell_exited(b.m, vmid, 6));
	assert_int_equal(ghvm_machine_exited(b.m, &type), 1);
	assert_int_equal(type, GHVM_EXIT_ASYNC_ABORT);
}

static void says_unknown_if_nobody_saw_how_it_ended(void **state)
{
	_cleanup_(bench_done) struct bench b;
	enum ghvm_exit_type type;
	enum ghvm_vm_status status;

	bench_init(&b, NULL);
	ghvm_rm_set_on_notify(b.rm, NULL, NULL);
	start(&b);
	end_guest(&b, GHVM_EXIT_SYSTEM_OFF);
	assert_int_equal(ghvm_machine_status(b.m, &status, NULL), 0);
	assert_int_equal(status, GHVM_VM_EXITED);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 1);
	assert_int_equal(type, GHVM_EXIT_UNKNOWN);
	assert_true(tell_exited(b.m, ghvm_machine_vmid(b.m).id, 2)); /* it comes after all */
	assert_int_equal(ghvm_machine_exited(b.m, &type), 1);
	assert_int_equal(type, GHVM_EXIT_SYSTEM_RESET);
}

/* As a manager has it: one thread reads RM's queue, another builds and tears down. */
struct dispatcher {
	struct bench *b;
	int stop_fd;
};

static void *dispatch(void *data)
{
	struct dispatcher *d = data;
	struct pollfd p[] = { { .fd = ghvm_rm_fd(d->b->rm), .events = POLLIN },
			      { .fd = d->stop_fd, .events = POLLIN } };

	while (!p[1].revents) {
		(void)poll(p, ARRAY_SIZE(p), -1); /* both are looked at in any case */
		if (p[0].revents)
			(void)ghvm_rm_dispatch(d->b->rm); /* the other thread sees a failure */
	}
	return NULL;
}

static void lives_beside_a_dispatcher(void **state)
{
	static const struct bench_options options = { .host = { .delay_ns = 2000000 } };
	_cleanup_(closep) int stop_fd = eventfd(0, EFD_CLOEXEC);
	_cleanup_(bench_done) struct bench b;
	struct dispatcher d = { .b = &b, .stop_fd = stop_fd };
	enum ghvm_exit_type type;
	pthread_t thread;

	bench_init(&b, &options);
	ghvm_rm_set_dispatched(b.rm, true);
	assert_int_equal(pthread_create(&thread, NULL, dispatch, &d), 0);
	start(&b);
	assert_int_equal(ghvm_machine_rebuild(b.m, &b.demo.files, NULL, NULL), 0);
	assert_int_equal(ghvm_machine_start(b.m, NULL), 0);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 1);
	assert_int_equal(type, GHVM_EXIT_FORCED);
	assert_int_equal(eventfd_write(stop_fd, 1), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	bench_assert_clean(&b);
}

/* ---- reboot in place ---- */

static const struct ghvm_extent *first_extent(struct bench *b)
{
	for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++)
		if (b->f->pins[i].used)
			return &b->f->pins[i].extents[0];
	fail();
	return NULL;
}

/**
 * struct pins - all there are
 * @made: so far
 */
struct pins {
	uint64_t made;
	uint64_t ids[4];
	struct ghvm_extent extents[8];
	size_t n;
	size_t n_extents;
};

static void look_at_pins(const struct bench *b, struct pins *ret)
{
	memset(ret, 0, sizeof(*ret)); /* it is compared as bytes */
	ret->made = b->f->next_pin;
	for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++) {
		const struct fake_pin *p = &b->f->pins[i];

		if (!p->used)
			continue;
		assert_true(ret->n < ARRAY_SIZE(ret->ids));
		assert_true(p->n_extents <= ARRAY_SIZE(ret->extents) - ret->n_extents);
		ret->ids[ret->n++] = p->id;
		memcpy(ret->extents + ret->n_extents, p->extents,
		       p->n_extents * sizeof(*p->extents));
		ret->n_extents += p->n_extents;
	}
}

/* On the same pages, all of them, which were neither unpinned nor pinned anew. */
static void reboots_in_place(void **state)
{
	static const struct bench_options options = { .host = { .chunk_pages = 512 },
						      .demo = { .window = true } };
	_cleanup_(bench_done) struct bench b;
	struct pins before, after;
	enum ghvm_exit_type type;
	uint8_t *ram;
	uint64_t pa;

	bench_init(&b, &options);
	start(&b);
	look_at_pins(&b, &before);
	assert_int_equal(before.n, 2);
	assert_int_equal(before.n_extents, 4);
	pa = first_extent(&b)->pa;
	ram = (uint8_t *)fake_rm_ram(b.f, pa);
	assert_int_equal(ram[0], 0xa5); /* the kernel */
	ram[0] = 1;			/* what the guest did */
	ram[GHVM_MIB(3)] = 1;
	end_guest(&b, GHVM_EXIT_SYSTEM_RESET);

	assert_int_equal(ghvm_machine_rebuild(b.m, &b.demo.files, NULL, NULL), 0);
	assert_int_equal(ghvm_machine_exited(b.m, &type), 0);
	look_at_pins(&b, &after);
	assert_memory_equal(&after, &before, sizeof(after));
	assert_int_equal(ram[0], 0xa5);
	assert_int_equal(ram[GHVM_MIB(3)], 0); /* sanitised */
	assert_int_equal(ghvm_machine_start(b.m, NULL), 0);
	assert_int_equal(ghvm_machine_pages_lent(b.m), 1024);
	assert_int_equal(fake_rm_counts(b.f).vms, 1);
	assert_int_equal(fake_rm_grants(b.f), 1);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
	assert_int_equal(ghvm_machine_rebuild(b.m, &b.demo.files, NULL, NULL), -ESTALE);
}

/* ---- refusals, each with its sentence ---- */

static void assert_refuses(struct bench *b, int want, const char *text)
{
	struct ghvm_error err = {};

	assert_int_equal(ghvm_machine_build(b->m, &b->demo.files, NULL, &err), want);
	assert_int_equal(err.code, want);
	if (!strstr(err.msg, text))
		fail_msg("\"%s\" is not in \"%s\"", text, err.msg);
	bench_assert_clean(b);
}

static void refuses_a_kernel_that_has_shrunk(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, NULL);
	assert_int_equal(ftruncate(b.demo.files.kernel, 100), 0);
	assert_refuses(&b, -ENODATA, "kernel: ends after 100");
	assert_int_equal(ghvm_machine_step(b.m), GHVM_STEP_WRITE_KERNEL);
}

static void refuses_memory_that_has_shrunk(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, NULL);
	assert_int_equal(ftruncate(b.demo.memory[0], GHVM_MIB(2)), 0);
	assert_refuses(&b, -EFAULT, "ram: cannot pin");
}

static void refuses_memory_beyond_the_budget(void **state)
{
	static const struct bench_options options = { .host = { .chunk_pages = 1 } };
	struct ghvm_quirks quirks = *ghvm_quirks_unknown();
	_cleanup_(bench_done) struct bench b;
	size_t sent;

	bench_init(&b, &options);
	quirks.v[GHVM_QUIRK_ENTRIES].value = 1023;
	ghvm_ledger_set_quirks(&b.ledger, &quirks);
	sent = b.f->n_sent;
	assert_refuses(&b, -E2BIG, "needs 1024 of the resource manager's 1023 entries");
	for (size_t i = sent; i < b.f->n_sent; i++)
		assert_int_not_equal(b.f->sent[i], GHVM_RM_MEM_LEND); /* RM never heard of it */
}

static void says_what_rm_refused(void **state)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	bench_init(&b, NULL);
	model_refuse(b.f->model, GHVM_RM_MEM_LEND, GHVM_RM_NOMEM, 0);
	assert_int_equal(ghvm_machine_build(b.m, &b.demo.files, NULL, &err), -EREMOTEIO);
	assert_int_equal(err.rm_message, GHVM_RM_MEM_LEND);
	assert_int_equal(err.rm_code, GHVM_RM_NOMEM);
	assert_int_equal(ghvm_machine_step(b.m), GHVM_STEP_LEND);
	bench_assert_clean(&b);
}

static void builds_once(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, NULL);
	build(&b);
	assert_int_equal(ghvm_machine_build(b.m, &b.demo.files, NULL, NULL), -EBUSY);
	assert_int_equal(fake_rm_counts(b.f).vms, 1);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	build(&b); /* and again after its end */
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

/* ---- when RM is gone ---- */

static void keeps_the_pages_if_rm_dies(void **state)
{
	static const struct bench_options options = { .demo = { .window = true },
						      .patience_ms = 5 };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_ledger_figures g;
	struct ghvm_error err = {};

	bench_init(&b, &options);
	ghvm_rm_set_deadline(b.rm, 5, 5);
	start(&b);
	model_kill_rm(b.f->model);
	assert_true(ghvm_machine_teardown(b.m, &err) < 0);
	assert_int_equal(ghvm_machine_quarantined(b.m), 1028);
	assert_int_equal(fake_rm_guarded(b.f), 2);
	assert_true(ghvm_machine_teardown(b.m, &err) < 0); /* no better */
	ghvm_machine_free(TAKE_PTR(b.m));
	assert_int_equal(fake_rm_pins(b.f), 0);
	assert_int_equal(fake_rm_quarantined(b.f), 2);
	ghvm_ledger_figures(&b.ledger, &g);
	assert_int_equal(g.parcels, 2); /* RM still has them */
}

/* A window that RM keeps does not keep the RAM, nor its entries. */
static void unpins_what_is_back_although_not_all_is(void **state)
{
	static const struct bench_options options = { .demo = { .window = true } };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_ledger_figures g;

	bench_init(&b, &options);
	start(&b);
	model_refuse(b.f->model, GHVM_RM_MEM_RECLAIM, GHVM_RM_MEM_INUSE, 2);
	assert_true(ghvm_machine_teardown(b.m, NULL) < 0);
	assert_int_equal(ghvm_machine_quarantined(b.m), 4);
	assert_int_equal(fake_rm_pins(b.f), 1);
	assert_int_equal(fake_rm_guarded(b.f), 1);
	ghvm_ledger_figures(&b.ledger, &g);
	assert_int_equal(g.parcels, 1);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	bench_assert_clean(&b);
}

/* Nothing is guarded any more, and yet there is something to be done. */
static void remembers_a_vmid_that_was_not_taken_back(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, NULL);
	start(&b);
	model_refuse(b.f->model, GHVM_RM_VM_DEALLOCATE, GHVM_RM_BUSY, 0);
	assert_true(ghvm_machine_teardown(b.m, NULL) < 0);
	assert_true(ghvm_machine_undo_failed(b.m));
	assert_int_equal(ghvm_machine_quarantined(b.m), 0);
	assert_int_equal(fake_rm_pins(b.f), 0);
	assert_int_equal(fake_rm_counts(b.f).vms, 1);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_false(ghvm_machine_undo_failed(b.m));
	bench_assert_clean(&b);
}

static void keeps_nothing_that_rm_never_had(void **state)
{
	static const struct bench_options options = { .patience_ms = 5 };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};

	bench_init(&b, &options);
	ghvm_rm_set_deadline(b.rm, 5, 5);
	b.demo.plan.n_steps = 5; /* up to GUARD */
	assert_int_equal(b.demo.plan.steps[4].kind, GHVM_STEP_GUARD);
	build(&b);
	model_kill_rm(b.f->model);
	assert_true(ghvm_machine_teardown(b.m, &err) < 0);
	assert_int_equal(ghvm_machine_quarantined(b.m), 0);
	ghvm_machine_free(TAKE_PTR(b.m));
	assert_int_equal(fake_rm_quarantined(b.f), 0);
}

/* ---- hooks ---- */

struct seen {
	const struct bench *b;
	unsigned int steps;
	unsigned int pinned;
	bool guarded_before;
};

static void on_step(void *data, const struct ghvm_plan *plan, size_t step)
{
	struct seen *s = data;

	assert_int_equal(step, s->steps);
	s->steps++;
}

static void on_pinned(void *data)
{
	struct seen *s = data;

	s->pinned++;
	s->guarded_before |= fake_rm_guarded(s->b->f) > 0;
	assert_int_equal(fake_rm_pins(s->b->f), 2);
}

static void tells_when_files_of_memory_must_be_closed(void **state)
{
	static const struct bench_options options = { .demo = { .window = true } };
	_cleanup_(bench_done) struct bench b;
	struct seen s = { .b = &b };
	struct ghvm_machine_hooks hooks = { .data = &s,
					    .on_step = on_step,
					    .on_pinned = on_pinned };

	bench_init(&b, &options);
	assert_int_equal(ghvm_machine_build(b.m, &b.demo.files, &hooks, NULL), 0);
	assert_int_equal(s.pinned, 1);
	assert_false(s.guarded_before);
	assert_int_equal(s.steps, b.demo.plan.n_steps - 1); /* not START */
}

static void names_states_and_exits(void **state)
{
	assert_string_equal(ghvm_vm_status_to_string(GHVM_VM_INIT_FAILED), "init-failed");
	assert_string_equal(ghvm_vm_status_to_string(7), "unknown");
	assert_string_equal(ghvm_vm_status_to_string(12), "unknown");
	assert_string_equal(ghvm_exit_type_to_string(GHVM_EXIT_SYSTEM_OFF), "off");
	assert_string_equal(ghvm_exit_type_to_string(GHVM_EXIT_UNKNOWN), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_and_stops),
		cmocka_unit_test(sends_what_the_plan_says),
		cmocka_unit_test(splits_scattered_memory_into_small_messages),
		cmocka_unit_test(shares_all_where_nothing_is_protected),
		cmocka_unit_test(presplits_where_lend_does_not_unmap),
		cmocka_unit_test(ends_by_itself),
		cmocka_unit_test(takes_only_its_own_exit),
		cmocka_unit_test(says_unknown_if_nobody_saw_how_it_ended),
		cmocka_unit_test(lives_beside_a_dispatcher),
		cmocka_unit_test(reboots_in_place),
		cmocka_unit_test(refuses_a_kernel_that_has_shrunk),
		cmocka_unit_test(refuses_memory_that_has_shrunk),
		cmocka_unit_test(refuses_memory_beyond_the_budget),
		cmocka_unit_test(says_what_rm_refused),
		cmocka_unit_test(builds_once),
		cmocka_unit_test(keeps_the_pages_if_rm_dies),
		cmocka_unit_test(unpins_what_is_back_although_not_all_is),
		cmocka_unit_test(remembers_a_vmid_that_was_not_taken_back),
		cmocka_unit_test(keeps_nothing_that_rm_never_had),
		cmocka_unit_test(tells_when_files_of_memory_must_be_closed),
		cmocka_unit_test(names_states_and_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
