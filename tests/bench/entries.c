/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many pieces of memory a resource manager (RM) bears: VMs are built and started from memory that has as many
 * pieces as wanted, by libghvm as the manager does it, until RM refuses. run-entries.sh runs it where there is a module.
 *
 *	bench-entries VMS REGIONS FIRST LAST STEP [ROUNDS]
 *
 * FIRST to LAST are pieces of all VMs together; each VM has REGIONS. No vCPU runs: RM's memory is needed up to VM_START.
 * With ROUNDS, the VMs also end and start again, two at a time, with other shares of the same sum: RM's heap is used as
 * in a host's life, in pieces of all sizes.
 */
#include "ghvm/machine.h"
#include "ghvm/plan.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/memory/ledger.h"
#include "libghvm/memory/populate.h"
#include "libghvm/rm/probe.h"
#include "libghvm/rm/quirks.h"
#include "libghvm/rm/rpc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY (32UL << 20)
#define PAGE 4096UL
#define VMS_MAX 24
#define REGIONS_MAX 8
#define STRIDE 7919 /* pages; prime */

/* What costs RM memory besides: vCPUs, doorbells, and the regions that follow. */
static const char text[] = "version: 1\n"
			   "memory: {size: 32M, hugepages: never}\n"
			   "kernel: {image: /Image}\n"
			   "cpus: {count: 2}\n"
			   "devices: [console: {}, power-key: {}, rtc: {}]\n";

/**
 * struct vm - one of them
 * @memory: of RAM, and of each region
 * @entries: of all its memory, once it is pinned
 */
struct vm {
	struct ghvm_machine *m;
	int memory[REGIONS_MAX + 1];
	size_t regions;
	uint64_t entries;
};

/**
 * struct scene - what all VMs share
 * @quirks: a row without a limit of entries
 * @regions: of each VM
 */
struct scene {
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	struct ghvm_quirks quirks;
	struct ghvm_ledger ledger;
	struct ghvm_spec spec;
	struct ghvm_plan plan;
	int kernel;
	struct vm vms[VMS_MAX];
	uint64_t incarnation;
	size_t regions;
};

static void must(int r, const char *what, const struct ghvm_error *err)
{
	if (r >= 0)
		return;
	printf("%s: %s\n", what, err && err->msg[0] ? err->msg : strerror(-r));
	exit(1);
}

static void on_notify(void *data, const struct ghvm_rm_notification *n)
{
	struct scene *s = data;

	for (size_t i = 0; i < VMS_MAX; i++)
		if (s->vms[i].m && ghvm_machine_on_notify(s->vms[i].m, n))
			return;
}

/*
 * A memfd in huge pages, of which the first @pages small ones are given back and populated again in an order in which
 * none follows its neighbour: as many pieces, and a few for the rest.
 */
static int make_memory(size_t size, size_t pages)
{
	int fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *at;

	must(ftruncate(fd, (off_t)size), "memory", NULL);
	(void)fcntl(fd, F_ADD_SEALS,
		    F_SEAL_SHRINK | F_SEAL_GROW); /* memory that can shrink is refused */
	must(ghvm_populate_memfd(fd, size), "memory", NULL);
	if (pages)
		must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       (off_t)(pages * PAGE)),
		     "memory", NULL);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(at == MAP_FAILED ? -ENOMEM : 0, "memory", NULL);
	(void)madvise(at, size, MADV_NOHUGEPAGE); /* a hint */
	for (size_t i = 0; i < pages; i++)
		at[(i * STRIDE % pages) * PAGE] = 1;
	(void)munmap(at, size);
	return fd;
}

static int make_kernel(void)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);
	uint8_t head[PAGE] = {};

	head[18] = 1; /* u64 image_size at 16: 64 KiB */
	memcpy(head + 56, "ARM\x64", 4);
	must(pwrite(fd, head, sizeof(head), 0) == sizeof(head) ? 0 : -EIO, "kernel", NULL);
	return fd;
}

static void parse_text(struct scene *s)
{
	struct ghvm_error err = {};
	char all[1024];
	size_t n = (size_t)snprintf(all, sizeof(all), "%s%s", text, s->regions ? "regions:\n" : "");

	for (size_t i = 1; i <= s->regions; i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "  - {label: %zu, size: 64K}\n", i);
	must(ghvm_spec_parse("entries", "entries", all, n, &s->spec, NULL, &err), "spec", &err);
}

static void open_scene(struct scene *s)
{
	struct ghvm_error err = {};
	uint8_t header[64];
	struct ghvm_plan_input in = { .kernel_header = header,
				      .kernel_header_size = sizeof(header),
				      .kernel_size = PAGE };

	s->kernel = make_kernel();
	must(pread(s->kernel, header, sizeof(header), 0) == sizeof(header) ? 0 : -EIO, "kernel",
	     NULL);
	must(ghvm_host_open("/dev/ghvm", &s->host, &err), "open", &err);
	must(ghvm_rm_new(s->host, &s->rm, &err), "connect", &err);
	ghvm_rm_set_on_notify(s->rm, on_notify, s);
	s->quirks = *ghvm_quirks_row(0);
	s->quirks.v[GHVM_QUIRK_ENTRIES].value = UINT32_MAX;
	in.quirks = &s->quirks;
	ghvm_ledger_init(&s->ledger, &s->quirks);
	parse_text(s);
	must(ghvm_plan_make(&s->spec, &in, &s->plan, &err), "plan", &err);
}

static void on_pinned(void *data)
{
	struct vm *vm = data;

	for (size_t i = 0; i <= vm->regions; i++)
		vm->entries += ghvm_machine_entries(vm->m, i);
	closep(&vm->memory[0]);
	vm->memory[0] = -1;
}

/* Return: 0, it was started; or the step's error, which is printed. */
static int start_vm(struct scene *s, struct vm *vm, size_t pieces)
{
	const struct ghvm_machine_hooks hooks = { .data = vm, .on_pinned = on_pinned };
	const struct ghvm_machine_files files = { vm->memory, s->kernel, -1 };
	struct ghvm_error err = {};
	int r;

	vm->regions = s->regions;
	vm->memory[0] = make_memory(MEMORY, pieces);
	for (size_t i = 1; i <= s->regions; i++)
		vm->memory[i] = make_memory(16 * PAGE, 0);
	must(ghvm_machine_new(s->host, s->rm, &s->plan, ++s->incarnation, &vm->m), "machine", NULL);
	ghvm_machine_set_ledger(vm->m, &s->ledger);
	r = ghvm_machine_build(vm->m, &files, &hooks, &err);
	if (r == 0)
		r = ghvm_machine_start(vm->m, &err);
	if (r < 0)
		printf(" refused: %s (status %u);", err.msg, err.rm_code);
	return r;
}

static void end_vm(const struct scene *s, struct vm *vm)
{
	struct ghvm_error err = {};

	if (!vm->m)
		return;
	if (ghvm_machine_teardown(vm->m, &err) < 0)
		printf(" left behind: %s;", err.msg);
	ghvm_machine_free(vm->m);
	for (size_t i = 0; i <= s->regions; i++)
		closep(&vm->memory[i]);
	*vm = (struct vm){};
}

static uint64_t all_entries(const struct scene *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < VMS_MAX; i++)
		sum += s->vms[i].entries;
	return sum;
}

/* Two VMs end and start again, with a ninth to eight ninths of what both have. */
static bool shift_round(struct scene *s, size_t vms, size_t pieces, size_t round)
{
	struct vm *a = &s->vms[round % vms], *b = &s->vms[(round + 1 + round / vms) % vms];
	const size_t both = pieces / vms * 2, share = both * (round % 8 + 1) / 9;

	if (a == b) { /* with itself */
		end_vm(s, a);
		return start_vm(s, a, pieces) == 0;
	}
	end_vm(s, a);
	end_vm(s, b);
	return start_vm(s, a, share) == 0 && start_vm(s, b, both - share) == 0;
}

/* False: RM has refused, or died. */
static bool try_pieces(struct scene *s, size_t vms, size_t pieces, size_t rounds)
{
	bool good = true;
	size_t i;

	printf("%zu VMs, %zu pieces:", vms, pieces);
	for (i = 0; good && i < vms; i++)
		good = start_vm(s, &s->vms[i], pieces / vms) == 0;
	printf(" %s, %llu entries", good ? "started" : "not started",
	       (unsigned long long)all_entries(s));
	for (i = 0; good && i < rounds; i++)
		good = shift_round(s, vms, pieces, i);
	if (rounds)
		printf(", %zu rounds", i);
	for (i = 0; i < VMS_MAX; i++)
		end_vm(s, &s->vms[i]);
	printf(", RM %s\n", ghvm_rm_dead(s->rm) ? "DEAD" : "alive");
	(void)fflush(stdout);
	return good;
}

int main(int argc, char **argv)
{
	static struct scene s;
	size_t v[6] = {};

	if (argc != 6 && argc != 7)
		return 2;
	for (int i = 1; i < argc; i++)
		v[i - 1] = strtoul(argv[i], NULL, 10);
	if (v[0] > VMS_MAX || v[1] > REGIONS_MAX)
		return 2;
	s.regions = v[1];
	open_scene(&s);
	for (size_t n = v[2]; n <= v[3]; n += v[4])
		if (!try_pieces(&s, v[0], n, v[5]) || ghvm_rm_dead(s.rm))
			break;
	return ghvm_rm_dead(s.rm);
}
