/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/client/messages.h"

#include "daemon/ctl/client/client.h"

#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MESSAGE_TYPE "ttssuquay"
#define TIME_SIZE 24

/* (ttssuquay): number, time, VM, direction, id, sequence, length, payload */
static int read_message(sd_bus_message *reply, struct ghvm_trace_message *ret)
{
	const char *dir, *vm;
	const void *data;
	size_t n;
	int r;

	r = sd_bus_message_enter_container(reply, 'r', MESSAGE_TYPE);
	if (r <= 0)
		return r;
	r = sd_bus_message_read(reply, "ttssuqu", &ret->number, &ret->usec, &vm, &dir, &ret->id,
				&ret->seq, &ret->len);
	if (r >= 0)
		r = sd_bus_message_read_array(reply, 'y', &data, &n);
	if (r >= 0)
		r = sd_bus_message_exit_container(reply);
	if (r < 0)
		return r;
	if (n > sizeof(ret->data) || n > ret->len || strlen(vm) >= sizeof(ret->vm))
		return -EBADMSG;
	memcpy(ret->vm, vm, strlen(vm) + 1);
	ret->dir = *dir;
	if (n)
		memcpy(ret->data, data, n);
	return 1;
}

static int read_all(sd_bus_message *reply, messages_fn fn, void *data)
{
	struct ghvm_trace_message m = {};
	int r = sd_bus_message_enter_container(reply, 'a', "(" MESSAGE_TYPE ")");

	while (r >= 0 && (r = read_message(reply, &m)) > 0) {
		fn(data, &m);
		m = (struct ghvm_trace_message){};
	}
	return r;
}

int messages_fetch(sd_bus *bus, const char *vm, uint64_t after, bool no_start, messages_fn fn,
		   void *data, struct ghvm_error *err)
{
	static const char what[] = "cannot read the trace";
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct call c = client_verb(CLIENT_HOST, CLIENT_MANAGER ".Host", "Trace");
	int r;

	c.no_start = no_start;
	if (vm)
		r = client_call(bus, &c, &reply, err, what, "ta{sv}", after, 1, "vm", "s", vm);
	else
		r = client_call(bus, &c, &reply, err, what, "ta{sv}", after, 0);
	if (r < 0)
		return r;
	r = read_all(reply, fn, data);
	return r < 0 ? ghvm_error_set(err, r, "malformed reply from gunyah-vmd") : 0;
}

void messages_print(const struct ghvm_trace_message *m, const char *indent, bool named)
{
	const time_t sec = (time_t)(m->usec / 1000000);
	char when[TIME_SIZE] = "", text[GHVM_TRACE_TEXT];
	struct tm tm;

	if (localtime_r(&sec, &tm))
		(void)strftime(when, sizeof(when), "%H:%M:%S", &tm); /* stays empty on failure */
	ghvm_trace_to_text(m, text);
	printf("%s%s.%06u %s%s%s\n", indent, when, (unsigned int)(m->usec % 1000000),
	       named ? *m->vm ? m->vm : "-" : "", named ? " " : "", text);
}

void messages_print_json(struct ghvm_json *list, const struct ghvm_trace_message *m)
{
	const char direction[] = { m->dir, '\0' };
	struct ghvm_json one = { .to = stdout, .first = true }, *j = list ? list : &one;
	char text[GHVM_TRACE_TEXT];

	ghvm_trace_to_text(m, text);
	ghvm_json_open(j, NULL, '{');
	ghvm_json_number(j, "number", m->number);
	ghvm_json_number(j, "usec", m->usec);
	ghvm_json_text(j, "vm", *m->vm ? m->vm : NULL);
	ghvm_json_text(j, "direction", direction);
	ghvm_json_text(j, "message", ghvm_rm_message_to_string(m->id));
	ghvm_json_number(j, "id", m->id);
	ghvm_json_number(j, "sequence", m->seq);
	ghvm_json_number(j, "length", m->len);
	ghvm_json_text(j, "text", text);
	ghvm_json_close(j, '}');
}
