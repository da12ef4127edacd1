/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host, its resource manager, and a machine that is not built yet.
 */
#include "tests/unit/machine-bench.h"

#include "libghvm/cleanup.h"
#include "libghvm/rm-abi.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <pthread.h>
#include <time.h>

#define PATIENCE_MS 2000
#define MS 1000000L

const uint32_t bench_statuses[22] = {
	GHVM_RM_UNIMPLEMENTED,	  GHVM_RM_NOMEM,
	GHVM_RM_NORESOURCE,	  GHVM_RM_DENIED,
	GHVM_RM_MSG_INVALID,	  GHVM_RM_BUSY,
	GHVM_RM_ARGUMENT_INVALID, GHVM_RM_HANDLE_INVALID,
	GHVM_RM_VALIDATE_FAILED,  GHVM_RM_MAP_FAILED,
	GHVM_RM_MEM_INVALID,	  GHVM_RM_MEM_INUSE,
	GHVM_RM_MEM_RELEASED,	  GHVM_RM_VMID_INVALID,
	GHVM_RM_LOOKUP_FAILED,	  GHVM_RM_IRQ_INVALID,
	GHVM_RM_IRQ_INUSE,	  GHVM_RM_IRQ_RELEASED,
	GHVM_RM_IN_USE,		  GHVM_RM_IRQ_NOT_MAPPED,
	GHVM_RM_VM_STATE,	  77, /* one that we do not know */
};

static unsigned int count_files(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static struct bench_process look_at_process(void)
{
	return (struct bench_process){ .descriptors = count_files("/proc/self/fd"),
				       .threads = count_files("/proc/self/task") };
}

static void *do_nothing(void *data)
{
	return data;
}

/* ThreadSanitizer begins one of its own with the first, and keeps it. */
static void begin_first_thread(void)
{
	static bool begun;
	pthread_t t;

	if (begun)
		return;
	begun = true;
	assert_int_equal(pthread_create(&t, NULL, do_nothing, NULL), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
}

/* A thread that has been joined may be seen for a little longer. */
static void assert_no_thread_is_left(const struct bench *b)
{
	for (unsigned int ms = 0; ms < PATIENCE_MS; ms++) {
		if (look_at_process().threads <= b->before.threads)
			return;
		(void)nanosleep(&(struct timespec){ .tv_nsec = MS }, NULL);
	}
	fail_msg("%u threads, %u before", look_at_process().threads, b->before.threads);
}

static void on_notify(void *data, const struct ghvm_rm_notification *n)
{
	struct bench *b = data;

	if (b->m)
		(void)ghvm_machine_on_notify(b->m, n); /* there is one machine only */
}

void bench_listen(struct bench *b)
{
	ghvm_rm_set_on_notify(b->rm, on_notify, b);
}

void bench_init(struct bench *b, const struct bench_options *options)
{
	static const struct bench_options plain;
	const struct bench_options *o = options ? options : &plain;
	unsigned int ms = o->patience_ms ? o->patience_ms : PATIENCE_MS;

	begin_first_thread();
	*b = (struct bench){ .patience_ms = ms, .before = look_at_process() };
	b->f = fake_rm_new(&o->host);
	demo_init(&b->demo, &o->demo);
	ghvm_ledger_init(&b->ledger, ghvm_quirks_unknown());
	assert_int_equal(ghvm_rm_new(&b->f->host, &b->rm, NULL), 0);
	ghvm_rm_set_deadline(b->rm, ms, PATIENCE_MS);
	bench_listen(b);
	assert_int_equal(
		ghvm_machine_new(&b->f->host, b->rm, &b->demo.plan, BENCH_INCARNATION, &b->m), 0);
	ghvm_machine_set_ledger(b->m, &b->ledger);
	ghvm_machine_set_presplit(b->m, o->presplit);
	ghvm_machine_set_patience(b->m, PATIENCE_MS);
	b->ready = look_at_process();
}

void bench_done(struct bench *b)
{
	ghvm_machine_free(b->m);
	ghvm_rm_free(b->rm);
	ghvm_ledger_done(&b->ledger);
	demo_done(&b->demo);
	fake_rm_free(b->f);
	assert_int_equal(look_at_process().descriptors, b->before.descriptors);
}

/* Between any two calls of the host. */
static void run_guest(void *data)
{
	struct bench *b = data;
	struct guest_mem *g = &b->guest;
	struct model_link link;

	if (!model_guest_link(g->m, g->slot, &link))
		return;
	if (link.tx != g->link.tx)			/* another life */
		(void)guest_mem_init(g, g->m, g->slot); /* it has one */
	switch (b->guest_does) {
	case BENCH_GUEST_DEAF:
		break;
	case BENCH_GUEST_SERVES:
	case BENCH_GUEST_KEEPS:
	case BENCH_GUEST_SILENT:
		guest_mem_serve(g, b->guest_does == BENCH_GUEST_KEEPS,
				b->guest_does == BENCH_GUEST_SILENT);
	}
}

int bench_run(struct bench *b, struct ghvm_error *err)
{
	int r = ghvm_machine_build(b->m, &b->demo.files, NULL, err), slot;

	if (r == 0)
		r = ghvm_machine_start(b->m, err);
	if (r < 0)
		return r;
	slot = model_slot(b->f->model, ghvm_machine_vmid(b->m).id);
	assert_true(slot >= 0);
	if (guest_mem_init(&b->guest, b->f->model, (unsigned int)slot)) {
		b->f->on_leave_data = b;
		b->f->on_leave = run_guest;
	}
	return 0;
}

bool bench_clean(struct bench *b)
{
	struct ghvm_ledger_figures g;

	ghvm_ledger_figures(&b->ledger, &g);
	return fake_rm_leftovers(b->f) == 0 && !g.entries && !g.parcels && !g.vmids;
}

void bench_assert_clean(struct bench *b)
{
	struct model_counts c = fake_rm_counts(b->f);
	struct ghvm_ledger_figures g;

	assert_int_equal(c.vms, 0);
	assert_int_equal(c.parcels, 0);
	assert_int_equal(fake_rm_pins(b->f), 0);
	assert_int_equal(fake_rm_quarantined(b->f), 0);
	assert_int_equal(fake_rm_grants(b->f), 0);
	ghvm_ledger_figures(&b->ledger, &g);
	assert_int_equal(g.entries, 0);
	assert_int_equal(g.parcels, 0);
	assert_int_equal(g.vmids, 0);
	if (!b->before.threads) /* not of bench_init(): the heir of one that was "killed" */
		return;
	assert_true(look_at_process().descriptors <= b->ready.descriptors);
	assert_no_thread_is_left(b);
}

#define ORPHANED_VMS_MAX 8

static size_t same_vm(const struct ghvm_orphan *v, size_t n)
{
	size_t same = 1;

	while (same < n && v[same].tag.vmid.id == v[0].tag.vmid.id)
		same++;
	return same;
}

static int adopt_all(struct bench *b, struct ghvm_machine *ret[ORPHANED_VMS_MAX], size_t *ret_n,
		     struct ghvm_error *err)
{
	_cleanup_(freep) struct ghvm_orphan *v = NULL;
	size_t n, same;
	int r = ghvm_orphans_list(&b->f->host, &v, &n, err);

	for (size_t i = 0; r == 0 && i < n; i += same) {
		same = same_vm(v + i, n - i);
		assert_true(v[i].readable && *ret_n < ORPHANED_VMS_MAX);
		r = ghvm_machine_adopt(&b->f->host, b->rm, &b->ledger, NULL, v + i, same,
				       &ret[*ret_n], err);
		*ret_n += r == 0;
	}
	return r;
}

static int adopt_strays(struct bench *b, struct ghvm_machine *ret[ORPHANED_VMS_MAX], size_t *ret_n,
			struct ghvm_error *err)
{
	struct ghvm_vmid vmids[GHVM_VMIDS];
	size_t n;
	int r = ghvm_machine_strays(b->rm, &b->ledger, vmids, &n, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		assert_true(*ret_n < ORPHANED_VMS_MAX);
		r = ghvm_machine_adopt_stray(&b->f->host, b->rm, &b->ledger, vmids[i],
					     &ret[*ret_n]);
		*ret_n += r == 0;
	}
	return r;
}

int bench_recover(struct bench *b, struct ghvm_error *err)
{
	struct ghvm_machine *m[ORPHANED_VMS_MAX] = {};
	size_t n = 0;
	int r;

	ghvm_machine_free(TAKE_PTR(b->m));
	ghvm_rm_free(TAKE_PTR(b->rm));
	ghvm_ledger_done(&b->ledger);
	ghvm_ledger_init(&b->ledger, ghvm_quirks_unknown());
	r = ghvm_rm_new(&b->f->host, &b->rm, err);
	if (r == 0 && b->patience_ms)
		ghvm_rm_set_deadline(b->rm, b->patience_ms, PATIENCE_MS);
	if (r == 0)
		r = adopt_all(b, m, &n, err);
	if (r == 0)
		r = adopt_strays(b, m, &n, err);
	for (size_t i = 0; i < n; i++) { /* what one of them keeps does not keep the others */
		int torn;

		ghvm_machine_set_patience(m[i], b->settle_ms ? b->settle_ms : PATIENCE_MS);
		torn = ghvm_machine_teardown(m[i], r < 0 ? NULL : err);
		r = r < 0 ? r : torn;
	}
	for (size_t i = 0; i < n; i++)
		ghvm_machine_free(m[i]);
	return r;
}
