/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ghvm-model in a child process, for tests: its sockets, and what it says of itself.
 */
#pragma once

#include "libghvm/host.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <setjmp.h>

#include <cmocka.h>

struct sock_bench {
	char dir[32];
	char uri[64];
	char control[64];
	pid_t pid;
	int status; /* of the child, after its end */
	struct ghvm_host *host;
};

/* Where the program is: argv[1], or beside the test. */
void sock_bench_program(int argc, char **argv);

/* Starts one with further options, NULL at the end, and connects. */
struct sock_bench *sock_bench_new(const char *option, ...);
void sock_bench_freep(struct sock_bench **b);

/* A command that must be answered "ok". */
void sock_bench_command(struct sock_bench *b, const char *line);
/* One value of "counts". */
uint64_t sock_bench_count(struct sock_bench *b, const char *key);

/* A memfd of @length, all bytes @fill. */
int sock_bench_memfd(uint64_t length, uint8_t fill);
