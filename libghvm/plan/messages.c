/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The messages that a start sends to the resource manager, in order. A function of the plan
 * alone, so they can be shown before a start and compared with the real ones.
 */
#include "ghvm/plan.h"

#include "libghvm/base/rm-abi.h"
#include "libghvm/plan/plan.h"

#include <assert.h>

/* Message of a step, except MEM_LEND and MEM_SHARE; 0: none. */
static const uint32_t step_messages[GHVM_STEP_COUNT_] = {
	[GHVM_STEP_ALLOCATE] = GHVM_RM_VM_ALLOCATE,
	[GHVM_STEP_RESERVE] = GHVM_RM_VM_ALLOCATE,
	[GHVM_STEP_CONFIG_IMAGE] = GHVM_RM_VM_CONFIG_IMAGE,
	[GHVM_STEP_AUTH_IMAGE] = GHVM_RM_VM_AUTH_IMAGE,
	[GHVM_STEP_FIRMWARE_MEM] = GHVM_RM_VM_SET_FIRMWARE_MEM,
	[GHVM_STEP_ADDRESS_LAYOUT] = GHVM_RM_VM_SET_ADDRESS_LAYOUT,
	[GHVM_STEP_INIT] = GHVM_RM_VM_INIT,
	[GHVM_STEP_BOOT_CONTEXT] = GHVM_RM_VM_SET_BOOT_CONTEXT,
	[GHVM_STEP_RESOURCES] = GHVM_RM_VM_GET_HYP_RESOURCES,
	[GHVM_STEP_START] = GHVM_RM_VM_START,
};

struct list {
	struct ghvm_plan_message *v;
	size_t n;
	const struct ghvm_plan *plan;
	size_t step;
};

static void add_message(struct list *l, uint32_t id)
{
	assert(l->n < GHVM_PLAN_MESSAGES_MAX);
	l->v[l->n++] = (struct ghvm_plan_message){ id, l->step, 1, 1 };
}

static uint64_t count_appends(const struct ghvm_quirks *q, uint64_t entries)
{
	return entries ? (entries - 1) / ghvm_quirk(q, GHVM_QUIRK_MESSAGE_ENTRIES) : 0;
}

size_t ghvm_plan_parcel_messages(const struct ghvm_quirks *q, uint32_t id,
				 const struct ghvm_plan_parcel *p, struct ghvm_plan_message ret[2])
{
	const uint64_t least = count_appends(q, p->entries_best),
		       most = count_appends(q, p->entries_worst);

	ret[0] = (struct ghvm_plan_message){ id, 0, 1, 1 };
	if (!most)
		return 1;
	ret[1] = (struct ghvm_plan_message){ GHVM_RM_MEM_APPEND, 0, least, most };
	return 2;
}

static void add_create(struct list *l, uint32_t id, const struct ghvm_plan_parcel *m)
{
	size_t n;

	assert(l->n + 2 <= GHVM_PLAN_MESSAGES_MAX);
	n = ghvm_plan_parcel_messages(l->plan->quirks, id, m, l->v + l->n);
	for (; n; n--)
		l->v[l->n++].step = l->step;
}

/* RM is asked to confirm the handle of a parcel if its entries fit into one message. */
static void add_lookup(struct list *l, const struct ghvm_plan_parcel *m)
{
	const bool can = !count_appends(l->plan->quirks, m->entries_best);
	const bool does = !count_appends(l->plan->quirks, m->entries_worst);

	if (!can)
		return;
	add_message(l, GHVM_RM_MEM_LOOKUP_SGL);
	l->v[l->n - 1].least = does;
}

static void add_parcel_messages(struct list *l, const struct ghvm_plan_parcel *m)
{
	if (m->lend && ghvm_quirk(l->plan->quirks, GHVM_QUIRK_PRESPLIT)) {
		add_create(l, GHVM_RM_MEM_SHARE, m);
		add_message(l, GHVM_RM_MEM_RECLAIM);
	}
	add_create(l, m->lend ? GHVM_RM_MEM_LEND : GHVM_RM_MEM_SHARE, m);
	if (m != l->plan->parcels)
		add_lookup(l, m);
}

size_t ghvm_plan_messages(const struct ghvm_plan *p,
			  struct ghvm_plan_message ret[GHVM_PLAN_MESSAGES_MAX])
{
	struct list l = { .v = ret, .plan = p };

	for (; l.step < p->n_steps; l.step++) {
		const struct ghvm_plan_step *s = &p->steps[l.step];

		if (s->kind == GHVM_STEP_LEND || s->kind == GHVM_STEP_SHARE)
			add_parcel_messages(&l, &p->parcels[s->parcel]);
		else if (step_messages[s->kind])
			add_message(&l, step_messages[s->kind]);
		if (s->kind == GHVM_STEP_BOOT_CONTEXT)
			l.v[l.n - 1].least = l.v[l.n - 1].most = p->n_registers;
		if (s->kind == GHVM_STEP_ADDRESS_LAYOUT && p->firmware_size)
			l.v[l.n - 1].least = l.v[l.n - 1].most = 2;
	}
	return l.n;
}
