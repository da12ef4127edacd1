// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * struct model_host at EL2, and calls into the core.
 *
 * libfdt inside the core uses vector registers, which hold the caller's values: every call
 * of the core is between core_enter() and core_leave(). All of it is under the lock.
 */
#include <string.h>

#include "kmod/uapi/ghvm.h"
#include "tests/model/el2/el2.h"

#define CALL_MASK 0xffffc000u
#define CALL_HYPERCALL 0xc6008000u
#define CALL_UID 0x8600ff01u
#define CALL_REVISION 0x8600ff03u
#define NO_SUCH_CALL ((uint64_t)-1)

struct model *model;
static struct fp_state callers_fp;
static unsigned int knob_skip;
static uint32_t knob_status;
static bool foreign;

static void *host_ram(void *ctx, uint64_t pa, uint64_t len)
{
	return mem_ram(pa, len);
}

static int host_copy_in(void *ctx, void *dst, uint64_t va, uint64_t len)
{
	return mem_copy_in(dst, va, len);
}

static int host_copy_out(void *ctx, uint64_t va, const void *src, uint64_t len)
{
	return mem_copy_out(va, src, len);
}

/* The bytes from @pa on with the same rights of the secure firmware. */
static uint64_t same_rights(uint64_t pa, uint64_t len, bool guest)
{
	uint64_t n = PAGE;

	while (n < len && scm_allows(pa + n, guest) == scm_allows(pa, guest))
		n += PAGE;
	return n;
}

/* Map with the rights that RM wants, as far as the secure firmware allows them. */
static int map(uint64_t *root, uint64_t ipa, uint64_t pa, uint64_t len, unsigned int rights)
{
	bool guest = root != s2_primary;
	uint64_t done, n;

	for (done = 0; done < len; done += n) {
		unsigned int allowed = rights & scm_allows(pa + done, guest);

		n = same_rights(pa + done, len - done, guest);
		if (guest && allowed != rights)
			*counter(COUNTER_scm_denied) += n / PAGE;
		if (allowed && s2_set(root, ipa + done, n, (pa + done) | s2_rights(allowed)) < 0)
			return -1;
	}
	return 0;
}

static int host_primary_map(void *ctx, uint64_t pa, uint64_t len, unsigned int rights)
{
	return map(s2_primary, pa, pa, len, rights);
}

static int host_primary_unmap(void *ctx, uint64_t pa, uint64_t len)
{
	return s2_set(s2_primary, pa, len, 0);
}

static int host_guest_map(void *ctx, unsigned int slot, uint64_t ipa, uint64_t pa, uint64_t len,
			  unsigned int rights)
{
	if (!vms[slot].used || ipa >> 39 || len > (1ul << 39) - ipa)
		return -1;
	return map(vms[slot].s2, ipa, pa, len, rights);
}

static void host_guest_unmap(void *ctx, unsigned int slot, uint64_t ipa, uint64_t len)
{
	if (!vms[slot].used || s2_set(vms[slot].s2, ipa, len, 0) == 0)
		return;
	panic("no table to split a guest's block, which must be unmapped", NULL);
}

static void host_flush(void *ctx)
{
	s2_flush();
}

/* The slot may still have a vCPU of the last guest that has not left yet. */
static int host_vm_create(void *ctx, unsigned int slot, uint16_t vmid, unsigned int n_vcpus,
			  uint64_t gicd, uint64_t gicr)
{
	struct vm *vm = &vms[slot];

	if (vm->used || vm_busy(vm) || n_vcpus < 1 || n_vcpus > MODEL_VCPUS_MAX)
		return -1;
	memset(vm, 0, sizeof(*vm));
	vm->s2 = s2_new();
	if (!vm->s2)
		return -1;
	vm->used = true;
	vm->slot = slot;
	vm->vmid = vmid;
	vm->n_vcpus = n_vcpus;
	vm->gicd = gicd;
	vm->gicr = gicr;
	for (unsigned int i = 0; i < n_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		v->vm = vm;
		v->index = i;
		v->cpu = v->home = v->last_cpu = -1;
		v->off = true;
		v->waker = 6;
	}
	vgic_reset(vm);
	return 0;
}

static void host_vm_start(void *ctx, unsigned int slot, const struct model_registers *registers)
{
	struct vcpu *v = &vms[slot].vcpus[0];

	vcpu_power_on(v, registers->pc, registers->x[0]);
	vcpu_set_registers(v, registers);
	virq_pend(model_vcpu_virq(model, slot, 0));
}

static void host_vm_kill(void *ctx, unsigned int slot)
{
	if (!vms[slot].used)
		return;
	vm_kill(&vms[slot]);
	vm_stop_all(&vms[slot]);
}

static void host_vm_destroy(void *ctx, unsigned int slot)
{
	struct vm *vm = &vms[slot];

	if (!vm->used)
		return;
	host_vm_kill(ctx, slot);
	vm->used = false;
	s2_flush();
	s2_free(vm->s2);
	vm->s2 = NULL;
}

static void host_guest_irq(void *ctx, unsigned int slot, unsigned int spi, bool edge, bool level)
{
	if (vms[slot].used)
		vgic_set_spi(&vms[slot], spi + 32, edge, level);
}

static void host_virq(void *ctx, uint32_t intid)
{
	virq_pend(intid);
}

static void host_virq_free(void *ctx, uint32_t intid)
{
	virq_clear(intid);
}

static uint64_t host_now(void *ctx)
{
	return timer_ns();
}

static void host_later(void *ctx, uint64_t when)
{
	timer_work_at(when);
}

static void host_log(void *ctx, const char *line)
{
	log_line(line);
}

static void host_panic(void *ctx, const char *why) __attribute__((noreturn));
static void host_panic(void *ctx, const char *why)
{
	panic(why, NULL);
}

static const struct model_host host = {
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
	.panic = host_panic,
};

/* The core's memory is at @arena. @ret_end: first byte after it */
void host_init(uint64_t arena, uint64_t *ret_end)
{
	const struct model_config config = {
		.ram_base = LINUX_ADDR,
		.ram_size = machine.ram_end - LINUX_ADDR,
		.first_virq = VIRQ_FIRST,
		.last_virq = VIRQ_LAST,
		.cpus = machine.cpus,
		.delay_ns = machine.delay_ns,
		.late_stop = machine.late_stop,
		.production = machine.production,
		.presplit_quirk = machine.presplit_quirk,
		.random = machine.seed,
	};
	size_t size = model_arena_size(&config);

	if (size > KNOBS_PA - arena)
		panic("the core wants more memory than there is", NULL);
	memset((void *)arena, 0, size);
	model = model_new(&host, &config, (void *)arena, size);
	if (!model)
		panic("the core does not start", NULL);
	*ret_end = (arena + size + PAGE - 1) & ~(PAGE - 1);
}

static void core_enter(void)
{
	fp_save(&callers_fp);
}

static void core_leave(void)
{
	fp_load(&callers_fp);
}

static void publish_counts(void)
{
	struct model_counts n;

	model_counts(model, &n);
	*counter(COUNTER_vms) = n.vms;
	*counter(COUNTER_parcels) = n.parcels;
	*counter(COUNTER_entries) = n.entries;
	*counter(COUNTER_lent_pages) = n.lent_pages;
	*counter(COUNTER_virqs) = n.virqs;
	*counter(COUNTER_rm_calls) = n.calls;
	*counter(COUNTER_rm_heap) = n.heap_used;
	*counter(COUNTER_rm_dead) = n.rm_dead;
}

static void hypercall(struct frame *f, uint32_t call)
{
	uint64_t x[8];
	unsigned int slot, index;
	enum model_hypercall_result r;

	memcpy(x, f->x, sizeof(x));
	core_enter();
	r = model_hypercall(model, call, x, &slot, &index);
	core_leave();
	if (r == MODEL_RUN_VCPU) {
		vcpu_run(f, &vms[slot].vcpus[index], f->x[2]);
		return;
	}
	publish_counts();
	memcpy(f->x, x, 5 * sizeof(x[0]));
}

static void uid(struct frame *f)
{
	static const uint32_t kvm[4] = { 0xb66fb428, 0xe911c52e, 0x564bcaa9, 0x743a004d };
	uint32_t words[4];

	model_uid(words);
	if (foreign)
		memcpy(words, kvm, sizeof(words));
	for (unsigned int i = 0; i < 4; i++)
		f->x[i] = words[i];
}

void host_hypercall(struct frame *f)
{
	uint32_t fn = (uint32_t)f->x[0];

	if ((fn & CALL_MASK) == CALL_HYPERCALL)
		hypercall(f, fn & ~CALL_MASK);
	else if (fn == CALL_UID)
		uid(f);
	else if (fn == CALL_REVISION)
		hypercall(f, GHVM_CALL_IDENTIFY);
	else
		f->x[0] = NO_SUCH_CALL;
}

/* Runs with the list registers saved: the core may ring a bell of the caller itself. */
void host_guest_hypercall(struct frame *f, struct vcpu *v)
{
	uint32_t fn = (uint32_t)f->x[0];
	uint64_t x[8];

	if (fn == CALL_UID) {
		uid(f);
		return;
	}
	if ((fn & CALL_MASK) != CALL_HYPERCALL) {
		f->x[0] = NO_SUCH_CALL;
		return;
	}
	count(COUNTER_guest_hypercalls);
	memcpy(x, f->x, sizeof(x));
	vgic_save(v);
	core_enter();
	model_guest_hypercall(model, v->vm->slot, fn & ~CALL_MASK, x);
	core_leave();
	vgic_load(v);
	timer_prog();
	memcpy(f->x, x, 5 * sizeof(x[0]));
}

void host_guest_ended(struct vm *vm, unsigned int type, const uint32_t *reason, unsigned int n)
{
	core_enter();
	model_guest_ended(model, vm->slot, type, reason, n);
	core_leave();
}

void host_work(void)
{
	core_enter();
	model_work(model);
	core_leave();
	publish_counts();
}

uint32_t host_vcpu_virq(const struct vcpu *v)
{
	return model_vcpu_virq(model, v->vm->slot, v->index);
}

void host_knob(uint64_t offset, uint64_t value)
{
	core_enter();
	switch (offset) {
	case KNOB_KILL_RM:
		model_kill_rm(model);
		break;
	case KNOB_SKIP:
		knob_skip = (unsigned int)value;
		break;
	case KNOB_STATUS:
		knob_status = (uint32_t)value;
		break;
	case KNOB_REFUSE:
		model_refuse(model, (uint32_t)value, knob_status, knob_skip);
		break;
	case KNOB_MUTE:
		model_mute(model, (uint32_t)value, knob_skip);
		break;
	case KNOB_EXIT:
		log_counters();
		machine_exit((unsigned int)value & 0xff);
	case KNOB_DUMP:
		log_counters();
		break;
	case KNOB_HOLD_RM:
		model_hold_rm(model, value & 1);
		break;
	case KNOB_DROP_END:
		model_drop_end(model, knob_skip);
		break;
	case KNOB_SCM_REFUSE:
		scm_refuse((enum scm_refusal)value, (int32_t)knob_status, knob_skip);
		break;
	case KNOB_SCM:
		scm_tell(value & 1);
		break;
	case KNOB_FOREIGN:
		foreign = value & 1;
		break;
	case KNOB_GENERATION:
		model_learn(model, value > 0, value > 1);
		break;
	case KNOB_LR_LIMIT:
		vgic_limit_lrs((unsigned int)value);
		break;
	}
	core_leave();
}
