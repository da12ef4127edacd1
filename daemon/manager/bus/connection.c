/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sd-bus under libevent: one event holds descriptor and timeout, re-armed after every
 * sd_bus_process(), because the wanted events change with each message.
 */
#include "daemon/manager/bus/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/manager/bus/error-names.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"

static uint64_t now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static struct timeval *until_to_timeval(uint64_t until, struct timeval *ret)
{
	const uint64_t now = now_usec(), left = until > now ? until - now : 0;

	*ret = (struct timeval){ .tv_sec = (time_t)(left / 1000000),
				 .tv_usec = (suseconds_t)(left % 1000000) };
	return ret;
}

static void on_bus(evutil_socket_t fd, short what, void *data);

/* Wait for the events that sd-bus needs now. */
static int bus_arm(struct bus *b)
{
	struct timeval tv;
	uint64_t until;
	int events, r;
	short what;

	events = sd_bus_get_events(b->conn);
	if (events < 0)
		return events;
	r = sd_bus_get_timeout(b->conn, &until);
	if (r < 0)
		return r;
	what = (short)((events & POLLIN ? EV_READ : 0) | (events & POLLOUT ? EV_WRITE : 0));
	(void)event_del(b->event); /* it may not be added */
	if (event_assign(b->event, loop_base(b->loop), sd_bus_get_fd(b->conn), what, on_bus, b) <
		    0 ||
	    event_add(b->event, until == UINT64_MAX ? NULL : until_to_timeval(until, &tv)) < 0)
		return -EIO;
	return 0;
}

static void report_lost(struct bus *b, int r)
{
	(void)event_del(b->event); /* it may not be added */
	b->on_lost(b->data, r);
}

static void on_bus(evutil_socket_t fd, short what, void *data)
{
	struct bus *b = data;
	const uint64_t begun = now_usec();
	int r;

	do /* limited, so that clients of the bus do not starve helpers and runners */
		r = sd_bus_process(b->conn, NULL);
	while (r > 0 && now_usec() - begun < LOOP_TURN_USEC);
	if (r >= 0)
		r = bus_arm(b); /* the timeout is zero if messages are left */
	if (r < 0)
		report_lost(b, r);
}

void bus_kick(struct bus *b)
{
	int r;

	if (!b->event)
		return;
	r = bus_arm(b);
	if (r < 0)
		report_lost(b, r);
}

void bus_defer(struct bus *b)
{
	loop_defer(&b->flush);
}

/* --- functions for methods --- */

int bus_fail(sd_bus_error *ret, const struct ghvm_error *err)
{
	return sd_bus_error_set(ret, failure_name(err), err->msg);
}

static void note_activity(struct bus *b)
{
	if (b->on_activity)
		b->on_activity(b->data);
}

int bus_check_host(struct bus *b, sd_bus_error *ret)
{
	struct ghvm_error err;

	note_activity(b);
	return manager_check_host(b->manager, &err) < 0 ? bus_fail(ret, &err) : 0;
}

int bus_check_hypervisor(struct bus *b, sd_bus_error *ret)
{
	struct ghvm_error err;

	note_activity(b);
	return manager_check_hypervisor(b->manager, &err) < 0 ? bus_fail(ret, &err) : 0;
}

int bus_unknown_option(const char *key, sd_bus_error *ret)
{
	return sd_bus_error_setf(ret, SD_BUS_ERROR_INVALID_ARGS, "unknown option '%s'", key);
}

static int read_option(sd_bus_message *m, bus_option_fn fn, void *data, sd_bus_error *ret)
{
	const char *key;
	int r = sd_bus_message_read(m, "s", &key);

	if (r >= 0)
		r = fn(m, key, data, ret);
	if (r == -ENXIO && !sd_bus_error_is_set(ret))
		return sd_bus_error_setf(ret, SD_BUS_ERROR_INVALID_ARGS,
					 "option '%s' has the wrong type", key);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

int bus_read_known_options(sd_bus_message *m, bus_option_fn fn, void *data, sd_bus_error *ret)
{
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = read_option(m, fn, data, ret);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int no_option(sd_bus_message *m, const char *key, void *data, sd_bus_error *ret)
{
	return bus_unknown_option(key, ret);
}

int bus_read_options(sd_bus_message *m, sd_bus_error *ret)
{
	return bus_read_known_options(m, no_option, NULL, ret);
}

int bus_reply_text(sd_bus_message *m, const char *text)
{
	_cleanup_(closep) int fd = ghvm_file_seal("text", text, strlen(text));

	return fd < 0 ? fd : sd_bus_reply_method_return(m, "h", fd);
}

int bus_send_reply(sd_bus_message *reply, int r)
{
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	(void)sd_bus_message_unref(reply);
	return r < 0 ? r : 1;
}

/* --- connection --- */

static int connect_to(const char *address, sd_bus **ret)
{
	sd_bus *conn = NULL;
	int r;

	if (!strcmp(address, "system"))
		return sd_bus_open_system(ret);
	if (!strcmp(address, "user"))
		return sd_bus_open_user(ret);
	r = sd_bus_new(&conn);
	if (r >= 0)
		r = sd_bus_set_address(conn, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(conn, true);
	if (r >= 0)
		r = sd_bus_start(conn);
	if (r < 0) {
		(void)sd_bus_unref(conn);
		return r;
	}
	*ret = conn;
	return 0;
}

int bus_connect(struct bus *b, struct manager *m, const char *address)
{
	b->loop = m->loop;
	b->manager = m;
	return connect_to(address, &b->conn);
}

int bus_start(struct bus *b, loop_fn on_flush)
{
	int r;

	loop_watch_deferred(b->loop, &b->flush, on_flush, b);
	b->event = event_new(loop_base(b->loop), -1, 0, on_bus, b);
	if (!b->event)
		return -ENOMEM;
	r = sd_bus_request_name(b->conn, BUS_NAME, 0);
	return r < 0 ? r : bus_arm(b);
}

void bus_close(struct bus *b)
{
	loop_watch_done(&b->flush);
	if (b->event)
		event_free(b->event);
	b->event = NULL;
	b->conn = sd_bus_flush_close_unref(b->conn);
}
