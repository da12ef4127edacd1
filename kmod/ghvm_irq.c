// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virqs, delivered as eventfds.
 *
 * No device tree lists the interrupt number of a resource's virq: the hypervisor delivers it
 * through the same interrupt controller as the resource manager's own.
 */
#define pr_fmt(fmt) "ghvm: " fmt

#include <linux/interrupt.h>
#include <linux/irqdomain.h>
#include <linux/of_irq.h>

#include "ghvm_priv.h"

/**
 * struct ghvm_binding - a virq that signals an eventfd
 * @node: in its file's list
 * @kind: GHVM_IRQ_*
 * @virq: INTID, or 0
 * @irq: Linux number; the mapping is owned unless it is the resource manager's
 * @eventfd: owned
 */
struct ghvm_binding {
	struct list_head node;
	u32 kind;
	u32 virq;
	unsigned int irq;
	struct eventfd_ctx *eventfd;
};

static DEFINE_MUTEX(ghvm_irq_lock);
/*
 * guarded by ghvm_irq_lock: the file that bound each virq of RM, by GHVM_IRQ_RM_*;
 * [GHVM_IRQ_VIRQ] has no meaning
 */
static const struct ghvm_irqs *rm_holder[3];

static irqreturn_t on_virq(int irq, void *data)
{
	struct ghvm_binding *b = data;

	ghvm_eventfd_signal(b->eventfd);
	return IRQ_HANDLED;
}

static int spi_map(u32 virq, unsigned int *ret_irq)
{
	struct device_node *parent = of_irq_find_parent(ghvm_hyp.node);
	struct irq_fwspec spec = {
		.fwnode = of_node_to_fwnode(parent),
		.param = { 0, virq - GHVM_SPI_FIRST, IRQ_TYPE_EDGE_RISING },
	};
	struct irq_domain *domain;

	if (!parent || of_property_read_u32(parent, "#interrupt-cells", &spec.param_count))
		spec.param_count = 0;
	of_node_put(parent); /* the node stays in the live tree, as does its domain */
	if (spec.param_count < 3 || spec.param_count > IRQ_DOMAIN_IRQ_SPEC_PARAMS)
		return -ENXIO;
	domain = irq_find_matching_fwspec(&spec, DOMAIN_BUS_ANY);
	if (!domain)
		return -ENXIO;
	if (irq_find_mapping(domain, virq))
		return -EBUSY; /* bound already, or used by a device */
	*ret_irq = irq_create_fwspec_mapping(&spec);
	return *ret_irq ? 0 : -ENXIO;
}

static void binding_unmap(struct ghvm_binding *b)
{
	if (b->kind == GHVM_IRQ_VIRQ)
		irq_dispose_mapping(b->irq);
}

static void binding_free(struct ghvm_binding *b)
{
	rm_holder[b->kind] = NULL;
	list_del(&b->node);
	free_irq(b->irq, b);
	binding_unmap(b);
	eventfd_ctx_put(b->eventfd);
	kfree(b);
}

/* The Linux number of an unbound virq. */
static int irq_find(u32 kind, u32 virq, unsigned int *ret_irq)
{
	if (kind == GHVM_IRQ_VIRQ)
		return spi_map(virq, ret_irq);
	if (rm_holder[kind])
		return -EBUSY;
	*ret_irq = ghvm_hyp.rm_irq[kind];
	return *ret_irq ? 0 : -ENXIO;
}

static int binding_new(struct ghvm_irqs *irqs, u32 kind, u32 virq, struct eventfd_ctx *eventfd)
{
	struct ghvm_binding *b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!b)
		return -ENOMEM;
	b->kind = kind;
	b->virq = virq;
	b->eventfd = eventfd;
	ret = irq_find(kind, virq, &b->irq);
	if (ret)
		goto err_free;
	ret = request_irq(b->irq, on_virq, 0, kind == GHVM_IRQ_VIRQ ? "ghvm" : "ghvm-rm", b);
	if (ret)
		goto err_unmap;
	list_add(&b->node, &irqs->list);
	rm_holder[kind] = irqs;
	ghvm_eventfd_signal(eventfd); /* for virqs raised earlier */
	return 0;

err_unmap:
	binding_unmap(b);
err_free:
	kfree(b);
	return ret;
}

static int irqs_bind(struct ghvm_irqs *irqs, const struct ghvm_irq *arg)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(arg->eventfd);
	int ret;

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	mutex_lock(&ghvm_irq_lock);
	ret = binding_new(irqs, arg->kind, arg->virq, eventfd);
	mutex_unlock(&ghvm_irq_lock);
	if (ret)
		eventfd_ctx_put(eventfd);
	return ret;
}

static int irqs_unbind(struct ghvm_irqs *irqs, const struct ghvm_irq *arg)
{
	struct ghvm_binding *b;
	int ret = -ENOENT;

	mutex_lock(&ghvm_irq_lock);
	list_for_each_entry(b, &irqs->list, node) {
		if (b->kind == arg->kind && b->virq == arg->virq) {
			binding_free(b);
			ret = 0;
			break;
		}
	}
	mutex_unlock(&ghvm_irq_lock);
	return ret;
}

long ghvm_irqs_set(void *irqs, void *p)
{
	const struct ghvm_irq *arg = p;

	if (arg->kind > GHVM_IRQ_RM_RX || arg->eventfd < -1)
		return -EINVAL;
	if (arg->kind == GHVM_IRQ_VIRQ ? !ghvm_virq_valid(arg->virq) : arg->virq)
		return -EINVAL;
	return arg->eventfd == -1 ? irqs_unbind(irqs, arg) : irqs_bind(irqs, arg);
}

void ghvm_irqs_done(struct ghvm_irqs *irqs)
{
	struct ghvm_binding *b, *next;

	mutex_lock(&ghvm_irq_lock);
	list_for_each_entry_safe(b, next, &irqs->list, node)
		binding_free(b);
	mutex_unlock(&ghvm_irq_lock);
}

int ghvm_irqs_rm_begin(struct ghvm_irqs *irqs)
{
	mutex_lock(&ghvm_irq_lock);
	if (rm_holder[GHVM_IRQ_RM_RX] == irqs)
		return 0;
	mutex_unlock(&ghvm_irq_lock);
	return -EPERM;
}

void ghvm_irqs_rm_end(void)
{
	mutex_unlock(&ghvm_irq_lock);
}

void ghvm_irq_done(struct ghvm_hyp *hyp)
{
	int i;

	for (i = GHVM_IRQ_RM_TX; i <= GHVM_IRQ_RM_RX; i++)
		if (hyp->rm_irq[i])
			irq_dispose_mapping(hyp->rm_irq[i]);
}

int ghvm_irq_probe(struct ghvm_hyp *hyp)
{
	int i, irq;

	for (i = GHVM_IRQ_RM_TX; i <= GHVM_IRQ_RM_RX; i++) {
		irq = of_irq_get(hyp->node, i - GHVM_IRQ_RM_TX);
		if (irq == -EPROBE_DEFER) {
			ghvm_irq_done(hyp);
			return irq;
		}
		hyp->rm_irq[i] = max(irq, 0);
	}
	return 0;
}
