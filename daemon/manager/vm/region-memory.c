/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of regions: given to clients, and taken from and to the runner.
 *
 * A client, or a runner that its guest has taken over, can do with this memory what the guest can do
 * with it, and no more: its size is sealed, and the pages of the guest are kept by the pin and not by
 * the file.
 */
#include "daemon/manager/vm/region-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "daemon/manager/vm/internal.h"

#define SENT_PATIENCE_MS 2000 /* for the files of a transient VM, when its guest may have ended */
#define UNANSWERED_MAX 4      /* changes of the regions that the runner has not read */

static bool find_region(const struct vm *vm, uint32_t label, struct ghvm_machine_region *ret)
{
	struct ghvm_machine_region v[VM_REGIONS_MAX];
	size_t n = vm_regions(vm, v);

	for (size_t i = 0; i < n; i++) {
		if (v[i].label != label)
			continue;
		*ret = v[i];
		return true;
	}
	return false;
}

static int check_region(const struct vm *vm, const struct ghvm_machine_region *r,
			struct ghvm_error *err)
{
	if (r->lent || r->label == GHVM_LABEL_RAM)
		return ghvm_error_set(err, -EXDEV,
				      "region %" PRIu32
				      " is the guest's own memory: only regions of kind share can "
				      "be opened (see: ghvmctl region list %s)",
				      r->label, vm->name);
	if (r->removing)
		return ghvm_error_set(err, -ESTALE, "region %" PRIu32 " is being removed",
				      r->label);
	return 0;
}

/* Its adder may have put more into the file than the region: that is not the guest's, nor others'. */
static int check_file(const struct ghvm_machine_region *r, int fd, struct ghvm_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return ghvm_error_set(err, -errno, "region %" PRIu32 ": cannot read its size",
				      r->label);
	if ((uint64_t)st.st_size != r->size)
		return ghvm_error_set(
			err, -EXDEV,
			"region %" PRIu32 " has %" PRIu64 " bytes and its file %" PRIu64
			": only the client that added it can use it (for others, add a "
			"file of the region's size)",
			r->label, r->size, (uint64_t)st.st_size);
	/* otherwise one client could take write access from all others; may be sealed already */
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL);
	return 0;
}

static int missing_file(const struct vm *vm, uint32_t label, struct ghvm_error *err)
{
	if (vm->awaits_region_fds)
		return ghvm_error_set(err, -EBUSY,
				      "the manager was restarted and waits for %s's runner, which "
				      "has the memory of region %" PRIu32 ": try again",
				      vm->name, label);
	return ghvm_error_set(err, -ESTALE,
			      "the memory of region %" PRIu32
			      " cannot be opened before the next start of %s: its runner is of an "
			      "earlier version, or lacked file descriptors",
			      label, vm->name);
}

int vm_region_memory(const struct vm *vm, uint32_t label, struct ghvm_error *err)
{
	struct ghvm_machine_region r;
	int fd;

	if (vm->state != VM_RUNNING)
		return ghvm_error_set(err, -ESRCH,
				      "%s is %s: its regions can be opened while it runs", vm->name,
				      vm_state_to_string(vm->state));
	if (!find_region(vm, label, &r))
		return ghvm_error_set(err, -ENOENT,
				      "%s has no region %" PRIu32 " (see: ghvmctl region list %s)",
				      vm->name, label, vm->name);
	if (check_region(vm, &r, err) < 0)
		return err->code;
	fd = ghvm_region_fds_get(&vm->guest->regions, label);
	if (fd < 0)
		return missing_file(vm, label, err);
	return check_file(&r, fd, err) < 0 ? err->code : fd;
}

static void keep_region(struct vm *vm, uint32_t label, int fd)
{
	struct log_about a = vm_about(vm);
	int r = ghvm_region_fds_put(&vm->guest->regions, label, fd);

	if (r < 0)
		log_warning(&a, r, "Clients cannot open region %" PRIu32, label);
}

int vm_region_memory_add(struct vm *vm, const uint32_t *labels, const int *fds, size_t n,
			 struct ghvm_error *err)
{
	/* a runner that does not read keeps room in its socket for what must be said */
	if (vm->pings - vm->pongs >= UNANSWERED_MAX)
		return ghvm_error_set(err, -EBUSY, "%s: its runner does not reply: try again",
				      vm->name);
	for (size_t i = 0; i < n; i++) {
		keep_region(vm, labels[i], fds[i]);
		if (fds[i] >= 0)
			control_region_fd(&vm->control, labels[i], fds[i]);
	}
	control_ping(&vm->control, ++vm->pings);
	return 0;
}

void vm_region_memory_prune(struct vm *vm)
{
	struct ghvm_region_fds *all = vm->guest ? &vm->guest->regions : NULL;
	struct ghvm_machine_region r;
	size_t i = 0;

	while (all && i < all->n) {
		const uint32_t label = all->v[i].label;

		if (find_region(vm, label, &r)) {
			i++;
			continue;
		}
		ghvm_region_fds_drop(all, label); /* the last one takes its place */
		control_region_gone(&vm->control, label);
	}
}

/* --- after a change of managers --- */

bool vm_awaits_sent(const struct vm *vm)
{
	return vm->transient && vm->awaits_region_fds && control_connected(&vm->control);
}

/* The runner exits when it is refused, and an answer of a process that has exited is not taken. */
void vm_refuse_runner(struct vm *vm, const char *why)
{
	if (!vm->transient || loop_timer_arm(&vm->hint_patience, SENT_PATIENCE_MS) < 0) {
		control_refused(&vm->control, why);
		return;
	}
	vm->awaits_region_fds = true;
	vm->refusal = why;
	control_ask_sent_fds(&vm->control);
	control_ping(&vm->control, ++vm->pings);
}

void vm_refuse_now(struct vm *vm)
{
	vm->awaits_region_fds = false;
	loop_timer_disarm(&vm->hint_patience);
	if (vm->refusal)
		control_refused(&vm->control, vm->refusal);
	vm->refusal = NULL;
}

static void ask_sent(struct vm *vm)
{
	control_ask_sent_fds(&vm->control);
	if (!vm->awaits_hint) /* else its timer runs */
		(void)loop_timer_arm(&vm->hint_patience, SENT_PATIENCE_MS);
}

void vm_on_sent_fd(void *data, enum ghvm_link_kind kind, int fd)
{
	struct log_about a = vm_about(data);
	struct ghvm_error err = {};
	struct vm *vm = data;
	int r = vm_awaits_sent(vm) ? transient_keep(vm->transient, kind, fd, &err) : 0;

	if (r < 0)
		log_warning(&a, r, "Cannot keep a file of a transient VM: %s", err.msg);
}

/* The runner has sent what it has of a transient VM: go on with an end that has waited for it. */
static void have_sent(struct vm *vm)
{
	if (vm->refusal) {
		vm_refuse_now(vm);
		return;
	}
	if (vm->guest)
		guest_recall_sent(vm->guest, vm->transient);
	if (vm->awaits_hint && vm->hinted) {
		vm_on_hint_patience(vm);
		return;
	}
	if (!vm->awaits_hint && !vm->hinted)
		loop_timer_disarm(&vm->hint_patience);
	vm_settle(vm);
}

void vm_region_memory_ask(struct vm *vm)
{
	if (!vm_alive(vm)) /* vm_refuse_runner() has asked it */
		return;
	vm->pongs = vm->pings; /* forget what an earlier runner has not answered */
	if (!vm->awaits_region_fds)
		return;
	control_ask_region_fds(&vm->control);
	if (vm->transient)
		ask_sent(vm);
	control_ping(&vm->control, ++vm->pings);
}

void vm_on_region_fd(void *data, uint32_t label, int fd)
{
	struct vm *vm = data;

	struct ghvm_machine_region r;

	/* not asked for, or this manager has added the region of that label since */
	if (!vm->guest || !vm->awaits_region_fds ||
	    ghvm_region_fds_get(&vm->guest->regions, label) >= 0)
		return;
	if (find_region(vm, label, &r))
		keep_region(vm, label, fd);
	else
		control_region_gone(&vm->control, label);
}

/* What the runner has is here. A runner of an earlier version has sent nothing. */
void vm_on_pong(void *data, uint32_t serial)
{
	struct vm *vm = data;

	if (vm->pings - serial >= vm->pings - vm->pongs)
		return; /* it was not asked that, or has answered it */
	vm->pongs = serial;
	if (!vm->awaits_region_fds)
		return;
	vm->awaits_region_fds = false;
	if (vm->transient)
		have_sent(vm);
}
