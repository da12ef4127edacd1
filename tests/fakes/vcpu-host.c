/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scripts, doorbells and virqs, all under one lock.
 */
#include "tests/fakes/vcpu-host.h"

#include "libghvm/hyp/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VCPU_RUN 0x65
#define DOORBELL_SEND 0x12
#define FIRST_VIRQ 1000

static void fire(struct scripted_host *h, unsigned int vcpu)
{
	uint64_t one = 1;

	if (h->eventfds[vcpu] >= 0 && write(h->eventfds[vcpu], &one, sizeof(one)) < 0)
		abort();
}

/* Under the lock. */
static void play(struct scripted_host *h, unsigned int vcpu, struct ghvm_hcall *call)
{
	const struct scripted_step *step = NULL;

	h->resume[vcpu][h->runs[vcpu] % 64] = call->args[1];
	h->runs[vcpu]++;
	memset(call->results, 0, sizeof(call->results));
	if (h->at[vcpu] >= h->n_steps[vcpu])
		return;
	step = &h->scripts[vcpu][h->at[vcpu]];
	call->results[0] = (uint64_t)(int64_t)step->status;
	call->results[1] = step->state;
	memcpy(&call->results[2], step->data, sizeof(step->data));
	if (step->fire)
		fire(h, step->fire - 1);
	if (h->repeated[vcpu]++ < step->repeat)
		return;
	h->repeated[vcpu] = 0;
	h->at[vcpu]++;
}

static int ring(struct scripted_host *h, uint64_t cap, struct ghvm_hcall *call)
{
	memset(call->results, 0, sizeof(call->results));
	if (h->ring_fails_for) {
		h->ring_fails_for--;
		call->results[0] = (uint64_t)(int64_t)h->ring_status;
		return h->ring_fails;
	}
	h->rings[cap - SCRIPTED_BELL_CAP]++;
	return 0;
}

static int on_hcall(struct ghvm_host *host, struct ghvm_hcall *call)
{
	struct scripted_host *h = (struct scripted_host *)host;
	uint64_t cap = call->args[0];
	int r = 0;

	pthread_mutex_lock(&h->lock);
	if (h->revoked)
		r = -ESTALE;
	else if (call->call == VCPU_RUN && cap < SCRIPTED_VCPUS)
		play(h, (unsigned int)cap, call);
	else if (call->call == DOORBELL_SEND && cap >= SCRIPTED_BELL_CAP &&
		 cap < SCRIPTED_BELL_CAP + SCRIPTED_BELLS)
		r = ring(h, cap, call);
	else
		r = -EPERM;
	pthread_mutex_unlock(&h->lock);
	return r;
}

static int on_irq(struct ghvm_host *host, uint32_t kind, uint32_t virq, int eventfd)
{
	struct scripted_host *h = (struct scripted_host *)host;

	if (kind != GHVM_IRQ_VIRQ || virq < FIRST_VIRQ || virq >= FIRST_VIRQ + SCRIPTED_VCPUS)
		return -EPERM;
	pthread_mutex_lock(&h->lock);
	h->eventfds[virq - FIRST_VIRQ] = eventfd;
	if (eventfd >= 0)
		fire(h, virq - FIRST_VIRQ); /* as the module does, so that none is lost */
	pthread_mutex_unlock(&h->lock);
	return 0;
}

static void on_close(struct ghvm_host *host)
{
	struct scripted_host *h = (struct scripted_host *)host;

	pthread_mutex_lock(&h->lock);
	h->closed = true;
	for (unsigned int i = 0; i < SCRIPTED_VCPUS; i++)
		h->eventfds[i] = -1;
	if (h->fd >= 0)
		(void)close(h->fd);
	h->fd = -1;
	pthread_mutex_unlock(&h->lock);
}

static const struct ghvm_host_ops ops = {
	.hcall = on_hcall,
	.irq = on_irq,
	.close = on_close,
};

void scripted_host_init(struct scripted_host *h)
{
	*h = (struct scripted_host){
		.host.ops = &ops,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.fd = -1,
	};
	for (unsigned int i = 0; i < SCRIPTED_VCPUS; i++)
		h->eventfds[i] = -1;
}

unsigned int scripted_host_rings(struct scripted_host *h, unsigned int bell)
{
	unsigned int n;

	pthread_mutex_lock(&h->lock);
	n = h->rings[bell];
	pthread_mutex_unlock(&h->lock);
	return n;
}

void scripted_host_fail_rings(struct scripted_host *h, int r, int32_t status, unsigned int times)
{
	pthread_mutex_lock(&h->lock);
	h->ring_fails = r;
	h->ring_status = status;
	h->ring_fails_for = times;
	pthread_mutex_unlock(&h->lock);
}

uint64_t scripted_host_runs(struct scripted_host *h, unsigned int vcpu)
{
	uint64_t n;

	pthread_mutex_lock(&h->lock);
	n = h->runs[vcpu];
	pthread_mutex_unlock(&h->lock);
	return n;
}

void scripted_host_revoke(struct scripted_host *h)
{
	pthread_mutex_lock(&h->lock);
	h->revoked = true;
	pthread_mutex_unlock(&h->lock);
}

void scripted_host_script(struct scripted_host *h, unsigned int vcpu,
			  const struct scripted_step *steps, size_t n)
{
	pthread_mutex_lock(&h->lock);
	h->scripts[vcpu] = steps;
	h->n_steps[vcpu] = n;
	h->at[vcpu] = 0;
	pthread_mutex_unlock(&h->lock);
}

void scripted_host_fire(struct scripted_host *h, unsigned int vcpu)
{
	pthread_mutex_lock(&h->lock);
	fire(h, vcpu);
	pthread_mutex_unlock(&h->lock);
}
