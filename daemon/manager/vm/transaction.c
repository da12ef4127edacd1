/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes of a VM's memory at run time.
 */
#include "daemon/manager/vm/transaction.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/manager/vm/internal.h"
#include "libghvm/base/cleanup.h"

/* --- the map --- */

size_t vm_regions(const struct vm *vm, struct ghvm_machine_region ret[VM_REGIONS_MAX])
{
	struct ghvm_machine *m = vm->guest ? guest_machine(vm->guest) : NULL;

	return m ? ghvm_machine_regions(m, ret, VM_REGIONS_MAX) : 0;
}

uint64_t vm_added(const struct vm *vm)
{
	struct ghvm_machine_region v[VM_REGIONS_MAX];
	size_t n = vm_regions(vm, v);
	uint64_t bytes = vm->transaction.bytes;

	for (size_t i = 0; i < n; i++)
		if (v[i].added)
			bytes += v[i].size;
	return bytes;
}

static bool label_in_use(const struct vm *vm, uint32_t label)
{
	struct ghvm_machine_region v[VM_REGIONS_MAX];
	size_t n = vm_regions(vm, v);

	for (size_t i = 0; i < n; i++)
		if (v[i].label == label)
			return true;
	for (size_t i = 0; i < vm->transaction.n_labels; i++)
		if (vm->transaction.labels[i] == label)
			return true;
	return false;
}

/* --- before the commit --- */

bool vm_has_transaction(const struct vm *vm)
{
	return vm->transaction.changes;
}

int vm_transaction_begin(struct vm *vm, const struct vm_transaction_owner *owner,
			 struct ghvm_error *err)
{
	struct ghvm_transaction *changes;
	int r;

	if (vm->state != VM_RUNNING)
		return ghvm_error_set(err, -ESRCH, "%s is %s", vm->name,
				      vm_state_to_string(vm->state));
	if (vm_has_transaction(vm))
		return ghvm_error_set(err, -EALREADY, "%s already has an open transaction",
				      vm->name);
	if (op_busy(&vm->op))
		return ghvm_error_set(err, -EBUSY, "%s is busy", vm->name);
	r = ghvm_transaction_new(guest_machine(vm->guest), &changes, err);
	if (r < 0)
		return r;
	vm->transaction = (struct vm_transaction){ .changes = changes, .owner = *owner };
	return 0;
}

/* All holes of the file may be in the requested part. */
uint64_t vm_transaction_untouched(const struct ghvm_transaction_add *a)
{
	uint64_t size, there, holes;
	struct stat st;

	if (fstat(a->memfd, &st) < 0 || st.st_size < 0)
		return a->size;
	size = (uint64_t)st.st_size;
	there = (uint64_t)st.st_blocks * 512;
	holes = size > there ? size - there : 0;
	return holes < a->size ? holes : a->size;
}

int vm_transaction_add(struct vm *vm, const struct ghvm_transaction_add *a, struct ghvm_error *err)
{
	struct vm_transaction *t = &vm->transaction;
	int r;

	if (label_in_use(vm, a->label))
		return ghvm_error_set(err, -ENOTUNIQ, "region %u: label is in use", a->label);
	r = ghvm_transaction_add(t->changes, a, err);
	if (r < 0)
		return r;
	t->fds[t->n_labels] = fcntl(a->memfd, F_DUPFD_CLOEXEC, 3); /* a memfd: it was checked */
	t->labels[t->n_labels++] = a->label;
	t->bytes += a->size;
	t->untouched += vm_transaction_untouched(a);
	return 0;
}

int vm_transaction_remove(struct vm *vm, uint32_t label, struct ghvm_error *err)
{
	int r = ghvm_transaction_remove(vm->transaction.changes, label, err);

	if (r == 0)
		vm_changed(vm); /* the state of the region has changed to "removing" */
	return r;
}

char *vm_transaction_to_json(const struct vm *vm)
{
	return ghvm_transaction_to_json(vm->transaction.changes);
}

/* --- the commit --- */

void vm_transaction_done(struct vm *vm)
{
	struct vm_transaction *t = &vm->transaction;

	ghvm_transaction_free(t->changes);
	while (t->n_labels)
		closep(&t->fds[--t->n_labels]);
	*t = (struct vm_transaction){};
}

static void forget(struct vm *vm)
{
	vm_transaction_done(vm);
	vm_changed(vm);
}

static void end_transaction(struct vm *vm, enum vm_transaction_end how,
			    const struct ghvm_error *err)
{
	const struct vm_transaction_owner owner = vm->transaction.owner;

	forget(vm);
	if (owner.on_end)
		owner.on_end(owner.data, how, err);
}

static int run_commit(void *data, struct ghvm_error *err)
{
	struct vm *vm = data;

	return ghvm_transaction_commit(vm->transaction.changes, vm->transaction.ms, err);
}

static void on_commit_done(void *data, int result, const struct ghvm_error *err)
{
	struct vm *vm = data;
	struct log_about a = vm_about(vm);

	if (result < 0) {
		a.err = err;
		log_warning(&a, 0, "Cannot change the guest's memory: %s", err->msg);
	} else {
		log_info(&a, "The guest's memory was changed");
	}
	end_transaction(vm, result < 0 ? VM_TRANSACTION_FAILED : VM_TRANSACTION_COMMITTED, err);
	vm_look(vm);
	(void)vm_step(vm, VM_EVENT_DONE); /* legal in COMMITTING, and in LEAVING */
	vm_settle(vm);
}

const struct op_calls vm_commit_op = { .run = run_commit, .on_done = on_commit_done };

int vm_transaction_commit(struct vm *vm, unsigned int ms, struct ghvm_error *err)
{
	struct vm_transaction *t = &vm->transaction;
	int r;

	if (vm->life.phase != VM_PHASE_RUNNING) /* a commit that runs reads what is written here */
		return ghvm_error_set(err, -EBUSY, "%s is busy", vm->name);
	t->ms = ms;
	/* before the guest has it: if this manager dies, its successor asks the runner for it */
	r = vm_region_memory_add(vm, t->labels, t->fds, t->n_labels, err);
	if (r < 0)
		return r;
	r = vm_step(vm, VM_EVENT_COMMIT);
	if (r < 0) {
		vm_region_memory_prune(vm);
		return ghvm_error_set(err, r, "cannot start a thread: %s", strerror(-r));
	}
	t->committing = true;
	return 0;
}

void vm_transaction_rollback(struct vm *vm)
{
	vm->transaction.owner = (struct vm_transaction_owner){};
	if (!vm->transaction.committing)
		forget(vm);
}

void vm_transaction_over(struct vm *vm)
{
	const struct ghvm_error err = { .code = -ECANCELED, .msg = "its guest is over" };

	if (vm_has_transaction(vm))
		end_transaction(vm, VM_TRANSACTION_ROLLED_BACK, &err);
}
