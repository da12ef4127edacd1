/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How guests of the model end: by themselves, by force, unheard. */
#include "libghvm/base/cleanup.h"
#include "tests/fixtures/model-tree.h"

/* A guest that runs, where ends and resets take a microsecond. */
static struct bench *start_slowly(bool late_stop, uint16_t *ret_vmid)
{
	static const struct tree t = {};
	struct model_config config = bench_config();
	struct bench *b;
	uint32_t handle;

	config.delay_ns = 1000;
	config.late_stop = late_stop;
	b = bench_new(&config);
	*ret_vmid = tree_ready(b, &t, &handle);
	model_guest_ended(b->m, 0, 1, NULL, 0); /* does not run yet */
	assert_int_equal(bench_rm_vm(b, START, *ret_vmid), OK);
	bench_forget_notes(b);
	return b;
}

static void let_time_pass(struct bench *b)
{
	b->now += 1001;
	model_work(b->m);
	bench_drain(b);
}

/* One VM_STATUS, then one VM_EXITED: u16 vmid, u16 type, u32 size, reason. */
static void assert_ended(struct bench *b, uint16_t vmid, const uint8_t *want, size_t len)
{
	assert_int_equal(b->n_notes, 2);
	assert_int_equal(b->notes[0].id, NOTE_STATUS);
	assert_int_equal(b->notes[0].payload[4], STATE_EXITED);
	assert_int_equal(b->notes[1].id, NOTE_EXITED);
	assert_int_equal(b->notes[1].len, len);
	assert_memory_equal(b->notes[1].payload, want, len);
	assert_int_equal(bench_state(b, vmid), STATE_EXITED);
}

static const uint8_t forced[] = { 0x80, 0, 7, 0, 4, 0, 0, 0, 0, 0, 0, 0 };

static void ends_of_the_guest_itself_take_their_time(void **state)
{
	static const uint32_t reason[5] = { 0x8001, 2, 3, 4, 5 };
	static const uint8_t want[] = { 0x80, 0, 3, 0, 16, 0, 0, 0, 1, 0x80, 0, 0,
					2,    0, 0, 0, 3,  0, 0, 0, 4, 0,    0, 0 };
	_cleanup_(bench_freep) struct bench *b = NULL;
	uint16_t vmid;

	b = start_slowly(false, &vmid);
	model_guest_ended(b->m, 0, 3, reason, 5);
	model_guest_ended(b->m, 0, 1, NULL, 0); /* the first counts */
	assert_int_equal(bench_state(b, vmid), STATE_RUNNING);
	assert_int_equal(b->later, 1001);
	let_time_pass(b);
	assert_ended(b, vmid, want, sizeof(want));
}

/* abi K.10: it has ended, and said so, before VM_STOP is answered. */
static void a_forced_stop_is_at_once(void **state)
{
	for (int ending = 0; ending < 2; ending++) {
		_cleanup_(bench_freep) struct bench *b = NULL;
		uint16_t vmid;

		b = start_slowly(false, &vmid);
		if (ending) /* RM has not heard of that yet, and then it is too late */
			model_guest_ended(b->m, 0, 1, NULL, 0);
		assert_int_equal(tree_stop(b, vmid, 1), OK);
		assert_int_equal(b->notes_before_reply, 2);
		assert_true(b->guests[0].killed);
		assert_ended(b, vmid, forced, sizeof(forced));
		let_time_pass(b);
		assert_int_equal(b->n_notes, 2);
	}
}

/* The other order, which a product must bear as well. */
static void a_late_stop_is_answered_first(void **state)
{
	_cleanup_(bench_freep) struct bench *b = NULL;
	uint16_t vmid;

	b = start_slowly(true, &vmid);
	assert_int_equal(tree_stop(b, vmid, 1), OK);
	assert_int_equal(b->n_notes, 0);
	assert_true(b->guests[0].killed);
	assert_int_equal(bench_state(b, vmid), STATE_RUNNING);
	let_time_pass(b);
	assert_ended(b, vmid, forced, sizeof(forced));
}

/* abi K.10: RM does not hear of one end in fifty, and then only STOP ends the VM. */
static void an_end_can_get_lost(void **state)
{
	_cleanup_(bench_freep) struct bench *b = NULL;
	uint16_t vmid;

	b = start_slowly(false, &vmid);
	model_drop_end(b->m, 1);
	model_guest_ended(b->m, 0, 1, NULL, 0); /* this one passes */
	let_time_pass(b);
	assert_int_equal(bench_state(b, vmid), STATE_EXITED);
	bench_freep(&b);

	b = start_slowly(false, &vmid);
	model_drop_end(b->m, 0);
	model_guest_ended(b->m, 0, 1, NULL, 0);
	let_time_pass(b);
	assert_int_equal(b->n_notes, 0);
	assert_false(b->guests[0].killed);
	assert_int_equal(bench_state(b, vmid), STATE_RUNNING);
	assert_int_equal(tree_stop(b, vmid, 1), OK);
	assert_ended(b, vmid, forced, sizeof(forced));
}

static void vcpu_run_after_the_end(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	unsigned int slot = 9, vcpu = 9;
	struct ghvm_get g;
	uint64_t x[8], cap;
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &t, &handle);

	assert_int_equal(bench_rm_vm(b, GET_RESOURCES, vmid), OK);
	g = (struct ghvm_get){ .buf = b->reply + 4 + 12, .len = 8 };
	cap = ghvm_get_u64(&g);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	x[1] = cap;
	assert_int_equal(model_hypercall(b->m, 0x65, x, &slot, &vcpu), MODEL_RUN_VCPU);
	assert_int_equal(slot, 0);
	assert_int_equal(vcpu, 0);
	assert_true(model_vcpu_virq(b->m, 0, 0) >= BENCH_VIRQ_FIRST + 2);
	assert_int_equal(tree_stop(b, vmid, 1), OK);
	x[1] = cap;
	assert_int_equal(bench_call(b, 0x65, x), 0);
	assert_int_equal(x[1], 2);
	assert_int_equal(x[2], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_of_the_guest_itself_take_their_time),
		cmocka_unit_test(a_forced_stop_is_at_once),
		cmocka_unit_test(a_late_stop_is_answered_first),
		cmocka_unit_test(an_end_can_get_lost),
		cmocka_unit_test(vcpu_run_after_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
