/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace: print the last messages between the manager and the resource manager, of one VM or of all.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/client/messages.h"
#include "daemon/ctl/output/pcapng.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"
#include "ghvm/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLLOW_MS 200

/**
 * struct trace - state of the verb
 * @file: capture file; NULL: print text or JSON on standard output
 * @vm: only messages of this VM; NULL: of all VMs. Borrowed
 * @last: number of the last message printed
 * @manager: unique bus name of the manager that @last belongs to, owned
 * @gone: the user was told that the manager has exited
 */
struct trace {
	const struct ctl *ctl;
	FILE *file;
	const char *vm;
	uint64_t last;
	char *manager;
	bool gone;
};

static void trace_done(struct trace *t)
{
	free(t->manager);
}

static void print_json(const struct ghvm_trace_message *m)
{
	messages_print_json(NULL, m);
	putchar('\n');
}

static void show_message(void *data, const struct ghvm_trace_message *m)
{
	struct trace *t = data;

	if (t->last && m->number > t->last && m->number != t->last + 1)
		fprintf(stderr, "(%" PRIu64 " messages lost)\n", m->number - t->last - 1);
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

/* Flush after each batch; a full disk or a closed pipe ends the verb. */
static int flush_output(struct trace *t, struct ghvm_error *err)
{
	FILE *f = t->file ? t->file : stdout;

	if (fflush(f) != 0 || ferror(f))
		return ghvm_error_set(err, -EIO, "cannot write the trace");
	return 0;
}

/* ---- following ---- */

/* Wait shortly. Exit if the reader of standard output has gone, as the next write may be far off. */
static void pause_polling(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	if (poll(&p, 1, FOLLOW_MS) > 0 && p.revents & (POLLERR | POLLHUP))
		(void)raise(SIGPIPE);
}

/* A restarted manager numbers its messages from one again. */
static void note_manager(struct trace *t, sd_bus *bus)
{
	_cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
	const char *name;

	if (sd_bus_get_name_creds(bus, CLIENT_MANAGER, SD_BUS_CREDS_UNIQUE_NAME, &creds) < 0 ||
	    sd_bus_creds_get_unique_name(creds, &name) < 0)
		return; /* no manager: the next call reports it */
	if (t->manager && !strcmp(t->manager, name))
		return;
	if (t->manager) {
		t->last = 0;
		fputs("(the manager was restarted)\n", stderr);
	}
	free(t->manager);
	t->manager = strdup(name);
}

/* Continue while the manager is away, if it was there before. Return: 0 continue; @r otherwise. */
static int tolerate_absence(struct trace *t, int r, const struct ghvm_error *err)
{
	if (r != -EHOSTDOWN || !t->manager)
		return r;
	if (!t->gone)
		fprintf(stderr, "(%s; waiting for the manager to come back)\n", err->msg);
	t->gone = true;
	return 0;
}

static int follow_trace(struct trace *t, sd_bus *bus, struct ghvm_error *err)
{
	int r = 0;

	while (r == 0) {
		note_manager(t, bus);
		r = messages_fetch(bus, t->vm, t->last, t->manager != NULL, show_message, t, err);
		if (r == 0) {
			t->gone = false;
			r = flush_output(t, err);
		}
		r = tolerate_absence(t, r, err);
		if (r == 0)
			pause_polling();
	}
	return r;
}

int verb_trace(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(trace_done) struct trace t = { .ctl = ctl, .vm = n ? args[0] : NULL };
	struct ghvm_error err = {};
	int r;

	(void)signal(SIGPIPE, SIG_DFL); /* the parent may have set it to be ignored */
	r = !t.vm || ghvm_name_valid(t.vm) ? client_open(&bus, &err)
					   : ghvm_spec_absent(t.vm, ctl->dirs, &err);
	if (r == 0)
		r = open_file(&t, ctl->pcapng, &err);
	if (r == 0 && ctl->follow) {
		r = follow_trace(&t, bus, &err);
	} else if (r == 0) {
		r = messages_fetch(bus, t.vm, 0, false, show_message, &t, &err);
		if (r == 0)
			r = flush_output(&t, &err);
	}
	if (t.file && fclose(t.file) != 0 && r == 0)
		r = ghvm_error_set(&err, -EIO, "cannot write the trace");
	return r < 0 ? ctl_fail(client_status(r), "%s", err.msg) : CTL_OK;
}
