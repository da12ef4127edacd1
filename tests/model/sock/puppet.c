/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scripted guests as their runner sees them: run, wait, wake, end (abi F, K.8).
 */
#include "tests/model/sock/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 64
#define HEADER_MAGIC_AT 56
#define EXIT_SOFTWARE 5 /* abi D.2 */

static const char marker[] = "GHVM-SCRIPT\n";

/* At most one page: maps consist of pages. */
static const uint8_t *guest_page(const struct server *s, const struct vm *vm, uint64_t ipa,
				 uint64_t *ret_left)
{
	for (size_t i = 0; i < vm->n_maps; i++) {
		const struct guest_map *m = &vm->maps[i];
		uint64_t off = ipa - m->ipa, page;

		if (ipa < m->ipa || off >= m->length)
			continue;
		page = SERVER_PAGE - off % SERVER_PAGE;
		*ret_left = page;
		return ram_at(&s->ram, m->pa + off, page);
	}
	return NULL;
}

uint32_t *puppet_word(struct server *s, const struct vm *vm, uint64_t ipa, unsigned int rights)
{
	for (size_t i = 0; i < vm->n_maps && ipa % sizeof(uint32_t) == 0; i++) {
		const struct guest_map *m = &vm->maps[i];

		if (ipa >= m->ipa && ipa - m->ipa < m->length && (m->rights & rights) == rights)
			return ram_at(&s->ram, m->pa + (ipa - m->ipa), sizeof(uint32_t));
	}
	return NULL;
}

/* Read bytes of the guest from @ipa up to a NUL, the limit or an unmapped page; then a NUL. */
static size_t read_text(const struct server *s, const struct vm *vm, uint64_t ipa, char *to,
			size_t max)
{
	size_t n = 0;

	while (n < max - 1) {
		uint64_t left;
		const uint8_t *from = guest_page(s, vm, ipa + n, &left);
		size_t some, len;

		if (!from)
			break;
		some = left < max - 1 - n ? (size_t)left : max - 1 - n;
		len = strnlen((const char *)from, some);
		memcpy(to + n, from, len);
		n += len;
		if (len < some)
			break;
	}
	to[n] = 0;
	return n;
}

static bool has_header(const struct server *s, const struct vm *vm, uint64_t pc)
{
	uint64_t left;
	const uint8_t *p = guest_page(s, vm, pc, &left);

	return p && left >= HEADER_BYTES && !memcmp(p + HEADER_MAGIC_AT, "ARM\x64", 4);
}

static char *load_script(const struct server *s, const struct vm *vm, uint64_t pc)
{
	char *text;

	if (!has_header(s, vm, pc))
		return NULL;
	text = malloc(SCRIPT_MAX);
	if (!text)
		return NULL;
	(void)read_text(s, vm, pc + HEADER_BYTES, text, SCRIPT_MAX);
	if (strncmp(text, marker, strlen(marker)) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

void puppet_start(struct server *s, struct vm *vm, const struct model_registers *registers)
{
	vm->registers = *registers;
	vm->script = load_script(s, vm, registers->pc);
	if (!vm->script)
		fprintf(stderr, "ghvm-model: no script at %#llx\n",
			(unsigned long long)registers->pc);
	puppet_power_on(s, vm, 0);
}

void puppet_power_on(struct server *s, struct vm *vm, unsigned int i)
{
	struct vcpu *v = &vm->vcpus[i];

	memset(v, 0, sizeof(*v));
	if (vm->script)
		v->at = script_begin(vm->script + strlen(marker), i);
	irq_raise(s, model_vcpu_virq(s->model, vm->slot, i));
}

/* Only a blocked vCPU gets its virq (abi K.8). */
void puppet_wake(struct server *s, struct vm *vm, unsigned int i)
{
	struct vcpu *v = &vm->vcpus[i];

	if (!v->blocked)
		return;
	v->blocked = false;
	irq_raise(s, model_vcpu_virq(s->model, vm->slot, i));
}

void puppet_pend(struct server *s, struct vm *vm, unsigned int spi, bool pend)
{
	uint64_t bit = 1ULL << spi % 64;

	if (spi >= 128)
		return;
	if (!pend) {
		vm->pending[spi / 64] &= ~bit;
		return;
	}
	vm->pending[spi / 64] |= bit;
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		puppet_wake(s, vm, i);
}

/* Wake all vCPUs except @but to see that the VM has ended. */
static void wake_all(struct server *s, struct vm *vm, const struct vcpu *but)
{
	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		if (&vm->vcpus[i] == but)
			continue;
		vm->vcpus[i].blocked = false;
		irq_raise(s, model_vcpu_virq(s->model, vm->slot, i));
	}
}

void puppet_end(struct server *s, struct vm *vm, const struct vcpu *by, const struct run *end)
{
	if (vm->ended)
		return;
	vm->ended = true;
	vm->ended_by = by;
	vm->end = *end;
	wake_all(s, vm, by);
}

void puppet_kill(struct server *s, struct vm *vm)
{
	vm->ended = true;
	vm->ended_by = NULL;
	wake_all(s, vm, NULL);
}

/* The guest faults, again at each run, and RM ends the VM. */
static void fault_vcpu(struct server *s, struct vm *vm, const struct vcpu *v, struct run *ret)
{
	static const struct run end = { RUN_FAULT, { 0 } };

	puppet_end(s, vm, v, &end);
	model_guest_ended(s->model, vm->slot, EXIT_SOFTWARE, NULL, 0);
	*ret = end;
}

/* The result of a run after the end. */
static struct run run_after(const struct vm *vm, const struct vcpu *v)
{
	static const struct run dead = { RUN_POWERED_OFF, { 1 } };

	return vm->ended_by == v ? vm->end : dead;
}

static void run_vcpu(struct server *s, struct vm *vm, struct vcpu *v, struct run *ret)
{
	if (vm->ended)
		*ret = run_after(vm, v);
	else if (v->off)
		ret->state = RUN_POWERED_OFF;
	else if (!v->at)
		fault_vcpu(s, vm, v, ret);
	else
		script_run(s, vm, v, ret);
	/* also when waiting for CPU_ON */
	v->blocked = ret->state == RUN_EXPECTS_WAKEUP;
}

void puppet_run(struct server *s, struct vm *vm, unsigned int vcpu, uint64_t resume, uint64_t x[8])
{
	struct vcpu *v = &vm->vcpus[vcpu];
	struct run run = { 0 };

	s->counters.vcpu_runs++;
	if (v->reading)
		v->value = resume;
	v->reading = false;
	run_vcpu(s, vm, v, &run);
	v->reading = run.state == RUN_MMIO_READ;
	x[0] = 0;
	x[1] = run.state;
	memcpy(x + 2, run.data, sizeof(run.data));
}

uint64_t puppet_timers(struct server *s, uint64_t now)
{
	uint64_t next = 0;

	for (unsigned int i = 0; i < MODEL_VMS_MAX * MODEL_VCPUS_MAX; i++) {
		struct vm *vm = &s->vms[i / MODEL_VCPUS_MAX];
		struct vcpu *v = &vm->vcpus[i % MODEL_VCPUS_MAX];

		if (!vm->used || vm->ended || !v->blocked || !v->wake_at)
			continue;
		if (v->wake_at <= now)
			puppet_wake(s, vm, i % MODEL_VCPUS_MAX);
		else if (!next || v->wake_at < next)
			next = v->wake_at;
	}
	return next;
}
