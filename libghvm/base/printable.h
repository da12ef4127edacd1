/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text from files, guests and callers, made safe for terminals and the bus.
 */
#pragma once

#include <stddef.h>

/**
 * ghvm_character() - length of the UTF-8 character at @s
 * @s: NUL-terminated
 *
 * Return: its bytes; 0: truncated or invalid. The NUL counts as one byte.
 */
size_t ghvm_character(const char *s);

/* Every control character, and every byte that belongs to no UTF-8 character, becomes a '?'. */
void ghvm_make_printable(char *text);
