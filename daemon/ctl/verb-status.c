/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status and why: one VM, in full, and what went wrong with it last.
 */
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/json.h"
#include "daemon/ctl/table.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HINT_SIZE 256

/* Find one VM. Return: CTL_OK and *ret; else it was said. */
static int look_up(const char *name, struct client_vms *vms, const struct client_vm **ret)
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

static void print_json(const struct client_vm *vm, const char *hint)
{
	struct json j = { .first = true };

	json_open(&j, NULL, '{');
	json_text(&j, "name", vm->name);
	json_text(&j, "state", vm->state);
	json_text(&j, "substate", vm->sub_state);
	json_number(&j, "vmid", vm->vmid);
	json_number(&j, "leader_pid", vm->leader_pid);
	json_number(&j, "lent", vm->lent);
	json_number(&j, "shared", vm->shared);
	json_number(&j, "pages_quarantined", vm->quarantined);
	json_text(&j, "exit_reason", vm->exit_reason);
	json_text(&j, "last_error", vm->last_error);
	json_text(&j, "last_error_name", vm->last_error_name);
	json_text(&j, "failed_step", vm->failed_step);
	if (hint)
		json_text(&j, "hint", *hint ? hint : NULL);
	json_close(&j, '}');
	putchar('\n');
}

static bool some(const char *s)
{
	return s && *s;
}

static void print_text(const struct client_vm *vm)
{
	char size[TABLE_SIZE_TEXT];

	printf("%s: %s%s%s\n", vm->name, vm->state, some(vm->sub_state) ? ", " : "",
	       some(vm->sub_state) ? vm->sub_state : "");
	if (vm->vmid)
		printf("  vmid        %u\n", vm->vmid);
	if (vm->leader_pid)
		printf("  runner      pid %u\n", vm->leader_pid);
	if (vm->lent)
		printf("  lent        %s\n", table_size(vm->lent, size));
	if (vm->shared)
		printf("  shared      %s\n", table_size(vm->shared, size));
	if (vm->quarantined)
		printf("  quarantine  %llu pages\n", (unsigned long long)vm->quarantined);
	if (some(vm->exit_reason))
		printf("  last end    %s\n", vm->exit_reason);
	if (some(vm->last_error))
		printf("  last error  %s\n", vm->last_error);
}

int verb_status(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(client_vms_done) struct client_vms vms = {};
	const struct client_vm *vm;
	int r = look_up(args[0], &vms, &vm);

	if (r != CTL_OK)
		return r;
	if (ctl->json)
		print_json(vm, NULL);
	else
		print_text(vm);
	return CTL_OK;
}

/* What to try, by the name of the error; the text itself has what RM means by its status. */
static const struct hint {
	const char *error;
	const char *text;
} hints[] = {
	{ "InvalidSpec", "ghvmctl validate NAME says what is wrong with the descriptor" },
	{ "ImageInvalid", "kernel.image must be a flat arm64 Image: ghvmctl validate NAME" },
	{ "QuotaExceeded", "memory in larger pages, or less of it; ghvmctl plan NAME and ghvmctl "
			   "host show what it takes and what is left" },
	{ "PinFailed",
	  "not enough memory, or it cannot be pinned: free some, or lower memory.size" },
	{ "UnsupportedByRM", "this resource manager cannot do that: ghvmctl host" },
	{ "RmRejected", "ghvmctl plan NAME shows what was asked of the resource manager" },
	{ "HypercallFailed", "ghvmctl host, and the kernel's log" },
	{ "HostUnavailable", "is this a Gunyah host, and is ghvm.ko loaded? ghvmctl host" },
	{ "TimedOut", "the resource manager does not answer: ghvmctl host" },
	{ "Busy", "try again when what it is doing has ended" },
	{ "NotAuthorized", "group gunyah may ask, and polkit has the last word" },
};

/* Empty if there is none. NAME in a hint is the VM's. */
static void hint_for(const struct client_vm *vm, char ret[HINT_SIZE])
{
	const char *last = vm->last_error_name ? strrchr(vm->last_error_name, '.') : NULL;
	const char *text = "", *at;
	size_t n = 0;

	*ret = '\0';
	for (size_t i = 0; last && i < ARRAY_SIZE(hints); i++)
		if (!strcmp(last + 1, hints[i].error))
			text = hints[i].text;
	while ((at = strstr(text, "NAME")) && n < HINT_SIZE) {
		n += (size_t)snprintf(ret + n, HINT_SIZE - n, "%.*s%s", (int)(at - text), text,
				      vm->name);
		text = at + strlen("NAME");
	}
	if (n < HINT_SIZE)
		snprintf(ret + n, HINT_SIZE - n, "%s", text);
}

int verb_why(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(client_vms_done) struct client_vms vms = {};
	const struct client_vm *vm;
	char hint[HINT_SIZE];
	int r = look_up(args[0], &vms, &vm);

	if (r != CTL_OK)
		return r;
	hint_for(vm, hint);
	if (ctl->json) {
		print_json(vm, hint);
		return CTL_OK;
	}
	printf("%s is %s\n", vm->name, vm->state);
	if (some(vm->failed_step))
		printf("  step   %s\n", vm->failed_step);
	if (some(vm->last_error))
		printf("  error  %s\n", vm->last_error);
	if (some(vm->exit_reason))
		printf("  end    %s\n", vm->exit_reason);
	if (!some(vm->last_error) && !some(vm->exit_reason))
		puts("  nothing has failed since the manager started");
	if (*hint)
		printf("  try    %s\n", hint);
	printf("  more   journalctl -u gunyah-vm@%s\n", vm->name);
	return CTL_OK;
}
