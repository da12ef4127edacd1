/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/client/wait.h"

#include "daemon/ctl/output/terminal.h"
#include "libghvm/base/bits.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SILENT_MS 1000
#define TURN_MS 200 /* interval of the spinner, and the longest wait_on() */

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void wait_for(struct wait *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->began)
		w->began = now_ms();
	va_start(ap, fmt);
	(void)vsnprintf(w->what, sizeof(w->what), fmt, ap); /* truncated if too long */
	va_end(ap);
}

uint64_t wait_ms(const struct wait *w)
{
	return now_ms() - w->began;
}

/* The line is cut to the width of the terminal, because "\r" cannot erase a wrapped line. */
static void show_spinner(struct wait *w, uint64_t now)
{
	static const char turn[] = "|/-\\";
	char line[WAIT_TEXT + 64];

	(void)snprintf(line, sizeof(line), "%c waiting for %s (%" PRIu64 " s)",
		       turn[now / TURN_MS % 4], w->what, (now - w->began) / 1000);
	fprintf(stderr, "\r\033[K%.*s", terminal_columns(STDERR_FILENO) - 1, line);
	w->shown = true;
}

static void show_progress(struct wait *w)
{
	const uint64_t now = now_ms();

	if (now - w->began < SILENT_MS)
		return;
	if (isatty(STDERR_FILENO) && !w->plain) {
		show_spinner(w, now);
	} else if ((!w->said || now - w->said >= SILENT_MS) && strcmp(w->told, w->what)) {
		fprintf(stderr, "ghvmctl: waiting for %s\n", w->what);
		memcpy(w->told, w->what, sizeof(w->told));
		w->said = now;
	}
}

int wait_on(struct wait *w, sd_bus *bus)
{
	int r = sd_bus_process(bus, NULL);

	if (r != 0)
		return r < 0 ? r : 1;
	show_progress(w);
	r = sd_bus_wait(bus, TURN_MS * 1000ULL);
	return r < 0 ? r : 0;
}

void wait_clear(struct wait *w)
{
	if (w->shown)
		fputs("\r\033[K", stderr);
	w->shown = false;
}
