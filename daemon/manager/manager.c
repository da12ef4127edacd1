/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host and all its VMs.
 */
#include "daemon/manager/manager.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager/recovery/adopt.h"
#include "daemon/manager/core/log.h"
#include "daemon/manager/state/definition.h"
#include "daemon/manager/state/mark.h"
#include "daemon/ipc/permanent.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"
#include "libghvm/hyp/host.h"
#include "libghvm/rm/rpc.h"

static void notify_host_changed(struct manager *m)
{
	if (m->observer)
		m->observer->on_host_changed(m->observer_data);
}

/* Check whether RM has died during an operation. */
static void check_rm(struct manager *m)
{
	const struct log_about a = { .id = LOG_ID_RM_DEAD };

	if (m->host_state != MANAGER_HOST_OK || !ghvm_rm_dead(m->rm))
		return;
	m->host_state = MANAGER_HOST_RM_DEAD;
	(void)ghvm_error_set(
		&m->host_error, -EHOSTDOWN,
		"the resource manager no longer replies: guests continue to run and can "
		"be stopped, but none can start; reboot the host");
	log_write(LOG_CRIT, &a, 0, "%s", m->host_error.msg);
	notify_host_changed(m);
}

/* --- callbacks of VMs --- */

/* A VM without a descriptor is removed after its guest has ended, by a later scan. */
static void schedule_removal(struct manager *m, const struct vm *vm)
{
	if (!vm->described && !vm->transient)
		folders_poke(&m->folders);
}

static void on_vm_changed(void *data, struct vm *vm)
{
	struct manager *m = data;

	check_rm(m);
	schedule_removal(m, vm);
	if (m->observer)
		m->observer->on_vm_changed(m->observer_data, vm);
}

static void on_vm_state(void *data, struct vm *vm, enum vm_state before)
{
	struct manager *m = data;

	schedule_removal(m, vm);
	if (vm_vacant(vm))
		quarantine_retry_peers(&m->quarantine);
	if (m->observer)
		m->observer->on_vm_state(m->observer_data, vm, before);
}

static void on_vm_remains(void *data, struct vm *vm, struct guest *g, const struct ghvm_error *err)
{
	struct manager *m = data;
	struct log_about a = { .vm = vm->name };
	int r;

	r = quarantine_add(&m->quarantine, vm->name, g, err);
	if (r < 0)
		log_error(&a, r, "Cannot list quarantined memory");
}

static struct vm *on_find(void *data, const char *name)
{
	return manager_find(data, name);
}

static int on_load(void *data, const char *name, struct ghvm_spec *ret, struct ghvm_error *err)
{
	return manager_load_spec(data, name, ret, NULL, err);
}

static const struct vm_calls vm_calls = {
	.on_changed = on_vm_changed,
	.on_state = on_vm_state,
	.on_remains = on_vm_remains,
	.find = on_find,
	.load = on_load,
};

static void on_quarantine_changed(void *data, const char *name)
{
	struct manager *m = data;
	struct vm *vm = manager_known(m, name);
	const char *why;

	check_rm(m);
	notify_host_changed(m);
	if (!vm)
		return;
	vm->quarantined = quarantine_pages(&m->quarantine, name, &why);
	schedule_removal(m, vm);
	if (m->observer)
		m->observer->on_vm_changed(m->observer_data, vm);
}

static const struct quarantine_calls quarantine_calls = { .on_changed = on_quarantine_changed };

/* --- VMs --- */

struct vm *manager_known(const struct manager *m, const char *name)
{
	for (size_t i = 0; i < m->n_vms; i++)
		if (!strcmp(m->vms[i]->name, name))
			return m->vms[i];
	return NULL;
}

static int add_vm(struct manager *m, const char *name, bool described, struct vm **ret)
{
	struct vm **vms, *vm;
	int r;

	if (m->n_vms >= MANAGER_VMS_MAX)
		return -ENOSPC;
	vms = reallocarray(m->vms, m->n_vms + 1, sizeof(*vms));
	if (!vms)
		return -ENOMEM;
	m->vms = vms;
	r = vm_new(&m->env, name, &vm);
	if (r < 0)
		return r;
	vm->described = described;
	m->vms[m->n_vms++] = vm;
	if (m->observer)
		m->observer->on_vm_added(m->observer_data, vm);
	*ret = vm;
	return 0;
}

int manager_add_transient(struct manager *m, const char *name, struct transient *t, struct vm **ret)
{
	int r = add_vm(m, name, false, ret);

	if (r == 0)
		(*ret)->transient = t;
	return r;
}

void manager_end_transient(struct manager *m, struct vm *vm)
{
	transient_free(TAKE_PTR(vm->transient));
	schedule_removal(m, vm);
}

static void remove_vm(struct manager *m, size_t i)
{
	struct vm *vm = m->vms[i];

	if (m->observer)
		m->observer->on_vm_removed(m->observer_data, vm);
	m->vms[i] = m->vms[--m->n_vms];
	vm_free(vm);
}

static bool in_list(char **names, const char *name)
{
	for (; names && *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static void free_list(char **names)
{
	for (char **n = names; n && *n; n++)
		free(*n);
	free(names);
}

static bool removable(const struct vm *vm)
{
	return !vm->described && !vm->transient && vm_vacant(vm) && !vm->waiters &&
	       !vm->quarantined;
}

/* Log an error when it first occurs or changes, not at each scan. */
static void log_scan(struct manager *m, const struct ghvm_error *err)
{
	if (err->code && strcmp(err->msg, m->scan_error.msg) != 0)
		log_error(NULL, 0, "The list of VMs is incomplete: %s", err->msg);
	m->scan_error = *err;
}

static void add_described(struct manager *m, const char *name)
{
	const struct log_about a = { .vm = name };
	struct vm *vm;
	int r;

	if (manager_known(m, name))
		return;
	r = add_vm(m, name, true, &vm);
	if (r < 0)
		log_warning(&a, r, "Cannot add a VM");
}

void manager_scan(struct manager *m)
{
	struct ghvm_error err = {};
	char **names = NULL;
	struct vm *vm;

	(void)ghvm_spec_list(m->options->vms_dirs, &names, &err);
	log_scan(m, &err);
	for (char **n = names; n && *n; n++)
		add_described(m, *n);
	for (size_t i = m->n_vms; i-- > 0;) {
		vm = m->vms[i];
		/* its descriptor may be in a folder that cannot be read */
		vm->described = in_list(names, vm->name) || (vm->described && err.code);
		if (removable(vm))
			remove_vm(m, i);
	}
	free_list(names);
}

void manager_reread(struct manager *m)
{
	folders_watch(&m->folders);
	manager_scan(m);
	for (size_t i = 0; i < m->n_vms; i++) {
		folders_watch_drop_ins(&m->folders, m->vms[i]->name);
		vm_judge_descriptor(m->vms[i], m->options->vms_dirs);
	}
}

static void on_folders(void *data)
{
	manager_reread(data);
}

struct vm *manager_find(struct manager *m, const char *name)
{
	struct vm *vm;

	if (!ghvm_name_valid(name))
		return NULL;
	vm = manager_known(m, name);
	if (vm)
		return vm;
	manager_scan(m);
	return manager_known(m, name);
}

int manager_allows(const struct manager *m, const struct vm *vm, uint64_t bytes, uint64_t untouched,
		   struct ghvm_error *err)
{
	const struct ghvm_room_sources from = ghvm_room_sources_default();
	struct allowance_use use = { .vm_added = vm_added(vm) };
	int r;

	for (size_t i = 0; i < m->n_vms; i++) {
		use.pinned += (m->vms[i]->lent + m->vms[i]->shared) * GHVM_PAGE;
		use.added += vm_added(m->vms[i]);
		untouched += m->vms[i]->transaction.untouched;
	}
	r = allowance_check(&m->allowance, &use, bytes, err);
	return r < 0 ? r : allowance_room(&from, untouched, err);
}

int manager_load_spec(const struct manager *m, const char *name, struct ghvm_spec *ret,
		      struct ghvm_complaints *complaints, struct ghvm_error *err)
{
	int r = ghvm_spec_load(name, m->options->vms_dirs, ret, complaints, err);

	/* Else -EACCES, of a file, would be taken for missing rights of the caller. */
	if (r != -ENOENT && permanent_in(PERMANENT_HELPER, r))
		r = err->code = -EINVAL;
	return r;
}

int manager_check_host(const struct manager *m, struct ghvm_error *err)
{
	if (m->host_state == MANAGER_HOST_OK)
		return 0;
	*err = m->host_error;
	return m->host_error.code;
}

int manager_check_hypervisor(const struct manager *m, struct ghvm_error *err)
{
	return m->host_state == MANAGER_HOST_UNAVAILABLE ? manager_check_host(m, err) : 0;
}

/* --- the host --- */

static void on_rm_readable(void *data)
{
	struct manager *m = data;
	int r = ghvm_rm_dispatch(m->rm);

	if (r < 0)
		log_warning(NULL, r, "Cannot read from the resource manager");
}

static void on_rm_notify(void *data, const struct ghvm_rm_notification *n)
{
	struct manager *m = data;

	for (size_t i = 0; i < m->n_vms; i++)
		if (vm_on_notify(m->vms[i], n))
			return;
	(void)quarantine_on_notify(&m->quarantine, n); /* otherwise of a VM that no longer exists */
}

static int give_up_host(struct manager *m, enum manager_host_state state, int r,
			const struct ghvm_error *err)
{
	const struct log_about a = { .id = LOG_ID_NO_HOST };

	m->host_state = state;
	m->host_error = *err;
	if (!m->host_error.msg[0])
		(void)ghvm_error_set(&m->host_error, r, "no hypervisor: %s", strerror(-r));
	m->host_error.code = r;
	log_error(&a, 0, "%s", m->host_error.msg);
	return 0;
}

static int open_host(struct manager *m)
{
	struct ghvm_error err = {};
	int r;

	r = ghvm_host_open(m->options->uri, &m->host, &err);
	if (r < 0)
		return give_up_host(m, MANAGER_HOST_UNAVAILABLE, r, &err);
	m->guest_host.host = m->host;
	r = m->host->ops->info(m->host, &m->info);
	if (r < 0)
		return give_up_host(m, MANAGER_HOST_UNAVAILABLE, r, &err);
	r = ghvm_rm_new(m->host, &m->rm, &err);
	if (r == -EBUSY)
		return r; /* another manager: not a state to serve in */
	if (r < 0)
		return give_up_host(m, MANAGER_HOST_RM_DEAD, -EHOSTDOWN, &err);
	ghvm_rm_set_on_trace(m->rm, ghvm_trace_add, m->trace);
	m->guest_host.rm = m->rm;
	probe_identify(&m->probe, m->rm, &m->info);
	probe_set_presplit(&m->probe, m->options->presplit);
	ghvm_ledger_set_quirks(&m->ledger, &m->probe.quirks);
	return 0;
}

/* From here on the loop reads the messages of RM. */
static int start_dispatch(struct manager *m)
{
	if (!m->rm)
		return 0;
	ghvm_rm_set_dispatched(m->rm, true);
	return loop_watch_read(m->loop, &m->rm_watch, ghvm_rm_fd(m->rm), on_rm_readable, m);
}

/* Give an adopted guest to its VM, which is added if needed; tear it down if that is not possible. */
static void place_guest(struct manager *m, const struct adopt_target *target, struct adopt_found *f)
{
	struct vm *vm = NULL;

	if (*f->guest->name)
		vm = manager_known(m, f->guest->name);
	if (!vm && *f->guest->name && add_vm(m, f->guest->name, false, &vm) < 0)
		vm = NULL;
	if (vm && vm_vacant(vm))
		vm_adopt(vm, f->guest, f->status);
	else
		adopt_undo(target, f->guest);
}

/* The VM has no guest, and no pages in quarantine. */
static bool is_over(const struct manager *m, const char *name)
{
	const struct vm *vm = manager_known(m, name);
	const char *why;

	return (!vm || vm_vacant(vm)) && !quarantine_pages(&m->quarantine, name, &why);
}

/* Dismiss runners without a guest, but only if it is certain that the guest does not run. */
static void dismiss_runners(struct manager *m)
{
	DIR *dir = opendir(m->options->control_dir);
	const struct dirent *e;
	struct vm *vm;

	while (dir && (e = readdir(dir))) {
		if (!ghvm_name_valid(e->d_name) || !is_over(m, e->d_name))
			continue;
		vm = manager_known(m, e->d_name);
		if (vm || add_vm(m, e->d_name, false, &vm) == 0)
			vm_dismiss(vm);
	}
	if (dir)
		(void)closedir(dir);
}

/*
 * Query RM first, while no other thread uses it; then let the loop read its messages. Notifications are
 * kept until the machines they belong to have been given to their VMs.
 */
static int adopt_guests(struct manager *m)
{
	const struct adopt_target target = {
		.host = &m->guest_host,
		.quarantine = &m->quarantine,
		.state_dir = m->options->state_dir,
		.settled = mark_take(m->options->state_dir, MARK_SETTLED),
	};
	struct adopt_found *found = NULL;
	size_t n = 0;
	int r;

	if (m->host_state == MANAGER_HOST_UNAVAILABLE)
		return 0;
	r = adopt_all(&target, &found, &n);
	if (r < 0)
		log_error(NULL, r, "Cannot read the quarantine");
	r = start_dispatch(m);
	for (size_t i = 0; i < n; i++)
		place_guest(m, &target, &found[i]);
	free(found);
	if (m->rm)
		ghvm_rm_set_on_notify(m->rm, on_rm_notify, m);
	if (r == 0 && m->rm && !ghvm_rm_dead(m->rm) && !ghvm_ledger_distrusted(&m->ledger))
		dismiss_runners(m);
	quarantine_retry(&m->quarantine);
	check_rm(m);
	return r;
}

/* Without the folder, as with the unit of an earlier version, nothing can be defined over the bus. */
static void clean_definitions(const struct manager *m)
{
	int r = definition_clean(m->options->definition_dir);

	if (r < 0)
		log_warning(NULL, r, "%s cannot be used for definitions over the bus",
			    m->options->definition_dir);
}

/* Thread: any */
static void on_vmid(void *data, struct ghvm_vmid vmid, bool used)
{
	const struct manager *m = data;

	if (!ghvm_ledger_vmid_usual(&m->ledger, vmid))
		mark_vmid(m->options->state_dir, vmid, used);
}

int manager_init(struct manager *m, struct loop *loop, const struct manager_options *options)
{
	int r;

	*m = (struct manager){ .loop = loop, .options = options, .folders.fd = -1 };
	probe_init(&m->probe);
	ghvm_ledger_init(&m->ledger, &m->probe.quirks);
	ghvm_ledger_watch_vmids(&m->ledger, on_vmid, m);
	m->guest_host.ledger = &m->ledger;
	m->guest_host.quirks = &m->probe.quirks;
	m->env = (struct vm_env){
		.loop = loop,
		.host = &m->guest_host,
		.calls = &vm_calls,
		.data = m,
		.state_dir = options->state_dir,
		.control_dir = options->control_dir,
	};
	allowance_read(!options->uri || strncmp(options->uri, "unix:", 5), &m->allowance);
	r = quarantine_init(&m->quarantine, loop, &quarantine_calls, m);
	if (r == 0)
		r = ghvm_trace_new(&m->trace);
	if (r == 0)
		r = open_host(m);
	if (r == 0)
		r = folders_init(&m->folders, loop, options->vms_dirs, on_folders, m);
	if (r < 0)
		return r;
	clean_definitions(m);
	manager_scan(m);
	r = adopt_guests(m);
	manager_reread(m); /* again, now with the drop-ins of adopted guests */
	return r;
}

bool manager_settled(const void *manager)
{
	const struct manager *m = manager;

	for (size_t i = 0; i < m->n_vms; i++)
		if (vm_awaits_runner(m->vms[i]))
			return false;
	return true;
}

void manager_observe(struct manager *m, const struct manager_observer *o, void *data)
{
	m->observer = o;
	m->observer_data = data;
}

/*
 * From now on operations read the messages of RM themselves. Notifications are dropped: operations also
 * query RM, and the VMs are about to be freed.
 */
static void stop_dispatch(struct manager *m)
{
	if (!m->rm)
		return;
	ghvm_rm_set_on_notify(m->rm, NULL, NULL);
	ghvm_rm_set_dispatched(m->rm, false);
}

/* No operation runs, and the quarantine is empty. */
static bool is_at_rest(const struct manager *m)
{
	for (size_t i = 0; i < m->n_vms; i++)
		if (op_busy(&m->vms[i]->op))
			return false;
	return m->rm && !ghvm_rm_dead(m->rm) && !m->quarantine.first;
}

void manager_done(struct manager *m)
{
	const bool rests = is_at_rest(m);

	m->observer = NULL;
	stop_dispatch(m);
	for (size_t i = 0; i < m->n_vms; i++)
		vm_free(m->vms[i]);
	free(m->vms);
	quarantine_done(&m->quarantine);
	folders_done(&m->folders);
	loop_watch_done(&m->rm_watch);
	ghvm_rm_free(m->rm);
	ghvm_host_close(m->host);
	ghvm_trace_free(m->trace);
	if (rests && ghvm_ledger_vmids_shown(&m->ledger))
		mark_set(m->options->state_dir, MARK_SETTLED,
			 "the next manager will query each VMID");
	ghvm_ledger_done(&m->ledger);
}
