/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace: the last messages between the manager and the resource manager.
 */
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/json.h"
#include "daemon/ctl/pcapng.h"

#include "libghvm/cleanup.h"
#include "libghvm/error.h"
#include "libghvm/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FOLLOW_MS 200
#define TIME_SIZE 24

/**
 * struct trace - one call
 * @file: capture to write, or NULL: words on standard output
 * @last: number of the last message seen
 */
struct trace {
	const struct ctl *ctl;
	FILE *file;
	uint64_t last;
};

static void print_text(const struct ghvm_trace_message *m)
{
	const time_t sec = (time_t)(m->usec / 1000000);
	char when[TIME_SIZE] = "", text[GHVM_TRACE_TEXT];
	struct tm tm;

	if (localtime_r(&sec, &tm))
		(void)strftime(when, sizeof(when), "%H:%M:%S", &tm); /* else it stays empty */
	ghvm_trace_to_text(m, text);
	printf("%s.%06u %s\n", when, (unsigned int)(m->usec % 1000000), text);
}

static void print_json(const struct ghvm_trace_message *m)
{
	const char direction[] = { m->dir, '\0' };
	struct json j = { .first = true };
	char text[GHVM_TRACE_TEXT];

	ghvm_trace_to_text(m, text);
	json_open(&j, NULL, '{');
	json_number(&j, "number", m->number);
	json_number(&j, "usec", m->usec);
	json_text(&j, "direction", direction);
	json_text(&j, "message", ghvm_rm_message_to_string(m->id));
	json_number(&j, "id", m->id);
	json_number(&j, "sequence", m->seq);
	json_number(&j, "length", m->len);
	json_text(&j, "text", text);
	json_close(&j, '}');
	putchar('\n');
}

static void show(struct trace *t, const struct ghvm_trace_message *m)
{
	if (t->last && m->number != t->last + 1)
		fprintf(stderr, "(%" PRIu64 " messages are lost)\n", m->number - t->last - 1);
	t->last = m->number;
	if (t->file)
		pcapng_add(t->file, m);
	else if (t->ctl->json)
		print_json(m);
	else
		print_text(m);
}

/* (ttsuquay) */
static int read_message(sd_bus_message *reply, struct ghvm_trace_message *ret)
{
	const char *dir;
	const void *data;
	size_t n;
	int r;

	r = sd_bus_message_enter_container(reply, 'r', "ttsuquay");
	if (r <= 0)
		return r;
	r = sd_bus_message_read(reply, "ttsuqu", &ret->number, &ret->usec, &dir, &ret->id,
				&ret->seq, &ret->len);
	if (r >= 0)
		r = sd_bus_message_read_array(reply, 'y', &data, &n);
	if (r >= 0)
		r = sd_bus_message_exit_container(reply);
	if (r < 0)
		return r;
	if (n > sizeof(ret->data) || n > ret->len)
		return -EBADMSG;
	ret->dir = *dir;
	if (n)
		memcpy(ret->data, data, n);
	return 1;
}

static int show_all(struct trace *t, sd_bus_message *reply)
{
	struct ghvm_trace_message m = {};
	int r = sd_bus_message_enter_container(reply, 'a', "(ttsuquay)");

	while (r >= 0 && (r = read_message(reply, &m)) > 0) {
		show(t, &m);
		m = (struct ghvm_trace_message){};
	}
	return r;
}

static int fetch(struct trace *t, sd_bus *bus, struct ghvm_error *err)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_call_method(bus, CLIENT_MANAGER, CLIENT_HOST, CLIENT_MANAGER ".Host", "Trace",
			       &e, &reply, "ta{sv}", t->last, 0);
	if (r < 0)
		return client_error(err, &e, r, "the manager refuses");
	r = show_all(t, reply);
	(void)sd_bus_message_unref(reply);
	return r < 0 ? ghvm_error_set(err, r, "the manager's answer makes no sense") : 0;
}

static int open_file(struct trace *t, const char *path, struct ghvm_error *err)
{
	if (!path)
		return 0;
	t->file = fopen(path, "we");
	if (!t->file)
		return ghvm_error_set(err, -EIO, "%s: %s", path, strerror(errno));
	pcapng_begin(t->file);
	return 0;
}

/* Nothing is kept back from who follows, and a full disk or a closed pipe ends it. */
static int flush(struct trace *t, struct ghvm_error *err)
{
	FILE *f = t->file ? t->file : stdout;

	if (fflush(f) != 0 || ferror(f))
		return ghvm_error_set(err, -EIO, "cannot write the trace");
	return 0;
}

int verb_trace(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	struct trace t = { .ctl = ctl };
	struct ghvm_error err = {};
	int r = client_open(&bus, &err);

	if (r == 0)
		r = open_file(&t, ctl->pcapng, &err);
	while (r == 0) {
		r = fetch(&t, bus, &err);
		if (r == 0)
			r = flush(&t, &err);
		if (!ctl->follow)
			break;
		if (r == 0)
			(void)poll(NULL, 0, FOLLOW_MS); /* only here does anybody poll */
	}
	if (t.file && fclose(t.file) != 0 && r == 0)
		r = ghvm_error_set(&err, -EIO, "cannot write the trace");
	return r < 0 ? ctl_fail(client_status(r), "%s", err.msg) : CTL_OK;
}
