/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is planned is what runs: a plan of libghvm/plan/plan.c, executed against the model's RM, sends
 * exactly the messages of its steps, and the guest gets exactly what it says.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/machine.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/plan/plan.h"
#include "tests/fakes/rm.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/mman.h>

#define KERNEL_SIZE 0x5000
#define INITRD_SIZE 0x1234
#define MESSAGES_MAX 4096

/* The header of an arm64 Image that needs 1 MiB. */
static const uint8_t header[64] = {
	[0] = 0x4d, 0x5a, 0, 0x91, [18] = 0x10, [24] = 0x0a, [56] = 'A', 'R', 'M', 0x64,
};

static const char plain[] = "version: 1\n"
			    "kernel: {image: /Image, initrd: /initrd, cmdline: console=ttyS0}\n"
			    "memory: {size: 64M}\n"
			    "cpus: {count: 2}\n";

static const char rich[] = "version: 1\n"
			   "kernel: {image: /Image, cmdline: console=ttyS0}\n"
			   "memory: {size: 32M}\n"
			   "cpus: {count: 4}\n"
			   "regions:\n"
			   "  - {label: 7, kind: share, size: 1M, address: 0x50000000}\n"
			   "  - {label: 8, size: 64K, readonly: true}\n";

static int file_of(uint64_t size, const uint8_t *head, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, head, n, 0), n);
	return fd;
}

struct bench {
	struct fake_rm *f;
	struct ghvm_rm *rm;
	struct ghvm_spec spec;
	struct ghvm_plan plan;
	struct ghvm_machine *m;
	int memory[GHVM_PLAN_PARCELS_MAX];
	struct ghvm_machine_files files;
};

static void bench_done(struct bench *b)
{
	ghvm_machine_free(b->m);
	ghvm_rm_free(b->rm);
	for (size_t i = 0; i < b->plan.n_parcels; i++)
		closep(&b->memory[i]);
	closep(&b->files.kernel);
	closep(&b->files.initrd);
	ghvm_plan_done(&b->plan);
	ghvm_spec_done(&b->spec);
	fake_rm_free(b->f);
}

static void bench_init(struct bench *b, const char *text, unsigned int chunk_pages)
{
	const struct fake_rm_options host = { .ram_size = GHVM_MIB(256),
					      .chunk_pages = chunk_pages };
	struct ghvm_plan_input in = { .kernel_header = header,
				      .kernel_header_size = sizeof(header),
				      .kernel_size = KERNEL_SIZE };
	struct ghvm_error err = {};

	*b = (struct bench){ .f = fake_rm_new(&host) };
	if (ghvm_spec_parse("demo", "demo.yaml", text, strlen(text), &b->spec, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	in.initrd_size = b->spec.initrd ? INITRD_SIZE : 0;
	if (ghvm_plan_make(&b->spec, &in, &b->plan, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < b->plan.n_parcels; i++)
		b->memory[i] = file_of(b->plan.parcels[i].size, NULL, 0);
	b->files = (struct ghvm_machine_files){
		.memory = b->memory,
		.kernel = file_of(KERNEL_SIZE, header, sizeof(header)),
		.initrd = file_of(INITRD_SIZE, (const uint8_t *)"initrd", 6),
	};
	assert_int_equal(ghvm_rm_new(&b->f->host, &b->rm, NULL), 0);
	assert_int_equal(ghvm_machine_new(&b->f->host, b->rm, &b->plan, 1, &b->m), 0);
}

/* What the pins turned out to have goes into the plan, which then says how many of each. */
static size_t expect(struct bench *b, uint32_t *ret)
{
	struct ghvm_plan_message v[GHVM_PLAN_MESSAGES_MAX];
	size_t n, total = 0;

	for (size_t i = 0; i < b->plan.n_parcels; i++)
		ghvm_plan_pinned(&b->plan, i, b->f->pins[i].n_extents, ghvm_machine_huge(b->m, i));
	n = ghvm_plan_messages(&b->plan, v);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(v[i].least, v[i].most);
		for (uint64_t k = 0; k < v[i].most; k++)
			ret[total++] = v[i].id;
	}
	return total;
}

/* Whatever will be found out, it is in the range that was printed before. */
static void assert_was_foreseen(const struct bench *b, const struct ghvm_plan_message *before,
				size_t n)
{
	struct ghvm_plan_message after[GHVM_PLAN_MESSAGES_MAX];
	size_t n_after = ghvm_plan_messages(&b->plan, after), at = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t count = 0;

		if (at < n_after && after[at].id == before[i].id)
			count = after[at++].most;
		assert_true(count >= before[i].least && count <= before[i].most);
	}
	assert_int_equal(at, n_after);
}

/* In one run, from a base that is aligned, RAM is of huge pages; in pieces of some pages never. */
static void assert_huge_pages(const struct bench *b, unsigned int chunk_pages)
{
	const struct ghvm_plan_parcel *ram = &b->plan.parcels[0];

	assert_int_equal(ram->huge_best, chunk_pages ? 0 : ram->size / GHVM_MIB(2));
	assert_int_equal(ram->huge_worst, ram->huge_best);
}

static void assert_runs_as_planned(const char *text, unsigned int chunk_pages)
{
	struct ghvm_plan_message before[GHVM_PLAN_MESSAGES_MAX];
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	uint32_t want[MESSAGES_MAX];
	size_t n, n_before, from;

	bench_init(&b, text, chunk_pages);
	n_before = ghvm_plan_messages(&b.plan, before);
	ghvm_machine_set_presplit(b.m, ghvm_quirk(b.plan.quirks, GHVM_QUIRK_PRESPLIT));
	from = b.f->n_sent;
	if (ghvm_machine_build(b.m, &b.files, NULL, &err) < 0)
		fail_msg("step %s: %s", ghvm_step_to_string(ghvm_machine_step(b.m)), err.msg);
	assert_int_equal(ghvm_machine_start(b.m, NULL), 0);
	n = expect(&b, want);
	assert_was_foreseen(&b, before, n_before);
	assert_huge_pages(&b, chunk_pages);
	assert_int_equal(b.f->n_sent - from, n);
	assert_memory_equal(b.f->sent + from, want, n * sizeof(want[0]));
	assert_int_equal(ghvm_machine_pages_lent(b.m), b.spec.memory / GHVM_PAGE);

	assert_int_equal(ghvm_machine_vcpus(b.m, &n)[0].cap.id == GHVM_CAPID_NONE, 0);
	assert_int_equal(n, b.spec.cpus);
	(void)ghvm_machine_doorbells(b.m, &n);
	assert_int_equal(n, b.plan.n_doorbells);
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
	assert_int_equal(fake_rm_leftovers(b.f), 0);
}

static void plain_vm(void **state)
{
	assert_runs_as_planned(plain, 0);
}

static void scattered_vm(void **state)
{
	assert_runs_as_planned(plain, 16);
}

static void vm_with_windows(void **state)
{
	assert_runs_as_planned(rich, 0);
	assert_runs_as_planned(rich, 5);
}

static void images_lie_where_planned(void **state)
{
	_cleanup_(bench_done) struct bench b;
	const uint8_t *ram;

	bench_init(&b, plain, 0);
	assert_int_equal(ghvm_machine_build(b.m, &b.files, NULL, NULL), 0);
	ram = fake_rm_ram(b.f, b.f->pins[0].extents[0].pa);
	assert_memory_equal(ram + b.plan.kernel_offset, header, sizeof(header));
	assert_memory_equal(ram + b.plan.initrd_offset, "initrd", 6);
	assert_memory_equal(ram + b.plan.dtb_offset, b.plan.dtb, 4); /* RM has patched it since */
	assert_int_equal(ghvm_machine_teardown(b.m, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_vm),
		cmocka_unit_test(scattered_vm),
		cmocka_unit_test(vm_with_windows),
		cmocka_unit_test(images_lie_where_planned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
