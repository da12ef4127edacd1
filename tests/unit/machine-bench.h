/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host, its resource manager, and a machine that is not built yet.
 */
#pragma once

#include "libghvm/ledger.h"
#include "libghvm/machine.h"
#include "tests/fake-rm.h"
#include "tests/model/guest-mem.h"
#include "tests/unit/demo-plan.h"

#define BENCH_INCARNATION 0x1234567812345678

/* What a client can be refused with, for the sweeps. */
extern const uint32_t bench_statuses[22];

/* What its guest does with memory that is shared with it, or recalled. */
enum bench_guest {
	BENCH_GUEST_DEAF, /* nothing */
	BENCH_GUEST_SERVES,
	BENCH_GUEST_KEEPS,  /* accepts, and does not release */
	BENCH_GUEST_SILENT, /* does as it should, and does not say so */
};

/**
 * struct bench - all for one VM
 * @patience_ms: of RM calls, and of the machine
 * @guest: between any two calls of the host; bench_run() lets it begin
 */
struct bench_options {
	struct fake_rm_options host;
	struct demo_options demo;
	unsigned int patience_ms;
	bool presplit;
};

/**
 * struct bench_process - what a process has, of which nothing may be left over
 */
struct bench_process {
	unsigned int descriptors;
	unsigned int threads;
};

struct bench {
	unsigned int patience_ms;    /* of RM calls; 0: the default */
	unsigned int settle_ms;	     /* of machines that bench_recover() makes; 0: the default */
	struct bench_process before; /* bench_init() */
	struct bench_process ready;  /* it has ended */
	struct fake_rm *f;
	struct ghvm_rm *rm;
	struct ghvm_ledger ledger;
	struct demo demo;
	struct ghvm_machine *m;
	struct guest_mem guest;
	enum bench_guest guest_does;
};

/* @options: NULL: plain. */
void bench_init(struct bench *b, const struct bench_options *options);
void bench_done(struct bench *b);

/* Notifications of @b->rm go to @b->m; bench_init() has done that. */
void bench_listen(struct bench *b);

/* Build and start; then the guest does as it is told by @guest_does. */
int bench_run(struct bench *b, struct ghvm_error *err);

/*
 * Nothing is left: in RM, in the module, in the accounts, and in this process, whose threads
 * are given a moment to be gone. bench_done() sees that no descriptor at all is left.
 */
void bench_assert_clean(struct bench *b);
/* The same as a question. */
bool bench_clean(struct bench *b);

/**
 * bench_recover() - what the next process does with what this one left
 *
 * Frees machine and connection (unless they are NULL already), connects anew, adopts
 * everything and tears it down. @b->m is NULL afterwards, @b->rm the new connection.
 *
 * Return: 0; the first error.
 */
int bench_recover(struct bench *b, struct ghvm_error *err);
