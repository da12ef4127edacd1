/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libghvm/near.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define BEGINNING_MIN 3 /* letters from which on a beginning is as good as the word */

/* Three rows of the table of distances: of what was typed before the last letter, and now. */
struct rows {
	unsigned int before[GHVM_NEAR_WORD + 1];
	unsigned int last[GHVM_NEAR_WORD + 1];
	unsigned int now[GHVM_NEAR_WORD + 1];
};

/* Not tolower(): it is not to depend on a locale. */
static char plain(char c)
{
	if (c == '_')
		return '-';
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same(char a, char b)
{
	return plain(a) == plain(b);
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* One row: @a up to and with a[i], against each beginning of @b. */
static void fill_row(struct rows *r, const char *a, size_t i, const char *b, size_t nb)
{
	r->now[0] = (unsigned int)i + 1;
	for (size_t j = 0; j < nb; j++) {
		unsigned int d = r->last[j] + (same(a[i], b[j]) ? 0 : 1);

		d = least(d, least(r->last[j + 1], r->now[j]) + 1);
		if (i && j && same(a[i], b[j - 1]) && same(a[i - 1], b[j]))
			d = least(d, r->before[j - 1] + 1); /* swapped */
		r->now[j + 1] = d;
	}
}

/* How many letters are wrong, missing, too many or swapped. Both at most GHVM_NEAR_WORD long. */
static unsigned int distance(const char *a, size_t na, const char *b, size_t nb)
{
	struct rows r = {};

	for (size_t j = 0; j <= nb; j++)
		r.now[j] = (unsigned int)j;
	for (size_t i = 0; i < na; i++) {
		memcpy(r.before, r.last, sizeof(r.before));
		memcpy(r.last, r.now, sizeof(r.last));
		fill_row(&r, a, i, b, nb);
	}
	return r.now[nb];
}

static bool begins_with(const char *whole, const char *beginning, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!same(whole[i], beginning[i])) /* the end of the shorter one differs, too */
			return false;
	return true;
}

struct ghvm_near ghvm_near_begin(const char *word)
{
	size_t n = strnlen(word, GHVM_NEAR_WORD + 1);
	unsigned int slips =
		(unsigned int)(n + 2) / 3; /* one in each three letters, be they begun */

	if (n == 1 || n > GHVM_NEAR_WORD)
		slips = 0; /* every other letter would be near */
	return (struct ghvm_near){ .word = word, .distance = n ? slips + 1 : 0 };
}

void ghvm_near_offer(struct ghvm_near *near, const char *candidate)
{
	size_t n = strnlen(near->word, GHVM_NEAR_WORD + 1);
	size_t nc = strnlen(candidate, GHVM_NEAR_WORD + 1);
	unsigned int d;

	if (n > GHVM_NEAR_WORD || nc > GHVM_NEAR_WORD || !nc)
		return;
	d = distance(near->word, n, candidate, nc);
	if (d > 1 && n >= BEGINNING_MIN && begins_with(candidate, near->word, n))
		d = 1;
	if (d >= near->distance)
		return;
	near->distance = d;
	near->best = candidate;
}

const char *ghvm_near_text(const struct ghvm_near *near, char buf[GHVM_NEAR_TEXT])
{
	*buf = '\0';
	if (near->best)
		(void)snprintf(buf, GHVM_NEAR_TEXT, "; did you mean '%s'?", near->best); /* fits */
	return buf;
}
