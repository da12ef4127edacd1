/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pins and their quarantine: the module's page rule, and whether clients follow it.
 *
 * The module cannot know the owner of a page. The model can, and counts a violation when a page
 * is unpinned that a guest still owns.
 */
#include "libghvm/hyp/host.h"
#include "tests/model/sock/server.h"

#include "libghvm/hyp/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int open_file(struct server *s, struct pin *pin, struct request *rq)
{
	struct file *f;
	int error = server_new_file(s, FILE_PIN, &f, &rq->out_fd);

	if (error < 0)
		return error;
	f->pin = pin;
	return 0;
}

static void unlink_pin(struct server *s, struct pin *pin)
{
	struct pin **p = &s->pins;

	while (*p != pin)
		p = &(*p)->next;
	*p = pin->next;
}

static void free_pin(struct server *s, struct pin *pin)
{
	unlink_pin(s, pin);
	free(pin->extents);
	free(pin);
}

/* Append, so that ids rise along the list. */
static void link_pin(struct server *s, struct pin *pin)
{
	struct pin **p = &s->pins;

	while (*p)
		p = &(*p)->next;
	*p = pin;
}

int pin_create(struct server *s, struct request *rq)
{
	struct ghvm_pin arg;
	struct ram_file file;
	struct pin *pin;
	int error = request_arg(rq, &arg, sizeof(arg));

	if (error < 0)
		return error;
	if (arg.flags & ~(uint32_t)GHVM_PIN_READONLY || arg.__reserved)
		return -EINVAL;
	pin = calloc(1, sizeof(*pin));
	if (!pin)
		return -ENOMEM;
	file = (struct ram_file){ rq->fd, arg.flags & GHVM_PIN_READONLY };
	error = ram_pin(&s->ram, &file, arg.start, arg.length, &pin->extents, &pin->n_extents);
	if (error < 0) {
		free(pin);
		return error;
	}
	pin->length = arg.length;
	pin->state = GHVM_PIN_HELD;
	pin->id = ++s->last_pin;
	link_pin(s, pin);
	error = open_file(s, pin, rq);
	if (error < 0) {
		ram_unpin(&s->ram, pin->extents, pin->n_extents);
		free_pin(s, pin);
	}
	return error;
}

/* Bytes of @pin that a guest owns or shares. */
static uint64_t owned_bytes(const struct server *s, const struct pin *pin, uint64_t *ret_first)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < pin->n_extents; i++) {
		const struct ghvm_extent *e = &pin->extents[i];

		for (uint64_t pa = e->pa; pa < e->pa + e->length; pa += SERVER_PAGE) {
			if (!model_page_owner(s->model, pa))
				continue;
			if (!n)
				*ret_first = pa;
			n += SERVER_PAGE;
		}
	}
	return n;
}

/* The last file of the pin is closed. A guarded pin is kept for ever in case it is adopted. */
void pin_release(struct server *s, struct pin *pin)
{
	uint64_t first = 0, owned;

	if (pin->state == GHVM_PIN_GUARDED) {
		pin->quarantined = true;
		return;
	}
	owned = owned_bytes(s, pin, &first);
	if (owned)
		server_violation(s, "a held pin was closed while a guest has pages of it", first,
				 owned);
	else
		ram_unpin(&s->ram, pin->extents, pin->n_extents);
	free_pin(s, pin);
}

static int pin_status(struct pin *pin, struct request *rq)
{
	struct ghvm_pin_status arg;
	int error = request_arg(rq, &arg, sizeof(arg));

	if (error < 0)
		return error;
	if (arg.__reserved)
		return -EINVAL;
	arg.state = pin->state;
	arg.id = pin->id;
	arg.length = pin->length;
	arg.n_extents = pin->n_extents;
	arg.assigned = 0;
	memcpy(arg.tag, pin->tag, sizeof(arg.tag));
	(void)request_put(rq, &arg, sizeof(arg)); /* the reply is empty */
	return 0;
}

static int pin_extents(struct pin *pin, struct request *rq)
{
	struct ghvm_pin_extents arg;
	int error = request_arg(rq, &arg, sizeof(arg));
	uint64_t left, most = GHVM_SOCK_DATA_MAX / sizeof(struct ghvm_extent);

	if (error < 0)
		return error;
	left = arg.first < pin->n_extents ? pin->n_extents - arg.first : 0;
	if (arg.count > left)
		arg.count = (uint32_t)left;
	if (arg.count > most)
		arg.count = (uint32_t)most;
	(void)request_put(rq, &arg, sizeof(arg)); /* both fit */
	(void)request_put(rq, pin->extents + arg.first, arg.count * sizeof(struct ghvm_extent));
	return 0;
}

static int set_state(struct server *s, struct pin *pin, struct request *rq)
{
	struct ghvm_pin_set arg;
	int error = request_arg(rq, &arg, sizeof(arg));
	uint64_t first = 0, owned;

	if (error < 0)
		return error;
	if (arg.state != GHVM_PIN_HELD && arg.state != GHVM_PIN_GUARDED)
		return -EINVAL;
	owned = arg.state == GHVM_PIN_HELD ? owned_bytes(s, pin, &first) : 0;
	if (owned)
		server_violation(s, "a guard was cleared while a guest has pages", first, owned);
	pin->state = arg.state;
	memcpy(pin->tag, arg.tag, sizeof(pin->tag));
	ram_set_guarded(&s->ram, pin->extents, pin->n_extents, arg.state == GHVM_PIN_GUARDED);
	return 0;
}

/* Copy into the extents from @offset of the pin on. */
static void copy_in(struct server *s, const struct pin *pin, uint64_t offset, const uint8_t *from,
		    size_t n)
{
	for (uint64_t i = 0; i < pin->n_extents && n; i++) {
		const struct ghvm_extent *e = &pin->extents[i];
		size_t some;

		if (offset >= e->length) {
			offset -= e->length;
			continue;
		}
		some = e->length - offset < n ? (size_t)(e->length - offset) : n;
		if (model_page_owner(s->model, e->pa + offset))
			server_violation(s, "a write into a guest's page", e->pa + offset, some);
		memcpy(ram_at(&s->ram, e->pa + offset, some), from, some);
		from += some;
		n -= some;
		offset = 0;
	}
}

static int write_pin(struct server *s, struct pin *pin, struct request *rq)
{
	struct ghvm_sock_write arg;
	size_t n;

	if (rq->len < sizeof(arg))
		return -EINVAL;
	memcpy(&arg, rq->arg, sizeof(arg));
	n = rq->len - sizeof(arg);
	if (pin->state == GHVM_PIN_GUARDED) {
		s->counters.guarded_writes++;
		return -EBUSY;
	}
	if (arg.offset > pin->length || n > pin->length - arg.offset)
		return -ENOSPC;
	copy_in(s, pin, arg.offset, rq->arg + sizeof(arg), n);
	return 0;
}

int pin_request(struct server *s, struct pin *pin, struct request *rq)
{
	switch (rq->op) {
	case GHVM_PIN_STATUS:
		return pin_status(pin, rq);
	case GHVM_PIN_EXTENTS:
		return pin_extents(pin, rq);
	case GHVM_PIN_SET:
		return set_state(s, pin, rq);
	case GHVM_SOCK_WRITE:
		return write_pin(s, pin, rq);
	default:
		return -ENOTTY;
	}
}

static bool put_entry(struct request *rq, const struct pin *pin)
{
	struct ghvm_quarantine_entry e = { .id = pin->id, .length = pin->length };

	e.n_extents = pin->n_extents;
	memcpy(e.tag, pin->tag, sizeof(e.tag));
	return request_put(rq, &e, sizeof(e));
}

int quarantine_list(struct server *s, struct request *rq)
{
	struct ghvm_quarantine_list arg;
	int error = request_arg(rq, &arg, sizeof(arg));
	const uint32_t most = GHVM_SOCK_DATA_MAX / sizeof(struct ghvm_quarantine_entry);
	uint32_t n = 0, want;

	if (error < 0)
		return error;
	want = arg.count < most ? arg.count : most;
	(void)request_put(rq, &arg, sizeof(arg)); /* its count is set below */
	for (const struct pin *p = s->pins; p && n < want; p = p->next) {
		if (p->quarantined && p->id > arg.after)
			n += put_entry(rq, p);
	}
	arg.count = n;
	memcpy(rq->out, &arg, sizeof(arg));
	return 0;
}

int quarantine_adopt(struct server *s, struct request *rq)
{
	struct ghvm_quarantine_adopt arg;
	int error = request_arg(rq, &arg, sizeof(arg));

	if (error < 0)
		return error;
	if (arg.flags)
		return -EINVAL;
	for (struct pin *p = s->pins; p; p = p->next) {
		if (!p->quarantined || p->id != arg.id)
			continue;
		error = open_file(s, p, rq);
		if (error == 0)
			p->quarantined = false;
		return error;
	}
	return -ENOENT;
}

uint64_t quarantine_pages(const struct server *s)
{
	uint64_t n = 0;

	for (const struct pin *p = s->pins; p; p = p->next)
		n += p->quarantined ? p->length / SERVER_PAGE : 0;
	return n;
}
