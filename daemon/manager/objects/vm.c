/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.gunyah.vmm1.VM.
 */
#include "daemon/manager/objects/interfaces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/manager/bus/path.h"
#include "daemon/manager/bus/polkit.h"
#include "daemon/manager/objects/job.h"
#include "daemon/manager/bus/property.h"
#include "daemon/manager/objects/transaction.h"
#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/core/log.h"
#include "daemon/manager/instance/transient.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/plan/dt.h"
#include "libghvm/spec/print.h"
#include "ghvm/plan.h"

#define INTERFACE BUS_NAME ".VM"

/* --- properties --- */

static uint64_t bytes_of(uint64_t pages)
{
	return pages * GHVM_PAGE;
}

#define TEXT(id, value) PROPERTY_GETTER(id, const struct vm *vm, text, value)
#define NUMBER(id, value) PROPERTY_GETTER(id, const struct vm *vm, number, (uint64_t)(value))

TEXT(name, vm->name)
TEXT(state, vm_state_to_string(vm->state))
TEXT(sub_state, vm_substate(vm))
TEXT(exit_reason, vm->reason)
TEXT(crash_message, vm->crash_message)
TEXT(last_error, vm->last_error.msg)
TEXT(last_error_name, vm->last_error.code ? failure_name(&vm->last_error) : "")
NUMBER(last_errno, -vm->last_error.code)
NUMBER(last_error_time, vm->failed_at)
NUMBER(rm_message, vm->last_error.rm_message)
NUMBER(rm_status, vm->last_error.rm_code)
TEXT(failed_step, vm->failed_step ? vm->failed_step : "")
TEXT(descriptor, vm_descriptor(vm))
TEXT(digest, vm->digest)
NUMBER(vmid, vm->vmid.id)
NUMBER(incarnation, vm->incarnation)
NUMBER(leader_pid, vm->control.pid)
NUMBER(lent, bytes_of(vm->lent))
NUMBER(shared, bytes_of(vm->shared))
NUMBER(quarantined, vm->quarantined)

PROPERTY_TABLE(INTERFACE, BUS_VM_PROPERTIES)

/**
 * struct bus_vm_changes - a VM with possible changes
 * @shown: its properties as last announced
 */
struct bus_vm_changes {
	struct bus_vm_changes *next;
	struct vm *vm;
	bool dirty;
	struct property_value shown[ARRAY_SIZE(rows)];
};

/* --- methods --- */

/* The userdata of a method is the VM, found by the fallback; that of the slot is the bus. */
static struct bus *bus_of(sd_bus_message *m)
{
	return sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(m)));
}

static int read_how(sd_bus_message *m, enum ghvm_link_how *ret, sd_bus_error *error)
{
	const char *text;
	int r = sd_bus_message_read(m, "s", &text);

	if (r < 0)
		return r;
	if (strcmp(text, "graceful") != 0 && strcmp(text, "force") != 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "'%.32s' is not 'graceful' or 'force'", text);
	*ret = strcmp(text, "force") ? GHVM_LINK_GRACEFUL : GHVM_LINK_FORCE;
	return 0;
}

/* Stop(s how, a{sv}) -> o job */
static int method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = bus_of(m);
	struct vm *vm = userdata;
	enum ghvm_link_how how = GHVM_LINK_GRACEFUL;
	uid_t uid;
	int r;

	r = bus_check_hypervisor(b, error);
	if (r >= 0)
		r = read_how(m, &how, error);
	if (r >= 0)
		r = bus_read_options(m, error);
	if (r < 0)
		return r;
	r = auth_check(b->auth, m, "org.gunyah.vmm1.stop", &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	return job_stop(b->jobs, vm, how, uid, m, error);
}

struct console_call {
	struct bus *bus;
	uint8_t flags;
	sd_bus_message *request;
};

/* Reply that the console cannot be opened. */
static int refuse_console(const struct console_call *c, int error)
{
	const bool watches = c->flags & GHVM_LINK_CONSOLE_READ_ONLY;

	if (error == -EBUSY)
		return sd_bus_reply_method_errorf(
			c->request, FAILURE_BUSY,
			watches ? "too many clients watch this console; --force closes the oldest"
				: "another client uses this console; --read-only watches it, "
				  "--force takes it over");
	if (error == -EPROTOTYPE)
		return sd_bus_reply_method_errorf(
			c->request, FAILURE_BAD_STATE,
			"there is no console: the runner is of an earlier "
			"version, and ends with the VM's next stop");
	return sd_bus_reply_method_errorf(c->request, FAILURE_BAD_STATE, "there is no console: %s",
					  strerror(-error));
}

static void on_console(void *data, int fd)
{
	_cleanup_(freep) struct console_call *c = data;
	int r;

	if (fd >= 0)
		r = sd_bus_reply_method_return(c->request, "hs", fd, "");
	else
		r = refuse_console(c, fd);
	if (r < 0)
		log_warning(NULL, r, "Cannot reply");
	(void)sd_bus_message_unref(c->request);
	bus_kick(c->bus);
}

static int console_option(sd_bus_message *m, const char *key, void *data, sd_bus_error *error)
{
	uint8_t *flags = data, flag;
	int r, on;

	if (!strcmp(key, "force"))
		flag = GHVM_LINK_CONSOLE_FORCE;
	else if (!strcmp(key, "read-only"))
		flag = GHVM_LINK_CONSOLE_READ_ONLY;
	else
		return bus_unknown_option(key, error);
	r = sd_bus_message_read(m, "v", "b", &on);
	if (r >= 0 && on)
		*flags |= flag;
	return r;
}

static int open_console(struct bus *b, struct vm *vm, uint8_t flags, sd_bus_message *m,
			sd_bus_error *error)
{
	_cleanup_(freep) struct console_call *c = calloc(1, sizeof(*c));
	const struct vm_question call = { .flags = flags, .data = c, .on_console = on_console };
	int r;

	if (!c)
		return -ENOMEM;
	c->bus = b;
	c->request = m;
	c->flags = flags;
	r = vm_open_console(vm, &call);
	if (r == -ESRCH)
		return sd_bus_error_setf(error, FAILURE_BAD_STATE, "%s is %s", vm->name,
					 vm_state_to_string(vm->state));
	if (r < 0)
		return sd_bus_error_set(error, FAILURE_BUSY,
					"too many clients wait for this console: the runner does "
					"not reply");
	(void)sd_bus_message_ref(m); /* until on_console() */
	(void)TAKE_PTR(c);
	return 1;
}

/*
 * OpenConsole(a{sv}) -> h, s: a stream socket, and "" for compatibility. Options: "force" (b),
 * "read-only" (b).
 */
static int method_open_console(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = bus_of(m);
	uint8_t flags = 0;
	uid_t uid;
	int r;

	r = bus_check_hypervisor(b, error);
	if (r >= 0)
		r = bus_read_known_options(m, console_option, &flags, error);
	if (r < 0)
		return r;
	r = auth_check(b->auth, m, "org.gunyah.vmm1.console", &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	return open_console(b, userdata, flags, m, error);
}

static int plan_option(sd_bus_message *m, const char *key, void *data, sd_bus_error *error)
{
	int *text = data;

	return strcmp(key, "text") ? bus_unknown_option(key, error)
				   : sd_bus_message_read(m, "v", "b", text);
}

/*
 * Plan(a{sv}) -> h: the plan that the guest was started with, with the actual number of entries of its
 * memory (decision 14), in a sealed memfd; as JSON, or with the option "text" (b) as text.
 */
static int method_plan(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = bus_of(m);
	const struct vm *vm = userdata;
	_cleanup_(freep) char *told = NULL;
	int r, text = 0;
	uid_t uid;

	r = bus_read_known_options(m, plan_option, &text, error);
	if (r < 0)
		return r;
	r = auth_check(b->auth, m, "org.gunyah.vmm1.inspect", &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	if (!vm->guest || (vm->state != VM_RUNNING && op_busy(&vm->op))) /* it changes the plan */
		return sd_bus_error_setf(error, FAILURE_BAD_STATE, "%s is %s", vm->name,
					 vm_state_to_string(vm->state));
	if (!guest_planned(vm->guest))
		return sd_bus_error_setf(error, FAILURE_BAD_STATE,
					 "%s was started by an earlier manager, which left no plan",
					 vm->name);
	told = text ? ghvm_plan_to_text(&vm->guest->plan) : ghvm_plan_to_json(&vm->guest->plan);
	return told ? bus_reply_text(m, told) : -ENOMEM;
}

/**
 * struct told_file - what Describe tells of a file that came with RunVM, as Manager.Plan takes it
 * @size, @bytes: the keys of its size and of its first @max bytes; NULL: not told
 */
struct told_file {
	enum ghvm_link_kind kind;
	const char *size;
	const char *bytes;
	size_t max;
};

/* "key": ay, the first bytes of @fd */
static int append_bytes(sd_bus_message *m, const char *key, int fd, size_t max)
{
	_cleanup_(freep) uint8_t *bytes = malloc(max);
	ssize_t n = bytes ? pread(fd, bytes, max, 0) : 0;
	int r = bytes ? 0 : -ENOMEM;

	if (n < 0)
		r = -errno;
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append_basic(m, 's', key);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', "ay");
	if (r >= 0)
		r = sd_bus_message_append_array(m, 'y', bytes, (size_t)n);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_file(sd_bus_message *m, const struct told_file *f, int fd)
{
	struct stat st;
	int r = 0;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (f->size)
		r = sd_bus_message_append(m, "{sv}", f->size, "t", (uint64_t)st.st_size);
	return r < 0 || !f->bytes ? r : append_bytes(m, f->bytes, fd, f->max);
}

/* a{sv}; @t: NULL: not a transient VM */
static int append_details(sd_bus_message *m, const struct transient *t)
{
	static const struct told_file files[] = {
		{ GHVM_LINK_KERNEL, "kernel-size", "kernel-header", 4096 },
		{ GHVM_LINK_INITRD, "initrd-size", NULL, 0 },
		{ GHVM_LINK_OVERLAY, NULL, "dtb-overlay", GHVM_OVERLAY_MAX + 1 },
	};
	const char *origin = "start";
	int r = sd_bus_message_open_container(m, 'a', "{sv}");

	if (t)
		origin = t->recalled ? "recalled" : "call";
	if (r >= 0)
		r = sd_bus_message_append(m, "{sv}", "origin", "s", origin);
	for (size_t i = 0; t && r >= 0 && i < ARRAY_SIZE(files); i++)
		r = append_file(m, &files[i], t->fds[files[i].kind]);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Return: a sealed memfd, owned; otherwise as sd-bus methods. */
static int open_descriptor(const struct vm *vm, sd_bus_error *error)
{
	_cleanup_(freep) char *text = NULL;

	if (vm->transient)
		return transient_open_text(vm->transient);
	if (!vm->guest)
		return sd_bus_error_setf(error, FAILURE_BAD_STATE, "%s is %s: it has no guest",
					 vm->name, vm_state_to_string(vm->state));
	if (!vm->guest->spec.kernel)
		return sd_bus_error_setf(
			error, FAILURE_BAD_STATE,
			"%s was started by an earlier manager, which left no descriptor", vm->name);
	text = spec_explain(&vm->guest->spec);
	return text ? ghvm_file_seal("descriptor", text, strlen(text)) : -ENOMEM;
}

/*
 * Describe(a{sv}) -> h, a{sv}: the descriptor of a transient VM, or the one that the guest was started with,
 * in a sealed memfd; "origin" (s), and of files that came with RunVM what Manager.Plan needs.
 */
static int method_describe(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(closep) int fd = -1;
	struct bus *b = bus_of(m);
	const struct vm *vm = userdata;
	sd_bus_message *reply = NULL;
	uid_t uid;
	int r;

	r = bus_read_options(m, error);
	if (r < 0)
		return r;
	r = auth_check(b->auth, m, "org.gunyah.vmm1.inspect", &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	fd = open_descriptor(vm, error);
	if (fd < 0)
		return fd;
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_append_basic(reply, 'h', &fd);
	if (r >= 0)
		r = append_details(reply, vm->transient);
	return bus_send_reply(reply, r);
}

/* ListDevices(a{sv}) -> aa{sv}: each device, and what it has done since the start of the runner. */
static int method_list_devices(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = bus_of(m);
	uid_t uid;
	int r = bus_read_options(m, error);

	if (r < 0)
		return r;
	r = auth_check(b->auth, m, "org.gunyah.vmm1.inspect", &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	return bus_devices_ask(b, userdata, m, error);
}

/* BeginTransaction(a{sv}) -> o */
static int method_begin(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = bus_of(m);
	int r = bus_check_host(b, error);

	return r < 0 ? r : transaction_begin(b->transactions, userdata, m, error);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	BUS_VM_PROPERTIES(PROPERTY_VTABLE, PROPERTY_VTABLE_OTHER) SD_BUS_METHOD_WITH_ARGS(
		"Stop", SD_BUS_ARGS("s", how, "a{sv}", options), SD_BUS_RESULT("o", job),
		method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("OpenConsole", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("h", fd, "s", path), method_open_console,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Plan", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", plan),
				method_plan, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Describe", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("h", spec, "a{sv}", details), method_describe,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListDevices", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("aa{sv}", devices), method_list_devices,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("BeginTransaction", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("o", transaction), method_begin,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS("StateChanged",
				SD_BUS_ARGS("s", old, "s", new, "s", reason, "a{sv}", details), 0),
	SD_BUS_VTABLE_END,
};

/* --- objects --- */

/* sd-bus also calls this for the prefix itself, which contains no name. */
static int find_vm(sd_bus *bus, const char *path, const char *interface, void *userdata,
		   void **ret_found, sd_bus_error *error)
{
	_cleanup_(freep) char *name = NULL;
	struct bus *b = userdata;
	struct vm *vm;
	int r;

	r = sd_bus_path_decode(path, BUS_VM_PREFIX, &name);
	if (r <= 0)
		return r;
	vm = manager_known(b->manager, name);
	if (!vm)
		return 0;
	*ret_found = vm;
	return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
		     sd_bus_error *error)
{
	struct bus *b = userdata;
	char **nodes = calloc(b->manager->n_vms + 1, sizeof(*nodes));

	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < b->manager->n_vms; i++) {
		nodes[i] = bus_vm_path(b->manager->vms[i]);
		if (nodes[i])
			continue;
		while (i-- > 0)
			free(nodes[i]);
		free(nodes);
		return -ENOMEM;
	}
	*ret_nodes = nodes;
	return 1;
}

static struct bus_vm_changes *changes_of(struct bus *b, const struct vm *vm)
{
	struct bus_vm_changes *c = b->changes;

	while (c && c->vm != vm)
		c = c->next;
	return c;
}

static void changes_free(struct bus_vm_changes *c)
{
	property_forget(&table, c->shown);
	free(c);
}

static int track(struct bus *b, struct vm *vm)
{
	struct bus_vm_changes *c = calloc(1, sizeof(*c));
	const char *names[PROPERTIES_MAX + 1];

	if (!c)
		return -ENOMEM;
	c->vm = vm;
	property_differences(&table, vm, c->shown, names); /* record values, announce nothing */
	c->next = b->changes;
	b->changes = c;
	bus_region_track(b, vm);
	return 0;
}

static void emit(struct bus *b, const struct vm *vm, int (*fn)(sd_bus *, const char *))
{
	_cleanup_(freep) char *path = bus_vm_path(vm);
	const struct log_about a = { .vm = vm->name };
	int r = path ? fn(b->conn, path) : -ENOMEM;

	if (r < 0)
		log_warning(&a, r, "Cannot announce the VM on the bus");
	bus_defer(b);
}

void bus_vm_added(struct bus *b, struct vm *vm)
{
	const struct log_about a = { .vm = vm->name };
	int r = track(b, vm);

	if (r < 0)
		log_warning(&a, r, "Its property changes will not be announced");
	emit(b, vm, sd_bus_emit_object_added);
}

void bus_vm_removed(struct bus *b, struct vm *vm)
{
	struct bus_vm_changes **at, *c;

	bus_region_vm_removed(b, vm);
	emit(b, vm, sd_bus_emit_object_removed);
	jobs_on_vm_removed(b->jobs, vm);
	for (at = &b->changes; *at; at = &(*at)->next) {
		if ((*at)->vm != vm)
			continue;
		c = *at;
		*at = c->next;
		changes_free(c);
		return;
	}
}

void bus_vm_changed(struct bus *b, struct vm *vm)
{
	struct bus_vm_changes *c = changes_of(b, vm);

	if (!c)
		return;
	c->dirty = true;
	bus_defer(b);
}

void bus_vm_state(struct bus *b, struct vm *vm, enum vm_state before)
{
	_cleanup_(freep) char *path = bus_vm_path(vm);
	const struct log_about a = { .vm = vm->name };
	int r = -ENOMEM;

	if (path)
		r = sd_bus_emit_signal(b->conn, path, INTERFACE, "StateChanged", "sssa{sv}",
				       vm_state_to_string(before), vm_state_to_string(vm->state),
				       vm->reason, 0);
	if (r < 0)
		log_warning(&a, r, "Cannot announce a state change on the bus");
	bus_defer(b);
}

static void flush(struct bus *b, struct bus_vm_changes *c)
{
	_cleanup_(freep) char *path = bus_vm_path(c->vm);
	const struct log_about a = { .vm = c->vm->name };
	int r = -ENOMEM;

	c->dirty = false;
	bus_region_flush(b, c->vm);
	if (path)
		r = property_tell(b->conn, path, &table, c->vm, c->shown);
	if (r < 0)
		log_warning(&a, r, "Cannot announce property changes on the bus");
}

void bus_vm_flush(struct bus *b)
{
	for (struct bus_vm_changes *c = b->changes; c; c = c->next)
		if (c->dirty)
			flush(b, c);
}

int bus_vm_publish(struct bus *b)
{
	int r;

	r = sd_bus_add_fallback_vtable(b->conn, NULL, BUS_VM_PREFIX, INTERFACE, vtable, find_vm, b);
	if (r >= 0)
		r = sd_bus_add_node_enumerator(b->conn, NULL, BUS_VM_PREFIX, enumerate, b);
	for (size_t i = 0; i < b->manager->n_vms && r >= 0; i++)
		r = track(b, b->manager->vms[i]);
	return r;
}

void bus_vm_done(struct bus *b)
{
	struct bus_vm_changes *c;

	while (b->changes) {
		c = b->changes;
		b->changes = c->next;
		changes_free(c);
	}
}
