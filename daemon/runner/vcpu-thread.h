/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that runs one vCPU until its guest ends or the thread is stopped.
 *
 * The thread sleeps, on the eventfd of the wake-up virq, only if the hypervisor reports that the vCPU
 * waits. Its last state is only a hint; RM decides how the guest ended.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/runner/devices/mmio.h"
#include "ghvm/host.h"
#include "ghvm/types.h"
#include "ghvm/vcpu.h"

#define VCPU_THREAD_STOPPED UINT64_MAX /* instead of a state: no end was seen */

/**
 * struct vcpu_thread_shared - shared by all vCPUs of a VM
 * @mmio: frozen, borrowed
 * @stopping: the threads must end; checked between runs
 * @n_off: number of vCPUs that were off in their last run
 * @look: number of the last guest_look(), see vcpu_thread.looked
 * @rings: how often @wake eventfds were signalled
 * @on_off: the vCPU is off. Thread: the vCPU's
 * @on_end: the vCPU has ended. Thread: the vCPU's
 * @on_stray: an access to an address without a device. Thread: the vCPU's
 * @data: passed to all of them
 */
struct vcpu_thread_shared {
	struct mmio_table *mmio;
	atomic_bool stopping;
	atomic_uint n_off;
	atomic_uint look;
	atomic_ullong rings;
	void (*on_off)(void *data);
	void (*on_end)(void *data, uint64_t state, uint64_t data0);
	void (*on_stray)(void *data, bool is_write, uint64_t ipa, uint64_t size);
	void *data;
};

/**
 * struct vcpu_thread - one vCPU
 * @wake: eventfd of its virq, blocking, borrowed
 * @off: counted in @n_off
 * @looked: value of @look before the last run that reported "off"
 * @exits: number of exits caused by the guest
 * @waits: the thread sleeps until it is woken
 *
 * Thread: its own while it runs, main before and after; main reads the atomics.
 */
struct vcpu_thread {
	struct vcpu_thread_shared *shared;
	struct ghvm_vcpu vcpu;
	int wake;
	bool started;
	atomic_bool off;
	atomic_uint looked;
	atomic_ullong exits;
	atomic_bool waits;
	pthread_t thread;
};

/**
 * vcpu_thread_start() - run @cap
 * @shared: outlives the thread
 * @host: borrowed, outlives the thread; any thread may use it
 *
 * Return: 0; negative errno of pthread_create().
 */
int vcpu_thread_start(struct vcpu_thread *t, struct vcpu_thread_shared *shared,
		      struct ghvm_host *host, struct ghvm_capid cap, int wake);

/**
 * vcpu_thread_stop() - stop @n threads and join them
 *
 * Returns when each thread has left the hypervisor. Threads that were never started are skipped.
 */
void vcpu_thread_stop(struct vcpu_thread *t, unsigned int n);

/*
 * If the vCPU sleeps, run it once more: no virq wakes it if a manager has torn the VM down without this
 * runner. Thread: main.
 */
void vcpu_thread_wake(const struct vcpu_thread *t);

/* Install the handler of the kick signal. Call it once, before the first start. */
int vcpu_thread_setup(void);
