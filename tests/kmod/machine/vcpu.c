// SPDX-License-Identifier: GPL-2.0-or-later
/* With a guest: running it through a grant, revoking that, and dying while it owns its pages. */
#include "tests/kmod/machine/t.h"
#include "tests/kmod/machine/rm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNTERS 0x40fff000
#define GRANT 1234

/* How often the primary touched what it had lent. */
static uint64_t lent_faults(void)
{
	int fd = open("/dev/mem", O_RDONLY);
	volatile uint64_t *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, COUNTERS);
	uint64_t n;

	if (p == MAP_FAILED || p[0] != 0x314c45444f4d4748)
		t_die("the model's counters");
	n = p[1];
	munmap((void *)p, PAGE);
	close(fd);
	return n;
}

struct runner {
	int grant;
	uint64_t capid;
	volatile uint64_t runs;
	volatile int64_t result;
	volatile int64_t status;
};

static long run_once(int fd, uint64_t capid, int64_t *ret_status, uint64_t *ret_state)
{
	struct ghvm_hcall run = { .call = 0x65, .args = { capid } };
	long r = t_call(fd, GHVM_HCALL, &run);

	*ret_status = (int32_t)run.results[0];
	*ret_state = run.results[1];
	return r;
}

static pid_t runner(struct runner *r)
{
	int64_t status = 0;
	uint64_t state;
	long result = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	while (!result && !status) {
		result = run_once(r->grant, r->capid, &status, &state);
		r->runs++;
	}
	r->result = result;
	r->status = status;
	_exit(0);
}

static int grant(int dev, const struct vm *vm)
{
	struct ghvm_grant_call call = { .call = 0x65, .capid = vm->capid };
	struct ghvm_grant arg = { .id = GRANT, .n_calls = 1, .n_virqs = 1 };
	uint32_t virq = vm->virq;
	long r;

	arg.calls = (uintptr_t)&call;
	arg.virqs = (uintptr_t)&virq;
	r = t_call(dev, GHVM_GRANT, &arg);
	if (r < 0)
		t_die("GRANT: %ld", r);
	return (int)r;
}

/* The guest never leaves by itself: each hypercall lasts until an interrupt of the host. */
static void revoke_running(struct rpc *rpc)
{
	struct runner *r =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ghvm_revoke revoke = { .id = GRANT };
	struct ghvm_irq irq = { .kind = GHVM_IRQ_VIRQ, .eventfd = t_eventfd() };
	struct vm vm;
	uint64_t start, runs;
	pid_t pid;

	vm_lend(&vm, rpc, "spin");
	vm_start(&vm, rpc);
	r->grant = grant(rpc->dev, &vm);
	r->capid = vm.capid;
	irq.virq = vm.virq;
	t_eq(t_call(r->grant, GHVM_IRQ, &irq), 0, "the vCPU's virq");
	t_ok(t_events(irq.eventfd, 0) >= 1, "it is signalled");
	pid = runner(r);
	t_ms(300);
	t_ok(r->runs > 0, "the guest runs (%llu times)", (unsigned long long)r->runs);
	t_eq(r->result, 0, "the runner goes on");

	start = t_now();
	t_eq(t_call(rpc->dev, GHVM_REVOKE, &revoke), 0, "REVOKE while it runs");
	runs = r->runs;
	t_ok(t_now() - start < 1000, "at once (%llu ms)", (unsigned long long)(t_now() - start));
	t_eq(t_reap(pid, false), 0, "the runner ends");
	t_eq(r->result, -ESTALE, "it was told");
	t_ok(r->runs <= runs + 1, "the guest ran no more");
	close(r->grant);
	irq.virq = vm.virq;
	t_eq(t_call(rpc->dev, GHVM_IRQ, &irq), 0, "its virq is free");

	vm_stop(&vm, rpc);
	t_eq(vm_reclaim(&vm, rpc), 0, "RECLAIM");
	vm_free(&vm, rpc);
	irq.eventfd = -1;
	t_eq(t_call(rpc->dev, GHVM_IRQ, &irq), 0, "unbound");
	munmap(r, PAGE);
}

/* All of it in a child, which is killed while its guest runs. */
static void start_guest(void *data)
{
	struct vm *vm = data;
	struct rpc rpc;
	int64_t status;
	uint64_t state;

	rpc_open(&rpc, t_open());
	vm_lend(vm, &rpc, "orphan");
	vm_start(vm, &rpc);
	for (int i = 0; i < 50; i++)
		if (run_once(rpc.dev, vm->capid, &status, &state) || status)
			_exit(1);
}

/* Makes Linux use all memory that it has. */
static void press(void)
{
	long kb = t_proc("/proc/meminfo", "MemAvailable:") * 8 / 10;
	size_t size = (size_t)kb * 1024 & ~(PAGE - 1);

	munmap(t_map(size), size);
}

static void killed_with_guest(int dev)
{
	struct vm *vm = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ghvm_quarantine_entry e = {};
	struct ghvm_quarantine_list list = { .count = 1 };
	struct ghvm_quarantine_adopt adopt = {};
	uint64_t before = lent_faults();
	struct rpc rpc;

	t_reap(t_child(start_guest, vm), true);
	for (int i = 0; i < 100 && !t_info(dev).quarantined_pages; i++)
		t_ms(10);
	t_eq((int64_t)t_info(dev).quarantined_pages, VM_SIZE / PAGE, "killed: quarantined");
	press();
	t_eq((int64_t)(lent_faults() - before), 0, "killed: Linux does not touch them");

	list.entries = (uintptr_t)&e;
	t_eq(t_call(dev, GHVM_QUARANTINE_LIST, &list), 0, "killed: listed");
	t_ok(list.count == 1 && !strcmp((char *)e.tag, "orphan"), "killed: by its tag");
	adopt.id = e.id;
	vm->pin = (int)t_call(dev, GHVM_QUARANTINE_ADOPT, &adopt);
	t_ok(vm->pin >= 0, "killed: adopted");
	rpc_open(&rpc, dev);
	t_eq(vm_state(vm, &rpc), 3, "killed: the guest is running, says RM");
	t_eq(vm_reclaim(vm, &rpc), -11, "killed: in use, says RM");
	vm_stop(vm, &rpc);
	t_eq(vm_reclaim(vm, &rpc), 0, "killed: RECLAIM");
	t_eq(t_set(vm->pin, GHVM_PIN_HELD, ""), 0, "killed: unguarded");
	t_eq(pwrite(vm->pin, "x", 1, 0), 1, "killed: Linux's again");
	vm_free(vm, &rpc);
	press();
	t_eq((int64_t)(lent_faults() - before), 0, "killed: no touch of a lent page in all");
	rpc_close(&rpc);
	munmap(vm, PAGE);
}

void test_vcpu(void)
{
	int dev = t_open();
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");
	struct rpc rpc;

	if (!f || fprintf(f, "4\n") < 0 || fclose(f))
		t_die("no huge pages");
	rpc_open(&rpc, dev);
	revoke_running(&rpc);
	rpc_close(&rpc);
	killed_with_guest(dev);
	close(dev);
}
