/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON on standard output, one object or list a call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * struct json - where the writer stands
 * @first: nothing was written on this level yet
 *
 * One level deep knows all it has to: a comma goes before every member but the first.
 */
struct json {
	bool first;
};

void json_open(struct json *j, const char *key, char bracket);	    /* { or [ ; @key may be NULL */
void json_close(struct json *j, char bracket);			    /* } or ] */
void json_text(struct json *j, const char *key, const char *value); /* NULL: null */
/* Above 2^53 a text of its digits. */
void json_number(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);
