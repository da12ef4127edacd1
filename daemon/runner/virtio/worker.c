/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Orders are numbered: a halt waits until the thread has carried out its own or a later one.
 */
#include "daemon/runner/virtio/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libghvm/base/cleanup.h"

void worker_init(struct worker *w)
{
	*w = (struct worker){ .wake = -1 };
	w->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	w->on_done = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}

void worker_wake(struct worker *w)
{
	const uint64_t one = 1;

	if (write(w->wake, &one, sizeof(one)) < 0)
		return; /* a full eventfd is readable, too */
}

void worker_woken(struct worker *w)
{
	uint64_t count;

	if (read(w->wake, &count, sizeof(count)) < 0)
		return; /* it was empty */
}

int worker_start(struct worker *w, void *(*serve)(void *data), void *data, struct ghvm_error *err)
{
	int r;

	w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->wake < 0)
		return ghvm_error_set(err, -errno, "no eventfd: %s", strerror(errno));
	r = pthread_create(&w->thread, NULL, serve, data);
	if (r)
		return ghvm_error_set(err, -r, "no thread: %s", strerror(r));
	w->has_thread = true;
	return 0;
}

void worker_run(struct worker *w, uint64_t features, const struct virtio_queue *queues)
{
	pthread_mutex_lock(&w->lock);
	w->orders.turn++;
	w->orders.runs = true;
	w->orders.features = features;
	memcpy(w->orders.queues, queues, sizeof(w->orders.queues));
	pthread_mutex_unlock(&w->lock);
	worker_wake(w);
}

static void order_end(struct worker *w, bool quit)
{
	unsigned long long turn;

	if (!w->has_thread)
		return;
	pthread_mutex_lock(&w->lock);
	turn = ++w->orders.turn;
	w->orders.runs = false;
	w->orders.quit |= quit;
	worker_wake(w);
	while (w->done < turn)
		pthread_cond_wait(&w->on_done, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void worker_halt(struct worker *w)
{
	order_end(w, false);
}

bool worker_take(struct worker *w, struct worker_orders *ret)
{
	bool news;

	pthread_mutex_lock(&w->lock);
	news = w->orders.turn != w->done;
	if (news)
		*ret = w->orders;
	pthread_mutex_unlock(&w->lock);
	return news;
}

void worker_carried_out(struct worker *w, const struct worker_orders *orders)
{
	pthread_mutex_lock(&w->lock);
	w->done = orders->turn;
	pthread_cond_broadcast(&w->on_done);
	pthread_mutex_unlock(&w->lock);
}

void worker_done(struct worker *w)
{
	order_end(w, true);
	if (w->has_thread)
		(void)pthread_join(w->thread, NULL); /* it has ended, or is about to */
	w->has_thread = false;
	closep(&w->wake);
	w->wake = -1;
	(void)pthread_cond_destroy(&w->on_done);
	(void)pthread_mutex_destroy(&w->lock); /* not held: the thread is joined */
}
