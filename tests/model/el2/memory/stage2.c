// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stage-2 translation: the primary's identity map, and the guests' maps.
 *
 * 4K pages, 39-bit IPA, tables of levels 1 to 3, leaves of 2 MiB and 4 KiB. Blocks are
 * split when an entry covers part of one, and stay so. What is unmapped is gone only after
 * s2_flush(). While a block is split other CPUs may fault in it: see trap.c.
 */
#include <string.h>

#include "tests/model/el2/el2.h"

#define ENTRIES 512
#define TABLE_BITS 3ul /* a table at levels 1 and 2, a page at level 3 */
#define ADDRESS 0x7ffffff000ul

uint64_t *s2_primary;
static uint64_t *pool;

static uint64_t *table_new(void)
{
	uint64_t *t = pool;

	if (!t)
		return NULL;
	pool = (uint64_t *)t[0];
	memset(t, 0, PAGE);
	--*counter(COUNTER_tables_free);
	return t;
}

static void table_free(uint64_t *t)
{
	t[0] = (uint64_t)pool;
	pool = t;
	count(COUNTER_tables_free);
}

void s2_pool_init(uint64_t first, uint64_t end)
{
	for (uint64_t pa = first; pa < end; pa += PAGE)
		table_free((uint64_t *)pa);
}

/* All CPUs, all VMIDs: entries of a guest may be dropped while it runs elsewhere. */
void s2_flush(void)
{
	count(COUNTER_tlbi);
	__asm__ volatile("dsb ishst\n\ttlbi alle1is\n\tdsb ish\n\tisb" ::: "memory");
}

static bool is_table(uint64_t entry)
{
	return (entry & TABLE_BITS) == TABLE_BITS;
}

static uint64_t *table_of(uint64_t entry)
{
	return (uint64_t *)(entry & ADDRESS);
}

/* Break before make: to replace a valid entry it must have been invalid and flushed. */
static int split(uint64_t *entry)
{
	uint64_t *t = table_new();
	uint64_t block = *entry;

	if (!t)
		return -1;
	if (block & S2_VALID) {
		for (uint64_t i = 0; i < ENTRIES; i++)
			t[i] = (block + i * PAGE) | TABLE_BITS;
		*entry = 0;
		s2_flush();
		count(COUNTER_splits);
	}
	*entry = (uint64_t)t | TABLE_BITS;
	dsb();
	return 0;
}

/* The level 2 entry for @ipa, or NULL if there is none; @make it. */
static uint64_t *level2(uint64_t *root, uint64_t ipa, bool make)
{
	uint64_t *l1 = &root[ipa >> 30 & (ENTRIES - 1)];
	uint64_t *t;

	if (!(*l1 & S2_VALID)) {
		t = make ? table_new() : NULL;
		if (!t)
			return NULL;
		*l1 = (uint64_t)t | TABLE_BITS;
	}
	return &table_of(*l1)[ipa >> 21 & (ENTRIES - 1)];
}

static uint64_t chunk_len(uint64_t ipa, uint64_t len)
{
	uint64_t rest = BLOCK - (ipa & (BLOCK - 1));

	return len < rest ? len : rest;
}

/* May (part of) a 2 MiB entry be set as a whole? */
static bool as_block(uint64_t entry, uint64_t len, uint64_t leaf)
{
	return len == BLOCK && !is_table(entry) && !(leaf & ADDRESS & (BLOCK - 1));
}

/* All tables that set_chunk() will need, so that it cannot fail. */
static int prepare_chunk(uint64_t *root, uint64_t ipa, uint64_t len, uint64_t leaf)
{
	uint64_t *l2 = level2(root, ipa, leaf != 0);

	if (!l2)
		return leaf ? -1 : 0;
	if (is_table(*l2) || as_block(*l2, len, leaf) || (!leaf && !(*l2 & S2_VALID)))
		return 0;
	return split(l2);
}

static void set_chunk(uint64_t *root, uint64_t ipa, uint64_t len, uint64_t leaf)
{
	uint64_t *l2 = level2(root, ipa, false);
	uint64_t *l3;

	if (!l2 || (!leaf && !(*l2 & S2_VALID)))
		return;
	if (as_block(*l2, len, leaf)) {
		*l2 = leaf;
		return;
	}
	l3 = &table_of(*l2)[ipa >> 12 & (ENTRIES - 1)];
	for (uint64_t i = 0; i < len / PAGE; i++)
		l3[i] = leaf ? (leaf + i * PAGE) | TABLE_BITS : 0;
}

/*
 * Map [@ipa, @ipa + @len) to what @leaf says (address, attributes, valid), or unmap if it
 * is 0. If this fails for lack of tables, nothing has changed. Earlier mappings of the range
 * must have been unmapped and flushed before.
 */
int s2_set(uint64_t *root, uint64_t ipa, uint64_t len, uint64_t leaf)
{
	uint64_t done, n;

	for (done = 0; done < len; done += n) {
		n = chunk_len(ipa + done, len - done);
		if (prepare_chunk(root, ipa + done, n, leaf ? leaf + done : 0) < 0)
			return -1;
	}
	for (done = 0; done < len; done += n) {
		n = chunk_len(ipa + done, len - done);
		set_chunk(root, ipa + done, n, leaf ? leaf + done : 0);
	}
	dsb();
	return 0;
}

bool s2_mapped(const uint64_t *root, uint64_t ipa)
{
	uint64_t l1 = root[ipa >> 30 & (ENTRIES - 1)];
	uint64_t l2;

	if (!(l1 & S2_VALID))
		return false;
	l2 = table_of(l1)[ipa >> 21 & (ENTRIES - 1)];
	if (!is_table(l2))
		return l2 & S2_VALID;
	return table_of(l2)[ipa >> 12 & (ENTRIES - 1)] & S2_VALID;
}

/* Rights of a parcel as attributes: X 1, W 2, R 4 */
uint64_t s2_rights(unsigned int rights)
{
	uint64_t attributes = S2_NORMAL | S2_AF | S2_VALID;

	attributes |= rights & 1 ? 0 : S2_XN;
	attributes |= rights & 2 ? S2_WRITE : 0;
	attributes |= rights & 4 ? S2_READ : 0;
	return attributes;
}

uint64_t *s2_new(void)
{
	return table_new();
}

void s2_free(uint64_t *root)
{
	for (unsigned int i = 0; i < ENTRIES; i++) {
		uint64_t *l2 = root[i] & S2_VALID ? table_of(root[i]) : NULL;

		for (unsigned int j = 0; l2 && j < ENTRIES; j++)
			if (is_table(l2[j]))
				table_free(table_of(l2[j]));
		if (l2)
			table_free(l2);
	}
	table_free(root);
}

/* Devices below 1 GiB, the primary's RAM, and the page of counters; not the memory of EL2. */
int s2_primary_init(void)
{
	const uint64_t device = S2_DEVICE | S2_RW | S2_AF | S2_VALID;
	const uint64_t ram = s2_rights(7);

	s2_primary = s2_new();
	if (!s2_primary || s2_set(s2_primary, 0, EL2_BASE, device) < 0 ||
	    s2_set(s2_primary, COUNTERS_PA, PAGE, COUNTERS_PA | s2_rights(4)) < 0)
		return -1;
	return s2_set(s2_primary, LINUX_ADDR, machine.ram_end - LINUX_ADDR, LINUX_ADDR | ram);
}
