/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main loop, on libevent.
 *
 * All events that are ready in one turn are handled before new events are read, and deferred functions run
 * after each turn, so that a busy source of events does not starve others. Priorities of libevent would
 * not do that: lower ones wait until there are no events of a higher priority.
 */
#include "daemon/manager/core/loop.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

/**
 * struct loop - @deferred: functions to run after this turn
 */
struct loop {
	struct event_base *base;
	struct loop_watch *deferred;
	bool stopped;
	int result;
};

/*
 * By default, libevent counts timers from the beginning of the turn in which they are armed, on a clock
 * with a resolution of 4 ms: a timer armed after long work would fire too early.
 */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME |
							    EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	return base;
}

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->base = new_base();
	if (!l->base) {
		loop_free(l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->base)
		event_base_free(l->base);
	free(l);
}

static void forget_deferred(struct loop_watch *w)
{
	struct loop_watch **at = &w->loop->deferred;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->deferred = false;
}

static struct loop_watch *due(const struct loop *l)
{
	struct loop_watch *w = l->deferred;

	while (w && !w->due)
		w = w->next;
	return w;
}

/* Functions that are deferred by these functions run after the next turn. */
static void run_deferred(struct loop *l)
{
	struct loop_watch *w;

	for (w = l->deferred; w; w = w->next)
		w->due = true;
	while (!l->stopped && (w = due(l))) {
		forget_deferred(w);
		w->fn(w->data);
	}
}

int loop_run(struct loop *l)
{
	int r;

	for (l->stopped = false; !l->stopped; run_deferred(l)) {
		r = event_base_loop(l->base, EVLOOP_ONCE | (l->deferred ? EVLOOP_NONBLOCK : 0));
		if (r < 0)
			return -EIO;
		if (r > 0 && !l->deferred) /* no events are registered */
			break;
	}
	return l->result;
}

int loop_run_until(struct loop *l, bool (*done)(const void *data), const void *data)
{
	while (!done(data)) {
		if (event_base_loop(l->base, EVLOOP_ONCE) < 0)
			return -EIO;
		if (event_base_got_break(l->base))
			return -ECANCELED;
	}
	return 0;
}

void loop_stop(struct loop *l, int result)
{
	l->result = result;
	l->stopped = true;
	(void)event_base_loopbreak(l->base); /* fails only for no base */
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

static void on_event(evutil_socket_t fd, short what, void *data)
{
	struct loop_watch *w = data;

	w->fn(w->data);
}

static int watch_fd(struct loop *l, struct loop_watch *w, int fd, short what, loop_fn fn,
		    void *data)
{
	w->fn = fn;
	w->data = data;
	w->ev = event_new(l->base, fd, what, on_event, w);
	return w->ev ? 0 : -ENOMEM;
}

static int watch_now(struct loop *l, struct loop_watch *w, int fd, short what, loop_fn fn,
		     void *data)
{
	int r = watch_fd(l, w, fd, what, fn, data);

	if (r < 0)
		return r;
	if (event_add(w->ev, NULL) < 0) {
		loop_watch_done(w);
		return -EIO;
	}
	return 0;
}

int loop_watch_read(struct loop *l, struct loop_watch *w, int fd, loop_fn fn, void *data)
{
	return watch_now(l, w, fd, EV_READ | EV_PERSIST, fn, data);
}

int loop_watch_signal(struct loop *l, struct loop_watch *w, int signum, loop_fn fn, void *data)
{
	return watch_now(l, w, signum, EV_SIGNAL | EV_PERSIST, fn, data);
}

int loop_watch_timer(struct loop *l, struct loop_watch *w, loop_fn fn, void *data)
{
	return watch_fd(l, w, -1, 0, fn, data);
}

int loop_timer_arm(struct loop_watch *w, uint64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
			      .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	return event_add(w->ev, &tv) < 0 ? -EIO : 0;
}

void loop_timer_disarm(struct loop_watch *w)
{
	if (w->ev)
		(void)event_del(w->ev); /* fails only for no event */
}

void loop_watch_deferred(struct loop *l, struct loop_watch *w, loop_fn fn, void *data)
{
	*w = (struct loop_watch){ .loop = l, .fn = fn, .data = data };
}

void loop_defer(struct loop_watch *w)
{
	if (w->deferred)
		return;
	w->deferred = true;
	w->due = false;
	w->next = w->loop->deferred;
	w->loop->deferred = w;
}

void loop_watch_done(struct loop_watch *w)
{
	if (w->deferred)
		forget_deferred(w);
	if (w->ev)
		event_free(w->ev);
	w->ev = NULL;
}

bool loop_watching(const struct loop_watch *w)
{
	return w->ev;
}
