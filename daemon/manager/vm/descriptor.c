/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compare the descriptor on disk with the one that the guest was started with.
 */
#include "daemon/manager/vm/internal.h"

#include <errno.h>
#include <string.h>

#include "libghvm/base/cleanup.h"
#include "libghvm/spec/digest.h"

/*
 * Use the spec if it is known, because an older manager may have computed its digest differently. A
 * concurrent operation only reads the spec.
 */
static void started_by(const struct vm *vm, char ret[17])
{
	memcpy(ret, vm->digest, sizeof(vm->digest));
	if (vm->guest->spec.kernel)
		spec_digest(&vm->guest->spec, ret);
}

static const char *judge(const struct vm *vm, const char *const *dirs)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec now = {};
	char then_digest[17], now_digest[17];
	int r;

	if (vm->transient)
		return VM_DESCRIPTOR_TRANSIENT;
	r = ghvm_spec_load(vm->name, dirs, &now, NULL, NULL);
	if (r < 0)
		return r == -ENOENT ? VM_DESCRIPTOR_MISSING : VM_DESCRIPTOR_INVALID;
	started_by(vm, then_digest);
	spec_digest(&now, now_digest);
	return strcmp(then_digest, now_digest) ? VM_DESCRIPTOR_CHANGED : VM_DESCRIPTOR_CURRENT;
}

void vm_judge_descriptor(struct vm *vm, const char *const *dirs)
{
	const char *now;

	if (!vm->guest)
		return;
	now = judge(vm, dirs);
	if (!strcmp(vm_descriptor(vm), now))
		return;
	vm->descriptor = now;
	vm_changed(vm);
}

const char *vm_descriptor(const struct vm *vm)
{
	return vm->guest && vm->descriptor ? vm->descriptor : "";
}
