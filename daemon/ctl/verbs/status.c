/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status: show one VM, and what its devices have done.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "libghvm/base/json.h"
#include "daemon/ctl/output/table.h"
#include "daemon/ctl/client/unit.h"
#include "daemon/ctl/verbs/regions.h"

#include "ghvm/guest-map.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/plan/devices.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct devices {
	struct ghvm_plan_device v[GHVM_PLAN_DEVICES_MAX];
	size_t n;
	unsigned int cid; /* of a vsock; 0: none */
};

/* As its runner tells it. */
struct live_device {
	BUS_DEVICE_FIELDS(OBJECT_MEMBER, OBJECT_NO_MEMBER)
};

struct live_devices {
	struct live_device v[GHVM_PLAN_DEVICES_MAX];
	size_t n;
};

#define OBJECT_STRUCT struct live_device
static const struct object_field live_fields[] = { BUS_DEVICE_FIELDS(OBJECT_FIELD,
								     OBJECT_NO_FIELD) };

static void live_devices_done(struct live_devices *d)
{
	for (size_t i = 0; i < d->n; i++)
		object_done(live_fields, ARRAY_SIZE(live_fields), &d->v[i]);
	d->n = 0;
}

static bool is_complete(const struct live_device *d)
{
	return d->kind && d->state && d->backend && d->backend_state;
}

/* aa{sv} */
static int read_live_devices(sd_bus_message *m, struct live_devices *ret)
{
	int r = sd_bus_message_enter_container(m, 'a', "a{sv}");

	while (r >= 0 && ret->n < ARRAY_SIZE(ret->v) && !sd_bus_message_at_end(m, 0)) {
		struct live_device *d = &ret->v[ret->n++];

		r = object_read(m, live_fields, ARRAY_SIZE(live_fields), d);
		if (r >= 0 && !is_complete(d))
			r = -EBADMSG;
	}
	return r;
}

/*
 * Ask the runner of @vm, by the manager. None if it does not run, if the caller may not ask, or if manager or runner
 * are of earlier versions: the rest is shown all the same.
 */
static void find_live_devices(const struct client_vm *vm, struct live_devices *ret)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(freep) char *path = NULL;
	struct call call = { .interface = CLIENT_MANAGER ".VM",
			     .member = "ListDevices",
			     .waits_for = "the runner to say what its devices do" };

	if (strcmp(vm->state, "running") != 0 || client_open(&bus, NULL) < 0 ||
	    client_path(bus, vm->name, &path, NULL) < 0)
		return;
	call.path = path;
	if (client_call(bus, &call, &reply, NULL, "devices", "a{sv}", 0) < 0 ||
	    read_live_devices(reply, ret) < 0)
		live_devices_done(ret);
}

/* The devices that the guest has: those of its descriptor, if that has not changed since the start. */
static void find_devices(const struct ctl *ctl, const struct client_vm *vm, struct devices *ret)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};

	ret->n = 0;
	ret->cid = 0;
	if (!vm->vmid || !vm->descriptor || strcmp(vm->descriptor, "current") != 0)
		return;
	if (ghvm_spec_load(vm->name, ctl->dirs, &spec, NULL, NULL) < 0)
		return;
	(void)ghvm_devices_place(ghvm_device_kinds, &spec, ret->v, &ret->n, NULL);
	ret->cid = spec.vsock ? ghvm_spec_cid(&spec) : 0;
}

/* Regions that another VM has as well; none if the manager cannot be asked any more. */
static void find_regions(const struct client_vm *vm, struct regions *ret)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *path = NULL;

	if (vm->vmid && client_open(&bus, NULL) == 0 &&
	    client_path(bus, vm->name, &path, NULL) == 0)
		(void)regions_read(bus, path, ret, NULL);
}

/* The VM that has regions of @all as well, which is the same for all of them; NULL: none. */
static const char *peer_of(const struct regions *all)
{
	const char *peer = NULL;

	for (size_t i = 0; !peer && i < all->n; i++)
		peer = region_peer(&all->v[i]);
	return peer;
}

static void json_live_device(struct ghvm_json *j, const struct live_device *d)
{
	ghvm_json_open(j, NULL, '{');
	ghvm_json_text(j, "kind", d->kind);
	ghvm_json_number(j, "number", d->number);
	ghvm_json_number(j, "address", d->address);
	if (d->doorbell != GHVM_DOORBELL_NONE)
		ghvm_json_number(j, "doorbell", d->doorbell);
	ghvm_json_text(j, "state", d->state);
	ghvm_json_text(j, "back_end", *d->backend ? d->backend : NULL);
	ghvm_json_text(j, "back_end_state", *d->backend_state ? d->backend_state : NULL);
	ghvm_json_number(j, "queues", d->queues);
	ghvm_json_number(j, "queues_ready", d->ready);
	ghvm_json_number(j, "requests", d->requests);
	ghvm_json_number(j, "bytes_from_guest", d->from_guest);
	ghvm_json_number(j, "bytes_to_guest", d->to_guest);
	ghvm_json_number(j, "errors", d->errors);
	ghvm_json_number(j, "faults", d->faults);
	ghvm_json_number(j, "back_end_losses", d->losses);
	ghvm_json_close(j, '}');
}

static void print_json(const struct client_vm *vm, const char *remark,
		       const struct devices *devices, const struct live_devices *live,
		       const struct regions *regions)
{
	struct ghvm_json j = { .to = stdout, .first = true };

	ghvm_json_open(&j, NULL, '{');
	ghvm_json_text(&j, "name", vm->name);
	ghvm_json_text(&j, "state", vm->state);
	ghvm_json_text(&j, "substate", vm->sub_state);
	ghvm_json_number(&j, "vmid", vm->vmid);
	ghvm_json_number(&j, "leader_pid", vm->leader_pid);
	ghvm_json_number(&j, "lent", vm->lent);
	ghvm_json_number(&j, "shared", vm->shared);
	ghvm_json_text(&j, "shared_with", peer_of(regions));
	ghvm_json_number(&j, "pages_quarantined", vm->quarantined);
	ghvm_json_text(&j, "exit_reason", vm->exit_reason);
	ghvm_json_text(&j, "crash_message", vm->crash_message);
	ghvm_json_text(&j, "last_error", vm->last_error);
	ghvm_json_text(&j, "last_error_name", vm->last_error_name);
	ghvm_json_number(&j, "last_error_usec", vm->last_error_time);
	ghvm_json_text(&j, "failed_step", vm->failed_step);
	ghvm_json_text(&j, "descriptor", vm->descriptor);
	ghvm_json_text(&j, "guest", *remark ? remark : NULL);
	ghvm_json_open(&j, "devices", '[');
	for (size_t i = 0; i < devices->n; i++)
		ghvm_json_text(&j, NULL, devices->v[i].name);
	ghvm_json_close(&j, ']');
	ghvm_json_open(&j, "device_counts", '[');
	for (size_t i = 0; i < live->n; i++)
		json_live_device(&j, &live->v[i]);
	ghvm_json_close(&j, ']');
	if (devices->cid)
		ghvm_json_number(&j, "vsock_cid", devices->cid);
	ghvm_json_close(&j, '}');
	putchar('\n');
}

static bool is_set(const char *s)
{
	return s && *s;
}

/* Return: NULL if the descriptor has not changed. */
static const char *descriptor_remark(const struct client_vm *vm)
{
	static const char *const texts[][2] = {
		{ "changed", "changed on disk since the start; the next start uses it" },
		{ "invalid", "changed on disk since the start, with errors: see ghvmctl validate" },
		{ "missing", "deleted since the start; the VM cannot be started again" },
	};

	for (size_t i = 0; is_set(vm->descriptor) && i < ARRAY_SIZE(texts); i++)
		if (!strcmp(vm->descriptor, texts[i][0]))
			return texts[i][1];
	return NULL;
}

static void print_devices(const struct devices *devices)
{
	for (size_t i = 0; i < devices->n; i++)
		printf("%s%s", i ? ", " : "  devices     ", devices->v[i].name);
	if (devices->n)
		putchar('\n');
	if (devices->cid)
		printf("  vsock       CID %u\n", devices->cid);
}

static void print_regions(const struct regions *all)
{
	const char *before = "  regions     ";

	for (size_t i = 0; i < all->n; i++) {
		if (!region_peer(&all->v[i]))
			continue;
		printf("%s%u", before, all->v[i].label);
		before = ", ";
	}
	if (peer_of(all))
		printf(", shared with %s\n", peer_of(all));
}

static void print_text(const struct client_vm *vm, const char *remark,
		       const struct devices *devices, const struct regions *regions)
{
	char size[TABLE_SIZE_TEXT], when[TABLE_TIME_TEXT];

	printf("%s: %s%s%s\n", vm->name, vm->state, is_set(vm->sub_state) ? ", " : "",
	       is_set(vm->sub_state) ? vm->sub_state : "");
	if (vm->vmid)
		printf("  vmid        %u\n", vm->vmid);
	if (vm->leader_pid)
		printf("  runner      pid %u\n", vm->leader_pid);
	if (*remark)
		printf("  guest       %s\n", remark);
	if (vm->lent)
		printf("  lent        %s\n", table_size(vm->lent, size));
	if (vm->shared)
		printf("  shared      %s\n", table_size(vm->shared, size));
	print_regions(regions);
	print_devices(devices);
	if (vm->quarantined)
		printf("  quarantine  %llu pages\n", (unsigned long long)vm->quarantined);
	if (descriptor_remark(vm))
		printf("  descriptor  %s\n", descriptor_remark(vm));
	if (is_set(vm->exit_reason))
		printf("  last end    %s\n", vm->exit_reason);
	if (is_set(vm->crash_message))
		printf("  it said     %s\n", vm->crash_message);
	if (is_set(vm->last_error))
		printf("  last error  %s: %s\n", table_time(vm->last_error_time, when),
		       vm->last_error);
}

#define STATE_SIZE 512 /* with the path of a socket */

/* "3 errors, " at @at, nothing if @n is 0. */
static void add_count(char **at, const char *end, uint64_t n, const char *what)
{
	int used = 0;

	if (n)
		used = snprintf(*at, (size_t)(end - *at), ", %llu %s%s", (unsigned long long)n,
				what, n == 1 ? "" : "s");
	*at += used < end - *at ? used : 0;
}

static const char *state_text(const struct live_device *d, char ret[STATE_SIZE])
{
	const char *end = ret + STATE_SIZE;
	char *at = ret + snprintf(ret, STATE_SIZE, "%s", d->state);

	add_count(&at, end, d->errors, "error");
	add_count(&at, end, d->faults, "fault");
	if (*d->backend_state)
		at += snprintf(at, (size_t)(end - at), "; %s%s%s", d->backend_state,
			       *d->backend ? " to " : "", d->backend);
	add_count(&at, end, d->losses, "time lost");
	return ret;
}

static int add_live_device(struct table *t, const struct live_device *d)
{
	char kind[64], address[24], bell[24] = "-", queues[48] = "-", requests[24] = "-";
	char from[TABLE_SIZE_TEXT], to[TABLE_SIZE_TEXT], state[STATE_SIZE];
	const bool rings = d->queues;

	(void)snprintf(kind, sizeof(kind), d->number ? "%s-%llu" : "%s", d->kind,
		       (unsigned long long)d->number); /* a long one is cut */
	(void)snprintf(address, sizeof(address), "0x%08llx", (unsigned long long)d->address);
	if (d->doorbell != GHVM_DOORBELL_NONE)
		(void)snprintf(bell, sizeof(bell), "%llu", (unsigned long long)d->doorbell);
	if (rings) {
		(void)snprintf(queues, sizeof(queues), "%llu of %llu", (unsigned long long)d->ready,
			       (unsigned long long)d->queues);
		(void)snprintf(requests, sizeof(requests), "%llu", (unsigned long long)d->requests);
	}
	return table_row(t, (const char *const[]){ kind, address, bell, queues, requests,
						   rings ? table_size(d->from_guest, from) : "-",
						   rings ? table_size(d->to_guest, to) : "-",
						   rings ? state_text(d, state) : "" });
}

static int print_live_devices(const struct live_devices *live, bool color)
{
	static const char *const head[] = { "DEVICE",	"ADDRESS",    "DOORBELL", "QUEUES",
					    "REQUESTS", "FROM GUEST", "TO GUEST", "STATE" };
	_cleanup_(table_done) struct table t = { .columns = ARRAY_SIZE(head) };
	int r = table_row(&t, head);

	for (size_t i = 0; r == 0 && i < live->n; i++)
		r = add_live_device(&t, &live->v[i]);
	if (r == 0 && live->n) {
		putchar('\n');
		table_print(&t, color);
	}
	return r;
}

/* Print whether systemd will try a failed start again. */
static void print_tries(const struct client_vm *vm)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct unit_state unit = {};
	char which[UNIT_TRY_SIZE];

	if (strcmp(vm->state, "failed") != 0)
		return;
	if (client_open(&bus, NULL) == 0)
		unit_look(bus, vm->name, &unit);
	if (!strcmp(unit.sub, "auto-restart"))
		printf("  next        systemd tries again to start it %s\n",
		       unit_try_text(&unit, which));
}

int verb_status(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(client_vms_done) struct client_vms vms = {};
	char remark[CLIENT_REMARK];
	const struct client_vm *vm;
	_cleanup_(regions_done) struct regions regions = {};
	_cleanup_(live_devices_done) struct live_devices live = {};
	struct devices devices;
	int r = client_look_up(ctl, args[0], &vms, &vm);

	if (r != CTL_OK)
		return r;
	client_remark(vm, remark);
	find_devices(ctl, vm, &devices);
	find_live_devices(vm, &live);
	find_regions(vm, &regions);
	if (ctl->json) {
		print_json(vm, remark, &devices, &live, &regions);
		return CTL_OK;
	}
	print_text(vm, remark, &devices, &regions);
	print_tries(vm);
	if (print_live_devices(&live, ctl->color) < 0)
		return ctl_fail(CTL_FAILED, "out of memory");
	return CTL_OK;
}
