/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file is read again to print the line. If it was edited since, only the mark may be wrong.
 */
#include "daemon/ctl/output/complaints.h"

#include "libghvm/base/json.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/printable.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BEFORE_MAX 60 /* characters of a long line that are shown before the place */
#define SHOWN_MAX 100

/* Return: NULL if the file cannot be opened, or is not a regular file. */
static FILE *open_again(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	FILE *f;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	f = fdopen(fd, "r");
	if (f)
		(void)TAKE_FD(fd);
	return f;
}

/* Return: the text of a line without its end, owned; NULL if there is no such line. */
static char *read_line(const char *path, unsigned int line)
{
	_cleanup_(fclosep) FILE *f = open_again(path);
	char *text = NULL;
	size_t cap = 0;
	ssize_t n = f ? 0 : -1;

	for (unsigned int i = 0; i < line && n >= 0; i++)
		n = getline(&text, &cap, f);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[strcspn(text, "\r\n")] = '\0';
	for (char *tab = text; (tab = strchr(tab, '\t'));)
		*tab = ' ';
	ghvm_make_printable(text);
	return text;
}

static const char *skip_characters(const char *s, size_t characters)
{
	for (; characters && *s; characters--)
		s += ghvm_character(s); /* never 0 for printable text */
	return s;
}

/* Print the line and the mark; a long line is cut on both sides of the mark. */
static void print_place(const struct ghvm_complaint *c, FILE *to)
{
	const size_t before = c->column - 1 < BEFORE_MAX ? c->column - 1 : BEFORE_MAX;
	_cleanup_(freep) char *line = read_line(c->file, c->line);
	const char *s;

	if (!line || !*line)
		return;
	s = skip_characters(line, c->column - 1 - before);
	if (strlen(skip_characters(line, c->column - 1)) == 0 && c->column > 1)
		return; /* the file was edited */
	fprintf(to, "    %.*s\n    %*s^\n", (int)(skip_characters(s, SHOWN_MAX) - s), s,
		(int)before, "");
}

static const char *severity_text(const struct ghvm_complaint *c)
{
	return c->severity == GHVM_SEVERITY_ERROR ? "error" : "warning";
}

void complaints_print(const struct ghvm_complaints *all, FILE *to)
{
	char text[GHVM_COMPLAINT_TEXT];

	for (size_t i = 0; i < all->n; i++) {
		fprintf(to, "%s\n", ghvm_complaint_text(&all->v[i], text));
		print_place(&all->v[i], to);
	}
}

void complaints_print_json(const struct ghvm_complaints *all)
{
	struct ghvm_json j = { .to = stdout, .first = true };

	ghvm_json_open(&j, NULL, '[');
	for (size_t i = 0; i < all->n; i++) {
		const struct ghvm_complaint *c = &all->v[i];

		ghvm_json_open(&j, NULL, '{');
		ghvm_json_text(&j, "severity", severity_text(c));
		ghvm_json_text(&j, "rule", c->rule);
		ghvm_json_text(&j, "file", c->file);
		ghvm_json_number(&j, "line", c->line);
		ghvm_json_number(&j, "column", c->column);
		ghvm_json_text(&j, "key", c->key);
		ghvm_json_text(&j, "text", c->text);
		ghvm_json_close(&j, '}');
	}
	ghvm_json_close(&j, ']');
	putchar('\n');
}
