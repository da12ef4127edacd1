/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that comes and goes, with a guest that runs: it is the same memory on both sides, a
 * guest may only read what it may only read, and one that does not give it up keeps it.
 */
#include "libghvm/base/cleanup.h"
#include "ghvm/transaction.h"
#include "ghvm/vcpu.h"
#include "libghvm/hyp/host.h"
#include "libghvm/machine/internal.h"
#include "libghvm/rm/rpc.h"
#include "tests/fixtures/demo-plan.h"
#include "tests/fixtures/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM 0x90000ULL
#define INCARNATION 7
#define PATIENCE_MS 20000
#define SIZE 0x4000ULL
#define HEADER 64

/**
 * struct life - a VM, and its runner in a thread
 * @stop: readable: the runner is to end
 */
struct life {
	struct sock_bench *b;
	struct ghvm_rm *rm;
	struct demo demo;
	struct ghvm_machine *m;
	struct ghvm_host *grant;
	struct ghvm_vcpu vcpu;
	int wake;
	int stop;
	pthread_t runner;
};

static void on_notify(void *data, const struct ghvm_rm_notification *n)
{
	const struct life *l = data;

	if (l->m)
		(void)ghvm_machine_on_notify(l->m, n); /* there is one machine only */
}

static void write_script(struct life *l, const char *script)
{
	const int fd = l->demo.files.kernel;
	static const char magic[] = { 'A', 'R', 'M', 0x64 };

	assert_int_equal(pwrite(fd, magic, sizeof(magic), HEADER - 8), sizeof(magic));
	assert_int_equal(pwrite(fd, script, strlen(script) + 1, HEADER), strlen(script) + 1);
}

/* False: it is to end. */
static bool wait_for_wake(struct life *l)
{
	struct pollfd p[] = { { .fd = l->wake, .events = POLLIN },
			      { .fd = l->stop, .events = POLLIN } };
	uint64_t count;

	(void)poll(p, 2, PATIENCE_MS);
	if (p[1].revents)
		return false;
	(void)!read(l->wake, &count, sizeof(count)); /* or it was the time */
	return true;
}

/* Until the guest is off or its grant is gone. */
static void *run(void *data)
{
	struct life *l = data;
	struct ghvm_vcpu *v = &l->vcpu;

	while (ghvm_vcpu_run(v) == 0) {
		bool waits = v->state == GHVM_VCPU_EXPECTS_WAKEUP ||
			     (v->state == GHVM_VCPU_POWERED_OFF && !v->for_good);

		if (v->state == GHVM_VCPU_FAULT || v->for_good || (waits && !wait_for_wake(l)))
			break;
	}
	return NULL;
}

static void start_runner(struct life *l)
{
	struct ghvm_error err = {};
	size_t n;
	const struct ghvm_machine_vcpu *v = ghvm_machine_vcpus(l->m, &n);
	int fd = fcntl(ghvm_machine_grant(l->m), F_DUPFD_CLOEXEC, 3);

	assert_int_equal(n, 1);
	assert_int_equal(ghvm_host_from_fd(fd, &l->grant, &err), 0);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->stop = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(l->grant->ops->irq(l->grant, GHVM_IRQ_VIRQ, v[0].virq.intid, l->wake), 0);
	l->vcpu = (struct ghvm_vcpu){ .host = l->grant, .cap = v[0].cap };
	assert_int_equal(pthread_create(&l->runner, NULL, run, l), 0);
}

static void begin(struct life *l, const char *script)
{
	static const struct demo_options options = { .memory = RAM, .rm_rpc = true };
	struct ghvm_error err = {};

	*l = (struct life){ .b = sock_bench_new("--delay=1", NULL) };
	demo_init(&l->demo, &options);
	write_script(l, script);
	assert_int_equal(ghvm_rm_new(l->b->host, &l->rm, NULL), 0);
	ghvm_rm_set_on_notify(l->rm, on_notify, l);
	assert_int_equal(ghvm_machine_new(l->b->host, l->rm, &l->demo.plan, INCARNATION, &l->m), 0);
	ghvm_machine_set_patience(l->m, PATIENCE_MS);
	if (ghvm_machine_build(l->m, &l->demo.files, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(ghvm_machine_start(l->m, &err), 0);
	start_runner(l);
}

static void end(struct life *l)
{
	struct ghvm_error err = {};

	assert_int_equal(eventfd_write(l->stop, 1), 0);
	assert_int_equal(pthread_join(l->runner, NULL), 0);
	if (ghvm_machine_teardown(l->m, &err) < 0)
		fail_msg("%s", err.msg);
	ghvm_host_close(l->grant);
	(void)close(l->wake);
	(void)close(l->stop);
	assert_int_equal(sock_bench_count(l->b, "violations"), 0);
	assert_int_equal(sock_bench_count(l->b, "parcels"), 0);
	assert_int_equal(sock_bench_count(l->b, "pins"), 0);
	assert_int_equal(sock_bench_count(l->b, "vms"), 0);
	ghvm_machine_free(l->m);
	ghvm_rm_free(l->rm);
	demo_done(&l->demo);
	sock_bench_freep(&l->b);
}

static struct ghvm_transaction *begin_change(struct life *l)
{
	struct ghvm_transaction *t;

	assert_int_equal(ghvm_transaction_new(l->m, &t, NULL), 0);
	return t;
}

/* At 0x50000000 + 0x10000 * label. */
static void add(struct life *l, uint32_t label, bool readonly, uint32_t **ret)
{
	_cleanup_(ghvm_transaction_freep) struct ghvm_transaction *t = begin_change(l);
	_cleanup_(closep) int fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const struct ghvm_transaction_add a = { .label = label,
						.ipa = 0x50000000ULL + label * 0x10000ULL,
						.size = SIZE,
						.readonly = readonly,
						.memfd = fd };
	struct ghvm_error err = {};

	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	*ret = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(*ret != MAP_FAILED);
	assert_int_equal(ghvm_transaction_add(t, &a, &err), 0);
	if (ghvm_transaction_commit(t, PATIENCE_MS, &err) < 0)
		fail_msg("%s", err.msg);
}

static int take(struct life *l, uint32_t label, unsigned int ms, struct ghvm_error *err)
{
	_cleanup_(ghvm_transaction_freep) struct ghvm_transaction *t = begin_change(l);

	assert_int_equal(ghvm_transaction_remove(t, label, err), 0);
	return ghvm_transaction_commit(t, ms, err);
}

static void await(const uint32_t *word, uint32_t value)
{
	for (int ms = 0; ms < PATIENCE_MS; ms++) {
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
			return;
		(void)poll(NULL, 0, 1);
	}
	fail_msg("the word is 0x%x instead of 0x%x", *word, value);
}

static void is_the_same_memory_on_both_sides(void **state)
{
	struct ghvm_machine_region v[4];
	struct ghvm_error err = {};
	uint32_t *first, *second;
	struct life l;

	begin(&l, "GHVM-SCRIPT\n"
		  "mem-accept 7\n"
		  "mem-await 0x50070000 0x12345678\n"
		  "mem-write 0x50073ffc 0xcafe\n"
		  "mem-release 7\n"
		  "mem-accept 8\n"
		  "mem-write 0x50080000 77\n"
		  "mem-release\n"
		  "wfi\n");
	add(&l, 7, false, &first);
	__atomic_store_n(first, 0x12345678, __ATOMIC_RELEASE);
	await(first + SIZE / 4 - 1, 0xcafe);
	if (take(&l, 7, PATIENCE_MS, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(first[0], 0x12345678);
	add(&l, 8, false, &second);
	await(second, 77);
	assert_int_equal(ghvm_machine_regions(l.m, v, 4), 2);
	assert_int_equal(v[0].label, 8);
	end(&l); /* with the second */
	(void)munmap(first, SIZE);
	(void)munmap(second, SIZE);
}

static void what_may_be_read_only_cannot_be_written(void **state)
{
	struct life l;
	uint32_t *word;

	begin(&l, "GHVM-SCRIPT\n"
		  "mem-accept\n"
		  "mem-await 0x50070004 5\n"
		  "mem-write 0x50070000 1\n"
		  "wfi\n");
	add(&l, 7, true, &word);
	word[0] = 3;
	__atomic_store_n(word + 1, 5, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(l.runner, NULL), 0); /* it faulted */
	assert_int_equal(l.vcpu.state, GHVM_VCPU_FAULT);
	assert_int_equal(word[0], 3);
	assert_int_equal(pthread_create(&l.runner, NULL, run, &l), 0);
	end(&l);
	(void)munmap(word, SIZE);
}

static void who_does_not_give_it_up_keeps_it(void **state)
{
	struct ghvm_error err = {};
	struct life l;
	uint32_t *word;

	begin(&l, "GHVM-SCRIPT\nmem-keep\n");
	add(&l, 7, false, &word);
	for (int i = 0; i < 2; i++) {
		struct ghvm_machine_region v[4];

		/* once it has it: until then it could be taken */
		do
			assert_int_equal(ghvm_rm_dispatch(l.rm), 0);
		while (ghvm_machine_regions(l.m, v, 4) == 2 && !v[0].accepted);
		assert_int_equal(take(&l, 7, 50, &err), -ETIMEDOUT);
		assert_int_equal(sock_bench_count(l.b, "parcels"), 2);
	}
	end(&l);
	(void)munmap(word, SIZE);
}

static void what_is_not_there_cannot_be_touched(void **state)
{
	struct ghvm_transaction *t;
	struct life l;

	begin(&l, "GHVM-SCRIPT\nmem-write 0x50070000 1\n");
	assert_int_equal(pthread_join(l.runner, NULL), 0);
	assert_int_equal(l.vcpu.state, GHVM_VCPU_FAULT);
	while (!ghvm_machine_exited(l.m, &(enum ghvm_exit_type){ 0 }))
		assert_int_equal(ghvm_rm_dispatch(l.rm), 0);
	assert_int_equal(ghvm_transaction_new(l.m, &t, NULL), -EBUSY);
	assert_int_equal(pthread_create(&l.runner, NULL, run, &l), 0);
	end(&l);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_the_same_memory_on_both_sides),
		cmocka_unit_test(what_may_be_read_only_cannot_be_written),
		cmocka_unit_test(who_does_not_give_it_up_keeps_it),
		cmocka_unit_test(what_is_not_there_cannot_be_touched),
	};

	sock_bench_program(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
