/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Creates the objects of a guest's vdevices: doorbells, and its queues to RM (abi D.7, E).
 *
 * Names are from the guest's view: a "doorbell" is received by the guest and sent by the primary.
 */
#include "tests/model/core/core.h"

static bool spi_taken(const struct guest *g, unsigned int spi)
{
	for (unsigned int i = 0; i < g->n_vdevs; i++) {
		const struct vdev *d = &g->vdevs[i];

		if (d->has_irq && (d->spi == spi || (d->type == VDEV_RM_RPC && d->spi2 == spi)))
			return true;
	}
	return false;
}

/* From the highest SPI down, as trees rarely use high ones. */
static enum rm_status choose_spi(const struct guest *g, unsigned int not_this, unsigned int *ret)
{
	for (unsigned int spi = MODEL_GUEST_SPIS; spi-- > 0;) {
		if (spi != not_this && !spi_taken(g, spi)) {
			*ret = spi;
			return RM_OK;
		}
	}
	return RM_NORESOURCE;
}

static enum rm_status choose_irqs(const struct guest *g, struct vdev *d)
{
	enum rm_status status;

	if (d->has_irq || d->type == VDEV_DOORBELL_SOURCE)
		return RM_OK;
	status = choose_spi(g, MODEL_SPI_ANY, &d->spi);
	if (status == RM_OK && d->type == VDEV_RM_RPC)
		status = choose_spi(g, d->spi, &d->spi2);
	d->edge = true;
	d->has_irq = status == RM_OK;
	return status;
}

/* A doorbell to the guest: the primary may send, and clear if the tree permits. */
static enum rm_status make_doorbell(struct model *m, struct guest *g, struct vdev *d)
{
	uint32_t rights = RIGHT_SEND | (d->source_can_clear ? RIGHT_RECEIVE : 0);
	struct doorbell *bell;

	d->object = doorbell_new(m);
	if (d->object < 0)
		return RM_NORESOURCE;
	bell = &m->doorbells[d->object];
	bell->slot = g->vm->slot;
	bell->spi = d->spi;
	bell->edge = d->edge;
	d->host_cap = cspace_add(m, SPACE_PRIMARY, CAP_DOORBELL, rights, g->vm->slot,
				 (unsigned int)d->object);
	d->guest_cap = cspace_add(m, g->vm->slot, CAP_DOORBELL, RIGHT_RECEIVE, g->vm->slot,
				  (unsigned int)d->object);
	return RM_OK;
}

static enum rm_status make_source(struct model *m, struct guest *g, struct vdev *d)
{
	uint32_t rights = RIGHT_SEND | (d->source_can_clear ? RIGHT_RECEIVE : 0);

	d->virq = virq_alloc(m);
	if (!d->virq)
		return RM_NORESOURCE;
	d->object = doorbell_new(m);
	if (d->object < 0)
		return RM_NORESOURCE;
	m->doorbells[d->object].virq = d->virq;
	m->doorbells[d->object].edge = true;
	d->host_cap = cspace_add(m, SPACE_PRIMARY, CAP_DOORBELL, RIGHT_RECEIVE, g->vm->slot,
				 (unsigned int)d->object);
	d->guest_cap = cspace_add(m, g->vm->slot, CAP_DOORBELL, rights, g->vm->slot,
				  (unsigned int)d->object);
	return RM_OK;
}

static struct rpc_client *client_at(struct model *m, const struct guest *g)
{
	return &m->clients[1 + g->vm->slot];
}

static enum rm_status make_rm_link(struct model *m, struct guest *g, struct vdev *d)
{
	unsigned int first = 2 * (1 + (unsigned int)g->vm->slot);
	struct queue *to_rm = &m->queues[first], *from_rm = &m->queues[first + 1];

	if (rpc_client_find(m, g->vm->vmid))
		return RM_NORESOURCE; /* a second link */
	queue_init(to_rm);
	queue_init(from_rm);
	to_rm->slot = from_rm->slot = g->vm->slot;
	to_rm->tx_spi = (uint16_t)(d->spi + 1);
	from_rm->rx_spi = (uint16_t)(d->spi2 + 1);
	d->guest_cap = cspace_add(m, g->vm->slot, CAP_MSGQUEUE, RIGHT_SEND, g->vm->slot, first);
	d->guest_cap2 =
		cspace_add(m, g->vm->slot, CAP_MSGQUEUE, RIGHT_RECEIVE, g->vm->slot, first + 1);
	rpc_client_init(client_at(m, g), g->vm->vmid, to_rm, from_rm);
	return RM_OK;
}

static enum rm_status make_device(struct model *m, struct guest *g, struct vdev *d)
{
	enum rm_status status = RM_OK;

	if (d->type == VDEV_SHM)
		return RM_OK;
	status = choose_irqs(g, d);
	if (status != RM_OK)
		return status;
	if (d->type == VDEV_DOORBELL)
		return make_doorbell(m, g, d);
	if (d->type == VDEV_DOORBELL_SOURCE)
		return make_source(m, g, d);
	return make_rm_link(m, g, d);
}

enum rm_status guest_make_devices(struct model *m, struct guest *g)
{
	enum rm_status status = RM_OK;

	for (unsigned int i = 0; i < g->n_vdevs; i++)
		g->vdevs[i].object = -1;
	for (unsigned int i = 0; i < g->n_vdevs && status == RM_OK; i++)
		status = make_device(m, g, &g->vdevs[i]);
	return status;
}

/* Also called after a partial failure; the capabilities are gone already. */
void guest_free_devices(struct model *m, struct guest *g)
{
	struct rpc_client *c = rpc_client_find(m, g->vm->vmid);

	if (c)
		rpc_client_drop(m, c);
	for (unsigned int i = 0; i < g->n_vdevs; i++) {
		struct vdev *d = &g->vdevs[i];

		if (d->object >= 0 && (d->type == VDEV_DOORBELL || d->type == VDEV_DOORBELL_SOURCE))
			m->doorbells[d->object].used = false;
		virq_free(m, d->virq);
		d->virq = 0;
	}
	g->n_vdevs = 0;
}
