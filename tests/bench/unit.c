/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a command and counts the instructions that the whole machine executes meanwhile, without those of the
 * hypervisor. The machine has one CPU with a performance counter that counts instructions, as QEMU's does under -icount.
 * `tests/system/run.sh --instructions` boots such a machine, and unit.sh counts a `systemctl start` there.
 *
 *	bench-unit [--split] COMMAND...
 *
 * With --split it also says which process has executed them, and in which system call. For that the kernel notes the
 * counter at each change of process and at each begin and end of a system call, which costs instructions itself: the
 * sum of the parts is larger than the count without --split. Lines of single system calls say how often the call was
 * made.
 */
#include "kmod/uapi/ghvm.h"

#include <asm/unistd.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing/events/"
#define RING_PAGES 16384UL /* a power of two: 64 MiB */
#define TASKS 4096
#define NAME 32
#define CALLS 512
#define ROWS 1024
#define USER (-1)	 /* not in a system call */
#define IOCTL_BASE 1000L /* the module's ioctls, by number, behind the system calls */
#define SHOWN 1000000UL	 /* a line of its own from so many instructions on */

enum { SWITCH, EXEC, ENTER, EXIT, N_POINTS };

static const char *const points[N_POINTS] = { "sched/sched_switch", "sched/sched_process_exec",
					      "raw_syscalls/sys_enter", "raw_syscalls/sys_exit" };

/* What a thread is called and in which system call it is, as far as the records have said. */
struct task {
	uint32_t tid;
	char name[NAME];
	long call;
};

struct row {
	char name[NAME];
	long call;
	uint64_t instructions;
	unsigned long times; /* that the call was begun */
};

struct counter {
	int leader;
	int point[N_POINTS];
	uint16_t id[N_POINTS];
	struct perf_event_mmap_page *ring;
};

struct split {
	struct task tasks[TASKS];
	size_t n_tasks;
	struct row rows[ROWS];
	size_t n_rows;
	unsigned int execs_of_helper;
	uint64_t last;
	uint64_t lost;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static int open_event(struct perf_event_attr *attr, int leader)
{
	attr->size = sizeof(*attr);
	return (int)syscall(SYS_perf_event_open, attr, -1, 0, leader, PERF_FLAG_FD_CLOEXEC);
}

/* Not counted: the hypervisor. All else is, interrupts and idle loop included. */
static void open_instructions(struct counter *c)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.exclude_hv = 1,
		.disabled = 1,
	};

	c->leader = open_event(&attr, -1);
	must(c->leader >= 0, "instructions of CPU 0 (is this a machine under -icount?)");
}

static unsigned int id_of(const char *point)
{
	unsigned int id = 0;
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), TRACING "%s/id", point);
	f = fopen(path, "r");
	must(f && fscanf(f, "%u", &id) == 1, path);
	(void)fclose(f);
	return id;
}

static void open_point(struct counter *c, int nth)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.config = id_of(points[nth]),
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_READ | PERF_SAMPLE_RAW,
		.read_format = PERF_FORMAT_GROUP,
		.comm = nth == 0,
		.task = nth == 0,
	};

	c->id[nth] = (uint16_t)attr.config;
	c->point[nth] = open_event(&attr, c->leader);
	must(c->point[nth] >= 0, points[nth]);
	if (nth)
		must(ioctl(c->point[nth], PERF_EVENT_IOC_SET_OUTPUT, c->point[0]) == 0, "ring");
}

static void open_points(struct counter *c)
{
	void *ring;

	for (int i = 0; i < N_POINTS; i++) {
		open_point(c, i);
		if (i)
			continue;
		ring = mmap(NULL, (RING_PAGES + 1) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			    c->point[0], 0);
		must(ring != MAP_FAILED, "ring");
		c->ring = ring;
	}
}

/* --- the records ------------------------------------------------------------------------- */

static struct task *task_of(struct split *s, uint32_t tid)
{
	struct task *t;
	char path[64];
	FILE *f;

	for (size_t i = s->n_tasks; i-- > 0;)
		if (s->tasks[i].tid == tid)
			return &s->tasks[i];
	must(s->n_tasks < TASKS, "too many tasks");
	t = &s->tasks[s->n_tasks++];
	*t = (struct task){ .tid = tid, .name = "idle", .call = USER };
	if (!tid)
		return t;
	(void)snprintf(t->name, NAME, "ended before");
	(void)snprintf(path, sizeof(path), "/proc/%u/comm", tid);
	f = fopen(path, "r");
	if (!f)
		return t;
	if (fgets(t->name, NAME, f))
		t->name[strcspn(t->name, "\n")] = '\0';
	(void)fclose(f);
	return t;
}

static void name_task(struct split *s, uint32_t tid, const char *name)
{
	struct task *t = task_of(s, tid);

	(void)snprintf(t->name, NAME, "%.15s", name);
	if (!strcmp(name, "gunyah-vm-prepa"))
		(void)snprintf(t->name, NAME, "helper %u", ++s->execs_of_helper);
}

static struct row *row_of(struct split *s, const char *name, long call)
{
	for (size_t i = 0; i < s->n_rows; i++)
		if (s->rows[i].call == call && !strcmp(s->rows[i].name, name))
			return &s->rows[i];
	must(s->n_rows < ROWS, "too many rows");
	s->rows[s->n_rows] = (struct row){ .call = call };
	memcpy(s->rows[s->n_rows].name, name, NAME);
	return &s->rows[s->n_rows++];
}

/* The data of raw_syscalls/sys_enter: 8 bytes that all tracepoints have, the number, six arguments. */
static long call_of(const uint8_t *raw)
{
	uint64_t nr, request;

	memcpy(&nr, raw + 8, sizeof(nr));
	memcpy(&request, raw + 24, sizeof(request));
	if (nr == __NR_ioctl && (request >> 8 & 0xff) == GHVM_IOC_TYPE)
		return IOCTL_BASE + (long)(request & 0xff);
	return (long)nr;
}

/* u32 pid, u32 tid, u64 n, n * u64, u32 size, raw: all since the sample before was executed by this thread */
static void add_sample(struct split *s, const struct counter *c, const uint8_t *p)
{
	const uint8_t *raw = p + 8 + 8 + 8 * (1 + N_POINTS) + 4;
	uint64_t count;
	struct task *t;
	uint32_t tid;
	uint16_t id;

	memcpy(&tid, p + 4, sizeof(tid));
	memcpy(&count, p + 16, sizeof(count));
	memcpy(&id, raw, sizeof(id));
	t = task_of(s, tid);
	row_of(s, t->name, t->call)->instructions += count - s->last;
	s->last = count;
	if (id == c->id[ENTER]) {
		t->call = call_of(raw);
		row_of(s, t->name, t->call)->times++;
	} else if (id != c->id[SWITCH]) {
		t->call = USER;
	}
}

static void add_record(struct split *s, const struct counter *c, const struct perf_event_header *h)
{
	const uint8_t *p = (const uint8_t *)(h + 1);
	uint32_t ids[4];

	memcpy(ids, p, sizeof(ids)); /* each of these records has more than that */
	switch (h->type) {
	case PERF_RECORD_SAMPLE:
		add_sample(s, c, p);
		break;
	case PERF_RECORD_COMM: /* pid, tid, name */
		name_task(s, ids[1], (const char *)p + 8);
		break;
	case PERF_RECORD_FORK: /* pid, parent's pid, tid, parent's tid */
		memcpy(task_of(s, ids[2])->name, task_of(s, ids[3])->name, NAME);
		break;
	case PERF_RECORD_LOST:
		s->lost++;
		break;
	}
}

static void read_ring(struct split *s, const struct counter *c)
{
	const uint8_t *data = (const uint8_t *)c->ring + 4096;
	const uint64_t size = RING_PAGES * 4096;
	static uint8_t record[65536];
	struct perf_event_header h;

	for (uint64_t at = 0; at < c->ring->data_head; at += h.size) {
		for (size_t i = 0; i < sizeof(h); i++)
			((uint8_t *)&h)[i] = data[(at + i) % size];
		for (size_t i = 0; i < h.size; i++)
			record[i] = data[(at + i) % size];
		add_record(s, c, (const struct perf_event_header *)record);
	}
}

/* --- the table --------------------------------------------------------------------------- */

static void print_call(const struct row *r)
{
	static const char *const ioctls[] = {
		[0x00] = "INFO",   [0x01] = "HCALL",   [0x02] = "IRQ",
		[0x03] = "PIN",	   [0x04] = "GRANT",   [0x05] = "REVOKE",
		[0x10] = "STATUS", [0x11] = "EXTENTS", [0x12] = "PIN_SET",
	};
	static const char *const calls[CALLS] = {
		[__NR_madvise] = "madvise", [__NR_pwrite64] = "pwrite",
		[__NR_execve] = "execve",   [__NR_mount] = "mount",
		[__NR_seccomp] = "seccomp", [__NR_clone] = "clone",
		[__NR_read] = "read",	    [__NR_write] = "write",
		[__NR_ioctl] = "ioctl",	    [__NR_openat] = "openat",
		[__NR_munmap] = "munmap",   [__NR_mmap] = "mmap",
		[__NR_clone3] = "clone3",   [__NR_umount2] = "umount",
		[__NR_close] = "close",	    [__NR_prctl] = "prctl",
		[__NR_unshare] = "unshare", [__NR_setns] = "setns",
		[__NR_bpf] = "bpf",	    [__NR_mount_setattr] = "mount_setattr",
		[__NR_exit_group] = "exit", [__NR_move_mount] = "move_mount",
	};
	const long nr = r->call - IOCTL_BASE;
	const char *name = NULL;

	if (r->call == USER)
		name = "user space";
	else if (nr >= 0 && (size_t)nr < sizeof(ioctls) / sizeof(ioctls[0]))
		name = ioctls[nr];
	else if (r->call < CALLS)
		name = calls[r->call];
	if (name)
		printf("| - %s ", name);
	else
		printf("| - call %ld ", r->call);
	if (r->times)
		printf("(%lu times) ", r->times);
	printf("| %.2f |\n", (double)r->instructions / 1e6);
}

static void print_task(struct split *s, const char *name)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n_rows; i++)
		if (!strcmp(s->rows[i].name, name))
			sum += s->rows[i].instructions;
	printf("| %s | %.2f |\n", name, (double)sum / 1e6);
	for (size_t i = 0; i < s->n_rows; i++)
		if (!strcmp(s->rows[i].name, name) && s->rows[i].instructions >= SHOWN)
			print_call(&s->rows[i]);
}

static bool printed_before(const struct split *s, size_t nth)
{
	for (size_t i = 0; i < nth; i++)
		if (!strcmp(s->rows[i].name, s->rows[nth].name))
			return true;
	return false;
}

static void print_split(struct split *s)
{
	printf("| process | M instructions |\n|---|---|\n");
	for (size_t i = 0; i < s->n_rows; i++)
		if (!printed_before(s, i))
			print_task(s, s->rows[i].name);
	if (s->lost)
		printf("LOST RECORDS: the ring is too small\n");
}

static int run(char **argv)
{
	int status = -1;
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (pid == 0) {
		(void)execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	const bool split = argc > 1 && !strcmp(argv[1], "--split");
	static struct split s;
	struct counter c = {};
	uint64_t count[1 + 1 + N_POINTS] = {};
	int status;

	must(argc > 1 + split, "usage: bench-unit [--split] COMMAND...");
	open_instructions(&c);
	if (split)
		open_points(&c);
	must(ioctl(c.leader, PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP) == 0, "enable");
	status = run(argv + 1 + split);
	must(ioctl(c.leader, PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP) == 0, "disable");
	must(read(c.leader, count, sizeof(count)) > 0, "read");
	printf("%.2f M instructions\n", (double)count[0] / 1e6);
	if (split) {
		read_ring(&s, &c);
		print_split(&s);
	}
	return status;
}
