/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Write entries to the journal, or lines to standard error.
 */
#include "daemon/manager/core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <systemd/sd-journal.h>

#include "libghvm/base/printable.h"

#define LINE_SIZE 1024
#define FIELD_SIZE 96
#define FIELDS_MAX 8

static bool debug_wanted;

struct entry {
	char message[LINE_SIZE];
	char fields[FIELDS_MAX][FIELD_SIZE];
	struct iovec iov[FIELDS_MAX + 1];
	int n;
};

void log_set_debug(bool debug)
{
	debug_wanted = debug;
}

static void add_field(struct entry *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_field(struct entry *e, const char *fmt, ...)
{
	char *field = e->fields[e->n - 1];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(field, FIELD_SIZE, fmt, ap); /* truncated if too long */
	va_end(ap);
	e->iov[e->n++] = (struct iovec){ field, strlen(field) };
}

static void add_about(struct entry *e, const struct log_about *about)
{
	if (about->vm)
		add_field(e, "GHVM_VM=%s", about->vm);
	if (about->vmid)
		add_field(e, "GHVM_VMID=%u", about->vmid);
	if (about->step)
		add_field(e, "GHVM_STEP=%s", about->step);
	if (about->id)
		add_field(e, "MESSAGE_ID=%s", about->id);
	if (!about->err || !about->err->rm_message)
		return;
	add_field(e, "RM_MESSAGE=%s", ghvm_rm_message_to_string(about->err->rm_message));
	if (about->err->code == -EREMOTEIO)
		add_field(e, "RM_STATUS=%s", ghvm_rm_status_to_string(about->err->rm_code));
}

static void put_line(const struct entry *e, const struct log_about *about)
{
	const char *text = e->message + strlen("MESSAGE=");

	if (about && about->vm)
		fprintf(stderr, "%s: %s\n", about->vm, text);
	else
		fprintf(stderr, "%s\n", text);
}

void log_write(int priority, const struct log_about *about, int code, const char *fmt, ...)
{
	struct entry e = { .message = "MESSAGE=" };
	size_t len = strlen(e.message);
	va_list ap;
	int n;

	if (priority == LOG_DEBUG && !debug_wanted)
		return;
	va_start(ap, fmt);
	n = vsnprintf(e.message + len, LINE_SIZE - len, fmt, ap);
	va_end(ap);
	ghvm_make_printable(e.message);
	if (n > 0)
		len = strlen(e.message);
	if (code < 0 && len < LINE_SIZE)
		(void)snprintf(e.message + len, LINE_SIZE - len, ": %s", strerror(-code));
	e.iov[e.n++] = (struct iovec){ e.message, strlen(e.message) };
	add_field(&e, "PRIORITY=%d", priority);
	if (about)
		add_about(&e, about);
	if (getenv("JOURNAL_STREAM") && sd_journal_sendv(e.iov, e.n) == 0)
		return;
	put_line(&e, about);
}
