/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The message that a guest has left for its owner: what a guest writes into it does no harm.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fixtures/rm.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

static int get(struct fixture *f, char ret[GHVM_CRASH_MESSAGE_SIZE])
{
	return ghvm_rm_vm_get_crash_msg(f->rm, (struct ghvm_vmid){ 0x8f }, ret, &f->err);
}

/* A guest has written it, so it may be anything; @says: bytes that are answered after the status. */
#define CRASH(text, says)                                                                          \
	{                                                                                          \
		(const uint8_t *)(says), sizeof(says) - 1, text                                    \
	}

static void a_crash_message_is_made_printable(void **state)
{
	static const struct {
		const uint8_t *says;
		size_t n;
		const char *text;
	} v[] = {
		CRASH("", "\0\0\0\0"),
		CRASH("abcd", "\4\0\0\0abcd"),
		CRASH("", "\4\0\0\0\0\0\0\0"),
		CRASH("ab", "\4\0\0\0ab\n\0"),		   /* a kernel's line */
		CRASH("a b", "\3\0\0\0a\nb\0"),		   /* two lines */
		CRASH("a?b", "\3\0\0\0a\0b\0"),		   /* nothing is hidden */
		CRASH("?[2J", "\4\0\0\0\033[2J"),	   /* clears no terminal */
		CRASH("??x", "\3\0\0\0\xc2\x9bx\0"),	   /* nor by C1 */
		CRASH("\xc3\xa9", "\2\0\0\0\xc3\xa9\0\0"), /* a character of two bytes */
		CRASH("a?", "\2\0\0\0a\xc3\0\0"),	   /* half of one */
		CRASH("a", "\1\0\xff\xff"
			   "abcd"), /* the padding does not count */
	};
	char text[GHVM_CRASH_MESSAGE_SIZE];
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		script_answer(f->s, GHVM_RM_VM_GET_CRASH_MSG, 0, v[i].says, v[i].n);
		assert_int_equal(get(f, text), 0);
		assert_string_equal(text, v[i].text);
	}
}

/* More than the open RM keeps is cut; a length that is not that of the reply is refused. */
static void a_crash_message_has_its_length(void **state)
{
	static const uint16_t lengths[] = { 1, 191, 192, 193, 5000, 14370 };
	static uint8_t p[GHVM_RM_MSG_MAX];
	char text[GHVM_CRASH_MESSAGE_SIZE];
	struct fixture *f = *state;

	memset(p, 'x', sizeof(p));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		const size_t n = lengths[i], padded = 4 + (n + 3) / 4 * 4;

		memcpy(p, (uint8_t[4]){ n & 0xff, n >> 8 }, 4);
		script_answer(f->s, GHVM_RM_VM_GET_CRASH_MSG, 0, p, padded);
		assert_int_equal(get(f, text), 0);
		assert_int_equal(strlen(text), n < 192 ? n : 192);
		script_answer(f->s, GHVM_RM_VM_GET_CRASH_MSG, 0, p, padded - 4);
		assert_int_equal(get(f, text), -EBADMSG);
		script_answer(f->s, GHVM_RM_VM_GET_CRASH_MSG, 0, p, padded + 4);
		assert_int_equal(get(f, text), -EBADMSG);
	}
	memset(p, 0xff, 4);
	script_answer(f->s, GHVM_RM_VM_GET_CRASH_MSG, 0, p, 196);
	assert_int_equal(get(f, text), -EBADMSG);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rm_bench_setup, rm_bench_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(a_crash_message_is_made_printable),
		T(a_crash_message_has_its_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
