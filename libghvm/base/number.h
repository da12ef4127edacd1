/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers and sizes in texts of users: descriptors and command lines. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * ghvm_number_read() - read the number at the start of a text
 * @s: not trusted
 * @end: set to the first character after the number
 *
 * Reads decimal digits, or hexadecimal digits after 0x. A leading 0 is a digit like any other:
 * 010 is ten. Refused are signs and blanks, and what exceeds 64 bits.
 *
 * Return: whether @s starts with a number; if not, *@ret is undefined
 */
bool ghvm_number_read(const char *s, const char **end, uint64_t *ret);

/* Like ghvm_number_read(), but @s is nothing else than the number. */
bool ghvm_number_parse(const char *s, uint64_t *ret);

/* A number of bytes: like ghvm_number_parse(), with an optional suffix K, M, G or T. */
bool ghvm_size_parse(const char *s, uint64_t *ret);
