/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The questions that tell resource managers apart: what is sent, and what each answer,
 * silence or nonsense is taken for.
 */
#include "libghvm/rm/probe.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/rpc.h"
#include "tests/fixtures/rm.h"
#include "tests/fakes/queue-peer.h"
#include "tests/unit/unit.h"

#include <errno.h>

#define CAPID 0x1122334455667788
#define TYPE GHVM_RM_VM_HOST_GET_TYPE
#define CONTEXT GHVM_RM_VM_SET_BOOT_CONTEXT
#define LAYOUT GHVM_RM_VM_SET_ADDRESS_LAYOUT

static const uint8_t open_type[] = { 0x64, 0x01, 0x00, 0x01 };

static struct ghvm_quirks_facts probe(struct fixture *f, int result)
{
	struct ghvm_quirks_facts facts = { .rm_capid = CAPID, .has_address_layout = true };

	assert_int_equal(ghvm_rm_probe(f->rm, &facts, &f->err), result);
	assert_int_equal(facts.rm_capid, CAPID);
	assert_int_equal(facts.answered, result == 0);
	return facts;
}

static void asks_without_a_payload(void **state)
{
	static const uint32_t ids[] = { TYPE, CONTEXT, LAYOUT };
	struct fixture *f = *state;
	struct ghvm_quirks_facts facts;
	size_t n = f->s->n_requests;

	script_answer(f->s, TYPE, GHVM_RM_OK, open_type, sizeof(open_type));
	script_answer(f->s, CONTEXT, GHVM_RM_UNIMPLEMENTED, NULL, 0);
	script_answer(f->s, LAYOUT, GHVM_RM_UNIMPLEMENTED, NULL, 0);
	facts = probe(f, 0);
	assert_true(facts.has_host_type && !facts.has_boot_context && !facts.has_address_layout);
	assert_int_equal(facts.host_type, GHVM_QUIRKS_HOST_TYPE);
	assert_int_equal(f->s->n_requests - n, ARRAY_SIZE(ids));
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_int_equal(f->s->requests[n + i]->id, ids[i]);
		assert_int_equal(f->s->requests[n + i]->len, 0);
	}
}

static void who_refuses_a_message_knows_it(void **state)
{
	static const uint32_t codes[] = { GHVM_RM_OK, GHVM_RM_MSG_INVALID, GHVM_RM_DENIED };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct ghvm_quirks_facts facts;

		script_answer(f->s, TYPE, i ? GHVM_RM_UNIMPLEMENTED : GHVM_RM_DENIED, NULL, 0);
		script_answer(f->s, CONTEXT, codes[i], NULL, 0);
		script_answer(f->s, LAYOUT, codes[i], NULL, 0);
		facts = probe(f, 0);
		assert_false(facts.has_host_type);
		assert_true(facts.has_boot_context && facts.has_address_layout);
	}
}

static void a_type_of_another_size_is_no_answer(void **state)
{
	struct fixture *f = *state;

	for (size_t n = 0; n < 9; n++) {
		if (n == sizeof(open_type))
			continue;
		script_answer(f->s, TYPE, GHVM_RM_OK, "\x64\1\0\1\0\0\0\0", n);
		assert_false(probe(f, -EBADMSG).has_host_type);
	}
}

/* Each question in turn is met by silence: it is the last one. */
static void silence_ends_it(void **state)
{
	struct fixture *f = *state;
	size_t n;

	ghvm_rm_set_deadline(f->rm, 20, 2000);
	for (size_t answered = 0; answered < 3; answered++) {
		n = f->s->n_requests;
		if (answered > 0)
			script_answer(f->s, TYPE, GHVM_RM_OK, open_type, sizeof(open_type));
		if (answered > 1)
			script_answer(f->s, CONTEXT, GHVM_RM_MSG_INVALID, NULL, 0);
		(void)probe(f, -ETIMEDOUT);
		assert_int_equal(f->s->n_requests - n, answered + 2); /* and a GET_VMID */
		assert_false(ghvm_rm_dead(f->rm));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(asks_without_a_payload, rm_bench_setup,
						rm_bench_teardown),
		cmocka_unit_test_setup_teardown(who_refuses_a_message_knows_it, rm_bench_setup,
						rm_bench_teardown),
		cmocka_unit_test_setup_teardown(a_type_of_another_size_is_no_answer, rm_bench_setup,
						rm_bench_teardown),
		cmocka_unit_test_setup_teardown(silence_ends_it, rm_bench_setup, rm_bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
