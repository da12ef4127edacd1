/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * why: what went wrong with one VM last, what that means, and what was said before.
 */
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/json.h"
#include "daemon/ctl/messages.h"
#include "daemon/ctl/table.h"
#include "daemon/ctl/unit.h"

#include "libghvm/cleanup.h"
#include "libghvm/hint.h"
#include "libghvm/rm-abi.h"
#include "libghvm/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HINT_SIZE 512
#define SHOWN 12

/**
 * struct tail - the last messages up to some point
 * @n: how many there were; number i is at i % SHOWN
 */
struct tail {
	struct ghvm_trace_message last[SHOWN];
	size_t n;
};

/**
 * struct said - what a VM said
 * @vm: which; borrowed
 * @all: up to now; @fault: up to what it failed for, or empty. What comes after that is its undoing
 * @err: why there is nothing, code 0: it worked
 */
struct said {
	const struct client_vm *vm;
	struct tail all;
	struct tail fault;
	struct ghvm_error err;
};

static bool refused(const struct client_vm *vm)
{
	return vm->last_errno == EREMOTEIO && vm->rm_message;
}

/* The reply that refused, the request that was not answered, or the news of a crash. */
static bool is_fault(const struct client_vm *vm, const struct ghvm_trace_message *m)
{
	struct ghvm_get g = { .buf = m->data, .len = m->len < 4 ? m->len : 4 };

	if (vm->last_errno == ECONNABORTED)
		return m->id == GHVM_RM_NOTIFY_VM_EXITED && m->dir == '!';
	if (!vm->rm_message || m->id != vm->rm_message)
		return false;
	return refused(vm) ? m->dir == '<' && ghvm_get_u32(&g) == vm->rm_status : m->dir == '>';
}

static void keep(void *data, const struct ghvm_trace_message *m)
{
	struct said *s = data;

	s->all.last[s->all.n++ % SHOWN] = *m;
	if (is_fault(s->vm, m))
		s->fault = s->all;
}

static const struct ghvm_trace_message *nth(const struct tail *t, size_t i)
{
	return &t->last[i % SHOWN];
}

static size_t first(const struct tail *t)
{
	return t->n > SHOWN ? t->n - SHOWN : 0;
}

static const struct tail *fetch(const struct client_vm *vm, struct said *s)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int r = client_open(&bus, &s->err);

	s->vm = vm;
	if (r == 0) /* the rest of the answer is for everybody: no password is asked for these */
		(void)sd_bus_set_allow_interactive_authorization(bus, false);
	if (r == 0)
		(void)messages_fetch(bus, vm->name, 0, false, keep, s, &s->err); /* err tells */
	return s->fault.n ? &s->fault : &s->all;
}

/* Empty if there is none. NAME in a hint is the VM's. */
static void hint_for(int code, const struct client_vm *vm, char ret[HINT_SIZE])
{
	const char *text = ghvm_hint_find(code, vm->rm_message, vm->rm_status)->advice;
	const char *at;
	size_t n = 0;

	*ret = '\0';
	while ((at = strstr(text, "NAME")) && n < HINT_SIZE) {
		n += (size_t)snprintf(ret + n, HINT_SIZE - n, "%.*s%s", (int)(at - text), text,
				      vm->name);
		text = at + strlen("NAME");
	}
	if (n < HINT_SIZE)
		snprintf(ret + n, HINT_SIZE - n, "%s", text);
}

static bool some(const char *s)
{
	return s && *s;
}

static void print_json(const struct client_vm *vm, const char *hint, const char *remark,
		       const struct tail *t)
{
	struct json j = { .first = true };
	const char *message = ghvm_rm_message_to_string(vm->rm_message);

	json_open(&j, NULL, '{');
	json_text(&j, "name", vm->name);
	json_text(&j, "state", vm->state);
	json_text(&j, "exit_reason", vm->exit_reason);
	json_text(&j, "failed_step", vm->failed_step);
	json_text(&j, "last_error", vm->last_error);
	json_text(&j, "last_error_name", vm->last_error_name);
	json_number(&j, "last_error_usec", vm->last_error_time);
	json_number(&j, "errno", (uint64_t)vm->last_errno);
	json_text(&j, "rm_message", vm->rm_message ? message : NULL);
	json_text(&j, "rm_status", refused(vm) ? ghvm_rm_status_to_string(vm->rm_status) : NULL);
	json_text(&j, "hint", *hint ? hint : NULL);
	json_text(&j, "guest", *remark ? remark : NULL);
	json_open(&j, "messages", '[');
	for (size_t i = first(t); i < t->n; i++)
		messages_print_json(&j, nth(t, i));
	json_close(&j, ']');
	json_close(&j, '}');
	putchar('\n');
}

static void print_tail(const struct client_vm *vm, const struct tail *t)
{
	if (t->n)
		printf("  said   (more: ghvmctl trace %s)\n", vm->name);
	for (size_t i = first(t); i < t->n; i++)
		messages_print(nth(t, i), "         ", false);
}

static void print_text(const struct client_vms *vms, const struct client_vm *vm, const char *hint,
		       const char *remark, const struct tail *t)
{
	char when[TABLE_TIME_TEXT];

	printf("%s is %s\n", vm->name, vm->state);
	if (vms->host.code < 0)
		printf("  host   %s\n", vms->host.msg);
	if (some(vm->last_error)) {
		printf("  when   %s\n", table_time(vm->last_error_time, when));
		if (some(vm->failed_step))
			printf("  step   %s\n", vm->failed_step);
		printf("  error  %s\n", vm->last_error);
	}
	if (some(vm->exit_reason))
		printf("  end    %s\n", vm->exit_reason);
	if (!some(vm->last_error) && !some(vm->exit_reason) && !vms->host.code)
		puts("  nothing has failed since the manager started");
	if (*remark)
		printf("  guest  %s\n", remark);
	if (*hint)
		printf("  try    %s\n", hint);
	print_tail(vm, t);
	printf("  more   journalctl -u gunyah-vm@%s\n", vm->name);
}

int verb_why(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(client_vms_done) struct client_vms vms = {};
	const struct client_vm *vm;
	const struct tail *tail;
	struct said said = {};
	char hint[HINT_SIZE], remark[UNIT_REMARK_SIZE];
	int r = client_look_up(ctl, args[0], &vms, &vm);

	if (r != CTL_OK)
		return r;
	hint_for(vms.host.code < 0 ? vms.host.code : -vm->last_errno, vm, hint);
	unit_remark(vm, remark);
	tail = fetch(vm, &said);
	if (ctl->json)
		print_json(vm, hint, remark, tail);
	else
		print_text(&vms, vm, hint, remark, tail);
	if (said.err.code < 0)
		fprintf(stderr, "(its messages are missing: %s)\n", said.err.msg);
	return CTL_OK;
}
