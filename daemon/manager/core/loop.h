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

#define LOOP_TURN_USEC 5000 /* limit for long work within a turn */

struct loop;
struct event;
struct event_base;

typedef void (*loop_fn)(void *data);

/**
 * struct loop_watch - a source of events; embedded; zero: unused
 * @ev: owned
 * @loop, @next, @deferred, @due: of deferred functions; private to the loop
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
/* Call it after loop_watch_done() of all watches. Accepts NULL. */
void loop_free(struct loop *l);

/* Run until loop_stop(). Return: the argument of loop_stop(), or a negative errno. */
int loop_run(struct loop *l);
/* Run until @done returns true. Return: 0; -ECANCELED loop_stop() was called. */
int loop_run_until(struct loop *l, bool (*done)(const void *data), const void *data);
void loop_stop(struct loop *l, int result);

/* Borrowed, for bus/connection.c. */
struct event_base *loop_base(struct loop *l);

/* Call @fn whenever @fd is readable or closed by the peer. @fd: borrowed */
int loop_watch_read(struct loop *l, struct loop_watch *w, int fd, loop_fn fn, void *data);
int loop_watch_signal(struct loop *l, struct loop_watch *w, int signum, loop_fn fn, void *data);

/* A timer, disarmed; arming it again moves it. */
int loop_watch_timer(struct loop *l, struct loop_watch *w, loop_fn fn, void *data);
int loop_timer_arm(struct loop_watch *w, uint64_t ms);
void loop_timer_disarm(struct loop_watch *w);

/* After loop_defer(), call @fn once, when all events of this turn have been handled. */
void loop_watch_deferred(struct loop *l, struct loop_watch *w, loop_fn fn, void *data);
void loop_defer(struct loop_watch *w);

/* Stop watching. @w can be used again. Does nothing for a zeroed watch. */
void loop_watch_done(struct loop_watch *w);
bool loop_watching(const struct loop_watch *w);
