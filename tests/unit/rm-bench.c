/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/rm-bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void rm_bench_on_notify(void *data, const struct ghvm_rm_notification *n)
{
	struct fixture *f = data;

	f->notified++;
	f->last_id = n->id;
	f->last_len = n->payload.len;
	memcpy(f->last, n->payload.buf, n->payload.len < 64 ? n->payload.len : 64);
	f->notified_on = pthread_self();
}

int rm_bench_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->s = script_host_new();
	assert_int_equal(ghvm_rm_new(&f->s->host, &f->rm, &f->err), 0);
	ghvm_rm_set_deadline(f->rm, 60, 40);
	f->w = (struct ghvm_put){ .buf = f->buf, .cap = sizeof(f->buf) };
	*state = f;
	return 0;
}

int rm_bench_teardown(void **state)
{
	struct fixture *f = *state;

	ghvm_rm_free(f->rm);
	script_host_free(f->s);
	free(f);
	return 0;
}

int rm_bench_call(struct fixture *f, uint32_t id, const void *payload, size_t len)
{
	f->w.len = 0;
	f->w.bad = false;
	ghvm_put_bytes(&f->w, payload, len);
	f->err = (struct ghvm_error){};
	return ghvm_rm_call(f->rm, id, &f->w, &f->g, &f->err);
}

uint8_t *rm_bench_pattern(size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 13 + i / 256);
	return p;
}
