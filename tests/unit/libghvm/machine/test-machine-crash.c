/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The message that a guest leaves with RM before its end: asked for before RM forgets it, and without effect on
 * anything else.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/machine/internal.h"
#include "libghvm/rm/rpc.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <string.h>

#define TEXT "Kernel panic"

static void init(struct bench *b, bool rm_rpc)
{
	const struct bench_options o = {
		.host = { .ram_size = GHVM_MIB(2) },
		.demo = { .memory = 0x90 * GHVM_PAGE, .window = true, .rm_rpc = rm_rpc },
	};

	bench_init(b, &o);
	assert_int_equal(bench_run(b, NULL), 0);
}

static void end(struct bench *b, const char *text)
{
	int slot = model_slot(b->f->model, ghvm_machine_vmid(b->m).id);

	assert_true(slot >= 0);
	if (text) /* later runs have another link */
		assert_true(guest_mem_init(&b->guest, b->f->model, (unsigned int)slot));
	if (text)
		assert_int_equal(guest_mem_set_crash(&b->guest, text, strlen(text)), 0);
	model_guest_ended(b->f->model, (unsigned int)slot, GHVM_EXIT_SYSTEM_RESET, NULL, 0);
}

static unsigned int asked(const struct bench *b)
{
	unsigned int n = 0;

	for (size_t i = 0; i < b->f->n_sent; i++)
		n += b->f->sent[i] == GHVM_RM_VM_GET_CRASH_MSG;
	return n;
}

static void is_taken_once(void **state)
{
	_cleanup_(bench_done) struct bench b;
	char text[GHVM_CRASH_MESSAGE_SIZE];

	init(&b, true);
	end(&b, TEXT);
	assert_false(ghvm_machine_take_crash_message(b.m, text));
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_true(ghvm_machine_take_crash_message(b.m, text));
	assert_string_equal(text, TEXT);
	assert_false(ghvm_machine_take_crash_message(b.m, text));
	bench_assert_clean(&b);
}

/* A kernel that panics may also reset: the message is not lost with the VMID. */
static void survives_a_reboot_in_place(void **state)
{
	_cleanup_(bench_done) struct bench b;
	char text[GHVM_CRASH_MESSAGE_SIZE];

	init(&b, true);
	end(&b, TEXT);
	assert_int_equal(ghvm_machine_rebuild(b.m, &b.demo.files, NULL, NULL), 0);
	assert_true(ghvm_machine_take_crash_message(b.m, text));
	assert_string_equal(text, TEXT);

	assert_int_equal(ghvm_machine_start(b.m, NULL), 0);
	end(&b, NULL); /* the next run has left none */
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_int_equal(asked(&b), 2);
	assert_false(ghvm_machine_take_crash_message(b.m, text));
	bench_assert_clean(&b);
}

static void is_not_asked_for_if_the_guest_has_no_link(void **state)
{
	_cleanup_(bench_done) struct bench b;

	init(&b, false);
	end(&b, NULL);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_int_equal(asked(&b), 0);
	bench_assert_clean(&b);
}

static void refuse(struct bench *b, uint32_t status)
{
	model_refuse(b->f->model, GHVM_RM_VM_GET_CRASH_MSG, status, 0);
}

static void answer(struct bench *b, size_t n)
{
	static const uint8_t bytes[64] = { 0, 0, 0, 0, 60 };

	model_reply(b->f->model, GHVM_RM_VM_GET_CRASH_MSG, bytes, n, 0);
}

static void assert_stops_without_a_message(struct bench *b, const char *what)
{
	char text[GHVM_CRASH_MESSAGE_SIZE];

	if (ghvm_machine_teardown(b->m, NULL) < 0)
		fail_msg("%s", what);
	assert_int_equal(asked(b), 1);
	assert_false(ghvm_machine_take_crash_message(b->m, text));
	bench_assert_clean(b);
}

/* RM does not know the message, or its answer makes no sense. */
static void no_answer_disturbs_the_stop(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bench_statuses); i++) {
		_cleanup_(bench_done) struct bench b;

		init(&b, true);
		end(&b, TEXT);
		refuse(&b, bench_statuses[i]);
		assert_stops_without_a_message(&b, "refused");
	}
	for (size_t n = 0; n <= 64; n += 4) {
		_cleanup_(bench_done) struct bench b;

		init(&b, true);
		end(&b, TEXT);
		answer(&b, n);
		assert_stops_without_a_message(&b, "wrong length");
	}
}

static void nor_does_silence(void **state)
{
	for (unsigned int muted = 0; muted < 2; muted++) {
		_cleanup_(bench_done) struct bench b;

		init(&b, true);
		end(&b, TEXT);
		ghvm_rm_set_deadline(b.rm, 50, 2000);
		ghvm_machine_set_patience(b.m, 20); /* less: the reset after it has its own */
		if (muted)
			model_mute(b.f->model, GHVM_RM_VM_GET_CRASH_MSG, 0);
		else
			model_drop(b.f->model, GHVM_RM_VM_GET_CRASH_MSG, 0);
		assert_stops_without_a_message(&b, "silence");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_taken_once),
		cmocka_unit_test(survives_a_reboot_in_place),
		cmocka_unit_test(is_not_asked_for_if_the_guest_has_no_link),
		cmocka_unit_test(no_answer_disturbs_the_stop),
		cmocka_unit_test(nor_does_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
