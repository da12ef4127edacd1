/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM on ghvm-model, started and stopped by libghvm as the manager does it, from memory that was
 * populated as the prepare helper does it; what each step took and what was sent meanwhile.
 */
#pragma once

#include "ghvm/plan.h"
#include "libghvm/memory/ledger.h"
#include "ghvm/machine.h"
#include "libghvm/rm/rpc.h"
#include "tests/fixtures/sock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct bench_vm_options - what is started
 * @memory: bytes of RAM; @hugepages: how they are backed
 * @image: bytes of the kernel, and as many of the initrd
 * @fragment: at most so many pages become one entry; 0: all of them
 * @presplit: SHARE and RECLAIM before the LEND
 */
struct bench_vm_options {
	uint64_t memory;
	enum ghvm_hugepages hugepages;
	uint64_t image;
	unsigned int fragment;
	bool presplit;
};

/* To the resource manager: whole messages, and the packets that they were cut into. */
struct bench_sent {
	unsigned int messages;
	unsigned int packets;
};

/* What something took, in nanoseconds: by the clock, and of a CPU in this process alone. */
struct bench_time {
	uint64_t wall;
	uint64_t cpu;
};

/**
 * struct bench_vm_result - of one start and one stop
 * @populate: of memory, before the plan
 * @step: by kind of step; all of one kind together
 * @entries: of the memory, as RM got them
 */
struct bench_vm_result {
	struct bench_time populate;
	struct bench_time step[GHVM_STEP_COUNT_];
	struct bench_time stop;
	struct bench_sent sent_start;
	struct bench_sent sent_stop;
	uint64_t entries;
};

/* Says what has failed and ends the program, if @r is negative. */
void bench_must(int r, const char *what, const struct ghvm_error *err);

/* The middle one of @n; sorts them. */
double bench_median(double *v, size_t n);

/* One start and one stop, by a model of its own; ends the program if that fails. */
void bench_vm_run(const struct bench_vm_options *options, struct bench_vm_result *ret);
