/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libghvm/base/number.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* strtoull() alone would accept signs, blanks and octal digits. */
bool ghvm_number_read(const char *s, const char **end, uint64_t *ret)
{
	const bool hex = !strncmp(s, "0x", 2);
	char *after;

	if (!isdigit((unsigned char)*s) || (hex && !isxdigit((unsigned char)s[2])))
		return false;
	errno = 0;
	*ret = strtoull(s, &after, hex ? 16 : 10);
	*end = after;
	return errno == 0;
}

bool ghvm_number_parse(const char *s, uint64_t *ret)
{
	const char *end;

	return ghvm_number_read(s, &end, ret) && !*end;
}

/* Skip the suffix at @end. Return: its power of two. */
static unsigned int skip_suffix(const char **end)
{
	static const char suffixes[] = "KMGT";
	const char *at = **end ? strchr(suffixes, **end) : NULL;

	if (!at)
		return 0;
	(*end)++;
	return 10 * (unsigned int)(at - suffixes + 1);
}

bool ghvm_size_parse(const char *s, uint64_t *ret)
{
	unsigned int shift;
	const char *end;
	uint64_t v;

	if (!ghvm_number_read(s, &end, &v))
		return false;
	shift = skip_suffix(&end);
	if (*end || v > UINT64_MAX >> shift)
		return false;
	*ret = v << shift;
	return true;
}
