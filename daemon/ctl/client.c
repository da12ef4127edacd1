/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/client.h"

#include "daemon/ctl/ctl.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/spec.h"
#include "libghvm/types.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VM_INTERFACE "org.gunyah.vmm1.VM"

static const char *const absent[] = {
	SD_BUS_ERROR_SERVICE_UNKNOWN,
	SD_BUS_ERROR_NAME_HAS_NO_OWNER,
	"org.freedesktop.systemd1.NoSuchUnit",
	"org.freedesktop.DBus.Error.Spawn.ChildExited",
	"org.freedesktop.DBus.Error.Spawn.ServiceNotFound",
	"org.gunyah.vmm1.Error.HostUnavailable",
};

int client_error(struct ghvm_error *err, sd_bus_error *e, int r, const char *what)
{
	int code = r;

	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		if (sd_bus_error_has_name(e, absent[i]))
			code = -EHOSTDOWN;
	if (sd_bus_error_has_name(e, "org.gunyah.vmm1.Error.NoSuchVM"))
		code = -ENOENT;
	(void)ghvm_error_set(err, code, "%s: %s", what, e->message ? e->message : strerror(-r));
	sd_bus_error_free(e);
	return code;
}

int client_status(int r)
{
	switch (r) {
	case -EHOSTDOWN:
		return CTL_NO_MANAGER;
	case -ENOENT:
		return CTL_NO_VM;
	}
	return CTL_FAILED;
}

int client_open(sd_bus **ret, struct ghvm_error *err)
{
	int r = sd_bus_open_system(ret);

	if (r < 0)
		return ghvm_error_set(err, -ECONNREFUSED, "cannot reach the system bus: %s",
				      strerror(-r));
	(void)sd_bus_set_allow_interactive_authorization(*ret, true); /* polkit may ask */
	return 0;
}

int client_path(sd_bus *bus, const char *name, char **ret, struct ghvm_error *err)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *path;
	char *copy = NULL;
	int r;

	r = sd_bus_call_method(bus, CLIENT_MANAGER, CLIENT_ROOT, CLIENT_MANAGER ".Manager", "GetVM",
			       &e, &reply, "s", name);
	if (r < 0)
		return client_error(err, &e, r, name);
	r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0)
		copy = strdup(path);
	(void)sd_bus_message_unref(reply);
	if (!copy)
		return ghvm_error_set(err, r < 0 ? r : -ENOMEM, "%s: %s", name,
				      strerror(r < 0 ? -r : ENOMEM));
	*ret = copy;
	return 0;
}

/* ---- reading objects ---- */

struct property {
	const char *name;
	char type;
	size_t offset;
};

#define PROPERTY(name, type, member)                                                               \
	{                                                                                          \
		name, type, offsetof(struct client_vm, member)                                     \
	}

static const struct property properties[] = {
	PROPERTY("Name", 's', name),
	PROPERTY("State", 's', state),
	PROPERTY("SubState", 's', sub_state),
	PROPERTY("ExitReason", 's', exit_reason),
	PROPERTY("LastError", 's', last_error),
	PROPERTY("LastErrorName", 's', last_error_name),
	PROPERTY("LastErrno", 'i', last_errno),
	PROPERTY("LastRMMessage", 'u', rm_message),
	PROPERTY("LastRMStatus", 'u', rm_status),
	PROPERTY("FailedStep", 's', failed_step),
	PROPERTY("VMID", 'q', vmid),
	PROPERTY("LeaderPID", 'u', leader_pid),
	PROPERTY("MemoryLent", 't', lent),
	PROPERTY("MemoryShared", 't', shared),
	PROPERTY("PagesQuarantined", 't', quarantined),
};

static void vm_done(struct client_vm *vm)
{
	for (size_t i = 0; i < ARRAY_SIZE(properties); i++)
		if (properties[i].type == 's')
			free(*(char **)(void *)((uint8_t *)vm + properties[i].offset));
	*vm = (struct client_vm){};
}

void client_vms_done(struct client_vms *vms)
{
	for (size_t i = 0; i < vms->n; i++)
		vm_done(&vms->v[i]);
	free(vms->v);
	*vms = (struct client_vms){};
}

static int read_property(sd_bus_message *m, const struct property *p, struct client_vm *vm)
{
	const char type[2] = { p->type, '\0' };
	void *at = (uint8_t *)vm + p->offset;
	const char *text;
	int r = sd_bus_message_enter_container(m, 'v', type);

	if (r < 0)
		return r;
	if (p->type == 's') {
		r = sd_bus_message_read_basic(m, 's', &text);
		if (r >= 0) {
			free(*(char **)at);
			*(char **)at = strdup(text);
			r = *(char **)at ? 0 : -ENOMEM;
		}
	} else {
		r = sd_bus_message_read_basic(m, p->type, at);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_member(sd_bus_message *m, struct client_vm *vm)
{
	const char *key;
	int r = sd_bus_message_read_basic(m, 's', &key);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(properties); i++)
		if (!strcmp(key, properties[i].name))
			return read_property(m, &properties[i], vm);
	return r < 0 ? r : sd_bus_message_skip(m, "v");
}

/* a{sv} */
static int read_vm(sd_bus_message *m, struct client_vm *vm)
{
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = read_member(m, vm);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* a{sa{sv}}: the interfaces of one object */
static int read_object(sd_bus_message *m, struct client_vms *vms)
{
	struct client_vm vm = {}, *v;
	const char *interface;
	bool is_vm = false;
	int r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
		r = sd_bus_message_read_basic(m, 's', &interface);
		if (r >= 0 && !strcmp(interface, VM_INTERFACE)) {
			is_vm = true;
			r = read_vm(m, &vm);
		} else if (r >= 0) {
			r = sd_bus_message_skip(m, "a{sv}");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r < 0 || !is_vm || !vm.name) {
		vm_done(&vm);
		return r;
	}
	v = reallocarray(vms->v, vms->n + 1, sizeof(*v));
	if (!v) {
		vm_done(&vm);
		return -ENOMEM;
	}
	vms->v = v;
	vms->v[vms->n++] = vm;
	return 0;
}

/* a{oa{sa{sv}}} */
static int read_objects(sd_bus_message *m, struct client_vms *vms)
{
	const char *path;
	int r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
		r = sd_bus_message_read_basic(m, 'o', &path);
		if (r >= 0)
			r = read_object(m, vms);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct client_vm *)a)->name, ((const struct client_vm *)b)->name);
}

int client_list(sd_bus *bus, struct client_vms *ret, struct ghvm_error *err)
{
	_cleanup_(client_vms_done) struct client_vms vms = {};
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int r;

	/* It looks for new descriptors then; who may not ask sees those known already. */
	(void)sd_bus_call_method(bus, CLIENT_MANAGER, CLIENT_ROOT, CLIENT_MANAGER ".Manager",
				 "ListVMs", NULL, NULL, "");
	r = sd_bus_call_method(bus, CLIENT_MANAGER, CLIENT_ROOT,
			       "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &e,
			       &reply, "");
	if (r < 0)
		return client_error(err, &e, r, "the manager does not answer");
	r = read_objects(reply, &vms);
	(void)sd_bus_message_unref(reply);
	if (r < 0)
		return ghvm_error_set(err, r, "the manager's answer makes no sense: %s",
				      strerror(-r));
	if (vms.n)
		qsort(vms.v, vms.n, sizeof(*vms.v), by_name);
	*ret = TAKE_STRUCT(vms);
	return 0;
}

const struct client_vm *client_find(const struct client_vms *vms, const char *name)
{
	for (size_t i = 0; i < vms->n; i++)
		if (!strcmp(vms->v[i].name, name))
			return &vms->v[i];
	return NULL;
}

int client_look_up(const char *name, struct client_vms *vms, const struct client_vm **ret)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct ghvm_error err = {};
	int r;

	if (!ghvm_name_valid(name))
		return ctl_fail(CTL_NO_VM, "'%s' is not a VM's name", name);
	r = client_open(&bus, &err);
	if (r == 0)
		r = client_list(bus, vms, &err);
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	*ret = client_find(vms, name);
	if (!*ret)
		return ctl_fail(CTL_NO_VM, "there is no VM called %s", name);
	return CTL_OK;
}
