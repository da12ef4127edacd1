/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to a resource manager that is played from a script, for test-rm*.c.
 */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "libghvm/rm.h"
#include "tests/unit/script-host.h"

struct fixture {
	struct script_host *s;
	struct ghvm_rm *rm;
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w;
	struct ghvm_get g;
	struct ghvm_error err;
	unsigned int notified;
	uint32_t last_id;
	uint8_t last[64];
	size_t last_len;
	pthread_t notified_on;
};

/* cmocka's; the fixture is the state. */
int rm_bench_setup(void **state);
int rm_bench_teardown(void **state);

/* Counts and keeps the last one; @data: the fixture. */
void rm_bench_on_notify(void *data, const struct ghvm_rm_notification *n);

int rm_bench_call(struct fixture *f, uint32_t id, const void *payload, size_t len);

/* @len bytes that differ; free(). */
uint8_t *rm_bench_pattern(size_t len);
