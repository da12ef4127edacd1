/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Capabilities, and the numbers of virqs.
 *
 * All capabilities are in one table. Each belongs to a space (the primary, or a guest's slot) and
 * is removed when its guest is destroyed; its id is then unknown (50).
 */
#include "tests/model/core/core.h"

static bool id_in_use(const struct model *m, uint64_t id)
{
	for (unsigned int i = 0; i < MODEL_CAPS_MAX; i++) {
		if (m->caps[i].type != CAP_NONE && m->caps[i].id == id)
			return true;
	}
	return false;
}

/* Random in a production image, small in a debug one (abi K.1); never all ones. */
static uint64_t new_id(struct model *m)
{
	uint64_t id;

	do
		id = m->config.random ? model_random(m) : ++m->next_cap;
	while (id == UINT64_MAX || id_in_use(m, id));
	return id;
}

uint64_t cspace_add(struct model *m, int space, enum cap_type type, uint32_t rights, int slot,
		    unsigned int index)
{
	for (unsigned int i = 0; i < MODEL_CAPS_MAX; i++) {
		struct cap *c = &m->caps[i];

		if (c->type != CAP_NONE)
			continue;
		*c = (struct cap){ .id = new_id(m), .rights = rights, .space = space };
		c->type = type;
		c->slot = slot;
		c->index = index;
		return c->id;
	}
	m->host.panic(m->host.ctx, "model: more capabilities than objects");
}

enum hyp_error cspace_find(const struct model *m, int space, uint64_t id, enum cap_type type,
			   uint32_t rights, const struct cap **ret)
{
	for (unsigned int i = 0; i < MODEL_CAPS_MAX; i++) {
		const struct cap *c = &m->caps[i];

		if (c->type == CAP_NONE || c->id != id || c->space != space)
			continue;
		if (c->type != type)
			return HYP_WRONG_TYPE;
		if ((c->rights & rights) != rights)
			return HYP_RIGHTS;
		*ret = c;
		return HYP_OK;
	}
	return HYP_CAP_NULL;
}

void cspace_revoke_slot(struct model *m, int slot)
{
	for (unsigned int i = 0; i < MODEL_CAPS_MAX; i++) {
		struct cap *c = &m->caps[i];

		if (c->type != CAP_NONE && (c->slot == slot || c->space == slot))
			c->type = CAP_NONE;
	}
}

uint32_t virq_alloc(struct model *m)
{
	for (uint32_t v = m->config.first_virq; v <= m->config.last_virq; v++) {
		if (v >= MODEL_VIRQS_MAX || m->virqs[v / 8] & 1 << v % 8)
			continue;
		m->virqs[v / 8] |= (uint8_t)(1 << v % 8);
		return v;
	}
	return 0;
}

void virq_free(struct model *m, uint32_t intid)
{
	if (!intid)
		return;
	m->virqs[intid / 8] &= (uint8_t) ~(1 << intid % 8);
	m->host.virq_free(m->host.ctx, intid);
}
