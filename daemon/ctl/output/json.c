/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/output/json.h"

#include <inttypes.h>
#include <stdio.h>

#define EXACT_MAX (UINT64_C(1) << 53) /* RFC 8259, section 6 */

static void print_quoted(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void begin_member(struct json *j, const char *key)
{
	if (!j->first)
		putchar(',');
	j->first = false;
	if (key) {
		print_quoted(key);
		putchar(':');
	}
}

void json_open(struct json *j, const char *key, char bracket)
{
	begin_member(j, key);
	putchar(bracket);
	j->first = true;
}

void json_close(struct json *j, char bracket)
{
	putchar(bracket);
	j->first = false;
}

void json_text(struct json *j, const char *key, const char *value)
{
	begin_member(j, key);
	if (value)
		print_quoted(value);
	else
		fputs("null", stdout);
}

void json_number(struct json *j, const char *key, uint64_t value)
{
	begin_member(j, key);
	/* most JSON readers use doubles and would silently round the number */
	printf(value > EXACT_MAX ? "\"%" PRIu64 "\"" : "%" PRIu64, value);
}

void json_bool(struct json *j, const char *key, bool value)
{
	begin_member(j, key);
	fputs(value ? "true" : "false", stdout);
}
