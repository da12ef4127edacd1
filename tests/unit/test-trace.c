/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ring of messages, and what they say. */
#include "libghvm/bits.h"
#include "libghvm/rm-abi.h"
#include "libghvm/trace.h"
#include "libghvm/wire.h"
#include "tests/unit/unit.h"

#include <string.h>

static void keeps_the_last_in_order(void **state)
{
	struct ghvm_trace_message m;
	struct ghvm_trace t;

	assert_int_equal(ghvm_trace_init(&t), 0);
	assert_int_equal(ghvm_trace_next(&t, 0, &m), 0);
	for (unsigned int i = 1; i <= GHVM_TRACE_MESSAGES + 10; i++)
		ghvm_trace_add(&t, '>', i, (uint16_t)i, NULL, 0);

	/* ten were lost */
	assert_int_equal(ghvm_trace_next(&t, 0, &m), 1);
	assert_int_equal(m.number, 11);
	assert_int_equal(m.id, 11);
	for (uint64_t after = 11; after < GHVM_TRACE_MESSAGES + 10; after++) {
		uint64_t before = m.usec;

		assert_int_equal(ghvm_trace_next(&t, after, &m), 1);
		assert_int_equal(m.number, after + 1);
		assert_true(m.usec >= before);
	}
	assert_int_equal(ghvm_trace_next(&t, m.number, &m), 0);
	assert_int_equal(ghvm_trace_next(&t, UINT64_MAX, &m), 0);
	ghvm_trace_done(&t);
	ghvm_trace_done(&t);
}

static void cuts_what_is_long(void **state)
{
	uint8_t payload[1000];
	struct ghvm_trace_message m;
	struct ghvm_trace t;

	memset(payload, 0xab, sizeof(payload));
	assert_int_equal(ghvm_trace_init(&t), 0);
	ghvm_trace_add(&t, '<', 1, 2, payload, sizeof(payload));
	assert_int_equal(ghvm_trace_next(&t, 0, &m), 1);
	assert_int_equal(m.len, sizeof(payload));
	assert_memory_equal(m.data, payload, GHVM_TRACE_BYTES);
	ghvm_trace_done(&t);
}

#define BYTES(...) { __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static const struct {
	const char *text;
	char dir;
	uint32_t id;
	uint8_t data[40];
	uint32_t len;
} messages[] = {
	{ "> 0102 VM_ALLOCATE vmid 0", '>', GHVM_RM_VM_ALLOCATE, BYTES(0, 0, 0, 0) },
	{ "< 0102 VM_ALLOCATE: OK vmid 130", '<', GHVM_RM_VM_ALLOCATE,
	  BYTES(0, 0, 0, 0, 0x82, 0, 0, 0) },
	{ "< 0102 VM_ALLOCATE: NORESOURCE", '<', GHVM_RM_VM_ALLOCATE, BYTES(2, 0, 0, 0) },
	{ "> 0102 MEM_LEND label 7 for 130 3 entries", '>', GHVM_RM_MEM_LEND,
	  BYTES(0, 0, 2, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0x82, 0, 7, 0, 3, 0, 0, 0) },
	{ "> 0102 MEM_SHARE label 7 for 3,130 1 entries", '>', GHVM_RM_MEM_SHARE,
	  BYTES(0, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 3, 0, 6, 0, 0x82, 0, 6, 0, 1, 0, 0, 0) },
	{ "< 0102 MEM_LEND: OK handle 33", '<', GHVM_RM_MEM_LEND, BYTES(0, 0, 0, 0, 33, 0, 0, 0) },
	{ "< 0102 MEM_LEND: MEM_INVALID", '<', GHVM_RM_MEM_LEND, BYTES(10, 0, 0, 0) },
	{ "> 0102 MEM_APPEND handle 33 64 entries", '>', GHVM_RM_MEM_APPEND,
	  BYTES(33, 0, 0, 0, 1, 0, 0, 0, 64, 0, 0, 0) },
	{ "> 0102 MEM_RECLAIM handle 33 sanitise", '>', GHVM_RM_MEM_RECLAIM,
	  BYTES(33, 0, 0, 0, 1, 0, 0, 0) },
	{ "> 0102 VM_STOP vmid 130 force", '>', GHVM_RM_VM_STOP, BYTES(0x82, 0, 1, 0, 0, 0, 0, 0) },
	{ "> 0102 VM_CONFIG_IMAGE vmid 130 handle 33", '>', GHVM_RM_VM_CONFIG_IMAGE,
	  BYTES(0x82, 0, 0, 0, 33, 0, 0, 0) },
	{ "< 0102 VM_GET_STATE: OK state 3", '<', GHVM_RM_VM_GET_STATE,
	  BYTES(0, 0, 0, 0, 3, 0, 0, 0) },
	{ "> 0102 VM_GET_VMID", '>', GHVM_RM_VM_GET_VMID, BYTES(0) },
	{ "! 0102 VM_EXITED vmid 130 exit type 1", '!', GHVM_RM_NOTIFY_VM_EXITED,
	  BYTES(0x82, 0, 1, 0) },
	{ "! 0102 VM_STATUS vmid 130 state 11", '!', GHVM_RM_NOTIFY_VM_STATUS,
	  BYTES(0x82, 0, 0, 0, 11, 0, 0, 0) },
	/* lies */
	{ "< 0102 VM_START: no status (short)", '<', GHVM_RM_VM_START, BYTES(0, 0) },
	{ "< 0102 VM_GET_STATE: OK (short)", '<', GHVM_RM_VM_GET_STATE, BYTES(0, 0, 0, 0) },
	{ "> 0102 MEM_LEND label 7 for 130 (short)", '>', GHVM_RM_MEM_LEND,
	  BYTES(0, 0, 2, 0, 7, 0, 0, 0, 0xff, 0xff, 0, 0, 0x82, 0, 7, 0) },
};

static void says_what_is_in_them(void **state)
{
	char text[GHVM_TRACE_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct ghvm_trace_message m = {
			.dir = messages[i].dir,
			.id = messages[i].id,
			.seq = 0x102,
			.len = messages[i].len,
		};

		memcpy(m.data, messages[i].data, messages[i].len);
		ghvm_trace_to_text(&m, text);
		assert_string_equal(text, messages[i].text);
	}
}

/* However many VMIDs and however long, a line ends. */
static void a_line_has_an_end(void **state)
{
	struct ghvm_trace_message m = { .dir = '>', .id = GHVM_RM_MEM_SHARE, .len = UINT32_MAX };
	char text[GHVM_TRACE_TEXT];

	memset(m.data, 0xff, sizeof(m.data));
	ghvm_trace_to_text(&m, text);
	assert_non_null(strstr(text, "label 4294967295 for 65535,65535,65535,65535"));
	assert_non_null(strstr(text, "(short)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_last_in_order),
		cmocka_unit_test(cuts_what_is_long),
		cmocka_unit_test(says_what_is_in_them),
		cmocka_unit_test(a_line_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
