/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest in the runner: a hypervisor host on the grant, vCPU threads, devices.
 *
 * There is one per process. After a reboot in place it has a new grant and new capabilities, and keeps its
 * console and file descriptors.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/runner/devices/board.h"
#include "daemon/runner/fds.h"
#include "daemon/runner/vcpu-thread.h"
#include "ghvm/error.h"
#include "ghvm/host.h"
#include "daemon/ipc/runinfo.h"

typedef int (*guest_open_host)(int fd, struct ghvm_host **ret, struct ghvm_error *err);

/**
 * struct guest - see above
 * @info: description of the VM
 * @host: on the grant, owned; NULL during a reboot in place
 * @dma: the memory that @devices access
 * @wake: eventfds, borrowed
 * @ended: eventfd, owned: a vCPU has ended, or all vCPUs are off
 * @end_lock: guards @end_state and @end_data0: the most specific end reported by a vCPU;
 *     VCPU_THREAD_STOPPED: none
 * @bites: of the watchdog, since the start of the process
 * @rung: @shared.rings when the last look began
 * @error: errno of vCPUs that cannot run, preferably ESTALE; 0: none
 *
 * Thread: main; the vCPUs write under @shared and the atomics.
 */
struct guest {
	struct ghvm_runinfo info;
	struct ghvm_host *host;
	struct dma_map dma;
	struct devices devices;
	struct vcpu_thread_shared shared;
	struct vcpu_thread threads[GHVM_SPEC_CPUS_MAX];
	const int *wake;
	int ended;
	atomic_int error;
	pthread_mutex_t end_lock;
	uint64_t end_state;
	uint64_t end_data0;
	unsigned long long rung;
	unsigned long long bites;
};

/**
 * guest_init() - prepare a guest that is not started yet
 * @g: the caller calls guest_done(), also on failure; not movable
 * @fds: borrowed; but its logs are taken over
 */
int guest_init(struct guest *g, struct fds *fds, struct ghvm_error *err);
void guest_done(struct guest *g);

/**
 * guest_connect() - open a grant, bind the virq of each vCPU, reset the devices
 * @grant: taken over, also on failure
 */
int guest_connect(struct guest *g, int grant, guest_open_host open_host, struct ghvm_error *err);

/* After a reboot in place: read the new @machine. No thread may run. */
int guest_rebuild(struct guest *g, int machine, struct ghvm_error *err);

/* Start a thread for each vCPU. On failure no thread runs. */
int guest_start(struct guest *g, struct ghvm_error *err);

/* Stop and join all threads, and close the grant. */
void guest_stop(struct guest *g);

/*
 * Reset @ended. Return: true: the guest has ended, see *ret_state and *ret_data0; with
 * VCPU_THREAD_STOPPED the latter is an errno.
 */
bool guest_ended(struct guest *g, uint64_t *ret_state, uint64_t *ret_data0);

/*
 * Call it after an event of its devices. A bite of the watchdog ends the guest with GHVM_LINK_BITTEN, or is
 * only logged, as lifecycle.on-watchdog says. Thread: main.
 */
void guest_process(struct guest *g);

/* Was every vCPU off in its last run? One may have turned on another since. */
bool guest_all_off(const struct guest *g);

/*
 * To be certain: guest_look() makes each vCPU run once more, and signals @ended. When guest_looked() is
 * true, guest_is_off() tells whether all vCPUs are still off and were woken only by guest_look(): then
 * nothing can turn a vCPU on any more. Thread: main.
 */
void guest_look(struct guest *g);
bool guest_looked(const struct guest *g);
bool guest_is_off(const struct guest *g);
