/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with scripted vCPUs: looks like a grant to the runner.
 *
 * Each vcpu_run takes the next step of the script of its capability; at the end of a script
 * runs spin with READY until the stop, as a guest that computes does.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libghvm/hyp/host.h"

#define SCRIPTED_VCPUS 4
#define SCRIPTED_BELLS 32
#define SCRIPTED_BELL_CAP 100 /* capability of doorbell 0 */

/**
 * struct scripted_step - one result of vcpu_run
 * @status: hypercall status; @state, @data: its words
 * @fire: the wake-up virq of vCPU @fire - 1 fires at the same time
 * @repeat: further times that it is returned
 */
struct scripted_step {
	int32_t status;
	uint64_t state;
	uint64_t data[3];
	unsigned int fire;
	unsigned int repeat;
};

/**
 * struct scripted_host - host, its scripts, and a record of its calls
 * @scripts: of the vCPU with capability i
 * @resume: resume word of each vCPU's last run
 * @rings: of each doorbell
 * @ring_fails: the result of the next @ring_fails_for rings, with @ring_status as that of the hypercall
 * @eventfds: bound to virq 1000 + i, borrowed
 * @revoked: every call fails with -ESTALE
 * @closed: the host was closed; @fd: closed with it
 *
 * Thread: any; @lock guards all of it.
 */
struct scripted_host {
	struct ghvm_host host;
	pthread_mutex_t lock;
	const struct scripted_step *scripts[SCRIPTED_VCPUS];
	size_t n_steps[SCRIPTED_VCPUS];
	size_t at[SCRIPTED_VCPUS];
	unsigned int repeated[SCRIPTED_VCPUS];
	uint64_t resume[SCRIPTED_VCPUS][64];
	uint64_t runs[SCRIPTED_VCPUS];
	unsigned int rings[SCRIPTED_BELLS];
	int ring_fails;
	int32_t ring_status;
	unsigned int ring_fails_for;
	int eventfds[SCRIPTED_VCPUS];
	bool revoked;
	bool closed;
	int fd;
};

void scripted_host_init(struct scripted_host *h);

/* For a test: change or read under the lock. */
unsigned int scripted_host_rings(struct scripted_host *h, unsigned int bell);
uint64_t scripted_host_runs(struct scripted_host *h, unsigned int vcpu);
void scripted_host_fail_rings(struct scripted_host *h, int r, int32_t status, unsigned int times);
void scripted_host_revoke(struct scripted_host *h);
void scripted_host_script(struct scripted_host *h, unsigned int vcpu,
			  const struct scripted_step *steps, size_t n);
void scripted_host_fire(struct scripted_host *h, unsigned int vcpu);
