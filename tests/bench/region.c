/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The region table against the list that the upstream patch walks (abi H.5): what one insertion
 * (with its checks of label and overlap) and one look-up by address cost, as the map grows.
 * Prints nanoseconds and their ratio; only the ratio means anything on another machine.
 */
#include "libghvm/base/bits.h"
#include "libghvm/memory/region-map.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIZE 0x1000ULL
#define GAP 0x2000ULL
#define BASE 0x80000000ULL
#define LAST ((1ULL << 48) - 1)
#define ROUNDS 20000ULL /* look-ups; of a list of many, fewer */

struct node {
	struct node *next;
	uint64_t first;
	uint64_t size;
	uint32_t label;
};

static uint64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Spreads the order of insertion, without repeating one: @n is no multiple of 7919. */
static uint64_t spread(uint64_t i, uint64_t n)
{
	return i * 7919 % n;
}

static void list_insert(struct node **list, struct node *new)
{
	for (struct node *p = *list; p; p = p->next)
		if (p->label == new->label ||
		    (p->first < new->first + new->size &&new->first < p->first + p->size))
			abort();
	new->next = *list;
	*list = new;
}

static const struct node *list_find(const struct node *list, uint64_t ipa)
{
	for (; list; list = list->next)
		if (ipa - list->first < list->size)
			return list;
	abort();
}

/* Nanoseconds a call; [0] an insertion, [1] a look-up. */
static void measure_list(uint64_t n, double ret[2])
{
	struct node *nodes = calloc(n, sizeof(*nodes)), *list = NULL;
	uint64_t rounds = n > 10000 ? ROUNDS / 20 : ROUNDS, t = now(), sum = 0;

	if (!nodes)
		abort();
	for (uint64_t i = 0; i < n; i++) {
		uint64_t k = spread(i, n);

		nodes[i] = (struct node){ .first = BASE + k * GAP,
					  .size = SIZE,
					  .label = (uint32_t)k + 1 };
		list_insert(&list, &nodes[i]);
	}
	ret[0] = (double)(now() - t) / (double)n;
	t = now();
	for (uint64_t i = 0; i < rounds; i++)
		sum += list_find(list, BASE + spread(i, n) * GAP + 8)->label;
	ret[1] = (double)(now() - t) / (double)rounds;
	if (!sum)
		abort();
	free(nodes);
}

static void measure_table(uint64_t n, double ret[2])
{
	struct ghvm_region_table *table;
	struct ghvm_region r;
	uint64_t t, sum = 0;

	if (ghvm_region_table_new(LAST, &table) < 0)
		abort();
	t = now();
	for (uint64_t i = 0; i < n; i++) {
		uint64_t k = spread(i, n);
		const struct ghvm_region_request q = { .ipa = BASE + k * GAP,
						       .size = SIZE,
						       .label = (uint32_t)k + 1,
						       .kind = GHVM_REGION_SHARED };

		if (ghvm_region_add_begin(table, &q, NULL) < 0)
			abort();
		ghvm_region_add_end(table, q.label);
	}
	ret[0] = (double)(now() - t) / (double)n;
	t = now();
	for (uint64_t i = 0; i < ROUNDS; i++) {
		if (ghvm_region_find_ipa(table, BASE + spread(i, n) * GAP + 8, &r) < 0)
			abort();
		sum += r.label;
	}
	ret[1] = (double)(now() - t) / (double)ROUNDS;
	if (!sum)
		abort();
	ghvm_region_table_free(table);
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[] = { 10, 1000, 100000 };
	size_t n = argc > 1 && !strcmp(argv[1], "--smoke") ? 2 : ARRAY_SIZE(sizes);

	printf("regions  insert: list  table  list/table   look-up: list  table  list/table\n");
	for (size_t i = 0; i < n; i++) {
		double list[2], table[2];

		measure_list(sizes[i], list);
		measure_table(sizes[i], table);
		printf("%7" PRIu64 "  %10.0f ns %4.0f ns %9.2f  %11.0f ns %4.0f ns %9.2f\n",
		       sizes[i], list[0], table[0], list[0] / table[0], list[1], table[1],
		       list[1] / table[1]);
	}
	return 0;
}
