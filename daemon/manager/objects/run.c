/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RunVM, and the end of transient VMs.
 *
 * A transient VM is forgotten as soon as its guest has ended and its runner was told to exit successfully. After any
 * other end, as a crash or a start that failed, systemd may start the unit again: then the VM is forgotten once systemd
 * has said twice that the unit is over. A unit that has failed would stay in systemd's memory: it is reset then.
 */
#include "daemon/manager/objects/run.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ipc/needs.h"
#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/bus/peer.h"
#include "daemon/manager/bus/polkit.h"
#include "daemon/manager/bus/sent.h"
#include "daemon/manager/core/log.h"
#include "daemon/manager/objects/define.h"
#include "daemon/manager/objects/job.h"
#include "libghvm/base/cleanup.h"

#define RUNS_PER_UID 8
#define RUNS_MAX 32 /* of users other than root */
#define BYTES_PER_UID (UINT64_C(2) << 30)
#define BYTES_MAX (UINT64_C(8) << 30) /* of users other than root */

#define LOOK_MS 300
#define LOOKS 2 /* a unit is inactive for a moment before systemd starts it again */

/**
 * struct watch - a transient VM without a guest
 * @slot: of a question to systemd; NULL: none is open
 * @over: answers in a row that its unit is over
 */
struct watch {
	struct runs *runs;
	struct watch *next;
	struct vm *vm;
	sd_bus_slot *slot;
	unsigned int over;
};

/**
 * struct runs - see above
 * @again: timer, as long as there is a transient VM without a guest
 */
struct runs {
	struct bus *bus;
	struct loop_watch again;
	struct watch *first;
};

/* --- the end of a transient VM --- */

static void watch_free(struct watch *w)
{
	struct watch **at = &w->runs->first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	(void)sd_bus_slot_unref(w->slot);
	free(w);
}

static struct watch *find_watch(const struct runs *r, const struct vm *vm)
{
	struct watch *w = r->first;

	while (w && w->vm != vm)
		w = w->next;
	return w;
}

void runs_on_vm_removed(struct runs *r, const struct vm *vm)
{
	struct watch *w = find_watch(r, vm);

	if (w)
		watch_free(w);
}

static bool is_waiting(const struct runs *r, const struct vm *vm)
{
	return vm->transient && vm_vacant(vm) && !jobs_busy(r->bus->jobs, vm);
}

static void end_vm(struct runs *r, struct vm *vm)
{
	const struct log_about a = { .vm = vm->name };

	runs_on_vm_removed(r, vm);
	log_info(&a, "The transient VM is over");
	job_forget_unit(r->bus, vm->name);
	manager_end_transient(r->bus->manager, vm);
}

/* v s: ActiveState. Without an answer there is no systemd that could start the unit again. */
static int on_unit_state(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct watch *w = userdata;
	struct vm *vm = w->vm;
	const char *active;

	w->slot = sd_bus_slot_unref(w->slot);
	if (!is_waiting(w->runs, vm) ||
	    (!sd_bus_message_is_method_error(m, NULL) &&
	     sd_bus_message_read(m, "v", "s", &active) >= 0 && job_unit_will_run(active))) {
		w->over = 0;
		return 1;
	}
	if (++w->over >= LOOKS)
		end_vm(w->runs, vm);
	return 1;
}

static void ask_systemd(struct runs *r, struct vm *vm)
{
	struct watch *w = find_watch(r, vm);

	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return; /* next time */
		*w = (struct watch){ .runs = r, .next = r->first, .vm = vm };
		r->first = w;
	}
	if (!w->slot)
		(void)job_ask_unit(r->bus, vm->name, &w->slot, on_unit_state, w); /* likewise */
}

static void look_again(void *data)
{
	struct runs *r = data;
	const struct manager *m = r->bus->manager;
	bool again = false;

	for (size_t i = 0; i < m->n_vms; i++) {
		if (!m->vms[i]->transient || !vm_vacant(m->vms[i])) {
			runs_on_vm_removed(r, m->vms[i]);
			continue;
		}
		again = true;
		if (is_waiting(r, m->vms[i]))
			ask_systemd(r, m->vms[i]);
	}
	if (again)
		(void)loop_timer_arm(&r->again, LOOK_MS); /* failure: at the next end of a VM */
	bus_kick(r->bus);
}

void runs_on_vm_state(struct runs *r, struct vm *vm)
{
	if (!vm->transient || !vm_vacant(vm))
		return;
	if (vm->over && is_waiting(r, vm))
		end_vm(r, vm);
	else
		(void)loop_timer_arm(&r->again, LOOK_MS); /* see look_again() */
}

/* --- RunVM --- */

/**
 * struct order - the arguments of RunVM; borrowed from the message
 */
struct order {
	const char *name;
	int spec;
	struct sent_files files;
	uid_t uid;
};

/* Return: as auth_check(). */
static int read_order(struct bus *b, sd_bus_message *m, struct order *ret, sd_bus_error *error)
{
	int r = bus_check_host(b, error);

	if (r >= 0)
		r = sd_bus_message_read(m, "sh", &ret->name, &ret->spec);
	if (r >= 0)
		r = sent_check_name(ret->name, error);
	if (r >= 0)
		r = sent_read_files(m, TRANSIENT_FILE_MAX, &ret->files, error);
	if (r >= 0)
		r = bus_read_options(m, error);
	if (r < 0)
		return r;
	return auth_check_vm(b->auth, m, "org.gunyah.vmm1.run", ret->name, &ret->uid, error);
}

/* The VM of that name, unless it is one that the next scan removes: this is that scan. */
static const struct vm *find_vm(struct manager *m, const char *name)
{
	const struct vm *vm = manager_known(m, name);

	if (!vm || vm->described || vm->transient || !vm_vacant(vm))
		return vm;
	manager_scan(m);
	return manager_known(m, name);
}

static int check_free(struct bus *b, const char *name, sd_bus_error *error)
{
	const struct vm *vm = find_vm(b->manager, name);
	struct ghvm_error err = {};
	int r;

	if (vm && vm->transient && vm_vacant(vm))
		return sd_bus_error_setf(error, FAILURE_BUSY,
					 "the transient VM %s has ended, and systemd may start it "
					 "again: try again in a second, or stop it",
					 name);
	if (vm && !vm_vacant(vm))
		return sd_bus_error_setf(error, FAILURE_VM_EXISTS,
					 "there is a VM of the name %s, and it is %s: stop it, or "
					 "use another name",
					 name, vm_state_to_string(vm->state));
	if (quarantine_check_name(&b->manager->quarantine, name, &err) < 0)
		return bus_fail(error, &err);
	r = definitions_check_new(b->definitions, name, error);
	if (r >= 0 && vm)
		return sd_bus_error_setf(error, FAILURE_BUSY,
					 "%s is being removed: try again, or use another name",
					 name);
	return r;
}

static uint64_t memory_of(const struct ghvm_spec *spec)
{
	uint64_t sum = spec->memory; /* cannot overflow: a spec limits sizes and number */

	for (size_t i = 0; i < spec->n_regions; i++)
		sum += spec->regions[i].size;
	return sum;
}

/* That of an earlier manager has a guest, or had one until a moment ago. */
static uint64_t memory_of_vm(const struct vm *vm)
{
	return vm->guest ? memory_of(&vm->guest->spec) : vm->transient->memory;
}

/*
 * The memory of the guests: half of the host's for one user, three quarters for all but root, so that the VMs of
 * others, and those with a descriptor, can start as well.
 */
static int check_memory(const struct manager *m, const struct transient *t, sd_bus_error *error)
{
	const uint64_t one = m->allowance.ram, all = one <= UINT64_MAX / 2 ? one + one / 2 : one;
	uint64_t own = t->memory, others = t->memory;

	for (size_t i = 0; i < m->n_vms; i++) {
		const struct transient *o = m->vms[i]->transient;

		if (!o || peer_trusted(o->uid))
			continue;
		others += memory_of_vm(m->vms[i]);
		own += o->uid == t->uid ? memory_of_vm(m->vms[i]) : 0;
	}
	if (own <= one && others <= all)
		return 0;
	return sd_bus_error_setf(
		error, FAILURE_QUOTA,
		"memory.size: the transient VMs of this user would have %llu MiB of memory, and "
		"those of all users %llu: at most %llu and %llu of this host are possible; stop "
		"one, or lower the size",
		(unsigned long long)(own >> 20), (unsigned long long)(others >> 20),
		(unsigned long long)(one >> 20), (unsigned long long)(all >> 20));
}

/* Users other than root share what they may have. */
static int check_quota(const struct manager *m, const struct transient *t, sd_bus_error *error)
{
	uint64_t own_bytes = t->bytes, bytes = t->bytes;
	unsigned int own = 1, others = 1;

	if (peer_trusted(t->uid))
		return 0;
	for (size_t i = 0; i < m->n_vms; i++) {
		const struct transient *o = m->vms[i]->transient;

		if (!o || peer_trusted(o->uid))
			continue;
		others++;
		bytes += o->bytes;
		own += o->uid == t->uid;
		own_bytes += o->uid == t->uid ? o->bytes : 0;
	}
	if (own > RUNS_PER_UID || others > RUNS_MAX)
		return sd_bus_error_setf(error, FAILURE_QUOTA,
					 "this user would have %u transient VMs, and all users %u: "
					 "at most %d and %d are possible",
					 own, others, RUNS_PER_UID, RUNS_MAX);
	if (own_bytes > BYTES_PER_UID || bytes > BYTES_MAX)
		return sd_bus_error_setf(error, FAILURE_QUOTA,
					 "the files of the transient VMs of this user would have "
					 "%llu MiB, and those of all users %llu: at most %llu and "
					 "%llu are possible",
					 (unsigned long long)(own_bytes >> 20),
					 (unsigned long long)(bytes >> 20),
					 (unsigned long long)(BYTES_PER_UID >> 20),
					 (unsigned long long)(BYTES_MAX >> 20));
	return check_memory(m, t, error);
}

static enum ghvm_link_kind kind_of(const struct ghvm_spec *spec, const char *key)
{
	struct ghvm_need needs[GHVM_NEEDS_MAX];
	size_t n = ghvm_needs_of(spec, needs);

	for (size_t i = 0; i < n; i++)
		if (needs[i].path && !strcmp(needs[i].key, key))
			return needs[i].kind;
	return (enum ghvm_link_kind)0;
}

static int take_path(struct transient *t, struct order *o, const struct ghvm_spec *spec,
		     const struct ghvm_spec_path *p, sd_bus_error *error)
{
	const char *key = spec_path_key(p->value);
	struct sent_file *sent = key ? sent_find(&o->files, key) : NULL;
	const enum ghvm_link_kind kind = kind_of(spec, p->key);
	struct ghvm_error err = {};

	if (key && !sent)
		return sent_fail_path(spec, p, "no-such-file", "the call has no file of this key",
				      error);
	if (!key)
		return peer_trusted(o->uid)
			       ? 0
			       : sent_fail_path(spec, p, "host-path",
						"only root may name files of the host; "
						"send the file, and write fd:KEY",
						error);
	sent->used = true;
	if (!kind)
		return sent_fail_path(spec, p, "range", "a transient VM cannot have this file",
				      error);
	return transient_keep(t, kind, sent->fd, &err) < 0 ? bus_fail(error, &err) : 0;
}

static int take_paths(struct transient *t, struct order *o, const struct ghvm_spec *spec,
		      sd_bus_error *error)
{
	int r;

	for (size_t i = 0; i < spec->n_paths; i++) {
		r = take_path(t, o, spec, &spec->paths[i], error);
		if (r < 0)
			return r;
	}
	return sent_check_used(&o->files, error);
}

static int take_spec(struct transient *t, struct order *o, sd_bus_error *error)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error err = {};
	int r;

	if (transient_spec(t, o->name, &spec, &all, &err) < 0)
		return sent_fail(&all, &err, error);
	t->memory = memory_of(&spec);
	r = sent_check_auth(&spec, o->uid, error);
	return r < 0 ? r : take_paths(t, o, &spec, error);
}

static int make_transient(struct order *o, struct transient **ret, sd_bus_error *error)
{
	struct ghvm_error err = {};
	int r = transient_new(o->uid, ret);

	if (r < 0)
		return r;
	r = transient_keep_text(*ret, o->spec, &err);
	if (r < 0)
		return sd_bus_error_set(
			error, r == -EBADF ? FAILURE_INVALID_SPEC : failure_name(&err), err.msg);
	r = take_spec(*ret, o, error);
	(void)malloc_trim(0); /* return the memory used for parsing */
	return r;
}

static int add_vm(struct manager *m, const char *name, struct transient *t, struct vm **ret,
		  sd_bus_error *error)
{
	int r = manager_add_transient(m, name, t, ret);

	return r == -ENOSPC ? sd_bus_error_setf(error, FAILURE_QUOTA, "there are %d VMs already",
						MANAGER_VMS_MAX)
			    : r;
}

/* RunVM(s name, h spec, a{sh} files, a{sv}) -> o job */
int runs_run(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(transient_freep) struct transient *t = NULL;
	struct bus *b = userdata;
	struct order o = {};
	struct vm *vm;
	int r;

	r = read_order(b, m, &o, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	r = quota_check(&b->quota, b->conn, o.uid, error);
	if (r >= 0)
		r = check_free(b, o.name, error);
	if (r >= 0)
		r = make_transient(&o, &t, error);
	if (r >= 0)
		r = check_quota(b->manager, t, error);
	if (r >= 0)
		r = add_vm(b->manager, o.name, t, &vm, error);
	if (r < 0)
		return r;
	(void)TAKE_PTR(t);
	r = job_start(b->jobs, vm, o.uid, m, error);
	if (r < 0)
		manager_end_transient(b->manager, vm);
	runs_on_vm_state(b->runs, vm);
	return r;
}

int runs_new(struct bus *b, struct runs **ret)
{
	struct runs *r = calloc(1, sizeof(*r));
	int n;

	if (!r)
		return -ENOMEM;
	r->bus = b;
	*ret = r;
	n = loop_watch_timer(b->loop, &r->again, look_again, r);
	return n < 0 ? n : loop_timer_arm(&r->again, LOOK_MS); /* for those of an earlier manager */
}

void runs_free(struct runs *r)
{
	if (!r)
		return;
	while (r->first)
		watch_free(r->first);
	loop_watch_done(&r->again);
	free(r);
}
