/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/model-bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CALL_SEND 0x1b
#define CALL_RECEIVE 0x1c
#define EMPTY 60
#define CONTENT 232

/* ---- the machine ---- */

void *bench_ram(struct bench *b, uint64_t pa, uint64_t len)
{
	if (pa < BENCH_RAM || pa - BENCH_RAM > BENCH_RAM_SIZE ||
	    len > BENCH_RAM_SIZE - (pa - BENCH_RAM))
		return NULL;
	return b->ram + (pa - BENCH_RAM);
}

static void *host_ram(void *ctx, uint64_t pa, uint64_t len)
{
	return bench_ram(ctx, pa, len);
}

static int host_copy_in(void *ctx, void *dst, uint64_t va, uint64_t len)
{
	if (!va)
		return -1;
	memcpy(dst, (void *)(uintptr_t)va, len);
	return 0;
}

static int host_copy_out(void *ctx, uint64_t va, const void *src, uint64_t len)
{
	if (!va)
		return -1;
	memcpy((void *)(uintptr_t)va, src, len);
	return 0;
}

static void set_rights(struct bench *b, uint64_t pa, uint64_t len, unsigned int rights)
{
	assert_non_null(bench_ram(b, pa, len));
	memset(b->rights + (pa - BENCH_RAM) / 4096, (int)rights, len / 4096);
}

static int host_primary_map(void *ctx, uint64_t pa, uint64_t len, unsigned int rights)
{
	set_rights(ctx, pa, len, rights);
	return 0;
}

static int host_primary_unmap(void *ctx, uint64_t pa, uint64_t len)
{
	struct bench *b = ctx;

	if (b->no_tables)
		return -1;
	set_rights(b, pa, len, 0);
	return 0;
}

static int host_guest_map(void *ctx, unsigned int slot, uint64_t ipa, uint64_t pa, uint64_t len,
			  unsigned int rights)
{
	struct bench *b = ctx;
	struct bench_guest *g = &b->guests[slot];

	assert_true(g->exists);
	for (unsigned int i = 0; i < g->n_maps; i++) {
		if (ipa < g->maps[i].ipa + g->maps[i].len && g->maps[i].ipa < ipa + len)
			return -1;
	}
	if (b->no_tables || g->n_maps == BENCH_MAPS_MAX)
		return -1;
	g->maps[g->n_maps++] = (struct bench_map){ ipa, pa, len, rights };
	return 0;
}

static void host_guest_unmap(void *ctx, unsigned int slot, uint64_t ipa, uint64_t len)
{
	struct bench_guest *g = &((struct bench *)ctx)->guests[slot];
	unsigned int n = 0;

	assert_true(g->exists);
	for (unsigned int i = 0; i < g->n_maps; i++) {
		if (g->maps[i].ipa < ipa || g->maps[i].ipa >= ipa + len)
			g->maps[n++] = g->maps[i];
	}
	g->n_maps = n;
}

static void host_flush(void *ctx)
{
}

static int host_vm_create(void *ctx, unsigned int slot, uint16_t vmid, unsigned int n_vcpus,
			  uint64_t gicd, uint64_t gicr)
{
	struct bench *b = ctx;
	struct bench_guest *g = &b->guests[slot];

	assert_false(g->exists);
	if (b->no_create)
		return -1;
	memset(g, 0, sizeof(*g));
	g->exists = true;
	g->vmid = vmid;
	g->n_vcpus = n_vcpus;
	g->gicd = gicd;
	g->gicr = gicr;
	return 0;
}

static void host_vm_start(void *ctx, unsigned int slot, uint64_t pc, uint64_t x0)
{
	struct bench_guest *g = &((struct bench *)ctx)->guests[slot];

	assert_true(g->exists);
	g->started = true;
	g->pc = pc;
	g->x0 = x0;
}

static void host_vm_kill(void *ctx, unsigned int slot)
{
	struct bench_guest *g = &((struct bench *)ctx)->guests[slot];

	assert_true(g->exists);
	g->killed = true;
}

static void host_vm_destroy(void *ctx, unsigned int slot)
{
	struct bench_guest *g = &((struct bench *)ctx)->guests[slot];

	assert_true(g->exists);
	assert_int_equal(g->n_maps, 0); /* parcels are released before */
	g->exists = false;
}

static void host_guest_irq(void *ctx, unsigned int slot, unsigned int spi, bool edge, bool level)
{
	struct bench_guest *g = &((struct bench *)ctx)->guests[slot];

	assert_in_range(spi, 0, 95);
	if (edge)
		g->irqs[spi]++;
	else
		g->level[spi] = level;
}

static void host_virq(void *ctx, uint32_t intid)
{
	assert_in_range(intid, BENCH_VIRQ_FIRST, 255);
	((struct bench *)ctx)->virqs[intid]++;
}

static void host_virq_free(void *ctx, uint32_t intid)
{
	((struct bench *)ctx)->virqs[intid] = 0;
}

static uint64_t host_now(void *ctx)
{
	return ((struct bench *)ctx)->now;
}

static void host_later(void *ctx, uint64_t when)
{
	((struct bench *)ctx)->later = when;
}

static void host_log(void *ctx, const char *line)
{
	if (getenv("BENCH_LOG"))
		fprintf(stderr, "%s\n", line);
}

static void host_trace(void *ctx, char dir, uint32_t id, uint16_t seq, const uint8_t *payload,
		       size_t len)
{
	((struct bench *)ctx)->traced++;
}

static void host_panic(void *ctx, const char *why) __attribute__((noreturn));
static void host_panic(void *ctx, const char *why)
{
	mock_assert(0, why, __FILE__, __LINE__);
	abort();
}

static const struct model_host bench_host = {
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

struct model_config bench_config(void)
{
	return (struct model_config){
		.ram_base = BENCH_RAM,
		.ram_size = BENCH_RAM_SIZE,
		.first_virq = BENCH_VIRQ_FIRST,
		.last_virq = 255,
		.cpus = 4,
	};
}

struct bench *bench_new(const struct model_config *change)
{
	struct model_config config = change ? *change : bench_config();
	struct model_host host = bench_host;
	struct bench *b = calloc(1, sizeof(*b));
	size_t size = model_arena_size(&config);

	assert_non_null(b);
	b->ram = mmap(NULL, BENCH_RAM_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	b->arena = calloc(1, size);
	assert_true(b->ram != MAP_FAILED && b->arena);
	memset(b->rights, 7, sizeof(b->rights));
	b->now = 1;
	host.ctx = b;
	b->m = model_new(&host, &config, b->arena, size);
	assert_non_null(b->m);
	return b;
}

void bench_free(struct bench *b)
{
	munmap(b->ram, BENCH_RAM_SIZE);
	free(b->arena);
	free(b);
}

void bench_freep(struct bench **b)
{
	if (*b)
		bench_free(*b);
}

/* ---- the primary ---- */

int bench_call(struct bench *b, uint32_t call, uint64_t x[8])
{
	unsigned int slot, vcpu;

	assert_int_equal(model_hypercall(b->m, call, x, &slot, &vcpu), MODEL_DONE);
	return (int)x[0];
}

void bench_send_packet(struct bench *b, const void *packet, size_t len)
{
	uint64_t x[8] = { 0, model_rm_tx_cap(b->m), len, (uint64_t)(uintptr_t)packet, 1 };

	assert_int_equal(bench_call(b, CALL_SEND, x), 0);
}

int bench_receive_packet(struct bench *b, uint8_t buf[240])
{
	uint64_t x[8] = { 0, model_rm_rx_cap(b->m), (uint64_t)(uintptr_t)buf, 240 };

	if (bench_call(b, CALL_RECEIVE, x) == EMPTY)
		return -1;
	assert_int_equal(x[0], 0);
	assert_true(x[1] >= 8);
	return (int)x[1];
}

static void send_message(struct bench *b, uint32_t id, const uint8_t *payload, size_t len)
{
	size_t fragments = len ? (len - 1) / CONTENT : 0, pos = 0;

	b->seq++;
	for (size_t i = 0; i <= fragments; i++) {
		uint8_t packet[240];
		struct ghvm_put w = { .buf = packet, .cap = sizeof(packet) };
		size_t n = len - pos < CONTENT ? len - pos : CONTENT;

		ghvm_put_u8(&w, 0x21);
		ghvm_put_u8(&w, (uint8_t)((i ? 0 : 1) | fragments << 2));
		ghvm_put_u16(&w, b->seq);
		ghvm_put_u32(&w, id);
		ghvm_put_bytes(&w, payload + pos, n);
		pos += n;
		bench_send_packet(b, packet, w.len);
	}
}

struct message {
	unsigned int type;
	uint16_t seq;
	uint32_t id;
	size_t len;
	uint8_t buf[BENCH_MESSAGE_MAX];
};

/* A whole message; false: nothing there. */
static bool receive_message(struct bench *b, struct message *msg)
{
	unsigned int left = 0;
	bool first = true;

	msg->len = 0;
	do {
		uint8_t packet[240];
		int n = bench_receive_packet(b, packet);
		struct ghvm_get g = { .buf = packet, .len = n < 0 ? 0 : (size_t)n };
		uint8_t kind;

		if (n < 0 && first)
			return false;
		assert_true(n >= 8);
		assert_int_equal(ghvm_get_u8(&g), 0x21);
		kind = ghvm_get_u8(&g);
		if (first) {
			msg->type = kind & 3;
			msg->seq = ghvm_get_u16(&g);
			msg->id = ghvm_get_u32(&g);
			left = kind >> 2;
		} else {
			assert_int_equal(kind & 3, 0);
			assert_int_equal(ghvm_get_u16(&g), msg->seq);
			assert_int_equal(ghvm_get_u32(&g), msg->id);
			left--;
		}
		memcpy(msg->buf + msg->len, g.buf, g.len);
		msg->len += g.len;
		first = false;
	} while (left);
	return true;
}

static void take_note(struct bench *b, const struct message *msg)
{
	struct bench_note *n = &b->notes[b->n_notes++];

	assert_int_equal(msg->type, 3);
	assert_true(b->n_notes < BENCH_NOTES_MAX);
	assert_true(msg->len <= sizeof(n->payload));
	n->id = msg->id;
	n->seq = msg->seq;
	n->len = msg->len;
	memcpy(n->payload, msg->buf, msg->len);
}

uint32_t bench_rm(struct bench *b, uint32_t id, const void *payload, size_t len)
{
	static struct message msg;
	uint32_t status = BENCH_SILENCE;

	send_message(b, id, payload, len);
	while (receive_message(b, &msg)) {
		struct ghvm_get g = { .buf = msg.buf, .len = msg.len };

		if (msg.type != 2) {
			take_note(b, &msg);
			continue;
		}
		assert_int_equal(msg.seq, b->seq);
		assert_int_equal(msg.id, id);
		assert_int_equal(status, BENCH_SILENCE);
		b->notes_before_reply = b->n_notes;
		status = ghvm_get_u32(&g);
		memcpy(b->reply, g.buf, g.len);
		b->reply_len = g.len;
	}
	return status;
}

uint32_t bench_rm_put(struct bench *b, uint32_t id, const struct ghvm_put *w)
{
	assert_false(w->bad);
	return bench_rm(b, id, w->buf, w->len);
}

uint32_t bench_rm_vm(struct bench *b, uint32_t id, uint16_t vmid)
{
	uint8_t p[4] = { vmid & 0xff, vmid >> 8, 0, 0 };

	return bench_rm(b, id, p, sizeof(p));
}

void bench_drain(struct bench *b)
{
	static struct message msg;

	while (receive_message(b, &msg)) {
		if (msg.type == 3)
			take_note(b, &msg);
	}
}

const struct bench_note *bench_note(const struct bench *b, uint32_t id, unsigned int nth)
{
	for (unsigned int i = 0; i < b->n_notes; i++) {
		if (b->notes[i].id == id && !nth--)
			return &b->notes[i];
	}
	return NULL;
}

void bench_forget_notes(struct bench *b)
{
	b->n_notes = 0;
}

uint32_t bench_reply_u32(const struct bench *b, size_t at)
{
	struct ghvm_get g = { .buf = b->reply, .len = b->reply_len };
	uint32_t v;

	ghvm_get_skip(&g, at);
	v = ghvm_get_u32(&g);
	assert_false(g.bad);
	return v;
}

uint16_t bench_allocate(struct bench *b)
{
	assert_int_equal(bench_rm_vm(b, 0x56000001, 0), 0);
	assert_int_equal(b->reply_len, 4);
	return (uint16_t)bench_reply_u32(b, 0);
}

uint8_t bench_state(struct bench *b, uint16_t vmid)
{
	assert_int_equal(bench_rm_vm(b, 0x56000017, vmid), 0);
	return b->reply[0];
}

static void put_ranges(struct ghvm_put *w, const struct bench_range *v, unsigned int n)
{
	ghvm_put_u16(w, (uint16_t)n);
	ghvm_put_u16(w, 0);
	for (unsigned int i = 0; i < n; i++) {
		ghvm_put_u64(w, v[i].ipa);
		ghvm_put_u64(w, v[i].size);
	}
}

static void put_acl(struct ghvm_put *w, uint16_t vmid, uint8_t rights)
{
	ghvm_put_u16(w, vmid);
	ghvm_put_u8(w, rights);
	ghvm_put_u8(w, 0);
}

uint32_t bench_create(struct bench *b, uint32_t message, uint16_t vmid, uint8_t rights,
		      uint32_t label, uint8_t flags, const struct bench_range *v, unsigned int n)
{
	static uint8_t buf[BENCH_MESSAGE_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	bool share = message == BENCH_SHARE;

	ghvm_put_zero(&w, 2);
	ghvm_put_u8(&w, flags);
	ghvm_put_zero(&w, 1);
	ghvm_put_u32(&w, label);
	ghvm_put_u16(&w, share ? 2 : 1);
	ghvm_put_u16(&w, 0);
	put_acl(&w, vmid, rights);
	if (share)
		put_acl(&w, MODEL_PRIMARY_VMID, 7);
	put_ranges(&w, v, n);
	ghvm_put_zero(&w, 4);
	return bench_rm_put(b, message, &w);
}

uint32_t bench_append(struct bench *b, uint32_t handle, bool done, const struct bench_range *v,
		      unsigned int n)
{
	static uint8_t buf[BENCH_MESSAGE_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, handle);
	ghvm_put_u8(&w, done);
	ghvm_put_zero(&w, 3);
	put_ranges(&w, v, n);
	return bench_rm_put(b, 0x51000018, &w);
}

uint32_t bench_reclaim(struct bench *b, uint32_t handle, bool sanitise)
{
	uint8_t p[8];
	struct ghvm_put w = { .buf = p, .cap = sizeof(p) };

	ghvm_put_u32(&w, handle);
	ghvm_put_u8(&w, sanitise);
	ghvm_put_zero(&w, 3);
	return bench_rm_put(b, 0x51000015, &w);
}
