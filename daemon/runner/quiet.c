/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/runner/quiet.h"

#include <stdio.h>
#include <time.h>

#define CLOCK_SIZE 32

/* Return: the first vCPU that has run without an exit for @limit_ms, or -1. */
static int look_at_vcpus(struct quiet *q, const struct guest *g, uint64_t now,
			 unsigned int limit_ms)
{
	int found = -1;

	for (size_t i = 0; i < g->info.n_vcpus; i++) {
		const struct vcpu_thread *t = &g->threads[i];
		uint64_t exits = atomic_load(&t->exits);

		if (exits != q->exits[i] || atomic_load(&t->waits) || !q->since[i])
			q->since[i] = now;
		else if (found < 0 && now - q->since[i] >= limit_ms)
			found = (int)i;
		q->exits[i] = exits;
		vcpu_thread_wake(t);
	}
	return found;
}

static void look_at_console(struct quiet *q, const struct guest *g, uint64_t now)
{
	const struct console *console = devices_console(&g->devices);
	uint64_t written = console ? console_written(console) : 0;

	if (written != q->written)
		q->output = now;
	q->written = written;
}

/* The wall-clock time of @then. */
static const char *wall_time(uint64_t now, uint64_t then, char ret[CLOCK_SIZE])
{
	time_t t = time(NULL) - (time_t)((now - then) / 1000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(ret, CLOCK_SIZE, "%F %T", &tm))
		*ret = '\0';
	return ret;
}

static void describe_vcpu(const struct quiet *q, const struct guest *g, int vcpu, uint64_t now,
			  char *ret, size_t size)
{
	char a[CLOCK_SIZE], b[CLOCK_SIZE];

	(void)snprintf(ret, size, "vCPU %d runs without an exit since %s%s%s", vcpu,
		       wall_time(now, q->since[vcpu], a),
		       !devices_console(&g->devices) ? ""
		       : q->output		     ? ", no output since "
						     : ", no output at all",
		       q->output ? wall_time(now, q->output, b) : "");
}

bool quiet_look(struct quiet *q, const struct guest *g, uint64_t now, unsigned int limit_ms,
		char *ret, size_t size)
{
	bool said = q->said;
	int vcpu;

	if (now < q->next)
		return false;
	q->next = now + limit_ms / QUIET_LOOKS;
	look_at_console(q, g, now);
	vcpu = look_at_vcpus(q, g, now, limit_ms);
	q->said = vcpu >= 0;
	if (q->said == said)
		return false;
	*ret = '\0';
	if (q->said)
		describe_vcpu(q, g, vcpu, now, ret, size);
	return true;
}
