/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.gunyah.vmm1.Manager.
 */
#include "daemon/manager/objects/interfaces.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager/bus/polkit.h"
#include "daemon/manager/bus/sent.h"
#include "daemon/manager/objects/define.h"
#include "daemon/manager/objects/job.h"
#include "daemon/manager/objects/run.h"
#include "daemon/manager/bus/lane.h"
#include "daemon/manager/bus/property.h"
#include "daemon/manager/bus/path.h"
#include "daemon/manager/bus/error-names.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/plan.h"
#include "libghvm/base/name.h"

#define INTERFACE BUS_NAME ".Manager"
#define OPTION_MAX GHVM_SPEC_FILE_MAX /* more than any kernel header or overlay has */
#define COMPLAINTS_MAX 200	      /* about 64 KiB on the bus */

/* --- VMs --- */

/* ListVMs() -> a(sso): name, state, path */
static int method_list(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	sd_bus_message *reply = NULL;
	char *path;
	int r;

	r = bus_check_hypervisor(b, error);
	if (r >= 0)
		r = lane_turn(b->lane, m, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	manager_scan(b->manager);
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(sso)");
	for (size_t i = 0; i < b->manager->n_vms && r >= 0; i++) {
		const struct vm *vm = b->manager->vms[i];

		path = bus_vm_path(vm);
		r = path ? sd_bus_message_append(reply, "(sso)", vm->name,
						 vm_state_to_string(vm->state), path)
			 : -ENOMEM;
		free(path);
	}
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return bus_send_reply(reply, r);
}

/* Return: as lane_turn(), because an unknown VM needs a scan of the descriptor folders. */
static int find_vm(struct bus *b, sd_bus_message *m, const char *name, struct vm **ret,
		   sd_bus_error *error)
{
	struct ghvm_error err = {};
	int r;

	*ret = manager_known(b->manager, name);
	if (*ret)
		return 1;
	r = lane_turn(b->lane, m, error);
	if (r <= 0)
		return r;
	*ret = manager_find(b->manager, name);
	if (*ret)
		return 1;
	(void)ghvm_spec_absent(name, b->manager->options->vms_dirs, &err);
	return bus_fail(error, &err);
}

/* GetVM(s) -> o */
static int method_get(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(freep) char *path = NULL;
	struct bus *b = userdata;
	const char *name;
	struct vm *vm;
	int r;

	r = bus_check_hypervisor(b, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &name);
	if (r >= 0)
		r = find_vm(b, m, name, &vm, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	path = bus_vm_path(vm);
	return path ? sd_bus_reply_method_return(m, "o", path) : -ENOMEM;
}

/* Refuse a start that cannot succeed before calling systemd. */
static int check_start(struct bus *b, struct vm *vm, sd_bus_error *error)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error err = {};

	if (!vm_vacant(vm))
		return sd_bus_error_setf(error, FAILURE_BAD_STATE, "%s is %s", vm->name,
					 vm_state_to_string(vm->state));
	if (vm->changing)
		return sd_bus_error_setf(error, FAILURE_BUSY,
					 "the definition of %s is being changed", vm->name);
	if (vm->transient)
		return sd_bus_error_setf(error, FAILURE_BAD_STATE,
					 "%s is a transient VM, which its unit starts: run it "
					 "again when it is gone",
					 vm->name);
	if (quarantine_check_name(&b->manager->quarantine, vm->name, &err) < 0 ||
	    manager_load_spec(b->manager, vm->name, &spec, &all, &err) < 0) {
		vm_refused(vm, "descriptor", &err);
		return sent_fail(&all, &err, error);
	}
	return 0;
}

/* StartVM(s, a{sv}) -> o job */
static int method_start(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const char *name;
	struct vm *vm;
	uid_t uid;
	int r;

	r = bus_check_host(b, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &name);
	if (r >= 0)
		r = bus_read_options(m, error);
	if (r >= 0)
		r = find_vm(b, m, name, &vm, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	r = auth_check(b->auth, m, "org.gunyah.vmm1.start", &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	r = quota_check(&b->quota, b->conn, uid, error);
	if (r >= 0)
		r = check_start(b, vm, error);
	return r < 0 ? r : job_start(b->jobs, vm, uid, m, error);
}

/* --- descriptors from callers --- */

/**
 * struct draft - a descriptor from a caller, with options; borrowed from the message, except @text
 */
struct draft {
	const char *name;
	char *text;
	size_t len;
	struct ghvm_plan_input input;
};

static int read_bytes(sd_bus_message *m, const uint8_t **ret, size_t *ret_n)
{
	const void *p = NULL;
	int r;

	r = sd_bus_message_enter_container(m, 'v', "ay");
	if (r >= 0)
		r = sd_bus_message_read_array(m, 'y', &p, ret_n);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	*ret = p;
	return r;
}

static int read_option(sd_bus_message *m, const char *key, void *data, sd_bus_error *error)
{
	struct draft *d = data;

	if (!strcmp(key, "name"))
		return sd_bus_message_read(m, "v", "s", &d->name);
	if (!strcmp(key, "kernel-header"))
		return read_bytes(m, &d->input.kernel_header, &d->input.kernel_header_size);
	if (!strcmp(key, "dtb-overlay"))
		return read_bytes(m, &d->input.overlay, &d->input.overlay_size);
	if (!strcmp(key, "kernel-size"))
		return sd_bus_message_read(m, "v", "t", &d->input.kernel_size);
	if (!strcmp(key, "initrd-size"))
		return sd_bus_message_read(m, "v", "t", &d->input.initrd_size);
	return bus_unknown_option(key, error);
}

static int check_draft(const struct draft *d, sd_bus_error *error)
{
	if (!ghvm_name_valid(d->name))
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"invalid name of a virtual machine");
	if (d->input.kernel_header_size > OPTION_MAX || d->input.overlay_size > OPTION_MAX)
		return sd_bus_error_setf(error, FAILURE_QUOTA,
					 "option 'kernel-header' or 'dtb-overlay' is longer than "
					 "%d bytes",
					 OPTION_MAX);
	return 0;
}

/* Return: as auth_check(). Input that is too large is refused before polkit is asked. */
static int read_draft(struct bus *b, sd_bus_message *m, struct draft *ret, sd_bus_error *error)
{
	uid_t uid;
	int fd, r;

	r = bus_check_hypervisor(b, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "h", &fd);
	if (r >= 0)
		r = bus_read_known_options(m, read_option, ret, error);
	if (r >= 0)
		r = check_draft(ret, error);
	if (r >= 0)
		r = auth_check(b->auth, m, "org.gunyah.vmm1.inspect", &uid, error);
	if (r <= 0)
		return r;
	r = sent_read_text(fd, &ret->text, &ret->len, error);
	return r < 0 ? r : 1;
}

static void draft_done(struct draft *d)
{
	free(d->text);
	(void)malloc_trim(0); /* return the memory used for parsing */
}

static int parse(const struct draft *d, struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		 struct ghvm_error *err)
{
	char file[GHVM_NAME_SIZE + 8];

	(void)snprintf(file, sizeof(file), "%s.yaml", d->name); /* checked */
	return spec_parse_sent(d->name, file, d->text, d->len, ret, complaints, err);
}

static int append_complaints(sd_bus_message *reply, const struct ghvm_complaints *c)
{
	const struct ghvm_complaint *v = c->v;
	int r = sd_bus_message_open_container(reply, 'a', "(sssuus)");

	for (size_t i = 0; i < c->n && i < COMPLAINTS_MAX && r >= 0; i++)
		r = sd_bus_message_append(reply, "(sssuus)",
					  v[i].severity == GHVM_SEVERITY_ERROR ? "error"
									       : "warning",
					  v[i].rule, v[i].key, v[i].line, v[i].column, v[i].text);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Validate(h spec, a{sv}) -> a(sssuus): severity, rule, path, line, column, message */
static int method_validate(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(draft_done) struct draft d = { .name = "vm" };
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints complaints = {};
	struct bus *b = userdata;
	sd_bus_message *reply = NULL;
	struct ghvm_error err = {};
	int r;

	r = read_draft(b, m, &d, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	r = parse(&d, &spec, &complaints, &err);
	if (r < 0 && !complaints.n)
		return bus_fail(error, &err);
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = append_complaints(reply, &complaints);
	return bus_send_reply(reply, r);
}

/*
 * Plan(h spec, a{sv}) -> h: JSON in a sealed memfd. No file that the descriptor names is opened; the
 * caller describes them by the options "kernel-header" (ay, at least the first 64 bytes), "kernel-size"
 * (t), "initrd-size" (t), "dtb-overlay" (ay).
 */
static int method_plan(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(draft_done) struct draft d = { .name = "vm" };
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	_cleanup_(ghvm_plan_done) struct ghvm_plan plan = {};
	_cleanup_(freep) char *json = NULL;
	struct bus *b = userdata;
	const struct manager *manager = b->manager;
	struct ghvm_error err = {};
	int r;

	r = read_draft(b, m, &d, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	d.input.quirks = manager->rm ? &manager->probe.quirks : NULL;
	if (!d.input.kernel_header)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"option 'kernel-header' is missing");
	r = parse(&d, &spec, NULL, &err);
	if (r >= 0 && spec.initrd && !d.input.initrd_size)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"option 'initrd-size' is missing, or 0");
	if (r >= 0) {
		r = ghvm_plan_make(&spec, &d.input, &plan, &err);
		ghvm_spec_locate(&spec, &err);
	}
	if (r < 0)
		return bus_fail(error, &err);
	json = ghvm_plan_to_json(&plan);
	return json ? bus_reply_text(m, json) : -ENOMEM;
}

static struct property_value get_version(const void *object)
{
	return (struct property_value){ .text = GHVM_VERSION };
}

PROPERTY_TABLE(INTERFACE, BUS_MANAGER_PROPERTIES)

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	BUS_MANAGER_PROPERTIES(PROPERTY_VTABLE, PROPERTY_VTABLE_OTHER)
		SD_BUS_METHOD_WITH_ARGS("ListVMs", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sso)", vms),
					method_list, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetVM", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", vm), method_get,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("StartVM", SD_BUS_ARGS("s", name, "a{sv}", options),
				SD_BUS_RESULT("o", job), method_start, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Validate", SD_BUS_ARGS("h", spec, "a{sv}", options),
				SD_BUS_RESULT("a(sssuus)", complaints), method_validate,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Plan", SD_BUS_ARGS("h", spec, "a{sv}", options),
				SD_BUS_RESULT("h", plan), method_plan, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"DefineVM", SD_BUS_ARGS("s", name, "h", spec, "a{sh}", files, "a{sv}", options),
		SD_BUS_RESULT("o", vm), definitions_define, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("UndefineVM", SD_BUS_ARGS("s", name, "a{sv}", options),
				SD_BUS_NO_RESULT, definitions_undefine, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RunVM",
				SD_BUS_ARGS("s", name, "h", spec, "a{sh}", files, "a{sv}", options),
				SD_BUS_RESULT("o", job), runs_run, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int bus_manager_publish(struct bus *b)
{
	return sd_bus_add_object_vtable(b->conn, NULL, BUS_PATH, INTERFACE, vtable, b);
}
