/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starts of VMs that share regions with another VM.
 */
#include "daemon/manager/vm/pair.h"

#include <errno.h>
#include <string.h>

#include "daemon/manager/vm/internal.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/machine/pair.h"
#include "libghvm/spec/pair.h"

/* The position of its first region that another VM has as well. */
static size_t first_paired(const struct ghvm_spec *spec)
{
	size_t i = 0;

	while (!*spec->regions[i].with)
		i++;
	return i;
}

static int refuse(const struct ghvm_spec *spec, int code, const char *what, struct ghvm_error *err)
{
	(void)ghvm_error_set(err, code, "regions[%zu].with: %s", first_paired(spec), what);
	ghvm_spec_locate(spec, err);
	return code;
}

static int check_match(const struct ghvm_spec *spec, const struct ghvm_spec *other,
		       struct ghvm_error *err)
{
	int r = spec_check_pair(spec, other, err);

	if (r < 0)
		ghvm_spec_locate(spec, err);
	return r;
}

/*
 * The other VM does not have the regions yet: @vm would make them, as both descriptors say. That of a start which has
 * begun is in its guest. @read: owned by the caller; @ret: the other descriptor, borrowed
 */
static int check_first(const struct vm *vm, const struct vm *other, const struct ghvm_spec *spec,
		       struct ghvm_spec *read, const struct ghvm_spec **ret, struct ghvm_error *err)
{
	struct ghvm_error why = {};
	int r = 0;

	*ret = other && other->guest ? &other->guest->spec : read;
	if (*ret == read)
		r = vm->env->calls->load(vm->env->data, spec_peer(spec), read, &why);
	if (r == 0)
		return check_match(spec, *ret, err);
	(void)spec_refuse_peer(spec, r, why.msg, err);
	ghvm_spec_locate(spec, err);
	return -EINVAL;
}

/* The other VM has a guest, which has been built. */
static int check_second(const struct vm *vm, const struct vm *other, const struct ghvm_spec *spec,
			struct ghvm_error *err)
{
	const struct guest *g = other->guest;
	const struct ghvm_vmid vmid = ghvm_machine_peer(guest_machine(g));
	const char *peer = spec_peer(&g->spec);
	char what[160];

	if (!peer || strcmp(peer, vm->name)) {
		(void)snprintf(what, sizeof(what),
			       "%s runs without sharing a region with %s: stop it first",
			       other->name, vm->name);
		return refuse(spec, -EBUSY, what, err);
	}
	if (ghvm_ledger_pair_of(vm->env->host->ledger, vmid) != GHVM_LEDGER_RESERVED) {
		(void)snprintf(what, sizeof(what),
			       "%s still has the regions of an earlier run of %s: stop it, too, "
			       "then start both",
			       other->name, vm->name);
		return refuse(spec, -EBUSY, what, err);
	}
	return check_match(spec, &g->spec, err);
}

/* Has its build not begun? Then the other VM makes the regions. */
static bool is_before_build(const struct vm *other)
{
	return !other || vm_vacant(other) || other->life.phase == VM_PHASE_GIVING ||
	       other->life.phase == VM_PHASE_PEER_DUE;
}

/* An operation may change the machine, or the guest is about to end. */
static bool is_in_between(const struct vm *other)
{
	return vm_phase_busy(other->life.phase) || vm_phase_doomed(other->life.phase);
}

/**
 * struct peer - the other VM
 * @read: its descriptor, if it was read here; owned
 * @spec: of a VM that makes the regions: the other descriptor, borrowed
 * @join: the VM to join; NULL: the regions are to be made
 */
struct peer {
	struct ghvm_spec read;
	const struct ghvm_spec *spec;
	struct vm *join;
};

static void peer_done(struct peer *p)
{
	ghvm_spec_done(&p->read);
}

/* Return: as vm_pair_check(). */
static int find_peer(const struct vm *vm, const struct ghvm_spec *spec, struct peer *ret,
		     struct ghvm_error *err)
{
	struct vm *other;
	int r;

	if (!spec_peer(spec))
		return 1;
	other = vm->env->calls->find(vm->env->data, spec_peer(spec));
	if (is_before_build(other)) {
		r = check_first(vm, other, spec, &ret->read, &ret->spec, err);
		return r < 0 ? r : 1;
	}
	if (is_in_between(other))
		return 0;
	r = check_second(vm, other, spec, err);
	if (r < 0)
		return r;
	ret->join = other;
	return 1;
}

int vm_pair_check(const struct vm *vm, const struct ghvm_spec *spec, struct ghvm_error *err)
{
	_cleanup_(peer_done) struct peer peer = {};

	return find_peer(vm, spec, &peer, err);
}

int vm_pair_prepare(struct vm *vm, struct ghvm_error *err)
{
	_cleanup_(peer_done) struct peer peer = {};
	struct guest *g = vm->guest;
	int r = find_peer(vm, &g->spec, &peer, err);

	if (r <= 0 || !spec_peer(&g->spec))
		return r;
	if (peer.join)
		guest_join_regions(g, peer.join->guest);
	else
		guest_make_regions(g, peer.spec);
	return 1;
}

bool vm_is_paired(const struct vm *vm)
{
	return vm->guest && spec_peer(&vm->guest->spec);
}

void vm_on_peer_pause(void *data)
{
	vm_settle(data);
}
