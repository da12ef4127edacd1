/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/output/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int table_row(struct table *t, const char *const *cells)
{
	char **v = reallocarray(t->cells, t->n + t->columns, sizeof(*v));

	if (!v)
		return -ENOMEM;
	t->cells = v;
	for (size_t i = 0; i < t->columns; i++) {
		v[t->n] = strdup(cells[i]);
		if (!v[t->n])
			return -ENOMEM;
		t->n++;
	}
	return 0;
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t max = 0;

	for (size_t i = column; i < t->n; i += t->columns)
		if (strlen(t->cells[i]) > max)
			max = strlen(t->cells[i]);
	return max;
}

void table_print(const struct table *t, bool color)
{
	size_t widths[TABLE_COLUMNS_MAX];

	for (size_t c = 0; c < t->columns; c++)
		widths[c] = column_width(t, c);
	for (size_t i = 0; i < t->n; i++) {
		const size_t c = i % t->columns;
		const bool last = c + 1 == t->columns;

		if (color && i == 0)
			fputs("\033[1m", stdout);
		printf("%-*s%s", last ? 0 : (int)widths[c], t->cells[i], last ? "" : "  ");
		if (color && i + 1 == t->columns)
			fputs("\033[0m", stdout);
		if (last)
			putchar('\n');
	}
}

void table_done(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	t->cells = NULL;
	t->n = 0;
}

const char *table_size(uint64_t bytes, char buf[TABLE_SIZE_TEXT])
{
	static const char units[] = "KMGTPE";
	unsigned int at = 0;
	uint64_t unit = 1024;

	if (bytes < unit) {
		snprintf(buf, TABLE_SIZE_TEXT, "%" PRIu64, bytes);
		return buf;
	}
	while (at < sizeof(units) - 2 && bytes / unit >= 1024) {
		unit *= 1024;
		at++;
	}
	if (bytes % unit)
		snprintf(buf, TABLE_SIZE_TEXT, "%" PRIu64 ".%u%c", bytes / unit,
			 (unsigned int)(bytes % unit / (unit / 10 + 1)), units[at]);
	else
		snprintf(buf, TABLE_SIZE_TEXT, "%" PRIu64 "%c", bytes / unit, units[at]);
	return buf;
}

/* "12 s", "3 min", "5 h", "2 d" */
static void format_age(int64_t s, char *buf, size_t cap)
{
	if (s < 120)
		(void)snprintf(buf, cap, "%" PRId64 " s", s);
	else if (s < 7200)
		(void)snprintf(buf, cap, "%" PRId64 " min", s / 60);
	else if (s < 172800)
		(void)snprintf(buf, cap, "%" PRId64 " h", s / 3600);
	else
		(void)snprintf(buf, cap, "%" PRId64 " d", s / 86400);
}

const char *table_time(uint64_t usec, char buf[TABLE_TIME_TEXT])
{
	const time_t then = (time_t)(usec / 1000000), now = time(NULL);
	char clock[24] = "", ago[24];
	struct tm tm;

	format_age(now > then ? now - then : 0, ago, sizeof(ago));
	if (localtime_r(&then, &tm))
		(void)strftime(clock, sizeof(clock),
			       now - then < 43200 ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &tm);
	(void)snprintf(buf, TABLE_TIME_TEXT, "%s, %s ago", clock, ago);
	return buf;
}
