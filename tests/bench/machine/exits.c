/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions of a guest's exits, of all that runs on the machine: guest, hypervisor, kernel, and the runner's
 * thread of a vCPU. The clock is QEMU's count of instructions (run-exits.sh). guest.S is the guest.
 *
 * What a sleep of the guest costs is what a thread of the lowest priority does not get of the CPU.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/runner/vcpu-thread.h"
#include "libghvm/base/bits.h"
#include "libghvm/hyp/dev.h"
#include "tests/bench/machine/exits.h"
#include "tests/kmod/machine/rm/vm.h"
#include "tests/kmod/machine/t.h"

#define ROUNDS 4
#define CLOCK_NS 16  /* a tick of the guest's clock */
#define DOORBELLS 32 /* in the grant: as many as a VM may have */
#define TURNS 10000  /* of the idle thread, to find out what one costs; in each of */
#define TRIES 100

/**
 * struct bench - what is measured
 * @idle: turns of the idle thread
 * @turn: nanoseconds of one
 * @idler: runs during EXITS_TIMER
 * @at, @idle_at: when the series began
 * @late: of the last EXITS_TIMER
 * @least, @least_late: the best of all rounds, for one exit
 * @rounds: written by the vCPU's thread, read by main
 */
struct bench {
	atomic_ullong idle;
	double turn;
	pthread_t idler;
	uint64_t at;
	uint64_t idle_at;
	uint64_t late;
	double least[EXITS_SERIES];
	double least_late;
	atomic_uint rounds;
};

static void must(long r, const char *what)
{
	if (r < 0)
		t_die("%s: %ld", what, r);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void turn(struct bench *b, uint64_t n)
{
	while (n--)
		atomic_store_explicit(&b->idle,
				      atomic_load_explicit(&b->idle, memory_order_relaxed) + 1,
				      memory_order_relaxed);
}

static void *be_idle(void *data)
{
	const struct sched_param none = {};

	(void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL); /* it holds nothing */
	must(-pthread_setschedparam(pthread_self(), SCHED_IDLE, &none), "SCHED_IDLE");
	turn(data, UINT64_MAX);
	return NULL;
}

static double least_of(double a, double b)
{
	return a != 0 && a < b ? a : b;
}

static void begin(struct bench *b, uint64_t series)
{
	if (series == EXITS_TIMER)
		must(-pthread_create(&b->idler, NULL, be_idle, b), "a thread");
	b->idle_at = atomic_load(&b->idle);
	b->at = now_ns();
}

static void end_timer(struct bench *b, double ns)
{
	const double idle = (double)(atomic_load(&b->idle) - b->idle_at) * b->turn;

	(void)pthread_cancel(b->idler);
	(void)pthread_join(b->idler, NULL);
	b->least[EXITS_TIMER] = least_of(b->least[EXITS_TIMER], (ns - idle) / EXITS_WAITS);
	b->least_late = least_of(b->least_late, (double)b->late * CLOCK_NS / EXITS_WAITS);
	atomic_fetch_add(&b->rounds, 1);
}

static void end(struct bench *b, uint64_t series)
{
	const double ns = (double)(now_ns() - b->at);

	if (series == EXITS_TIMER)
		end_timer(b, ns);
	else if (series < EXITS_TIMER)
		b->least[series] = least_of(b->least[series], ns / EXITS_ACCESSES);
}

static void on_write(void *data, uint64_t offset, unsigned int size, uint64_t value)
{
	struct bench *b = data;

	if (offset == EXITS_BEGIN)
		begin(b, value);
	else if (offset == EXITS_END)
		end(b, value);
	else if (offset == EXITS_LATE)
		b->late = value;
}

static uint64_t on_read(void *data, uint64_t offset, unsigned int size)
{
	return 0;
}

static void on_off(void *data)
{
	t_die("the vCPU is off");
}

static void on_end(void *data, uint64_t state, uint64_t data0)
{
	t_die("the vCPU has ended: %#" PRIx64 " %#" PRIx64, state, data0);
}

static void on_stray(void *data, bool is_write, uint64_t ipa, uint64_t size)
{
	t_die("an access to %#" PRIx64, ipa);
}

/* The vCPU and its virq behind the doorbells of a large VM, which are not rung. */
static struct ghvm_host *grant(int dev, const struct vm *vm, int wake)
{
	struct ghvm_grant_call calls[DOORBELLS + 1] = {};
	struct ghvm_grant arg = { .id = 1,
				  .calls = (uintptr_t)calls,
				  .n_calls = ARRAY_SIZE(calls),
				  .virqs = (uintptr_t)&vm->virq,
				  .n_virqs = 1 };
	struct ghvm_host *host = NULL;
	long fd;

	for (uint64_t i = 0; i < DOORBELLS; i++)
		calls[i] = (struct ghvm_grant_call){ .call = GHVM_CALL_DOORBELL_SEND, .capid = i };
	calls[DOORBELLS] =
		(struct ghvm_grant_call){ .call = GHVM_CALL_VCPU_RUN, .capid = vm->capid };
	fd = t_call(dev, GHVM_GRANT, &arg);
	must(fd, "GRANT");
	must(ghvm_dev_from_fd((int)fd, &host), "a host");
	must(ghvm_host_bind_virq(host, (struct ghvm_virq){ vm->virq }, wake), "the virq");
	return host;
}

static void run(struct bench *b, struct ghvm_host *host, const struct vm *vm, int wake)
{
	const struct mmio_device device = { .first = EXITS_DEVICE,
					    .last = EXITS_DEVICE + 0xfff,
					    .read = on_read,
					    .write = on_write,
					    .data = b };
	struct mmio_table mmio = {};
	struct vcpu_thread_shared shared = {
		.mmio = &mmio, .on_off = on_off, .on_end = on_end, .on_stray = on_stray
	};
	struct vcpu_thread thread;

	must(mmio_add(&mmio, &device), "a device");
	must(vcpu_thread_setup(), "a signal");
	must(vcpu_thread_start(&thread, &shared, host, (struct ghvm_capid){ vm->capid }, wake),
	     "a vCPU");
	while (atomic_load(&b->rounds) < ROUNDS)
		t_ms(100);
	vcpu_thread_stop(&thread, 1);
}

/* What else runs at the time makes some tries longer, but not all. */
static double measure_turn(struct bench *b)
{
	double least = 0;
	uint64_t at;

	for (unsigned int i = 0; i < TRIES; i++) {
		at = now_ns();
		turn(b, TURNS);
		least = least_of(least, (double)(now_ns() - at) / TURNS);
	}
	return least;
}

/* The idle thread and that of the vCPU share one CPU. */
static void prepare(struct bench *b)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");
	cpu_set_t cpu;

	if (!f || fprintf(f, "4\n") < 0 || fclose(f))
		t_die("no huge pages");
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	must(sched_setaffinity(0, sizeof(cpu), &cpu), "one CPU");
	b->turn = measure_turn(b);
}

static size_t read_guest(const char *path, void *buf, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(buf, 1, size, f) : 0;

	if (!n)
		t_die("%s: no guest", path);
	(void)fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	static uint8_t bytes[8192];
	static struct bench b;
	struct code code = { bytes, read_guest(argc > 1 ? argv[1] : "", bytes, sizeof(bytes)) };
	int dev = t_open(), wake = eventfd(0, EFD_CLOEXEC);
	struct rpc rpc;
	struct vm vm;

	must(wake, "eventfd");
	prepare(&b);
	rpc_open(&rpc, dev);
	vm_lend_code(&vm, &rpc, "bench", &code);
	vm_start(&vm, &rpc);
	run(&b, grant(dev, &vm, wake), &vm, wake);
	vm_stop(&vm, &rpc);
	must(vm_reclaim(&vm, &rpc), "RECLAIM");
	vm_free(&vm, &rpc);
	printf("%-32s %12s\n", "instructions of the machine", "an exit");
	printf("%-32s %12.0f\n", "MMIO write", b.least[EXITS_WRITE]);
	printf("%-32s %12.0f\n", "MMIO read", b.least[EXITS_READ]);
	printf("%-32s %12.0f\n", "WFI up to a timer's interrupt", b.least[EXITS_TIMER]);
	printf("%-32s %12.0f\n", "of it after the timer", b.least_late);
	return 0;
}
