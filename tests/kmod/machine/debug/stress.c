// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A minute of everything at once, each against what could come between: for the debug kernel, which
 * sees what goes wrong. Each worker is a process that ends by being killed, so all of this is also
 * SIGKILL in whatever ioctl it is in.
 */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 60
#define LIFE_MS 700 /* of a worker, at most; then another takes its place */
#define PAGES 64
#define GRANTS 4
#define VIRQS 6

static unsigned int seed;

static unsigned int any(unsigned int n)
{
	return (unsigned int)rand_r(&seed) % n;
}

/*
 * Who closes and who adopts share a CPU, and who adopts wakes at any moment and goes first: so it
 * also comes between a pin's way into the quarantine and the end of its close.
 */
static void share_cpu(bool first)
{
	struct sched_param p = { .sched_priority = 1 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0 ||
	    (first && sched_setscheduler(0, SCHED_FIFO, &p) < 0))
		t_die("scheduling");
}

static void guard_and_close(int dev)
{
	size_t length = (1 + any(8)) * PAGE;
	uint8_t *p = t_map(length);
	int pins[16];

	for (size_t i = 0; i < 16; i++) {
		pins[i] = (int)t_pin(dev, p, length);
		if (pins[i] >= 0)
			(void)t_set(pins[i], GHVM_PIN_GUARDED, "stress");
	}
	munmap(p, length);
	for (size_t i = 0; i < 16; i++)
		close(pins[i]);
}

/* Whatever is in the quarantine, one after the other. */
static unsigned int adopt_all(int dev)
{
	struct ghvm_quarantine_entry e[8] = {};
	struct ghvm_quarantine_list list = { .count = 8, .entries = (uintptr_t)e };
	unsigned int n = 0;

	if (t_call(dev, GHVM_QUARANTINE_LIST, &list))
		return 0;
	for (uint32_t i = 0; i < list.count; i++) {
		struct ghvm_quarantine_adopt arg = { .id = e[i].id };
		int pin = (int)t_call(dev, GHVM_QUARANTINE_ADOPT, &arg);

		if (pin < 0)
			continue;
		n++;
		if (any(4))
			(void)t_set(pin, GHVM_PIN_HELD, "");
		close(pin);
	}
	return n;
}

static void closer(int dev)
{
	share_cpu(false);
	for (;;)
		guard_and_close(dev);
}

static void adopter(int dev)
{
	share_cpu(true);
	for (;;) {
		(void)adopt_all(dev);
		usleep(any(200));
	}
}

static long irq(int fd, uint32_t kind, uint32_t virq, int eventfd)
{
	struct ghvm_irq arg = { .kind = kind, .virq = virq, .eventfd = eventfd };

	return t_call(fd, GHVM_IRQ, &arg);
}

static void binder(int dev)
{
	int e = t_eventfd();

	for (;;) {
		uint32_t kind = any(4) ? GHVM_IRQ_VIRQ : 1 + any(2);
		uint32_t virq = kind == GHVM_IRQ_VIRQ ? 240 + any(VIRQS) : 0;

		(void)irq(dev, kind, virq, any(3) ? e : -1);
	}
}

/* A grant's user in another process, which sees the end, or is killed with its grant. */
static void use_grant(int g)
{
	struct ghvm_hcall call = { .args = { 5 } };
	int e = t_eventfd();

	for (int i = 0; i < 200; i++)
		if (t_call(g, GHVM_HCALL, &call) == -ESTALE ||
		    irq(g, GHVM_IRQ_VIRQ, 240 + any(VIRQS), any(2) ? e : -1) == -ESTALE)
			break;
}

static void granter(int dev)
{
	static const struct ghvm_grant_call calls[] = { { .call = 0x00, .capid = 5 } };
	uint32_t virqs[VIRQS];

	for (uint32_t i = 0; i < VIRQS; i++)
		virqs[i] = 240 + i;
	(void)signal(SIGCHLD, SIG_IGN);
	for (;;) {
		struct ghvm_grant arg = { .id = 1 + any(GRANTS), .n_calls = 1, .n_virqs = VIRQS };
		int g;

		arg.calls = (uintptr_t)calls;
		arg.virqs = (uintptr_t)virqs;
		g = (int)t_call(dev, GHVM_GRANT, &arg);
		if (g >= 0 && !fork()) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			use_grant(g);
			_exit(0);
		}
		close(g);
	}
}

static void revoker(int dev)
{
	for (;;) {
		struct ghvm_revoke arg = { .id = 1 + any(GRANTS) };

		(void)t_call(dev, GHVM_REVOKE, &arg);
	}
}

/* Memory that changes while it is pinned. */
struct shifting {
	int memfd;
	uint8_t *p;
};

static void *shift(void *data)
{
	struct shifting *s = data;
	off_t at = (off_t)(any(PAGES / 2) * PAGE);

	for (;;) {
		switch (any(8)) {
		case 6:
			(void)fallocate(s->memfd, 0, at, (off_t)(8 * PAGE));
			break;
		case 7:
			(void)fcntl(s->memfd, F_ADD_SEALS, F_SEAL_WRITE); /* fails: it is mapped */
			break;
		case 0:
			(void)fallocate(s->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
					(off_t)(8 * PAGE));
			break;
		case 1:
			(void)!ftruncate(s->memfd, at);
			(void)!ftruncate(s->memfd, (off_t)(PAGES * PAGE));
			break;
		case 2:
			(void)mremap(s->p, PAGES * PAGE, PAGES * PAGE,
				     MREMAP_MAYMOVE | MREMAP_FIXED, s->p + 2 * PAGES * PAGE);
			(void)mmap(s->p, PAGES * PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, s->memfd, 0);
			break;
		case 3:
			(void)mmap(s->p, PAGES * PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		case 4:
			if (!fork())
				_exit(0);
			break;
		default:
			(void)madvise(s->p, PAGES * PAGE, any(2) ? MADV_DONTNEED : MADV_PAGEOUT);
		}
	}
	return NULL;
}

static void pinner(int dev)
{
	struct shifting s = { .memfd = memfd_create("stress", MFD_CLOEXEC | MFD_ALLOW_SEALING) };
	pthread_t thread;

	(void)signal(SIGCHLD, SIG_IGN);
	if (s.memfd < 0 || ftruncate(s.memfd, (off_t)(PAGES * PAGE)) < 0)
		return;
	s.p = mmap(NULL, 3 * PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s.p == MAP_FAILED || pthread_create(&thread, NULL, shift, &s))
		return;
	for (;;) {
		unsigned int first = any(PAGES), n = 1 + any(PAGES - first);
		int pin = t_pins_files(dev)
				  ? (int)t_pin_file(dev, s.memfd, first * PAGE, n * PAGE, any(2))
				  : (int)t_pin(dev, s.p + first * PAGE, n * PAGE);

		if (pin < 0)
			continue;
		(void)!pwrite(pin, "stress", 6, (off_t)any((unsigned int)(n * PAGE)));
		(void)t_set(pin, any(8) ? GHVM_PIN_HELD : GHVM_PIN_GUARDED, "stress");
		close(pin);
	}
}

/* One pin in two processes: its state changes under who writes, asks and reads extents. */
static void sharer(int dev)
{
	int pin = (int)t_pin(dev, t_map(PAGES * PAGE), PAGES * PAGE);
	bool first = fork();

	if (pin < 0)
		_exit(1);
	if (!first)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct ghvm_extent x[4];
		struct ghvm_pin_extents arg = { .count = 4, .first = any(PAGES) };
		struct ghvm_hcall call = { .call = 0x1c, .args = { t_info(dev).rm_rx_capid } };

		arg.extents = (uintptr_t)x;
		call.args[1] = (uintptr_t)x;
		call.args[2] = sizeof(x);
		(void)t_set(pin, any(2) ? GHVM_PIN_HELD : GHVM_PIN_GUARDED, "shared");
		(void)!pwrite(pin, "stress", 6, (off_t)any(PAGES * PAGE - 6));
		(void)t_status(pin);
		(void)t_call(pin, GHVM_PIN_EXTENTS, &arg);
		(void)t_call(dev, GHVM_HCALL, &call);
	}
}

/* In a control group of 8 MiB, where pinning ends with -ENOMEM, -EFAULT or the OOM killer. */
static void limited(int dev)
{
	size_t length = MIB(16);
	int fd = open("/cgroup/stress/cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(1);
	for (;;) {
		int memfd = t_memfd(length, 0);
		int pin = (int)t_pin_file(dev, memfd, 0, (1 + any(4095)) * PAGE, 0);

		close(memfd);
		if (pin >= 0)
			close(pin);
	}
}

static void (*const workers[])(int dev) = {
	closer,	 closer,  adopter, adopter, binder, binder,
	granter, revoker, pinner,  pinner,  sharer, limited,
};

#define WORKERS (sizeof(workers) / sizeof(workers[0]))

static pid_t start(size_t i)
{
	pid_t pid = fork();

	if (pid < 0)
		t_die("fork");
	if (pid)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	seed = (unsigned int)getpid() * 7919;
	workers[i](t_open());
	_exit(0);
}

static void make_group(void)
{
	int fd;

	mkdir("/cgroup", 0755);
	if (mount("cgroup", "/cgroup", "cgroup2", 0, NULL) < 0 && errno != EBUSY)
		t_die("cgroup2");
	fd = open("/cgroup/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "+memory", 7) != 7)
		t_die("memory control group");
	close(fd);
	mkdir("/cgroup/stress", 0755);
	fd = open("/cgroup/stress/memory.max", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "8M", 2) != 2)
		t_die("memory.max");
	close(fd);
}

/* One of them is killed now and then, wherever it is, and another one begins. */
static unsigned int churn(pid_t pids[WORKERS], uint64_t end)
{
	unsigned int kills = 0;

	while (t_now() < end) {
		size_t i = any(WORKERS);

		t_ms(any(2 * LIFE_MS / WORKERS));
		(void)t_reap(pids[i], true);
		pids[i] = start(i);
		kills++;
	}
	return kills;
}

void test_stress(void)
{
	int dev = t_open();
	pid_t pids[WORKERS];
	unsigned int kills;

	make_group();
	seed = 1;
	for (size_t i = 0; i < WORKERS; i++)
		pids[i] = start(i);
	kills = churn(pids, t_now() + SECONDS * 1000);
	for (size_t i = 0; i < WORKERS; i++)
		(void)t_reap(pids[i], true);
	t_ok(kills > 10, "stress: %d s, %u processes killed", SECONDS, kills);

	/* what a grandchild has, it has until its own end */
	for (int i = 0; i < 500 && (adopt_all(dev) || t_info(dev).quarantined_pages); i++)
		t_ms(20);
	t_eq((int64_t)t_info(dev).quarantined_pages, 0, "stress: the quarantine can be emptied");
	rmdir("/cgroup/stress");
	umount("/cgroup");
	close(dev);
}
