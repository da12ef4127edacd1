/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Write JSON to standard output.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * struct json - state of the writer
 * @first: the current object or list is empty so far, so no comma goes before the next member
 */
struct json {
	bool first;
};

void json_open(struct json *j, const char *key, char bracket);	    /* { or [ ; @key may be NULL */
void json_close(struct json *j, char bracket);			    /* } or ] */
void json_text(struct json *j, const char *key, const char *value); /* NULL: null */
/* Above 2^53 the number is written as a string. */
void json_number(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);
