/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model's host in memory: RAM, a clock, virqs as eventfds. Stage 2 and guests exist only in
 * the model's state.
 */
#include "tests/fakes/rm-internal.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

uint64_t fake_rm_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* always there */
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

uint64_t fake_rm_page(uint64_t pa)
{
	return (pa - FAKE_RM_RAM_BASE) / GHVM_PAGE;
}

void *fake_rm_bytes(void *ctx, uint64_t pa, uint64_t len)
{
	struct fake_rm *f = ctx;
	uint64_t at = pa - FAKE_RM_RAM_BASE;

	if (pa < FAKE_RM_RAM_BASE || len > f->ram_size || at > f->ram_size - len)
		return NULL;
	for (uint64_t i = fake_rm_page(pa); len && i <= fake_rm_page(pa + len - 1); i++)
		f->dirty[i] = 1;
	return f->ram + at;
}

static int below_copy_in(void *ctx, void *dst, uint64_t va, uint64_t len)
{
	memcpy(dst, (const void *)(uintptr_t)va, len);
	return 0;
}

static int below_copy_out(void *ctx, uint64_t va, const void *src, uint64_t len)
{
	memcpy((void *)(uintptr_t)va, src, len);
	return 0;
}

static int below_primary_map(void *ctx, uint64_t pa, uint64_t len, unsigned int rights)
{
	return 0;
}

static int below_primary_unmap(void *ctx, uint64_t pa, uint64_t len)
{
	return 0;
}

static int below_guest_map(void *ctx, unsigned int slot, uint64_t ipa, uint64_t pa, uint64_t len,
			   unsigned int rights)
{
	return 0;
}

static void below_guest_unmap(void *ctx, unsigned int slot, uint64_t ipa, uint64_t len)
{
}

static void below_flush(void *ctx)
{
}

static int below_vm_create(void *ctx, unsigned int slot, uint16_t vmid, unsigned int n_vcpus,
			   uint64_t gicd, uint64_t gicr)
{
	return 0;
}

static void below_vm_start(void *ctx, unsigned int slot, const struct model_registers *registers)
{
	struct fake_rm *f = ctx;

	f->registers = *registers;
}

static void below_vm_kill(void *ctx, unsigned int slot)
{
}

static void below_vm_destroy(void *ctx, unsigned int slot)
{
}

static void below_guest_irq(void *ctx, unsigned int slot, unsigned int spi, bool edge, bool level)
{
}

struct fake_irq *fake_rm_irq(struct fake_rm *f, uint32_t intid, bool make)
{
	struct fake_irq *unused = NULL;

	for (size_t i = 0; i < FAKE_RM_IRQS_MAX; i++) {
		if (f->irqs[i].intid == intid)
			return &f->irqs[i];
		if (!f->irqs[i].intid && !unused)
			unused = &f->irqs[i];
	}
	if (!make)
		return NULL;
	if (!unused)
		fake_rm_die("too many virqs", intid);
	*unused = (struct fake_irq){ .intid = intid, .eventfd = -1 };
	return unused;
}

void fake_rm_signal(struct fake_irq *irq)
{
	irq->pending = irq->eventfd < 0;
	if (irq->eventfd >= 0)
		(void)eventfd_write(irq->eventfd, 1); /* a full counter is readable already */
}

static void below_virq(void *ctx, uint32_t intid)
{
	fake_rm_signal(fake_rm_irq(ctx, intid, true));
}

static void below_virq_free(void *ctx, uint32_t intid)
{
	struct fake_irq *irq = fake_rm_irq(ctx, intid, false);

	if (!irq)
		return;
	closep(&irq->eventfd);
	*irq = (struct fake_irq){ .eventfd = -1 };
}

static uint64_t below_now(void *ctx)
{
	return fake_rm_now();
}

static void below_later(void *ctx, uint64_t when)
{
	((struct fake_rm *)ctx)->due = when;
}

static void below_log(void *ctx, const char *line)
{
	if (getenv("FAKE_RM_LOG"))
		(void)fprintf(stderr, "model: %s\n", line);
}

static void below_trace(void *ctx, char dir, uint32_t id, uint16_t seq, const uint8_t *payload,
			size_t len)
{
	struct fake_rm *f = ctx;

	if (getenv("FAKE_RM_LOG"))
		(void)fprintf(stderr, "model: %c %08x seq %u, %zu bytes\n", dir, id, seq, len);
	if (dir == '<' && f->on_answer)
		f->on_answer(f->on_answer_data, id, payload, len);
	if (dir != '>')
		return;
	if (f->n_sent < FAKE_RM_SENT_MAX)
		f->sent[f->n_sent++] = id;
	fake_rm_watch(f, id, payload, len);
}

__attribute__((noreturn)) static void below_panic(void *ctx, const char *why)
{
	fake_rm_die(why, 0);
}

struct model_host fake_rm_below(struct fake_rm *f)
{
	return (struct model_host){
		.ctx = f,
		.ram = fake_rm_bytes,
		.copy_in = below_copy_in,
		.copy_out = below_copy_out,
		.primary_map = below_primary_map,
		.primary_unmap = below_primary_unmap,
		.guest_map = below_guest_map,
		.guest_unmap = below_guest_unmap,
		.flush = below_flush,
		.vm_create = below_vm_create,
		.vm_start = below_vm_start,
		.vm_kill = below_vm_kill,
		.vm_destroy = below_vm_destroy,
		.guest_irq = below_guest_irq,
		.virq = below_virq,
		.virq_free = below_virq_free,
		.now = below_now,
		.later = below_later,
		.log = below_log,
		.trace = below_trace,
		.panic = below_panic,
	};
}
