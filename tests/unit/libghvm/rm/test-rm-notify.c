/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notifications: of the life cycle, and what guests say of memory. */
#include "libghvm/rm/rpc.h"
#include "libghvm/rm/vm-calls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/mem-calls.h"

static int decode_exited(const uint8_t *p, size_t n, struct ghvm_rm_vm_exited *ret)
{
	_cleanup_(freep) uint8_t *exact = malloc(n ? n : 1);
	struct ghvm_rm_notification note = { .id = 0x56100001, .payload = { exact, n, false } };

	memcpy(exact, p, n);
	return ghvm_rm_vm_decode_exited(&note, ret);
}

static int decode_status(const uint8_t *p, size_t n, struct ghvm_rm_vm_status *ret)
{
	_cleanup_(freep) uint8_t *exact = malloc(n ? n : 1);
	struct ghvm_rm_notification note = { .id = 0x56100008, .payload = { exact, n, false } };

	memcpy(exact, p, n);
	return ghvm_rm_vm_decode_status(&note, ret);
}

static void exits_are_decoded(void **state)
{
	static const uint8_t off[] = { 0x80, 0, 1, 0, 4, 0, 0, 0, 1, 0, 2, 0 };
	static const uint8_t reset2[25] = { 0xbe, 0, 3, 0, 16, 0, 0, 0, 1, 2, 3, 4,
					    5,	  6, 7, 8, 9,  0, 1, 2, 3, 4, 5, 6 };
	static const uint8_t bare[] = { 0x80, 0, 7, 0, 0, 0, 0, 0 };
	uint8_t longest[8 + 100] = { 0x80, 0, 9, 0, 100 };
	struct ghvm_rm_vm_exited e = { .type = 77 };

	for (size_t n = 0; n < sizeof(off); n++)
		assert_int_equal(decode_exited(off, n, &e), -EBADMSG);
	assert_int_equal(decode_exited(reset2, 25, &e), -EBADMSG);
	assert_int_equal(e.type, 77);

	assert_int_equal(decode_exited(off, sizeof(off), &e), 0);
	assert_int_equal(e.vmid.id, 0x80);
	assert_int_equal(e.type, GHVM_EXIT_SYSTEM_OFF);
	assert_int_equal(e.reason_size, 4);
	assert_memory_equal(e.reason, off + 8, 4);

	assert_int_equal(decode_exited(reset2, 24, &e), 0);
	assert_int_equal(e.vmid.id, 0xbe);
	assert_int_equal(e.type, GHVM_EXIT_SYSTEM_RESET2);
	assert_int_equal(e.reason_size, 16);
	assert_memory_equal(e.reason, reset2 + 8, 16);

	assert_int_equal(decode_exited(bare, sizeof(bare), &e), 0);
	assert_int_equal(e.reason_size, 0);
	assert_int_equal(decode_exited(longest, sizeof(longest), &e), 0);
	assert_int_equal(e.reason_size, GHVM_RM_REASON_MAX);
	longest[7] = 0xff; /* a size beyond the message */
	assert_int_equal(decode_exited(longest, sizeof(longest), &e), -EBADMSG);
}

static void status_is_decoded(void **state)
{
	static const uint8_t p[9] = { 0x81, 0, 0xee, 0xee, 11, 6, 0xcd, 0xab };
	struct ghvm_rm_vm_status s = { .vmid = { 77 } };

	for (size_t n = 0; n <= 9; n++)
		if (n != 8)
			assert_int_equal(decode_status(p, n, &s), -EBADMSG);
	assert_int_equal(s.vmid.id, 77);
	assert_int_equal(decode_status(p, 8, &s), 0);
	assert_int_equal(s.vmid.id, 0x81);
	assert_int_equal(s.state.status, GHVM_VM_RESET);
	assert_int_equal(s.state.os_status, 6);
	assert_int_equal(s.state.app_status, 0xabcd);
}

static void what_guests_say_of_memory_is_decoded(void **state)
{
	static const uint8_t p[13] = { 0x0d, 0x0c, 0x0b, 0x0a, 0x80, 0,
				       0xee, 0xee, 0x78, 0x56, 0x34, 0x12 };
	static const uint32_t ids[] = { 0x51100012, 0x51100013 };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct ghvm_rm_mem_event e = { .tag = 77 };

		for (size_t n = 0; n <= sizeof(p); n++) {
			_cleanup_(freep) uint8_t *exact = malloc(n ? n : 1);
			struct ghvm_rm_notification note = { .id = ids[i],
							     .payload = { exact, n, false } };

			memcpy(exact, p, n);
			assert_int_equal(ghvm_rm_mem_decode_event(&note, &e),
					 n == 12 ? 0 : -EBADMSG);
			if (n < 12)
				assert_int_equal(e.tag, 77);
		}
		assert_int_equal(e.handle.id, 0x0a0b0c0d);
		assert_int_equal(e.vmid.id, 0x80);
		assert_int_equal(e.tag, 0x12345678);
		assert_int_equal(e.accepted, i);
	}
}

static void other_notifications_are_not_ours(void **state)
{
	struct ghvm_rm_notification n = { .id = 0x51100012 };
	struct ghvm_rm_vm_status s;
	struct ghvm_rm_vm_exited e;
	struct ghvm_rm_mem_event m;

	assert_int_equal(ghvm_rm_vm_decode_exited(&n, &e), -ENOMSG);
	assert_int_equal(ghvm_rm_vm_decode_status(&n, &s), -ENOMSG);
	n.id = 0x51100014;
	assert_int_equal(ghvm_rm_mem_decode_event(&n, &m), -ENOMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exits_are_decoded),
		cmocka_unit_test(status_is_decoded),
		cmocka_unit_test(what_guests_say_of_memory_is_decoded),
		cmocka_unit_test(other_notifications_are_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
