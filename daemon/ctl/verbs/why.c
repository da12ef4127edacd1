/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * why: show the last failure of a VM, its meaning, and the messages before it.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "libghvm/base/json.h"
#include "daemon/ctl/client/messages.h"
#include "daemon/ctl/output/table.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/hint.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/base/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HINT_SIZE 512
#define SHOWN 12

/**
 * struct tail - the last SHOWN messages up to some point
 * @n: number of messages up to there; message i is at i % SHOWN
 */
struct tail {
	struct ghvm_trace_message last[SHOWN];
	size_t n;
};

/**
 * struct history - messages of a VM
 * @vm: borrowed
 * @all: messages up to now
 * @fault: messages up to the one that failed, or empty; later ones belong to the teardown
 * @err: why the messages could not be fetched; code 0: success
 */
struct history {
	const struct client_vm *vm;
	struct tail all;
	struct tail fault;
	struct ghvm_error err;
};

static bool is_refusal(const struct client_vm *vm)
{
	return vm->last_errno == EREMOTEIO && vm->rm_message;
}

/* @m is the reply that refused, the request without a reply, or the notification of a crash. */
static bool is_fault(const struct client_vm *vm, const struct ghvm_trace_message *m)
{
	struct ghvm_get g = { .buf = m->data, .len = m->len < 4 ? m->len : 4 };

	if (vm->last_errno == ECONNABORTED)
		return m->id == GHVM_RM_NOTIFY_VM_EXITED && m->dir == '!';
	if (!vm->rm_message || m->id != vm->rm_message)
		return false;
	return is_refusal(vm) ? m->dir == '<' && ghvm_get_u32(&g) == vm->rm_status : m->dir == '>';
}

static void keep_message(void *data, const struct ghvm_trace_message *m)
{
	struct history *s = data;

	s->all.last[s->all.n++ % SHOWN] = *m;
	if (is_fault(s->vm, m))
		s->fault = s->all;
}

static const struct ghvm_trace_message *tail_message(const struct tail *t, size_t i)
{
	return &t->last[i % SHOWN];
}

static size_t tail_first(const struct tail *t)
{
	return t->n > SHOWN ? t->n - SHOWN : 0;
}

static const struct tail *fetch_messages(const struct client_vm *vm, struct history *s)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int r = client_open(&bus, &s->err);

	s->vm = vm;
	if (r == 0) /* messages are optional: do not ask for a password */
		(void)sd_bus_set_allow_interactive_authorization(bus, false);
	if (r == 0)
		(void)messages_fetch(bus, vm->name, 0, false, keep_message, s, &s->err);
	return s->fault.n ? &s->fault : &s->all;
}

/* @ret: advice for an error, or "". NAME in the text is replaced by the name of the VM. */
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

static bool is_set(const char *s)
{
	return s && *s;
}

static void print_json(const struct client_vm *vm, const char *hint, const char *remark,
		       const struct tail *t)
{
	struct ghvm_json j = { .to = stdout, .first = true };
	const char *message = ghvm_rm_message_to_string(vm->rm_message);

	ghvm_json_open(&j, NULL, '{');
	ghvm_json_text(&j, "name", vm->name);
	ghvm_json_text(&j, "state", vm->state);
	ghvm_json_text(&j, "exit_reason", vm->exit_reason);
	ghvm_json_text(&j, "crash_message", vm->crash_message);
	ghvm_json_text(&j, "failed_step", vm->failed_step);
	ghvm_json_text(&j, "last_error", vm->last_error);
	ghvm_json_text(&j, "last_error_name", vm->last_error_name);
	ghvm_json_number(&j, "last_error_usec", vm->last_error_time);
	ghvm_json_number(&j, "errno", (uint64_t)vm->last_errno);
	ghvm_json_text(&j, "rm_message", vm->rm_message ? message : NULL);
	ghvm_json_text(&j, "rm_status",
		       is_refusal(vm) ? ghvm_rm_status_to_string(vm->rm_status) : NULL);
	ghvm_json_text(&j, "hint", *hint ? hint : NULL);
	ghvm_json_text(&j, "guest", *remark ? remark : NULL);
	ghvm_json_open(&j, "messages", '[');
	for (size_t i = tail_first(t); i < t->n; i++)
		messages_print_json(&j, tail_message(t, i));
	ghvm_json_close(&j, ']');
	ghvm_json_close(&j, '}');
	putchar('\n');
}

static void print_tail(const struct client_vm *vm, const struct tail *t)
{
	if (t->n)
		printf("  messages to and from the resource manager (more: ghvmctl trace %s):\n",
		       vm->name);
	for (size_t i = tail_first(t); i < t->n; i++)
		messages_print(tail_message(t, i), "         ", false);
}

static void print_text(const struct client_vms *vms, const struct client_vm *vm, const char *hint,
		       const char *remark, const struct tail *t)
{
	char when[TABLE_TIME_TEXT];

	printf("%s is %s\n", vm->name, vm->state);
	if (vms->host.code < 0)
		printf("  host   %s\n", vms->host.msg);
	if (is_set(vm->last_error)) {
		printf("  when   %s\n", table_time(vm->last_error_time, when));
		if (is_set(vm->failed_step))
			printf("  step   %s\n", vm->failed_step);
		printf("  error  %s\n", vm->last_error);
	}
	if (is_set(vm->exit_reason))
		printf("  end    %s\n", vm->exit_reason);
	if (is_set(vm->crash_message))
		printf("  said   %s\n", vm->crash_message);
	if (!is_set(vm->last_error) && !is_set(vm->exit_reason) && !vms->host.code)
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
	struct history history = {};
	char hint[HINT_SIZE], remark[CLIENT_REMARK];
	int r = client_look_up(ctl, args[0], &vms, &vm);

	if (r != CTL_OK)
		return r;
	hint_for(vms.host.code < 0 ? vms.host.code : -vm->last_errno, vm, hint);
	client_remark(vm, remark);
	tail = fetch_messages(vm, &history);
	if (ctl->json)
		print_json(vm, hint, remark, tail);
	else
		print_text(&vms, vm, hint, remark, tail);
	if (history.err.code < 0)
		fprintf(stderr, "(messages are missing: %s)\n", history.err.msg);
	return CTL_OK;
}
