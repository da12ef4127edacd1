/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes text printable: no control characters, no truncated UTF-8 characters.
 */
#include "libghvm/base/printable.h"

#include <ctype.h>
#include <stdint.h>

/* The second byte excludes overlong encodings and surrogates. */
static int second_byte_valid(uint8_t first, uint8_t second)
{
	switch (first) {
	case 0xe0:
		return second >= 0xa0;
	case 0xed:
		return second < 0xa0;
	case 0xf0:
		return second >= 0x90;
	case 0xf4:
		return second < 0x90;
	}
	return first < 0xf5;
}

size_t ghvm_character(const char *text)
{
	const uint8_t *s = (const uint8_t *)text;
	const size_t n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n > 1 && !second_byte_valid(s[0], s[1]) ? 0 : n;
}

void ghvm_make_printable(char *text)
{
	uint8_t *s = (uint8_t *)text;

	while (*s) {
		size_t n = ghvm_character((const char *)s);

		if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0) /* C1: NEL, CSI and so on */
			n = 0;
		if (n == 0 || iscntrl(*s))
			*s = '?';
		s += n ? n : 1; /* the rest of an invalid character follows */
	}
}
