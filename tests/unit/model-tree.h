/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device trees as RM wants them, each a bit different from the usual one, and VMs made of
 * them on a bench.
 */
#pragma once

#include "tests/unit/model-bench.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

enum {
	OK = 0,
	NORESOURCE = 2,
	DENIED = 3,
	ARGUMENT_INVALID = 6,
	MEM_INVALID = 0xa,
	MEM_INUSE = 0xb,
	MEM_RELEASED = 0xc,
	VM_STATE = 0x14,
};

#define DEALLOCATE 0x56000002U
#define START 0x56000004U
#define STOP 0x56000005U
#define RESET 0x56000006U
#define CONFIG_IMAGE 0x56000009U
#define INIT 0x5600000bU
#define GET_ID 0x56000010U
#define GET_CRASH_MSG 0x56000019U
#define GET_RESOURCES 0x56000020U
#define NOTIFY 0x51000017U
#define NOTE_STATUS 0x56100008U
#define NOTE_EXITED 0x56100001U
#define NOTE_MEM_RELEASED 0x51100012U

#define STATE_INIT 1
#define STATE_READY 2
#define STATE_RUNNING 3
#define STATE_INIT_FAILED 8
#define STATE_EXITED 9
#define STATE_RESETTING 10
#define STATE_RESET 11

#define PAGE 4096ULL
#define MIB (1ULL << 20)
#define BASE 0x80000000ULL
#define RAM (BENCH_RAM + 16 * MIB)
#define RAM_SIZE (4 * MIB)
#define DT_OFF (2 * MIB)
#define DT_SIZE 0x40000ULL
#define WINDOW_IPA 0x40000000ULL
#define WINDOW_LABEL 0x20
#define WINDOW (BENCH_RAM + 32 * MIB)
/* What is different from the usual tree. */
struct tree {
	const char *without;	   /* node or property that is left out */
	const char *affinity;	   /* default proxy */
	const char *attrs;	   /* vm-attrs */
	const char *enable_method; /* of the second CPU; default psci */
	const char *interrupts;	   /* config path */
	const char *vdev;	   /* a further vdevice of this type */
	const char *extra;	   /* a further node of the root */
	unsigned int cpus;	   /* default 1 */
	unsigned int bells;	   /* default 1, labels 0.. */
	uint32_t bell_kind;
	uint32_t bell_spi; /* of the first */
	uint64_t base;
	uint64_t size_max;
	uint64_t gicr_size;
	bool rm_rpc;
	bool node;	  /* /reserved-memory window */
	bool vdevice;	  /* shm window */
	bool node_no_reg; /* with only a size */
	bool no_base;	  /* shm with allocate-base */
	bool source;	  /* doorbell-source */
	uint64_t window_size;
	uint64_t window_ipa;
	bool phandle;
};

/* A tree in @buf, DT_SIZE big. */
void tree_make(void *buf, const struct tree *t);

extern const struct bench_range tree_ram;
extern const struct bench_range tree_window;
extern const struct bench_range tree_pieces[2];

uint32_t tree_config_image(struct bench *b, uint16_t vmid, uint32_t handle, uint64_t dt_size);
/* A VM with a tree, in state INIT; the image's handle is that of the last parcel. */
uint16_t tree_configure(struct bench *b, const struct tree *t, uint32_t *ret_handle);
/* The same, and then VM_INIT. */
uint16_t tree_ready(struct bench *b, const struct tree *t, uint32_t *ret_handle);
uint32_t tree_share_window(struct bench *b, uint16_t vmid, const struct bench_range *v,
			   unsigned int n);
uint32_t tree_stop(struct bench *b, uint16_t vmid, uint8_t flags);
void tree_assert_nothing_left(const struct bench *b);
/* RESET, RECLAIM of handles 0 to @n_handles - 1, DEALLOCATE; nothing is left then. */
void tree_undo(struct bench *b, uint16_t vmid, uint32_t n_handles);
