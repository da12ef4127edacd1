/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libghvm/rm/mem-calls.c"
#include "libghvm/rm/vm-calls.c"

#define LENGTH_MIN 0
#define LENGTH_MAX (8 + GHVM_RM_REASON_MAX + 1)
#include "tests/prove/eva/any.h"

static void decode(uint8_t *p, size_t n)
{
	struct ghvm_rm_notification notification = {
		.id = Frama_C_unsigned_int_interval(0, UINT32_MAX),
		.payload = { .buf = p, .len = n },
	};
	struct ghvm_rm_vm_exited exited;
	struct ghvm_rm_vm_status status;
	struct ghvm_rm_mem_event event;

	(void)ghvm_rm_vm_decode_exited(&notification, &exited);
	(void)ghvm_rm_vm_decode_status(&notification, &status);
	(void)ghvm_rm_mem_decode_event(&notification, &event);
}
