/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/client/client.h"

#include "daemon/ctl/ctl.h"
#include "daemon/ctl/client/service.h"
#include "daemon/ctl/client/unit.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"
#include "ghvm/spec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VM_INTERFACE "org.gunyah.vmm1.VM"

int client_status(int r)
{
	switch (r) {
	case -EHOSTDOWN:
	case -ENODEV:
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
	(void)sd_bus_set_allow_interactive_authorization(*ret, true);	       /* polkit may ask */
	(void)sd_bus_set_method_call_timeout(*ret, CALL_LIMIT_S * 1000000ULL); /* else 25 s */
	return 0;
}

/* Complete @c, and start the manager if it does not run. */
static int prepare_call(sd_bus *bus, struct call *c, struct ghvm_error *err)
{
	c->service = CLIENT_MANAGER;
	if (!c->waits_for)
		c->waits_for = "the manager to answer";
	return c->no_start ? 0 : service_start(bus, err);
}

int client_call(sd_bus *bus, const struct call *c, sd_bus_message **ret, struct ghvm_error *err,
		const char *what, const char *types, ...)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct call own = *c;
	va_list ap;
	int r = prepare_call(bus, &own, err);

	if (r < 0)
		return r;
	va_start(ap, types);
	r = call_methodv(bus, &own, ret, &e, types, ap);
	va_end(ap);
	return r < 0 ? call_error(err, &e, r, what) : 0;
}

int client_call_with(sd_bus *bus, const struct call *c, sd_bus_message **ret,
		     struct ghvm_error *err, const char *what, call_append append, const void *data)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct call own = *c;
	int r = prepare_call(bus, &own, err);

	if (r < 0)
		return r;
	r = call_with(bus, &own, ret, &e, append, data);
	return r < 0 ? call_error(err, &e, r, what) : 0;
}

struct call client_verb(const char *path, const char *interface, const char *member)
{
	return (struct call){
		.path = path,
		.interface = interface,
		.member = member,
		.waits_for = "the manager to answer; polkit may be asking for a password",
		.limit_s = CALL_CONSENT_S,
		.consent = true,
	};
}

int client_path(sd_bus *bus, const char *name, char **ret, struct ghvm_error *err)
{
	static const struct call c = {
		.path = CLIENT_ROOT,
		.interface = CLIENT_MANAGER ".Manager",
		.member = "GetVM",
	};
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *path;
	char *copy = NULL;
	int r = client_call(bus, &c, &reply, err, name, "s", name);

	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0)
		copy = strdup(path);
	if (!copy)
		return ghvm_error_set(err, r < 0 ? r : -ENOMEM, "%s: %s", name,
				      strerror(r < 0 ? -r : ENOMEM));
	*ret = copy;
	return 0;
}

#define OBJECT_STRUCT struct client_vm
static const struct object_field fields[] = { BUS_VM_PROPERTIES(OBJECT_FIELD, OBJECT_NO_FIELD) };

/* ---- one property ---- */

static sd_bus_message *get_property(sd_bus *bus, const char *path, const char *interface,
				    const char *name, const char *type)
{
	const struct call c = {
		.service = CLIENT_MANAGER,
		.path = path,
		.interface = interface,
		.waits_for = "the manager to answer",
		.no_start = true,
	};
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL;

	(void)call_get(bus, &c, name, type, &m, &e); /* m stays NULL on failure */
	sd_bus_error_free(&e);
	return m;
}

void client_vm_text(sd_bus *bus, const char *path, enum client_vm_property p, char ret[CLIENT_TEXT])
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		get_property(bus, path, VM_INTERFACE, fields[p].name, "s");
	const char *text;

	*ret = '\0';
	if (m && sd_bus_message_read(m, "s", &text) >= 0)
		(void)snprintf(ret, CLIENT_TEXT, "%s", text); /* truncated if too long */
}

uint64_t client_vm_number(sd_bus *bus, const char *path, enum client_vm_property p)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		get_property(bus, path, VM_INTERFACE, fields[p].name, "t");
	uint64_t value = 0;

	if (m && sd_bus_message_read(m, "t", &value) < 0)
		value = 0;
	return value;
}

int client_host(sd_bus *bus, struct ghvm_error *err)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		get_property(bus, CLIENT_HOST, CLIENT_MANAGER ".Host", "State", "s");
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *why =
		get_property(bus, CLIENT_HOST, CLIENT_MANAGER ".Host", "Reason", "s");
	const char *state, *reason;

	if (!m || sd_bus_message_read(m, "s", &state) < 0 || !strcmp(state, "ok"))
		return 0;
	if (!why || sd_bus_message_read(why, "s", &reason) < 0)
		reason = state;
	return ghvm_error_set(err, strcmp(state, "rm-dead") ? -ENODEV : -EHOSTDOWN, "%s", reason);
}

/* ---- reading objects ---- */

void client_vms_done(struct client_vms *vms)
{
	for (size_t i = 0; i < vms->n; i++)
		object_done(fields, ARRAY_SIZE(fields), &vms->v[i]);
	free(vms->v);
	*vms = (struct client_vms){};
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
			r = object_read(m, fields, ARRAY_SIZE(fields), &vm);
		} else if (r >= 0) {
			r = sd_bus_message_skip(m, "a{sv}");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r < 0 || !is_vm || !vm.name) {
		object_done(fields, ARRAY_SIZE(fields), &vm);
		return r;
	}
	v = reallocarray(vms->v, vms->n + 1, sizeof(*v));
	if (!v) {
		object_done(fields, ARRAY_SIZE(fields), &vm);
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

/*
 * ListVMs makes the manager read the descriptor folders. If the caller may not call it, only VMs
 * already known are listed.
 */
static int refresh_vms(sd_bus *bus, struct ghvm_error *err)
{
	static const struct call c = {
		.path = CLIENT_ROOT,
		.interface = CLIENT_MANAGER ".Manager",
		.member = "ListVMs",
	};
	int r = client_call(bus, &c, NULL, err, "no virtual machine can run", "");

	if (r == -EHOSTDOWN || r == -ENODEV)
		return r;
	*err = (struct ghvm_error){}; /* continue with the VMs already known */
	return 0;
}

int client_objects(sd_bus *bus, sd_bus_message **ret, struct ghvm_error *err)
{
	static const struct call c = {
		.path = CLIENT_ROOT,
		.interface = "org.freedesktop.DBus.ObjectManager",
		.member = "GetManagedObjects",
	};

	return client_call(bus, &c, ret, err, "cannot list the virtual machines", "");
}

int client_list(sd_bus *bus, struct client_vms *ret, struct ghvm_error *err)
{
	_cleanup_(client_vms_done) struct client_vms vms = {};
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = refresh_vms(bus, &vms.host);

	if (r == -EHOSTDOWN && err)
		*err = vms.host;
	if (r != -EHOSTDOWN)
		r = client_objects(bus, &reply, err);
	if (r < 0)
		return r;
	r = read_objects(reply, &vms);
	if (r < 0)
		return ghvm_error_set(err, r, "malformed reply from gunyah-vmd: %s", strerror(-r));
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

int client_look_up(const struct ctl *ctl, const char *name, struct client_vms *vms,
		   const struct client_vm **ret)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct ghvm_error err = {};
	int r = 0;

	if (!ghvm_name_valid(name))
		r = ghvm_spec_absent(name, ctl->dirs, &err);
	if (r == 0)
		r = client_open(&bus, &err);
	if (r == 0)
		r = client_list(bus, vms, &err);
	if (r == 0) {
		*ret = client_find(vms, name);
		if (!*ret)
			r = ghvm_spec_absent(name, ctl->dirs, &err);
	}
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	if (vms->host.code == 0)
		(void)client_host(bus, &vms->host);
	if (vms->host.code < 0)
		(void)ctl_fail(0, "%s", vms->host.msg);
	return CTL_OK;
}

void client_remark(const struct client_vm *vm, char ret[CLIENT_REMARK])
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	static const char before[] = "Running; ";
	struct ghvm_error err = {};
	struct unit_state u;

	*ret = '\0';
	if (strcmp(vm->state, "running") || client_open(&bus, &err) < 0)
		return; /* the caller has reported that the bus cannot be reached */
	unit_look(bus, vm->name, &u);
	if (!strncmp(u.text, before, strlen(before)))
		snprintf(ret, CLIENT_REMARK, "%.*s", CLIENT_REMARK - 1, u.text + strlen(before));
}
