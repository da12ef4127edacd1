/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model is another process: its time is in the steps that ask it for something.
 */
#include "tests/bench/bench-vm.h"

#include "daemon/prepare/backing.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/rm/packet.h"
#include "libghvm/rm/quirks.h"
#include "libghvm/rm/rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HEADER_SIZE 64
#define INCARNATION 1

static const char script[] = "GHVM-SCRIPT\nwfi\n";

struct bench_vm {
	const struct bench_vm_options *options;
	struct bench_vm_result *result;
	struct sock_bench *model;
	struct ghvm_rm *rm;
	struct ghvm_ledger ledger;
	struct ghvm_spec spec;
	struct ghvm_plan plan;
	struct ghvm_machine_files files;
	int memory;
	struct ghvm_machine *m;
	struct bench_sent *sent; /* NULL: not counted now */
	struct bench_time since;
	enum ghvm_step_kind step; /* began at @since; GHVM_STEP_COUNT_: none has */
};

static uint64_t read_clock(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t); /* cannot fail with ours */
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct bench_time now(void)
{
	return (struct bench_time){ read_clock(CLOCK_MONOTONIC),
				    read_clock(CLOCK_PROCESS_CPUTIME_ID) };
}

static void add_since(struct bench_time *sum, const struct bench_time *since)
{
	struct bench_time t = now();

	sum->wall += t.wall - since->wall;
	sum->cpu += t.cpu - since->cpu;
}

void bench_must(int r, const char *what, const struct ghvm_error *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, err && err->msg[0] ? err->msg : strerror(-r));
	exit(1);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* ---- what is measured ---- */

static void on_trace(void *data, const char *vm, char dir, uint32_t id, uint16_t seq,
		     const uint8_t *payload, size_t len)
{
	struct bench_vm *b = data;

	if (dir != '>' || !b->sent)
		return;
	b->sent->messages++;
	b->sent->packets += ghvm_packet_count(len);
}

static void on_notify(void *data, const struct ghvm_rm_notification *n)
{
	struct bench_vm *b = data;

	if (b->m)
		(void)ghvm_machine_on_notify(b->m, n); /* there is one machine only */
}

static void end_step(struct bench_vm *b)
{
	if (b->step != GHVM_STEP_COUNT_)
		add_since(&b->result->step[b->step], &b->since);
	b->step = GHVM_STEP_COUNT_;
	b->since = now();
}

static void on_step(void *data, const struct ghvm_plan *plan, size_t step)
{
	struct bench_vm *b = data;

	end_step(b);
	b->step = plan->steps[step].kind;
}

/* Not a step, so its time counts for none: the helper's and the manager's copies are closed. */
static void on_pinned(void *data)
{
	struct bench_vm *b = data;

	end_step(b);
	closep(&b->memory);
	b->memory = -1;
}

/* ---- what it is made of ---- */

/* An image of @size bytes with a valid kernel header. */
static int make_image(uint64_t size)
{
	int fd = sock_bench_memfd(size, 0x5a);
	uint8_t head[HEADER_SIZE + sizeof(script)] = { 0 };

	head[18] = 1; /* u64 image_size at 16: 64 KiB */
	memcpy(head + 56, "ARM\x64", 4);
	memcpy(head + HEADER_SIZE, script, sizeof(script));
	if (pwrite(fd, head, sizeof(head), 0) != sizeof(head))
		bench_must(-EIO, "image", NULL);
	return fd;
}

static void make_plan(struct bench_vm *b)
{
	uint8_t header[HEADER_SIZE];
	struct ghvm_plan_input in = { .kernel_header = header,
				      .kernel_header_size = sizeof(header),
				      .kernel_size = b->options->image,
				      .initrd_size = b->options->image };
	struct ghvm_error err = {};
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "version: 1\nmemory: {size: %llu}\n"
			 "kernel: {image: /Image, initrd: /initrd}\n",
			 (unsigned long long)b->options->memory);

	bench_must(ghvm_spec_parse("bench", "bench", text, (size_t)n, &b->spec, NULL, &err), "spec",
		   &err);
	if (pread(b->files.kernel, header, sizeof(header), 0) != sizeof(header))
		bench_must(-EIO, "image", NULL);
	bench_must(ghvm_plan_make(&b->spec, &in, &b->plan, &err), "plan", &err);
}

static void make_memory(struct bench_vm *b)
{
	struct ghvm_error err = {};
	struct bench_time t = now();

	b->memory = backing_make("ram", b->options->memory, b->options->hugepages, NULL, &err);
	bench_must(b->memory, "memory", &err);
	add_since(&b->result->populate, &t);
}

/* A hypervisor that needs what it is asked for, and no other. */
static struct sock_bench *make_model(const struct bench_vm_options *o)
{
	char fragment[32], ram[32];

	(void)snprintf(ram, sizeof(ram), "--ram=%llu",
		       (unsigned long long)(o->memory >> 19) + 64); /* with the gaps */
	(void)snprintf(fragment, sizeof(fragment), "--fragment=%u", o->fragment);
	return sock_bench_new(ram, "--delay=0",
			      o->presplit ? "--generation=debug" : "--generation=android14",
			      o->fragment ? fragment : NULL, NULL);
}

static void make_machine(struct bench_vm *b)
{
	struct ghvm_error err = {};

	b->model = make_model(b->options);
	bench_must(ghvm_rm_new(b->model->host, &b->rm, &err), "connect", &err);
	ghvm_rm_set_on_trace(b->rm, on_trace, b);
	ghvm_rm_set_on_notify(b->rm, on_notify, b);
	ghvm_ledger_init(&b->ledger, ghvm_quirks_unknown());
	bench_must(ghvm_machine_new(b->model->host, b->rm, &b->plan, INCARNATION, &b->m), "machine",
		   NULL);
	ghvm_machine_set_ledger(b->m, &b->ledger);
	ghvm_machine_set_presplit(b->m, b->options->presplit);
}

static void done(struct bench_vm *b)
{
	ghvm_machine_free(b->m);
	ghvm_rm_free(b->rm);
	ghvm_ledger_done(&b->ledger);
	if (sock_bench_count(b->model, "violations"))
		bench_must(-EPERM, "the model saw a page rule broken", NULL);
	sock_bench_freep(&b->model);
	ghvm_plan_done(&b->plan);
	ghvm_spec_done(&b->spec);
	closep(&b->files.kernel);
	(void)close(b->files.initrd); /* nothing is buffered */
}

static void start(struct bench_vm *b)
{
	const struct ghvm_machine_hooks hooks = { .data = b,
						  .on_step = on_step,
						  .on_pinned = on_pinned };
	struct ghvm_ledger_figures figures;
	struct ghvm_error err = {};

	b->sent = &b->result->sent_start;
	bench_must(ghvm_machine_build(b->m, &b->files, &hooks, &err), "build", &err);
	end_step(b);
	b->step = GHVM_STEP_START;
	bench_must(ghvm_machine_start(b->m, &err), "start", &err);
	end_step(b);
	ghvm_ledger_figures(&b->ledger, &figures);
	b->result->entries = figures.entries;
}

static void stop(struct bench_vm *b)
{
	struct ghvm_error err = {};
	struct bench_time t = now();

	b->sent = &b->result->sent_stop;
	bench_must(ghvm_machine_teardown(b->m, &err), "stop", &err);
	add_since(&b->result->stop, &t);
	b->sent = NULL;
}

void bench_vm_run(const struct bench_vm_options *options, struct bench_vm_result *ret)
{
	struct bench_vm b = { .options = options, .result = ret, .step = GHVM_STEP_COUNT_ };

	*ret = (struct bench_vm_result){};
	b.files = (struct ghvm_machine_files){
		.memory = &b.memory,
		.kernel = make_image(options->image),
		.initrd = sock_bench_memfd(options->image, 0x5a),
	};
	make_plan(&b);
	make_memory(&b);
	make_machine(&b);
	start(&b);
	stop(&b);
	done(&b);
}
