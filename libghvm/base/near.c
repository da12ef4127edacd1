/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libghvm/base/near.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define BEGINNING_MIN 3 /* length from which a prefix counts as the word */

/* Three rows of the table of edit distances. */
struct rows {
	unsigned int before[GHVM_NEAR_WORD + 1];
	unsigned int last[GHVM_NEAR_WORD + 1];
	unsigned int now[GHVM_NEAR_WORD + 1];
};

/* Lower case, '_' as '-'. Not tolower(), which depends on the locale. */
static char fold_case(char c)
{
	if (c == '_')
		return '-';
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_letter(char a, char b)
{
	return fold_case(a) == fold_case(b);
}

static unsigned int smaller(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Fill the row of the first i + 1 letters of @a, against each prefix of @b. */
static void fill_row(struct rows *r, const char *a, size_t i, const char *b, size_t nb)
{
	r->now[0] = (unsigned int)i + 1;
	for (size_t j = 0; j < nb; j++) {
		unsigned int d = r->last[j] + (same_letter(a[i], b[j]) ? 0 : 1);

		d = smaller(d, smaller(r->last[j + 1], r->now[j]) + 1);
		if (i && j && same_letter(a[i], b[j - 1]) && same_letter(a[i - 1], b[j]))
			d = smaller(d, r->before[j - 1] + 1); /* swapped */
		r->now[j + 1] = d;
	}
}

/* The number of wrong, missing, additional or swapped letters. Both at most GHVM_NEAR_WORD long. */
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
		if (!same_letter(whole[i], beginning[i])) /* also stops at the end of @whole */
			return false;
	return true;
}

struct ghvm_near ghvm_near_begin(const char *word)
{
	size_t n = strnlen(word, GHVM_NEAR_WORD + 1);
	unsigned int slips = (unsigned int)(n + 2) / 3; /* one in three letters, rounded up */

	if (n == 1 || n > GHVM_NEAR_WORD)
		slips = 0; /* any other letter would match */
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
