/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main loop: descriptors, timers, signals and what runs at the end of a turn.
 *
 * A door to libevent, so that nothing else needs to know it but bus/connection.c.
 * Thread: main, all of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOOP_TURN_USEC 5000 /* that who has more to do may take of one turn */

struct loop;
struct event;
struct event_base;

typedef void (*loop_fn)(void *data);

/**
 * struct loop_watch - one thing waited for; embedded, zero is "nothing"
 * @ev: owned
 * @loop, @next, @deferred, @due: of what runs after the turn; the loop's
 */
struct loop_watch {
	struct event *ev;
	struct loop *loop;
	struct loop_watch *next;
	bool deferred;
	bool due;
	loop_fn fn;
	void *data;
};

int loop_new(struct loop **ret);
/* After every watch was done. Accepts NULL. */
void loop_free(struct loop *l);

/* Returns when loop_stop() was called; its argument, or a negative errno. */
int loop_run(struct loop *l);
/* Runs until @done says so. 0; -ECANCELED loop_stop() was called before. */
int loop_run_until(struct loop *l, bool (*done)(const void *data), const void *data);
void loop_stop(struct loop *l, int result);

/* Borrowed, for bus/connection.c. */
struct event_base *loop_base(struct loop *l);

/* Call @fn whenever @fd is readable (or at its end). @fd stays the caller's. */
int loop_watch_read(struct loop *l, struct loop_watch *w, int fd, loop_fn fn, void *data);
int loop_watch_signal(struct loop *l, struct loop_watch *w, int signum, loop_fn fn, void *data);

/* A timer, disarmed; arming it again moves it. */
int loop_watch_timer(struct loop *l, struct loop_watch *w, loop_fn fn, void *data);
int loop_timer_arm(struct loop_watch *w, uint64_t ms);
void loop_timer_disarm(struct loop_watch *w);

/* Runs once after loop_defer(), when all that was ready in this turn was handled. */
void loop_watch_deferred(struct loop *l, struct loop_watch *w, loop_fn fn, void *data);
void loop_defer(struct loop_watch *w);

/* Stop waiting. Leaves @w reusable; right for a zeroed one. */
void loop_watch_done(struct loop_watch *w);
bool loop_watching(const struct loop_watch *w);
