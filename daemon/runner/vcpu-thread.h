/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that runs one vCPU until its guest ends or we are told to stop.
 *
 * It sleeps only where the hypervisor says that the vCPU waits, and then on the wake-up
 * virq's eventfd. What it sees last is a hint; the truth about an end is RM's.
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

#define VCPU_THREAD_STOPPED UINT64_MAX /* instead of a state: nothing was seen to end */

/**
 * struct vcpu_thread_shared - what all vCPUs of a VM share
 * @mmio: frozen, borrowed
 * @stop: eventfd, borrowed: readable once the threads shall end
 * @stopping: the same, for a look between two runs
 * @n_off: how many were off when they were run last, and wait to be turned on
 * @look: number of the last look at those that are off, see vcpu_thread.looked
 * @rings: how often their @wake eventfds were rung, by whomever
 * @on_off: a run said that this one is off. Thread: the vCPU's
 * @on_end: this vCPU is at its end. Thread: the vCPU's
 * @on_stray: an access met no device. Thread: the vCPU's
 * @data: passed to all of them
 */
struct vcpu_thread_shared {
	struct mmio_table *mmio;
	int stop;
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
 * @wake: eventfd of its virq, non-blocking, borrowed
 * @off: counted in @n_off
 * @looked: @look as it was before the last run that said "off"
 * @exits: how often a run came back for something that the guest did
 * @waits: it sleeps until something wakes it
 *
 * Thread: its own while it runs, main before and after; the last three are read by main.
 */
struct vcpu_thread {
	struct vcpu_thread_shared *shared;
	struct ghvm_vcpu vcpu;
	int wake;
	bool started;
	bool off;
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
 * Comes back when each has left the hypervisor. Those never started are skipped.
 */
void vcpu_thread_stop(struct vcpu_thread *t, unsigned int n);

/* Install the handler of the kick signal. Once a process, before the first start. */
int vcpu_thread_setup(void);
