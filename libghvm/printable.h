/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text from files, guests and callers, as it may be shown on a terminal and sent over the bus.
 */
#pragma once

#include <stddef.h>

/**
 * ghvm_character() - the UTF-8 character at @s
 * @s: NUL-terminated
 *
 * Return: its bytes; 0: it is cut off, or none. The NUL is one of 1.
 */
size_t ghvm_character(const char *s);

/* Every control character, and every byte that belongs to no UTF-8 character, becomes a '?'. */
void ghvm_make_printable(char *text);
