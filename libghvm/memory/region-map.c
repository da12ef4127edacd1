/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest-physical map of one VM.
 *
 * Two balanced trees of libc (tsearch) share the nodes. The comparison by address treats
 * overlapping ranges as equal. As regions of the table never overlap this is a total order, and
 * looking up a range finds a region that overlaps it.
 */
#include "libghvm/memory/region-map.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <search.h>

struct ghvm_region_table {
	pthread_mutex_t lock; /* guards the following members and the nodes */
	uint64_t last_ipa;
	void *by_ipa;
	void *by_label; /* owns the nodes */
	size_t n;
};

/* 0: they overlap */
/*@
  requires \valid_read(x) && \valid_read(y);
  requires x->first <= x->last && y->first <= y->last;
  assigns \nothing;
  ensures \result < 0 <==> x->last < y->first;
  ensures \result > 0 <==> y->last < x->first;
*/
static int compare_ranges(const struct ghvm_region *x, const struct ghvm_region *y)
{
	return x->last < y->first ? -1 : x->first > y->last;
}

static int by_ipa(const void *a, const void *b)
{
	return compare_ranges(a, b);
}

static int by_label(const void *a, const void *b)
{
	const struct ghvm_region *x = a, *y = b;

	return x->label < y->label ? -1 : x->label > y->label;
}

static struct ghvm_region *find_ipa(const struct ghvm_region_table *t, uint64_t first,
				    uint64_t last)
{
	const struct ghvm_region probe = { .first = first, .last = last };
	struct ghvm_region **found = tfind(&probe, &t->by_ipa, by_ipa);

	return found ? *found : NULL;
}

static struct ghvm_region *find_label(const struct ghvm_region_table *t, uint32_t label)
{
	const struct ghvm_region probe = { .label = label };
	struct ghvm_region **found = tfind(&probe, &t->by_label, by_label);

	return found ? *found : NULL;
}

/* Readers have a constant table; the lock is not part of its value. */
static void lock(const struct ghvm_region_table *t)
{
	(void)pthread_mutex_lock((pthread_mutex_t *)&t->lock); /* cannot fail */
}

static void unlock(const struct ghvm_region_table *t)
{
	(void)pthread_mutex_unlock((pthread_mutex_t *)&t->lock);
}

int ghvm_region_table_new(uint64_t last_ipa, struct ghvm_region_table **ret)
{
	struct ghvm_region_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	(void)pthread_mutex_init(&t->lock, NULL); /* cannot fail with default attributes */
	t->last_ipa = last_ipa;
	*ret = t;
	return 0;
}

static void keep_node(void *node)
{
}

void ghvm_region_table_free(struct ghvm_region_table *t)
{
	if (!t)
		return;
	tdestroy(t->by_ipa, keep_node);
	tdestroy(t->by_label, free);
	(void)pthread_mutex_destroy(&t->lock); /* not in use any more */
	free(t);
}

void ghvm_region_table_freep(struct ghvm_region_table **t)
{
	ghvm_region_table_free(*t);
}

/* Checks that do not depend on other regions. */
/*@
  requires \valid_read(t) && \valid_read(q) && \separated(err, t, q);
  assigns *err;
  ensures \result <= 0;
  ensures \result == 0 <==> q->size > 0 && q->ipa % 4096 == 0 && q->size % 4096 == 0 &&
    q->ipa + (q->size - 1) <= t->last_ipa;
*/
static int check_request(const struct ghvm_region_table *t, const struct ghvm_region_request *q,
			 struct ghvm_error *err)
{
	if (!q->size)
		return ghvm_error_set(err, -EINVAL, "region %u: size is 0", q->label);
	if (!ghvm_aligned(q->ipa, GHVM_PAGE) || !ghvm_aligned(q->size, GHVM_PAGE))
		return ghvm_error_set(err, -EINVAL,
				      "region %u: address 0x%" PRIx64 " or size 0x%" PRIx64
				      " is not a multiple of %lu",
				      q->label, q->ipa, q->size, GHVM_PAGE);
	if (q->ipa > t->last_ipa || q->size - 1 > t->last_ipa - q->ipa)
		return ghvm_error_set(err, -EOVERFLOW,
				      "region %u: 0x%" PRIx64 " bytes at 0x%" PRIx64
				      " end beyond the last address 0x%" PRIx64,
				      q->label, q->size, q->ipa, t->last_ipa);
	return 0;
}

/* Checks against other regions. Called with the lock. */
static int check_free(const struct ghvm_region_table *t, const struct ghvm_region *r,
		      struct ghvm_error *err)
{
	const struct ghvm_region *other = find_label(t, r->label);

	if (other)
		return ghvm_error_set(err, -EEXIST, "region %u: label is in use", r->label);
	other = find_ipa(t, r->first, r->last);
	if (other)
		return ghvm_error_set(err, -EEXIST,
				      "region %u: 0x%" PRIx64 "-0x%" PRIx64
				      " overlaps region %u at 0x%" PRIx64 "-0x%" PRIx64,
				      r->label, r->first, r->last, other->label, other->first,
				      other->last);
	return 0;
}

/* Insert into both trees or, on failure, none. Called with the lock. */
static int insert_region(struct ghvm_region_table *t, struct ghvm_region *r)
{
	if (!tsearch(r, &t->by_ipa, by_ipa))
		return -ENOMEM;
	if (!tsearch(r, &t->by_label, by_label)) {
		tdelete(r, &t->by_ipa, by_ipa);
		return -ENOMEM;
	}
	t->n++;
	return 0;
}

int ghvm_region_add_begin(struct ghvm_region_table *t, const struct ghvm_region_request *q,
			  struct ghvm_error *err)
{
	_cleanup_(freep) struct ghvm_region *r = NULL;
	int ret = check_request(t, q, err);

	if (ret < 0)
		return ret;
	r = malloc(sizeof(*r));
	if (!r)
		return ghvm_error_set(err, -ENOMEM, "region %u: out of memory", q->label);
	*r = (struct ghvm_region){
		.first = q->ipa,
		.last = q->ipa + (q->size - 1),
		.hva = q->hva,
		.label = q->label,
		.kind = q->kind,
		.readonly = q->readonly,
		.state = GHVM_REGION_RESERVED,
	};

	lock(t);
	ret = check_free(t, r, err);
	if (ret == 0)
		ret = insert_region(t, r);
	if (ret == 0)
		(void)TAKE_PTR(r); /* owned by the table */
	unlock(t);
	return ret;
}

/* The region that the caller has begun to change; no other caller can have ended the change. */
static struct ghvm_region *find_changing(const struct ghvm_region_table *t, uint32_t label,
					 enum ghvm_region_state state)
{
	struct ghvm_region *r = find_label(t, label);

	assert(r && r->state == state);
	return r;
}

static void end_change(struct ghvm_region_table *t, uint32_t label, enum ghvm_region_state from,
		       bool mapped)
{
	struct ghvm_region *r;

	lock(t);
	r = find_changing(t, label, from);
	if (mapped) {
		r->state = GHVM_REGION_MAPPED;
	} else {
		tdelete(r, &t->by_ipa, by_ipa);
		tdelete(r, &t->by_label, by_label);
		t->n--;
		free(r);
	}
	unlock(t);
}

void ghvm_region_add_end(struct ghvm_region_table *t, uint32_t label)
{
	end_change(t, label, GHVM_REGION_RESERVED, true);
}

void ghvm_region_add_cancel(struct ghvm_region_table *t, uint32_t label)
{
	end_change(t, label, GHVM_REGION_RESERVED, false);
}

void ghvm_region_remove_end(struct ghvm_region_table *t, uint32_t label)
{
	end_change(t, label, GHVM_REGION_REMOVING, false);
}

void ghvm_region_remove_cancel(struct ghvm_region_table *t, uint32_t label)
{
	end_change(t, label, GHVM_REGION_REMOVING, true);
}

int ghvm_region_remove_begin(struct ghvm_region_table *t, uint32_t label, struct ghvm_region *ret,
			     struct ghvm_error *err)
{
	struct ghvm_region *r;
	int res = 0;

	lock(t);
	r = find_label(t, label);
	if (!r) {
		res = ghvm_error_set(err, -ENOENT, "region %u: not found", label);
	} else if (r->state != GHVM_REGION_MAPPED) {
		res = ghvm_error_set(err, -EBUSY, "region %u: it is being %s", label,
				     r->state == GHVM_REGION_RESERVED ? "added" : "removed");
	} else {
		r->state = GHVM_REGION_REMOVING;
		if (ret)
			*ret = *r;
	}
	unlock(t);
	return res;
}

static int copy_mapped(const struct ghvm_region *r, struct ghvm_region *ret)
{
	if (!r || r->state != GHVM_REGION_MAPPED)
		return -ENOENT;
	*ret = *r;
	return 0;
}

int ghvm_region_find_label(const struct ghvm_region_table *t, uint32_t label,
			   struct ghvm_region *ret)
{
	int r;

	lock(t);
	r = copy_mapped(find_label(t, label), ret);
	unlock(t);
	return r;
}

int ghvm_region_find_ipa(const struct ghvm_region_table *t, uint64_t ipa, struct ghvm_region *ret)
{
	int r;

	lock(t);
	r = copy_mapped(find_ipa(t, ipa, ipa), ret);
	unlock(t);
	return r;
}

size_t ghvm_region_count(const struct ghvm_region_table *t)
{
	size_t n;

	lock(t);
	n = t->n;
	unlock(t);
	return n;
}

struct list {
	struct ghvm_region *v;
	size_t n;
	size_t max;
};

static void append_region(const void *node, VISIT order, void *data)
{
	struct list *l = data;

	if ((order == postorder || order == leaf) && l->n < l->max)
		l->v[l->n++] = **(struct ghvm_region *const *)node;
}

size_t ghvm_region_list(const struct ghvm_region_table *t, struct ghvm_region *ret, size_t max)
{
	struct list l = { .v = ret, .max = max };

	lock(t);
	twalk_r(t->by_ipa, append_region, &l);
	unlock(t);
	return l.n;
}

static void collect_mapped(const void *node, VISIT order, void *data)
{
	const struct ghvm_region *r = *(struct ghvm_region *const *)node;
	struct ghvm_region_map *map = data;

	if ((order == postorder || order == leaf) && r->state == GHVM_REGION_MAPPED)
		map->v[map->n++] = *r;
}

int ghvm_region_map_new(const struct ghvm_region_table *t, struct ghvm_region_map **ret)
{
	struct ghvm_region_map *map;

	lock(t);
	map = calloc(1, sizeof(*map) + t->n * sizeof(map->v[0]));
	if (map)
		twalk_r(t->by_ipa, collect_mapped, map);
	unlock(t);

	if (!map)
		return -ENOMEM;
	*ret = map;
	return 0;
}

/* Translate a range that begins in @r. */
/*@
  requires \valid_read(r) && r->first <= ipa <= r->last;
  requires \valid(ret) && \separated(ret, r);
  assigns *ret;
  ensures \result == 0 || \result == -EFAULT;
  ensures \result == 0 <==> r->kind == GHVM_REGION_SHARED && r->hva != \null && len > 0 &&
    ipa + (len - 1) <= r->last;
  ensures \result == 0 ==> *ret == r->hva + (ipa - r->first);
  ensures \result != 0 ==> *ret == \old(*ret);
*/
static int translate_range(const struct ghvm_region *r, uint64_t ipa, uint64_t len, uint8_t **ret)
{
	if (r->kind != GHVM_REGION_SHARED || !r->hva || !len || len - 1 > r->last - ipa)
		return -EFAULT;
	*ret = r->hva + (ipa - r->first);
	return 0;
}

int ghvm_region_map_hva(const struct ghvm_region_map *map, uint64_t ipa, uint64_t len,
			uint8_t **ret)
{
	const struct ghvm_region probe = { .first = ipa, .last = ipa };
	const struct ghvm_region *r;

	r = bsearch(&probe, map->v, map->n, sizeof(map->v[0]), by_ipa);
	return r ? translate_range(r, ipa, len, ret) : -EFAULT;
}
