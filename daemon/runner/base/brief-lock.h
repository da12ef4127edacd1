/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lock for a few instructions on registers, taken at each exit of a guest.
 *
 * Where no other thread has it, a pair of lock and unlock is 53 instructions less than those of a pthread
 * mutex (decision 64). A thread that has to wait sleeps in the kernel. Not recursive; no fork while it is taken.
 */
#pragma once

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	BRIEF_LOCK_FREE,
	BRIEF_LOCK_TAKEN,
	BRIEF_LOCK_AWAITED, /* taken, and a thread may sleep until it is free */
};

/* All zero: free. */
struct brief_lock {
	atomic_int state;
};

/* What is returned early, after a signal for example, finds the lock taken and sleeps again. */
static inline void brief_lock_sleep(struct brief_lock *l)
{
	while (atomic_exchange_explicit(&l->state, BRIEF_LOCK_AWAITED, memory_order_acquire) !=
	       BRIEF_LOCK_FREE)
		(void)syscall(SYS_futex, &l->state, FUTEX_WAIT_PRIVATE, BRIEF_LOCK_AWAITED, NULL);
}

static inline void brief_lock(struct brief_lock *l)
{
	int was = BRIEF_LOCK_FREE;

	if (!atomic_compare_exchange_strong_explicit(&l->state, &was, BRIEF_LOCK_TAKEN,
						     memory_order_acquire, memory_order_relaxed))
		brief_lock_sleep(l);
}

static inline void brief_unlock(struct brief_lock *l)
{
	if (atomic_exchange_explicit(&l->state, BRIEF_LOCK_FREE, memory_order_release) ==
	    BRIEF_LOCK_AWAITED)
		(void)syscall(SYS_futex, &l->state, FUTEX_WAKE_PRIVATE, 1);
}
