/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model itself: its arena, its clock, and the dispatch of hypercalls.
 *
 * Hypercalls on the primary's objects that only RM may make are refused as by the real
 * hypervisor: by the rights of the capability, not by their number.
 */
#include "tests/model/core/core.h"

#include <string.h>

#include "kmod/uapi/ghvm.h"

#define IDENTIFY_API 0x5100000000008001ULL    /* variant Q, 64 bit, version 1 (abi A.3) */
#define IDENTIFY_FLAGS ((1ULL << 28) | 0xc7f) /* the features the primary can see */

enum call {
	CALL_MSGQUEUE_FLUSH = 0x1d,
	CALL_MSGQUEUE_CONFIGURE_SEND = 0x1f,
	CALL_MSGQUEUE_CONFIGURE_RECEIVE = 0x20,
	CALL_VCPU_POWERON = 0x38,
	CALL_VCPU_POWEROFF = 0x39,
	CALL_VCPU_KILL = 0x3a,
	CALL_VCPU_REGISTER_WRITE = 0x64,
	CALL_VCPU_RUN_CHECK = 0x68,
};

#define RUN_POWERED_OFF 2 /* abi F.1 */

struct layout {
	size_t entries;
	size_t owner;
	size_t split;
	size_t dt;
	size_t buffers;
	size_t total;
};

static size_t reserve_bytes(size_t *at, size_t bytes)
{
	size_t here = *at;

	*at = here + ((bytes + 15) & ~(size_t)15);
	return here;
}

static void arena_layout(const struct model_config *config, struct layout *ret)
{
	size_t at = 0;

	(void)reserve_bytes(&at, sizeof(struct model));
	ret->entries = reserve_bytes(&at, MODEL_ENTRIES_MAX * sizeof(struct sgl_entry));
	ret->owner = reserve_bytes(&at, config->ram_size / MODEL_PAGE);
	ret->split = reserve_bytes(&at, config->ram_size / MODEL_BLOCK + 2);
	ret->dt = reserve_bytes(&at, MODEL_DT_SCRATCH);
	ret->buffers = reserve_bytes(&at, (size_t)MODEL_CLIENTS * 3 * RPC_MESSAGE_MAX);
	ret->total = at;
}

size_t model_arena_size(const struct model_config *config)
{
	struct layout l;

	arena_layout(config, &l);
	return l.total;
}

static void give_buffers(struct model *m, uint8_t *at)
{
	for (unsigned int i = 0; i < MODEL_CLIENTS; i++) {
		struct rpc_client *c = &m->clients[i];

		c->in.buf = at;
		c->out.buf = at + RPC_MESSAGE_MAX;
		c->pending.buf = at + 2 * RPC_MESSAGE_MAX;
		at += 3 * RPC_MESSAGE_MAX;
	}
}

static void make_entries(struct model *m)
{
	for (uint32_t i = 0; i < MODEL_ENTRIES_MAX; i++)
		m->entries[i].next = i + 2;
	m->entries[MODEL_ENTRIES_MAX - 1].next = 0;
	m->free_entry = 1;
}

/* The primary: a VM with an RM node, created at the start. */
static void make_primary(struct model *m)
{
	struct queue *to_rm = &m->queues[0], *from_rm = &m->queues[1];
	struct vm *vm = &m->vms[0];

	*vm = (struct vm){ .used = true, .vmid = MODEL_PRIMARY_VMID, .owner = MODEL_RM_VMID };
	vm->state = VM_STATE_RUNNING;
	vm->slot = -1;

	queue_init(to_rm);
	queue_init(from_rm);
	to_rm->slot = from_rm->slot = -1;
	to_rm->tx_virq = virq_alloc(m);
	from_rm->rx_virq = virq_alloc(m);
	(void)cspace_add(m, SPACE_PRIMARY, CAP_MSGQUEUE, RIGHT_SEND, -1, 0);
	(void)cspace_add(m, SPACE_PRIMARY, CAP_MSGQUEUE, RIGHT_RECEIVE, -1, 1);
	rpc_client_init(&m->clients[0], MODEL_PRIMARY_VMID, to_rm, from_rm);
}

struct model *model_new(const struct model_host *host, const struct model_config *config,
			void *arena, size_t size)
{
	struct layout l;
	struct model *m = arena;

	arena_layout(config, &l);
	if (size < l.total)
		return NULL;
	m->host = *host;
	m->config = *config;
	m->seed = config->random;
	m->entries = (void *)((uint8_t *)arena + l.entries);
	m->owner = (uint8_t *)arena + l.owner;
	m->split = (uint8_t *)arena + l.split;
	m->dt = (uint8_t *)arena + l.dt;
	give_buffers(m, (uint8_t *)arena + l.buffers);
	make_entries(m);
	heap_init(&m->heap, config->production);
	make_primary(m);
	return m;
}

uint64_t model_rm_tx_cap(const struct model *m)
{
	return m->caps[0].id;
}

uint64_t model_rm_rx_cap(const struct model *m)
{
	return m->caps[1].id;
}

uint32_t model_rm_tx_virq(const struct model *m)
{
	return m->queues[0].tx_virq;
}

uint32_t model_rm_rx_virq(const struct model *m)
{
	return m->queues[1].rx_virq;
}

/* c1d58fcd-a453-5fdb-9265-ce36673d5f14 (abi A.2) */
void model_uid(uint32_t ret[4])
{
	static const uint32_t uid[4] = GHVM_UID_GUNYAH;

	memcpy(ret, uid, sizeof(uid));
}

/* splitmix64: the values only have to differ */
uint64_t model_random(struct model *m)
{
	uint64_t z = m->seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

bool model_is_ram(const struct model *m, uint64_t pa, uint64_t len)
{
	uint64_t off = pa - m->config.ram_base;

	return pa >= m->config.ram_base && off < m->config.ram_size &&
	       len <= m->config.ram_size - off;
}

static size_t put_hex(char *to, size_t at, uint64_t v)
{
	unsigned int shift = 60;

	while (shift && !(v >> shift))
		shift -= 4;
	for (;; shift -= 4) {
		to[at++] = "0123456789abcdef"[v >> shift & 15];
		if (!shift)
			return at;
	}
}

void model_log(struct model *m, const char *what, uint64_t a, uint64_t b)
{
	size_t n = strlen(what);

	if (n > sizeof(m->line) - 40)
		n = sizeof(m->line) - 40;
	memcpy(m->line, what, n);
	m->line[n++] = ' ';
	n = put_hex(m->line, n, a);
	m->line[n++] = ' ';
	n = put_hex(m->line, n, b);
	m->line[n] = 0;
	m->host.log(m->host.ctx, m->line);
}

static void identify(uint64_t x[8])
{
	x[0] = IDENTIFY_API;
	x[1] = IDENTIFY_FLAGS;
	x[2] = 0;
	x[3] = 0;
}

/* Calls on a vCPU for which the owner lacks the rights. */
static void vcpu_control(struct model *m, uint32_t right, uint64_t x[8])
{
	const struct cap *cap;

	x[0] = (uint64_t)cspace_find(m, SPACE_PRIMARY, x[1], CAP_VCPU, right, &cap);
}

static enum model_hypercall_result vcpu_run(struct model *m, uint64_t x[8], unsigned int *ret_slot,
					    unsigned int *ret_vcpu)
{
	const struct cap *cap;
	const struct vm *vm;
	enum hyp_error r;

	r = cspace_find(m, SPACE_PRIMARY, x[1], CAP_VCPU, RIGHT_VCPU_YIELD_TO, &cap);
	x[0] = (uint64_t)r;
	x[1] = x[2] = x[3] = x[4] = 0;
	if (r != HYP_OK)
		return MODEL_DONE;

	vm = m->guests[cap->slot].vm;
	if (vm->state == VM_STATE_RUNNING) {
		*ret_slot = (unsigned int)cap->slot;
		*ret_vcpu = cap->index;
		return MODEL_RUN_VCPU;
	}
	x[1] = RUN_POWERED_OFF;
	x[2] = vm->state != VM_STATE_READY;
	return MODEL_DONE;
}

/* Calls that guests and the primary may make; false: none of these. */
static bool common_call(struct model *m, int space, uint32_t call, uint64_t x[8])
{
	switch (call) {
	case GHVM_CALL_IDENTIFY:
		identify(x);
		return true;
	case GHVM_CALL_DOORBELL_SEND:
		hyp_doorbell_send(m, space, x);
		return true;
	case GHVM_CALL_DOORBELL_RECEIVE:
		hyp_doorbell_receive(m, space, x);
		return true;
	case GHVM_CALL_DOORBELL_RESET:
		hyp_doorbell_reset(m, space, x);
		return true;
	case GHVM_CALL_DOORBELL_MASK:
		hyp_doorbell_mask(m, space, x);
		return true;
	case GHVM_CALL_MSGQUEUE_SEND:
		hyp_msgqueue_send(m, space, x);
		return true;
	case GHVM_CALL_MSGQUEUE_RECEIVE:
		hyp_msgqueue_receive(m, space, x);
		return true;
	case CALL_MSGQUEUE_FLUSH:
		hyp_msgqueue_flush(m, space, x);
		return true;
	case CALL_MSGQUEUE_CONFIGURE_SEND:
	case CALL_MSGQUEUE_CONFIGURE_RECEIVE:
		hyp_msgqueue_configure(m, space, call == CALL_MSGQUEUE_CONFIGURE_SEND, x);
		return true;
	default:
		return false;
	}
}

enum model_hypercall_result model_hypercall(struct model *m, uint32_t call, uint64_t x[8],
					    unsigned int *ret_slot, unsigned int *ret_vcpu)
{
	m->calls++;
	if (common_call(m, SPACE_PRIMARY, call, x))
		return MODEL_DONE;

	switch (call) {
	case GHVM_CALL_VCPU_RUN:
		return vcpu_run(m, x, ret_slot, ret_vcpu);
	case CALL_VCPU_POWERON:
	case CALL_VCPU_POWEROFF:
		vcpu_control(m, RIGHT_VCPU_POWER, x);
		break;
	case CALL_VCPU_KILL:
		vcpu_control(m, RIGHT_VCPU_LIFECYCLE, x);
		break;
	case CALL_VCPU_REGISTER_WRITE:
		vcpu_control(m, RIGHT_VCPU_WRITE, x);
		break;
	case CALL_VCPU_RUN_CHECK:
		vcpu_control(m, RIGHT_VCPU_STATE, x);
		break;
	default:
		x[0] = (uint64_t)HYP_UNIMPLEMENTED;
		break;
	}
	return MODEL_DONE;
}

void model_guest_hypercall(struct model *m, unsigned int slot, uint32_t call, uint64_t x[8])
{
	if (!common_call(m, (int)slot, call, x))
		x[0] = (uint64_t)HYP_UNIMPLEMENTED;
}

bool model_guest_link(const struct model *m, unsigned int slot, struct model_link *ret)
{
	const struct guest *g = &m->guests[slot];

	for (unsigned int i = 0; g->vm && i < g->n_vdevs; i++) {
		const struct vdev *d = &g->vdevs[i];

		if (d->type != VDEV_RM_RPC)
			continue;
		*ret = (struct model_link){ d->guest_cap, d->guest_cap2, d->spi, d->spi2 };
		return true;
	}
	return false;
}

uint32_t model_vcpu_virq(const struct model *m, unsigned int slot, unsigned int vcpu)
{
	return m->guests[slot].vcpu_virq[vcpu];
}

static unsigned int bits_set(const uint8_t *v, size_t n)
{
	unsigned int r = 0;

	for (size_t i = 0; i < 8 * n; i++)
		r += v[i / 8] >> i % 8 & 1;
	return r;
}

static void count_parcels(const struct model *m, struct model_counts *ret)
{
	ret->lent_pages = m->donated_pages;
	for (unsigned int i = 0; i < MODEL_PARCELS_MAX; i++) {
		const struct parcel *p = &m->parcels[i];

		if (!p->used)
			continue;
		ret->parcels++;
		ret->entries += p->n_entries;
		if (p->trans == TRANS_SHARE)
			ret->shared_pages += p->size / MODEL_PAGE;
		else
			ret->lent_pages += p->size / MODEL_PAGE;
	}
}

void model_counts(const struct model *m, struct model_counts *ret)
{
	*ret = (struct model_counts){ .calls = m->calls, .rm_dead = m->rm_dead };
	ret->heap_used = m->heap.used;
	ret->virqs = bits_set(m->virqs, sizeof(m->virqs)) - 2;
	for (unsigned int i = 1; i < MODEL_VM_RECORDS; i++) /* the first is the primary */
		ret->vms += m->vms[i].used;
	for (unsigned int i = 0; i < MODEL_VMS_MAX; i++)
		ret->slots += m->guests[i].vm != NULL;
	for (unsigned int i = 0; i < MODEL_CAPS_MAX; i++)
		ret->caps += m->caps[i].type != CAP_NONE;
	count_parcels(m, ret);
}
