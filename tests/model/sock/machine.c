/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * struct model_host: simulated RAM, scripted guests, virqs as eventfds.
 *
 * The programs of the primary do not run inside the model, so pages cannot be taken from them.
 * Instead each lend is checked: the pages must be pinned and guarded.
 */
#include "tests/model/sock/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIRQ_FIRST 144
#define VIRQ_LAST 1019
#define PANIC_STATUS 99

static void *host_ram(void *ctx, uint64_t pa, uint64_t len)
{
	return ram_at(&((struct server *)ctx)->ram, pa, len);
}

/* Buffers are those of request.c, in this address space. */
static int host_copy_in(void *ctx, void *dst, uint64_t va, uint64_t len)
{
	memcpy(dst, (const void *)(uintptr_t)va, len);
	return 0;
}

static int host_copy_out(void *ctx, uint64_t va, const void *src, uint64_t len)
{
	memcpy((void *)(uintptr_t)va, src, len);
	return 0;
}

static int host_primary_map(void *ctx, uint64_t pa, uint64_t len, unsigned int rights)
{
	return 0;
}

static int host_primary_unmap(void *ctx, uint64_t pa, uint64_t len)
{
	struct server *s = ctx;

	if (!ram_at(&s->ram, pa, len))
		server_violation(s, "memory changed hands that is not pinned", pa, len);
	else if (!ram_is_guarded(&s->ram, pa, len))
		server_violation(s, "memory changed hands that is not guarded", pa, len);
	return 0;
}

static bool overlaps(const struct guest_map *m, uint64_t ipa, uint64_t len)
{
	return ipa < m->ipa + m->length && m->ipa < ipa + len;
}

static int host_guest_map(void *ctx, unsigned int slot, uint64_t ipa, uint64_t pa, uint64_t len,
			  unsigned int rights)
{
	struct vm *vm = &((struct server *)ctx)->vms[slot];
	struct guest_map *maps;

	for (size_t i = 0; i < vm->n_maps; i++) {
		if (overlaps(&vm->maps[i], ipa, len))
			return -1;
	}
	maps = realloc(vm->maps, (vm->n_maps + 1) * sizeof(*maps));
	if (!maps)
		return -1;
	vm->maps = maps;
	vm->maps[vm->n_maps++] = (struct guest_map){ ipa, pa, len, rights };
	return 0;
}

/* Called for whole parcels only. */
static void host_guest_unmap(void *ctx, unsigned int slot, uint64_t ipa, uint64_t len)
{
	struct vm *vm = &((struct server *)ctx)->vms[slot];
	size_t n = 0;

	for (size_t i = 0; i < vm->n_maps; i++) {
		if (!overlaps(&vm->maps[i], ipa, len))
			vm->maps[n++] = vm->maps[i];
	}
	vm->n_maps = n;
}

static void host_flush(void *ctx)
{
}

static int host_vm_create(void *ctx, unsigned int slot, uint16_t vmid, unsigned int n_vcpus,
			  uint64_t gicd, uint64_t gicr)
{
	struct vm *vm = &((struct server *)ctx)->vms[slot];

	memset(vm, 0, sizeof(*vm));
	vm->used = true;
	vm->slot = slot;
	vm->n_vcpus = n_vcpus;
	for (unsigned int i = 0; i < n_vcpus; i++)
		vm->vcpus[i].off = true;
	return 0;
}

static void host_vm_start(void *ctx, unsigned int slot, const struct model_registers *registers)
{
	struct server *s = ctx;

	puppet_start(s, &s->vms[slot], registers);
}

static void host_vm_kill(void *ctx, unsigned int slot)
{
	struct server *s = ctx;

	puppet_kill(s, &s->vms[slot]);
}

static void host_vm_destroy(void *ctx, unsigned int slot)
{
	struct vm *vm = &((struct server *)ctx)->vms[slot];

	free(vm->maps);
	free(vm->script);
	memset(vm, 0, sizeof(*vm));
}

static void host_guest_irq(void *ctx, unsigned int slot, unsigned int spi, bool edge, bool level)
{
	struct server *s = ctx;

	puppet_pend(s, &s->vms[slot], spi, edge || level);
}

static void host_virq(void *ctx, uint32_t intid)
{
	irq_raise(ctx, intid);
}

/* The number may be reused; a file that has bound it is not told. */
static void host_virq_free(void *ctx, uint32_t intid)
{
}

static uint64_t host_now(void *ctx)
{
	return server_now();
}

static void host_later(void *ctx, uint64_t when)
{
	((struct server *)ctx)->later = when;
}

static void host_log(void *ctx, const char *line)
{
	fprintf(stderr, "ghvm-model: %s\n", line);
}

static void host_trace(void *ctx, char dir, uint32_t id, uint16_t seq, const uint8_t *payload,
		       size_t len)
{
	const struct server *s = ctx;

	if (!s->options->trace)
		return;
	fprintf(stderr, "%c %08" PRIx32 " %5u:", dir, id, seq);
	for (size_t i = 0; i < len && i < 64; i++)
		fprintf(stderr, "%s%02x", i % 4 ? "" : " ", payload[i]);
	fprintf(stderr, "%s\n", len > 64 ? " ..." : "");
}

static void host_panic(void *ctx, const char *why) __attribute__((noreturn));
static void host_panic(void *ctx, const char *why)
{
	fprintf(stderr, "ghvm-model: the hypervisor would have crashed: %s\n", why);
	exit(PANIC_STATUS);
}

static const struct model_host machine_host = {
	.ram = host_ram,
	.copy_in = host_copy_in,
	.copy_out = host_copy_out,
	.primary_map = host_primary_map,
	.primary_unmap = host_primary_unmap,
	.guest_map = host_guest_map,
	.guest_unmap = host_guest_unmap,
	.flush = host_flush,
	.vm_create = host_vm_create,
	.vm_start = host_vm_start,
	.vm_kill = host_vm_kill,
	.vm_destroy = host_vm_destroy,
	.guest_irq = host_guest_irq,
	.virq = host_virq,
	.virq_free = host_virq_free,
	.now = host_now,
	.later = host_later,
	.log = host_log,
	.trace = host_trace,
	.panic = host_panic,
};

int machine_init(struct server *s)
{
	const struct options *o = s->options;
	const struct model_config config = {
		.ram_base = s->ram.base,
		.ram_size = s->ram.size,
		.first_virq = VIRQ_FIRST,
		.last_virq = VIRQ_LAST,
		.cpus = o->cpus,
		.delay_ns = o->delay_ms * 1000000,
		.late_stop = o->late_stop,
		.production = o->production,
		.presplit_quirk = o->presplit_quirk,
		.boot_context = o->boot_context,
		.address_layout = o->address_layout,
		.pas_id = o->pas_id,
		.firmware = o->firmware,
		.firmware_size = o->firmware_size,
		.first_vmid = o->first_vmid,
		.watchdog = o->watchdog,
		.random = o->random,
	};
	struct model_host host = machine_host;
	size_t size = model_arena_size(&config);

	host.ctx = s;
	s->arena = calloc(1, size);
	if (!s->arena)
		return -ENOMEM;
	s->model = model_new(&host, &config, s->arena, size);
	return s->model ? 0 : -ENOMEM;
}

void machine_done(struct server *s)
{
	for (unsigned int i = 0; i < MODEL_VMS_MAX; i++) {
		free(s->vms[i].maps);
		free(s->vms[i].script);
	}
	free(s->arena);
	s->arena = NULL;
	s->model = NULL;
}
