/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notifications from RM: an input is a u32 id and a payload. */
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/rpc.h"
#include "libghvm/rm/vm-calls.h"
#include "libghvm/base/wire.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ghvm_get g = { .buf = data, .len = size };
	struct ghvm_rm_vm_exited exited = { .reason_size = 77 };
	struct ghvm_rm_vm_status status = { .vmid = { 77 } };
	struct ghvm_rm_mem_event mem = { .vmid = { 77 }, .tag = 77 };
	struct ghvm_rm_notification n;
	int a, b, c;

	n.id = ghvm_get_u32(&g);
	n.payload = g;
	a = ghvm_rm_vm_decode_exited(&n, &exited);
	b = ghvm_rm_vm_decode_status(&n, &status);
	PROMISE(a == 0 || a == -ENOMSG || a == -EBADMSG);
	PROMISE(b == 0 || b == -ENOMSG || b == -EBADMSG);
	c = ghvm_rm_mem_decode_event(&n, &mem);
	PROMISE(c == 0 || c == -ENOMSG || c == -EBADMSG);
	/* it is one of them at most */
	PROMISE((a == -ENOMSG) + (b == -ENOMSG) + (c == -ENOMSG) >= 2);
	PROMISE(a == 0 ? exited.reason_size <= GHVM_RM_REASON_MAX : exited.reason_size == 77);
	PROMISE(b == 0 || status.vmid.id == 77);
	PROMISE(c == 0 || (mem.vmid.id == 77 && mem.tag == 77));
	return 0;
}
