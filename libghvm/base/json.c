/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON, written member by member.
 */
#include "libghvm/base/json.h"

#include <inttypes.h>
#include <stdio.h>

#define EXACT_MAX (UINT64_C(1) << 53) /* RFC 8259, section 6 */

static void print_quoted(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void begin_member(struct ghvm_json *j, const char *key)
{
	if (!j->first)
		fputc(',', j->to);
	j->first = false;
	if (key) {
		print_quoted(j->to, key);
		fputc(':', j->to);
	}
}

void ghvm_json_open(struct ghvm_json *j, const char *key, char bracket)
{
	begin_member(j, key);
	fputc(bracket, j->to);
	j->first = true;
}

void ghvm_json_close(struct ghvm_json *j, char bracket)
{
	fputc(bracket, j->to);
	j->first = false;
}

void ghvm_json_text(struct ghvm_json *j, const char *key, const char *value)
{
	begin_member(j, key);
	if (value)
		print_quoted(j->to, value);
	else
		fputs("null", j->to);
}

void ghvm_json_number(struct ghvm_json *j, const char *key, uint64_t value)
{
	begin_member(j, key);
	/* most JSON readers use doubles and would silently round the number */
	fprintf(j->to, value > EXACT_MAX ? "\"%" PRIu64 "\"" : "%" PRIu64, value);
}

void ghvm_json_bool(struct ghvm_json *j, const char *key, bool value)
{
	begin_member(j, key);
	fputs(value ? "true" : "false", j->to);
}
