/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine for the model's tests: RAM, stage 2 as tables of pages, a clock that is set by
 * hand, and the primary's side of the conversation with RM.
 *
 * A panic of the model is a failed assertion, for expect_assert_failure().
 */
#pragma once

#include "libghvm/wire.h"
#include "tests/model/core/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BENCH_RAM 0x41000000ULL
#define BENCH_RAM_SIZE (128ULL << 20)
#define BENCH_PAGES (BENCH_RAM_SIZE / 4096)
#define BENCH_MAPS_MAX 2048
#define BENCH_NOTES_MAX 512
#define BENCH_VIRQ_FIRST 144
#define BENCH_MESSAGE_MAX 15000

struct bench_map {
	uint64_t ipa;
	uint64_t pa;
	uint64_t len;
	unsigned int rights;
};

/* A notification that came in. */
struct bench_note {
	uint32_t id;
	uint16_t seq;
	size_t len;
	uint8_t payload[512];
};

struct bench_guest {
	bool exists;
	bool started;
	bool killed;
	uint16_t vmid;
	unsigned int n_vcpus;
	uint64_t gicd;
	uint64_t gicr;
	uint64_t pc;
	uint64_t x0;
	unsigned int irqs[96];
	bool level[96];
	struct bench_map maps[BENCH_MAPS_MAX];
	unsigned int n_maps;
};

struct bench {
	struct model *m;
	void *arena;
	uint8_t *ram;
	uint8_t rights[BENCH_PAGES]; /* of the primary */
	struct bench_guest guests[MODEL_VMS_MAX];
	unsigned int virqs[256];
	uint64_t now;
	uint64_t later;
	bool no_tables; /* primary_unmap and guest_map fail */
	bool no_create;
	uint16_t seq;
	uint8_t reply[BENCH_MESSAGE_MAX]; /* without the status word */
	size_t reply_len;
	struct bench_note notes[BENCH_NOTES_MAX];
	unsigned int n_notes;
	unsigned int notes_before_reply; /* so many there were when the last reply came */
	unsigned int traced;
};

struct bench *bench_new(const struct model_config *change);
void bench_free(struct bench *b);
void bench_freep(struct bench **b);
struct model_config bench_config(void);

void *bench_ram(struct bench *b, uint64_t pa, uint64_t len);

/* One hypercall; x[0] as an int. */
int bench_call(struct bench *b, uint32_t call, uint64_t x[8]);

/* Raw packets: send one; receive one, its length, or -1. */
void bench_send_packet(struct bench *b, const void *packet, size_t len);
int bench_receive_packet(struct bench *b, uint8_t buf[240]);

/* What is no reply to anybody: ~0. */
#define BENCH_SILENCE 0xfffffffeU

/* A request and its status, or BENCH_SILENCE; the reply is in @reply, notes in @notes. */
uint32_t bench_rm(struct bench *b, uint32_t id, const void *payload, size_t len);
uint32_t bench_rm_put(struct bench *b, uint32_t id, const struct ghvm_put *w);
/* A request whose payload is u16 vmid, u16 0. */
uint32_t bench_rm_vm(struct bench *b, uint32_t id, uint16_t vmid);
/* Fetch what is queued. */
void bench_drain(struct bench *b);
/* The nth notification of a kind from @notes, or NULL. */
const struct bench_note *bench_note(const struct bench *b, uint32_t id, unsigned int nth);
void bench_forget_notes(struct bench *b);

/* The words of the reply. */
uint32_t bench_reply_u32(const struct bench *b, size_t at);

/* Often needed. */
uint16_t bench_allocate(struct bench *b);
uint8_t bench_state(struct bench *b, uint16_t vmid);

struct bench_range {
	uint64_t ipa;
	uint64_t size;
};

#define BENCH_DONATE 0x51000010U
#define BENCH_LEND 0x51000012U
#define BENCH_SHARE 0x51000013U
#define BENCH_APPEND 2 /* flags */
#define BENCH_SANITISE 1

/* Create for one VM (and, SHARE, the primary with RWX); the handle is in the reply. */
uint32_t bench_create(struct bench *b, uint32_t message, uint16_t vmid, uint8_t rights,
		      uint32_t label, uint8_t flags, const struct bench_range *v, unsigned int n);
uint32_t bench_append(struct bench *b, uint32_t handle, bool done, const struct bench_range *v,
		      unsigned int n);
uint32_t bench_reclaim(struct bench *b, uint32_t handle, bool sanitise);
