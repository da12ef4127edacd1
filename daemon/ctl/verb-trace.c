/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace: the last messages between the manager and the resource manager, of one VM or of all.
 */
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/messages.h"
#include "daemon/ctl/pcapng.h"

#include "libghvm/cleanup.h"
#include "libghvm/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define FOLLOW_MS 200

/**
 * struct trace - one call
 * @file: capture to write, or NULL: words on standard output
 * @vm: of this one alone, or NULL: of all. Borrowed
 * @last: number of the last message seen
 */
struct trace {
	const struct ctl *ctl;
	FILE *file;
	const char *vm;
	uint64_t last;
};

static void print_json(const struct ghvm_trace_message *m)
{
	messages_print_json(NULL, m);
	putchar('\n');
}

static void show(void *data, const struct ghvm_trace_message *m)
{
	struct trace *t = data;

	if (t->last && m->number > t->last && m->number != t->last + 1)
		fprintf(stderr, "(%" PRIu64 " messages are lost)\n", m->number - t->last - 1);
	t->last = m->number;
	if (t->file)
		pcapng_add(t->file, m);
	else if (t->ctl->json)
		print_json(m);
	else
		messages_print(m, "", !t->vm);
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
	struct trace t = { .ctl = ctl, .vm = n ? args[0] : NULL };
	struct ghvm_error err = {};
	int r;

	if (t.vm && !ghvm_name_valid(t.vm))
		return ctl_fail(CTL_NO_VM, "'%s' is not a VM's name", t.vm);
	r = client_open(&bus, &err);
	if (r == 0)
		r = open_file(&t, ctl->pcapng, &err);
	while (r == 0) {
		r = messages_fetch(bus, t.vm, t.last, show, &t, &err);
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
