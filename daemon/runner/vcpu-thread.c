/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop of abi K.8: run the vCPU, handle the exit, and wait only if the exit says so.
 */
#include "daemon/runner/vcpu-thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "daemon/ipc/thread.h"

#define KICK SIGUSR1
#define KICK_AGAIN_MS 10

/* Sleep until the wake-up virq, which may already have fired, or until a kick. */
static void wait_for_wakeup(struct vcpu_thread *t)
{
	uint64_t count;

	atomic_store(&t->waits, true);
	if (read(t->wake, &count, sizeof(count)) == sizeof(count))
		(void)atomic_fetch_add(&t->shared->rings, count);
	/* else it was a kick: run once more and see */
	atomic_store(&t->waits, false);
}

static void emulate_read(struct vcpu_thread *t)
{
	struct vcpu_thread_shared *s = t->shared;

	if (!mmio_read(s->mmio, t->vcpu.ipa, t->vcpu.size, &t->vcpu.read))
		s->on_stray(s->data, false, t->vcpu.ipa, t->vcpu.size);
}

static void emulate_write(struct vcpu_thread *t)
{
	struct vcpu_thread_shared *s = t->shared;

	if (!mmio_write(s->mmio, t->vcpu.ipa, t->vcpu.size, t->vcpu.value))
		s->on_stray(s->data, true, t->vcpu.ipa, t->vcpu.size);
}

static void set_off(struct vcpu_thread *t, bool off)
{
	if (off && !t->off)
		(void)atomic_fetch_add(&t->shared->n_off, 1);
	else if (!off && t->off)
		(void)atomic_fetch_sub(&t->shared->n_off, 1);
	t->off = off;
}

/* Wait while the vCPU is off: only another vCPU can turn it on. */
static void wait_turned_off(struct vcpu_thread *t, unsigned int look)
{
	struct vcpu_thread_shared *s = t->shared;

	atomic_store(&t->looked, look);
	s->on_off(s->data);
	wait_for_wakeup(t);
}

/* Handle an exit. @look: value before the run. Return: true: run again. */
static bool handle_exit(struct vcpu_thread *t, unsigned int look)
{
	if (t->vcpu.state != GHVM_VCPU_READY && t->vcpu.state != GHVM_VCPU_BLOCKED)
		(void)atomic_fetch_add_explicit(&t->exits, 1, memory_order_relaxed);
	set_off(t, t->vcpu.state == GHVM_VCPU_POWERED_OFF && !t->vcpu.for_good);
	switch (t->vcpu.state) {
	case GHVM_VCPU_READY:
	case GHVM_VCPU_BLOCKED:
		return true;
	case GHVM_VCPU_EXPECTS_WAKEUP:
		wait_for_wakeup(t);
		return true;
	case GHVM_VCPU_POWERED_OFF:
		if (t->vcpu.for_good)
			return false;
		wait_turned_off(t, look);
		return true;
	case GHVM_VCPU_MMIO_READ:
		emulate_read(t);
		return true;
	case GHVM_VCPU_MMIO_WRITE:
		emulate_write(t);
		return true;
	}
	return false; /* FAULT, SYSTEM_RESET and unknown states are final */
}

/* The only signal that a vCPU's thread gets. One that came before is delivered now, to no effect. */
static void unblock_kick(void)
{
	sigset_t kick;

	(void)sigemptyset(&kick);
	(void)sigaddset(&kick, KICK);
	(void)pthread_sigmask(SIG_UNBLOCK, &kick, NULL); /* cannot fail with these arguments */
}

static void *vcpu_main(void *data)
{
	struct vcpu_thread *t = data;
	struct vcpu_thread_shared *s = t->shared;
	int r;

	unblock_kick();
	for (;;) {
		unsigned int look = atomic_load(&s->look);

		if (atomic_load(&s->stopping))
			return NULL;
		r = ghvm_vcpu_run(&t->vcpu);
		if (r == -EAGAIN)
			sched_yield(); /* the hypervisor is using the vCPU */
		else if (r < 0 && r != -EINTR)
			break;
		else if (!r && !handle_exit(t, look))
			break;
	}
	if (r == 0)
		s->on_end(s->data, t->vcpu.state,
			  t->vcpu.state == GHVM_VCPU_POWERED_OFF ? 1 : t->vcpu.ipa);
	else
		s->on_end(s->data, VCPU_THREAD_STOPPED, (uint64_t)-r);
	return NULL;
}

static void on_kick(int sig)
{
}

int vcpu_thread_setup(void)
{
	/* The handler does nothing: the signal only ends a system call. */
	struct sigaction sa = { .sa_handler = on_kick };

	sigemptyset(&sa.sa_mask);
	return sigaction(KICK, &sa, NULL) < 0 ? -errno : 0;
}

int vcpu_thread_start(struct vcpu_thread *t, struct vcpu_thread_shared *shared,
		      struct ghvm_host *host, struct ghvm_capid cap, int wake)
{
	int r;

	*t = (struct vcpu_thread){
		.shared = shared,
		.vcpu = { .host = host, .cap = cap },
		.wake = wake,
	};
	r = ghvm_thread_start(&t->thread, 0, vcpu_main, t);
	t->started = r == 0;
	return r;
}

void vcpu_thread_wake(const struct vcpu_thread *t)
{
	if (t->started && atomic_load(&t->waits))
		(void)pthread_kill(t->thread, KICK); /* not joined yet, so the id is valid */
}

/* A kick just before the thread enters the kernel is lost, so repeat it until the thread ends. */
static void kick_and_join(struct vcpu_thread *t)
{
	struct timespec until;

	do {
		(void)pthread_kill(t->thread, KICK); /* as above */
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += KICK_AGAIN_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
	} while (pthread_timedjoin_np(t->thread, NULL, &until) != 0);
	t->started = false;
}

void vcpu_thread_stop(struct vcpu_thread *t, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (t[i].started)
			atomic_store(&t[i].shared->stopping, true);
	for (unsigned int i = 0; i < n; i++)
		if (t[i].started)
			kick_and_join(&t[i]);
}
