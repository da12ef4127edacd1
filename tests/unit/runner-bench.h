/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A runner in a thread, with a manager played by the test, a systemd that only listens, and
 * a hypervisor that plays scripts.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/runner/runner.h"
#include "libghvm/link.h"
#include "libghvm/runinfo.h"
#include "tests/unit/scripted-host.h"

#define VMID 0x85
#define INCARNATION 0x1122334455667788ULL

/**
 * struct bench - a runner and all that surrounds it
 * @hosts: of the first and of the second life; @opened: how many were
 * @manager: our end of the control socket
 * @dial: where the runner listens
 * @notify: what it tells systemd
 */
struct bench {
	struct scripted_host hosts[2];
	unsigned int opened;
	int open_error;
	struct ghvm_runinfo info;
	struct fds fds;
	struct runner_config config;
	int manager;
	struct sockaddr_un dial;
	socklen_t dial_size;
	int notify;
	int log;
	unsigned int fds_before;
	bool runs;
	pthread_t thread;
	struct ghvm_link_message m;
};

/* Scripts of ends; vCPU 1 is parked while vCPU 0 plays one. */
extern const struct scripted_step bench_off[2];
extern const struct scripted_step bench_reset[1];
extern const struct scripted_step bench_fault[1];

#define SCRIPT(b, s) bench_script(b, s, ARRAY_SIZE(s))
#define BENCH_TEST(fn) cmocka_unit_test_setup_teardown(fn, bench_set_up, bench_tear_down)

int bench_set_up(void **state);
void bench_launch(struct bench *f);
int bench_join(struct bench *f);
int bench_tear_down(void **state);
void bench_start(struct bench *f);
void bench_script(struct bench *f, const struct scripted_step *s, size_t n);
unsigned int bench_count_fds(void);
void bench_dial(struct bench *f);
void bench_hang_up(struct bench *f);
bool bench_notified(struct bench *f, const char *what);
void bench_say(struct bench *f, uint32_t type, const void *payload, size_t n, const int *fds,
	       size_t n_fds);
void bench_expect(struct bench *f, uint32_t type);
void bench_expect_silence(struct bench *f, int ms);
void bench_expect_hello(struct bench *f);
void bench_expect_exited(struct bench *f, uint64_t state);
void bench_expect_stop(struct bench *f, enum ghvm_link_how how);
void bench_say_ended(struct bench *f, uint32_t type, uint32_t action);
void bench_say_stop(struct bench *f, uint8_t how);
void bench_say_rebuilt(struct bench *f, const struct ghvm_runinfo *info);
void bench_wait_runs(struct scripted_host *h, unsigned int vcpu, uint64_t more);
void bench_wait_rings(struct scripted_host *h, unsigned int bell);
