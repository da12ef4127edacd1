/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Grants: calls and virqs that a holder may use until it is revoked. */
#include "tests/model/sock/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct grant *find_grant(struct server *s, uint64_t id)
{
	for (struct grant *g = s->grants; g; g = g->next) {
		if (g->id == id && !g->revoked)
			return g;
	}
	return NULL;
}

static void free_grant(struct grant *g)
{
	free(g->calls);
	free(g->virqs);
	free(g);
}

static void *copy_of(const uint8_t *p, size_t n)
{
	void *r = malloc(n ? n : 1);

	if (r && n)
		memcpy(r, p, n);
	return r;
}

static int check_lists(const struct grant *g)
{
	for (uint32_t i = 0; i < g->n_calls; i++) {
		uint32_t call = g->calls[i].call;

		if (g->calls[i].__reserved)
			return -EINVAL;
		if (call == GHVM_CALL_MSGQUEUE_SEND || call == GHVM_CALL_MSGQUEUE_RECEIVE)
			return -EPERM;
	}
	for (uint32_t i = 0; i < g->n_virqs; i++) {
		if (g->virqs[i] < SERVER_VIRQ_FIRST || g->virqs[i] > SERVER_VIRQ_LAST)
			return -EINVAL;
	}
	return 0;
}

/* The lists follow the structure. */
static int load_lists(struct grant *g, const struct ghvm_grant *arg, const struct request *rq)
{
	size_t calls = arg->n_calls * sizeof(*g->calls), virqs = arg->n_virqs * sizeof(*g->virqs);

	if (rq->len != sizeof(*arg) + calls + virqs)
		return -EFAULT;
	g->id = arg->id;
	g->n_calls = arg->n_calls;
	g->n_virqs = arg->n_virqs;
	g->calls = copy_of(rq->arg + sizeof(*arg), calls);
	g->virqs = copy_of(rq->arg + sizeof(*arg) + calls, virqs);
	if (!g->calls || !g->virqs)
		return -ENOMEM;
	return check_lists(g);
}

static int publish_grant(struct server *s, struct grant *g, struct request *rq)
{
	struct file *f;
	int error;

	if (find_grant(s, g->id))
		return -EEXIST;
	error = server_new_file(s, FILE_GRANT, &f, &rq->out_fd);
	if (error < 0)
		return error;
	f->grant = g;
	g->next = s->grants;
	s->grants = g;
	return 0;
}

int grant_create(struct server *s, struct request *rq)
{
	struct ghvm_grant arg;
	struct grant *g;
	int error = request_arg(rq, &arg, sizeof(arg));

	if (error < 0)
		return error;
	if (arg.flags || !arg.id || arg.n_calls > GHVM_GRANT_MAX || arg.n_virqs > GHVM_GRANT_MAX)
		return -EINVAL;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	error = load_lists(g, &arg, rq);
	if (error == 0)
		error = publish_grant(s, g, rq);
	if (error < 0)
		free_grant(g);
	return error;
}

int grant_revoke(struct server *s, struct request *rq)
{
	struct ghvm_revoke arg;
	struct grant *g;
	int error = request_arg(rq, &arg, sizeof(arg));

	if (error < 0)
		return error;
	if (arg.flags)
		return -EINVAL;
	g = find_grant(s, arg.id);
	if (!g)
		return -ENOENT;
	g->revoked = true;
	for (struct file *f = s->files; f; f = f->next) {
		if (f->grant == g)
			irq_release(s, f);
	}
	return 0;
}

void grant_release(struct server *s, struct grant *g)
{
	struct grant **p = &s->grants;

	while (*p != g)
		p = &(*p)->next;
	*p = g->next;
	free_grant(g);
}

bool grant_has_call(const struct grant *g, uint32_t call, uint64_t capid)
{
	for (uint32_t i = 0; i < g->n_calls; i++) {
		if (g->calls[i].call == call && g->calls[i].capid == capid)
			return true;
	}
	return false;
}

bool grant_has_virq(const struct grant *g, uint32_t virq)
{
	for (uint32_t i = 0; i < g->n_virqs; i++) {
		if (g->virqs[i] == virq)
			return true;
	}
	return false;
}
