/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Doorbells (abi B.5).
 *
 * A level interrupt is asserted as long as an enabled flag is set. With the ack mask the flag is
 * cleared when it is delivered, so that the level is a pulse.
 */
#include "tests/model/core/core.h"

int doorbell_new(struct model *m)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(m->doorbells); i++) {
		struct doorbell *d = &m->doorbells[i];

		if (d->used)
			continue;
		*d = (struct doorbell){ .used = true, .enable = UINT64_MAX, .slot = -1 };
		return (int)i;
	}
	return -1;
}

static void assert_edge(struct model *m, const struct doorbell *d)
{
	if (d->slot >= 0)
		m->host.guest_irq(m->host.ctx, (unsigned int)d->slot, d->spi, true, true);
	else if (d->virq)
		m->host.virq(m->host.ctx, d->virq);
}

static void set_level(struct model *m, const struct doorbell *d, bool level)
{
	if (d->slot >= 0 && !d->edge)
		m->host.guest_irq(m->host.ctx, (unsigned int)d->slot, d->spi, false, level);
}

/* An enabled flag is set. */
static void assert_level(struct model *m, struct doorbell *d)
{
	d->flags &= ~d->ack;
	if (d->edge || d->slot < 0 || !(d->flags & d->enable))
		assert_edge(m, d);
	else
		set_level(m, d, true);
}

static bool find_doorbell(struct model *m, int space, uint32_t right, uint64_t x[8],
			  struct doorbell **ret)
{
	const struct cap *cap;

	x[0] = (uint64_t)cspace_find(m, space, x[1], CAP_DOORBELL, right, &cap);
	if (x[0] != HYP_OK)
		return false;
	*ret = &m->doorbells[cap->index];
	return true;
}

/* x: doorbell, new flags; out: old flags */
void hyp_doorbell_send(struct model *m, int space, uint64_t x[8])
{
	struct doorbell *d;

	if (!find_doorbell(m, space, RIGHT_SEND, x, &d))
		return;
	x[1] = d->flags;
	d->flags |= x[2];
	if (d->flags & d->enable)
		assert_level(m, d);
	else
		assert_edge(m, d);
}

void hyp_doorbell_receive(struct model *m, int space, uint64_t x[8])
{
	struct doorbell *d;

	if (!find_doorbell(m, space, RIGHT_RECEIVE, x, &d))
		return;
	if (!x[2]) {
		x[0] = HYP_ARGUMENT_INVALID;
		return;
	}
	x[1] = d->flags;
	d->flags &= ~x[2];
	if (!(d->flags & d->enable))
		set_level(m, d, false);
}

void hyp_doorbell_reset(struct model *m, int space, uint64_t x[8])
{
	struct doorbell *d;

	if (!find_doorbell(m, space, RIGHT_RECEIVE, x, &d))
		return;
	d->flags = 0;
	d->enable = UINT64_MAX;
	d->ack = 0;
	set_level(m, d, false);
}

/* x: doorbell, enable, ack */
void hyp_doorbell_mask(struct model *m, int space, uint64_t x[8])
{
	struct doorbell *d;
	bool was, is;

	if (!find_doorbell(m, space, RIGHT_RECEIVE, x, &d))
		return;
	was = (d->flags & d->enable) != 0;
	d->enable = x[2];
	d->ack = x[3];
	is = (d->flags & d->enable) != 0;
	if (is && !was)
		assert_level(m, d);
	else if (was && !is)
		set_level(m, d, false);
}
