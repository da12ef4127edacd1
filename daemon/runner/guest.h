/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest as the runner has it: a host on the grant, vCPU threads, devices.
 *
 * It is built once a process; a reboot in place gives it another grant and other
 * capabilities while console and descriptors stay.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/runner/devices/board.h"
#include "daemon/runner/vcpu-thread.h"
#include "ghvm/error.h"
#include "ghvm/host.h"
#include "daemon/ipc/runinfo.h"

typedef int (*guest_open_host)(int fd, struct ghvm_host **ret, struct ghvm_error *err);

/**
 * struct guest - one guest
 * @info: what it is made of
 * @host: on the grant, owned, or NULL between two lives
 * @wake: eventfds, borrowed
 * @ended: eventfd, owned: some vCPU has come to its end, or a run said that one is off, as all are
 * @end_lock: over @end_state and @end_data0: the end that says most of those that vCPUs saw;
 *     VCPU_THREAD_STOPPED: none did
 * @rung: @shared.rings when the last look began
 * @error: errno of vCPUs that could not be run, ESTALE before any other; 0: of none
 *
 * Thread: main; the vCPUs write under @shared and the atomics.
 */
struct guest {
	struct ghvm_runinfo info;
	struct ghvm_host *host;
	struct devices devices;
	bool has_devices;
	struct vcpu_thread_shared shared;
	struct vcpu_thread threads[GHVM_SPEC_CPUS_MAX];
	const int *wake;
	int ended;
	atomic_int error;
	pthread_mutex_t end_lock;
	uint64_t end_state;
	uint64_t end_data0;
	unsigned long long rung;
};

/**
 * guest_init() - a guest that was never started
 * @g: done by the caller with guest_done(), also on failure; not movable
 * @machine: sealed memfd, borrowed; @logs: taken over, -1 behind the last
 * @wake: GHVM_SPEC_CPUS_MAX eventfds (-1: none), borrowed
 */
int guest_init(struct guest *g, int machine, int logs[GHVM_SPEC_LOGS_MAX], const int *wake,
	       struct ghvm_error *err);
void guest_done(struct guest *g);

/**
 * guest_connect() - to a grant: open it, bind every vCPU's virq, reset the devices
 * @grant: taken over, also on failure
 */
int guest_connect(struct guest *g, int grant, guest_open_host open_host, struct ghvm_error *err);

/* Another life: @machine replaces what guest_init() read. No thread runs. */
int guest_rebuild(struct guest *g, int machine, struct ghvm_error *err);

/* A thread a vCPU. On failure none runs. */
int guest_start(struct guest *g, struct ghvm_error *err);

/* Stop and join all threads, and let the grant go. */
void guest_stop(struct guest *g);

/*
 * Empty @ended. Return: true: it is over, *ret_state and *ret_data0 say how; after
 * VCPU_THREAD_STOPPED the latter is an errno.
 */
bool guest_ended(struct guest *g, uint64_t *ret_state, uint64_t *ret_data0);

/* Was every vCPU off when it was run last? One may have turned on another since. */
bool guest_all_off(const struct guest *g);

/*
 * To know it: guest_look() has each run once more, and @ended tells of it. Once guest_looked(),
 * guest_is_off() says whether all are off still and none was woken by anything but this: then
 * nothing can ever turn one on. Thread: main.
 */
void guest_look(struct guest *g);
bool guest_looked(const struct guest *g);
bool guest_is_off(const struct guest *g);
