/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status: show one VM.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "libghvm/base/json.h"
#include "daemon/ctl/output/table.h"
#include "daemon/ctl/client/unit.h"
#include "daemon/ctl/verbs/regions.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/plan/devices.h"

#include <stdio.h>
#include <string.h>

struct devices {
	struct ghvm_plan_device v[GHVM_PLAN_DEVICES_MAX];
	size_t n;
};

/* The devices that the guest has: those of its descriptor, if that has not changed since the start. */
static void find_devices(const struct ctl *ctl, const struct client_vm *vm, struct devices *ret)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};

	ret->n = 0;
	if (!vm->vmid || !vm->descriptor || strcmp(vm->descriptor, "current") != 0)
		return;
	if (ghvm_spec_load(vm->name, ctl->dirs, &spec, NULL, NULL) == 0)
		(void)ghvm_devices_place(ghvm_device_kinds, &spec, ret->v, &ret->n, NULL);
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

static void print_json(const struct client_vm *vm, const char *remark,
		       const struct devices *devices, const struct regions *regions)
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
	struct devices devices;
	int r = client_look_up(ctl, args[0], &vms, &vm);

	if (r != CTL_OK)
		return r;
	client_remark(vm, remark);
	find_devices(ctl, vm, &devices);
	find_regions(vm, &regions);
	if (ctl->json) {
		print_json(vm, remark, &devices, &regions);
		return CTL_OK;
	}
	print_text(vm, remark, &devices, &regions);
	print_tries(vm);
	return CTL_OK;
}
