/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From nothing to VM_START on ghvm-model, by step. Images are 32 MiB each, a Debian kernel and its
 * initrd. Each 2 MiB is an entry of its own, as if no two huge pages lay side by side.
 *
 * Populating is the kernel's work and the same for every VMM; the model works in pin (it maps the
 * memory), write (it copies), give (it keeps an account of every page) and stop (it zeroes them).
 *
 * "ours" is what this process, which is manager and helper in one, spends in user space and kernel.
 * Only the ratios mean anything on another machine.
 */
#include "tests/bench/bench-vm.h"

#include "libghvm/base/bits.h"

#include <stdio.h>
#include <string.h>

#define FRAGMENT 512
#define ROUNDS_MAX 3

enum column {
	POPULATE,
	PIN,
	WRITE,
	GUARD,
	GIVE,
	VM,
	START,
	SUM,
	STOP,
	COLUMNS,
};

static const char *const heads[COLUMNS] = {
	[POPULATE] = "populate", [PIN] = "pin",	  [WRITE] = "write",
	[GUARD] = "guard",	 [GIVE] = "give", [VM] = "VM",
	[START] = "VM_START",	 [SUM] = "sum",	  [STOP] = "stop",
};

/* Which column a step is in. */
static enum column column_of(enum ghvm_step_kind kind)
{
	switch (kind) {
	case GHVM_STEP_PIN:
		return PIN;
	case GHVM_STEP_WRITE_KERNEL:
	case GHVM_STEP_WRITE_INITRD:
	case GHVM_STEP_WRITE_DTB:
		return WRITE;
	case GHVM_STEP_GUARD:
		return GUARD;
	case GHVM_STEP_LEND:
	case GHVM_STEP_SHARE:
		return GIVE;
	case GHVM_STEP_START:
		return START;
	default:
		return VM; /* ALLOCATE, CONFIG_IMAGE, INIT, GET_HYP_RESOURCES, grant */
	}
}

/* Milliseconds. */
static void to_columns(const struct bench_vm_result *r, bool cpu, double ret[COLUMNS])
{
	struct bench_time t[COLUMNS] = { [POPULATE] = r->populate, [STOP] = r->stop };

	for (int k = 0; k < GHVM_STEP_COUNT_; k++) {
		enum column c = column_of((enum ghvm_step_kind)k);

		t[c].wall += r->step[k].wall;
		t[c].cpu += r->step[k].cpu;
	}
	for (int c = POPULATE; c < SUM; c++) {
		t[SUM].wall += t[c].wall;
		t[SUM].cpu += t[c].cpu;
	}
	for (int c = 0; c < COLUMNS; c++)
		ret[c] = (double)(cpu ? t[c].cpu : t[c].wall) / 1e6;
}

static void print(const char *name, const double v[COLUMNS])
{
	printf("%-22s", name);
	for (int c = 0; c < COLUMNS; c++)
		printf(" %9.2f", v[c]);
	printf("\n");
}

static void print_ratio(const char *name, const double a[COLUMNS], const double b[COLUMNS])
{
	double v[COLUMNS];

	for (int c = 0; c < COLUMNS; c++)
		v[c] = b[c] > 0 ? a[c] / b[c] : 0;
	print(name, v);
}

static void medians(const struct bench_vm_result *r, size_t rounds, bool cpu, double ret[COLUMNS])
{
	double v[ROUNDS_MAX][COLUMNS], column[ROUNDS_MAX];

	for (size_t i = 0; i < rounds; i++)
		to_columns(&r[i], cpu, v[i]);
	for (int c = 0; c < COLUMNS; c++) {
		for (size_t i = 0; i < rounds; i++)
			column[i] = v[i][c];
		ret[c] = bench_median(column, rounds);
	}
}

static void run(const struct bench_vm_options *options, size_t rounds, double ret[COLUMNS])
{
	struct bench_vm_result r[ROUNDS_MAX];
	double ours[COLUMNS];
	char name[32];

	for (size_t i = 0; i < rounds; i++)
		bench_vm_run(options, &r[i]);
	(void)snprintf(name, sizeof(name), "%llu MiB, %s pages",
		       (unsigned long long)(options->memory >> 20),
		       options->hugepages == GHVM_HUGEPAGES_AUTO ? "2M" : "4K"); /* fits */
	medians(r, rounds, false, ret);
	medians(r, rounds, true, ours);
	print(name, ret);
	print("  CPU of it, ours", ours);
	print_ratio("  ratio: ours/all", ours, ret);
}

static void print_heads(void)
{
	printf("%-22s", "milliseconds");
	for (int c = 0; c < COLUMNS; c++)
		printf(" %9s", heads[c]);
	printf("\n");
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[] = { GHVM_MIB(256), GHVM_GIB(1), GHVM_GIB(4) };
	static const size_t rounds[] = { ROUNDS_MAX, ROUNDS_MAX, 1 };
	bool smoke = argc > 2 && !strcmp(argv[2], "--smoke");
	struct bench_vm_options o = { .fragment = FRAGMENT, .presplit = true };
	double huge[COLUMNS], small[COLUMNS];

	sock_bench_program(argc, argv);
	print_heads();
	o.image = smoke ? GHVM_KIB(256) : GHVM_MIB(32);
	for (size_t i = 0; i < (smoke ? 1 : ARRAY_SIZE(sizes)); i++) {
		o.memory = smoke ? GHVM_MIB(8) : sizes[i];
		o.hugepages = GHVM_HUGEPAGES_AUTO;
		run(&o, smoke ? 1 : rounds[i], huge);
		o.hugepages = GHVM_HUGEPAGES_NEVER;
		run(&o, smoke ? 1 : rounds[i], small);
		print_ratio("ratio: 2M/4K", huge, small);
	}
	return 0;
}
