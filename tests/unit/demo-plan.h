/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small machine, laid out by hand, with the memfds that it is built from: for tests of
 * what executes plans.
 */
#pragma once

#include "libghvm/layout.h"
#include "libghvm/machine.h"

#include <stdbool.h>

#define DEMO_KERNEL_SIZE 0x3000ULL
#define DEMO_WINDOW_LABEL 5

/**
 * struct demo_options - all zero: 4 MiB lent, 1 vCPU, no window, no link to RM
 */
struct demo_options {
	unsigned int cpus;
	uint64_t memory;
	bool shared;
	bool window;
	bool rm_rpc;
};

/* Owns everything that @plan and @files refer to. */
struct demo {
	struct ghvm_spec spec;
	struct ghvm_plan plan;
	struct ghvm_machine_files files;
	int memory[GHVM_PLAN_PARCELS_MAX];
	uint8_t dtb[0x2000];
};

void demo_init(struct demo *d, const struct demo_options *options);
void demo_done(struct demo *d);
