/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that runs, and regions that come and go.
 */
#pragma once

#include "libghvm/transaction.h"
#include "tests/unit/machine-bench.h"

#include <fcntl.h>

#define REGIONS_RAM 0x90000ULL
#define REGIONS_IPA 0x50000000ULL
#define REGIONS_SIZE 0x3000ULL
#define REGIONS_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define REGIONS_MS 2000

/* RAM, a window of four pages, and a link to RM. */
extern const struct bench_options regions_options;

int regions_memfd(uint64_t size, unsigned int seals);

/* Started; ends with a teardown that has to leave nothing. */
void regions_setup(struct bench *b, enum bench_guest guest);
void regions_end(struct bench *b);

struct ghvm_transaction *regions_begin(struct bench *b);
/* A region of REGIONS_SIZE at its label's place; the others must work. */
uint64_t regions_place(uint32_t label);
int regions_try_add(struct ghvm_transaction *t, uint32_t label, struct ghvm_error *err);
void regions_add(struct ghvm_transaction *t, uint32_t label);
void regions_commit(struct ghvm_transaction *t);

/* A transaction with one of each, committed; label 0: none. */
int regions_change(struct bench *b, uint32_t comes, uint32_t goes, unsigned int ms,
		   struct ghvm_error *err);
void regions_must_change(struct bench *b, uint32_t comes, uint32_t goes);

/* The region as the machine says, or a blank one, after what the guest has said by now. */
struct ghvm_machine_region regions_look(struct bench *b, uint32_t label);
/* It is, and is not being removed. */
bool regions_there(struct bench *b, uint32_t label);
/* So many there are, in order. */
void regions_assert_count(struct bench *b, size_t n);
