/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON, written member by member.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/**
 * struct ghvm_json - state of the writer
 * @to: borrowed; closing it shows errors of writing
 * @first: the current object or list is empty so far, so no comma goes before the next member
 */
struct ghvm_json {
	FILE *to;
	bool first;
};

/* @key: of a member of an object; NULL for an element of a list */
void ghvm_json_open(struct ghvm_json *j, const char *key, char bracket); /* { or [ */
void ghvm_json_close(struct ghvm_json *j, char bracket);		 /* } or ] */
/* @value: NULL: null */
void ghvm_json_text(struct ghvm_json *j, const char *key, const char *value);
/* Above 2^53 the number is written as a string. */
void ghvm_json_number(struct ghvm_json *j, const char *key, uint64_t value);
void ghvm_json_bool(struct ghvm_json *j, const char *key, bool value);
