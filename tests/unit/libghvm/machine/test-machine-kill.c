/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manager dies before its nth host call, for every n of a VM's life; another one
 * finds what is left, in the module's quarantine and in RM alone, and gives all of it back.
 * Unless it dies as well, before its nth call, and a third has to.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define RAM 0x90000ULL
#define HOST_RAM GHVM_MIB(2)
#define VICTIMS_MAX 4096
#define VICTIM_STACK 0x40000

/**
 * struct victim - a life in a thread, which may end in the middle of it
 * @bench: stays allocated, as its thread does, once killed
 */
struct victim {
	struct bench bench;
	int (*live)(struct bench *b, struct ghvm_error *err);
	pthread_t thread;
	bool done; /* guarded by the fake's lock */
	int r;
};

/* Those that were killed: their threads wait for ever, and what they hold is not lost. */
static struct victim *graveyard[VICTIMS_MAX];
static size_t n_graves;

static void bury(struct victim *v)
{
	assert_true(n_graves < VICTIMS_MAX);
	graveyard[n_graves++] = v;
}

static void *run_victim(void *data)
{
	struct victim *v = data;
	struct fake_rm *f = v->bench.f;
	int r = v->live(&v->bench, NULL);

	(void)pthread_mutex_lock(&f->lock);
	v->r = r;
	v->done = true;
	(void)pthread_cond_broadcast(&f->on_kill);
	(void)pthread_mutex_unlock(&f->lock);
	return NULL;
}

/* True if it was killed before its @nth call. */
static bool let_live(struct victim *v, unsigned int nth)
{
	struct fake_rm *f = v->bench.f;
	pthread_attr_t attr;
	bool killed;

	f->killed = false;
	f->kill_at = f->calls + nth;
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstacksize(&attr, VICTIM_STACK), 0);
	assert_int_equal(pthread_create(&v->thread, &attr, run_victim, v), 0);
	(void)pthread_attr_destroy(&attr);

	(void)pthread_mutex_lock(&f->lock);
	while (!f->killed && !v->done)
		(void)pthread_cond_wait(&f->on_kill, &f->lock);
	killed = f->killed;
	f->kill_at = 0;
	(void)pthread_mutex_unlock(&f->lock);
	if (!killed)
		assert_int_equal(pthread_join(v->thread, NULL), 0);
	return killed;
}

/* What the next process has: the host, and nothing of the victim's. */
static void inherit(struct fake_rm *f, struct bench *heir)
{
	fake_rm_crash(f);
	*heir = (struct bench){ .f = f };
	ghvm_ledger_init(&heir->ledger, ghvm_quirks_unknown());
}

static void heir_done(struct bench *heir)
{
	ghvm_rm_free(heir->rm);
	ghvm_ledger_done(&heir->ledger);
}

static void assert_recovers(struct fake_rm *f, unsigned int first, unsigned int second)
{
	struct ghvm_error err = {};
	struct bench heir;

	inherit(f, &heir);
	if (bench_recover(&heir, &err) < 0)
		fail_msg("killed before call %u (and %u): %s", first, second, err.msg);
	bench_assert_clean(&heir);
	heir_done(&heir);
}

static struct victim *new_victim(int (*fn)(struct bench *b, struct ghvm_error *err))
{
	struct victim *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	v->live = fn;
	return v;
}

/* A life that nothing ends. Its descriptors and threads are counted. */
static void live(const struct bench_options *o)
{
	struct bench b;

	bench_init(&b, o);
	assert_int_equal(bench_start_reboot_stop(&b, NULL), 0);
	bench_assert_clean(&b);
	bench_done(&b);
}

/* A life that ends before its @nth call; NULL: it was over before. */
static struct victim *kill_once(const struct bench_options *o, unsigned int nth)
{
	struct victim *v = new_victim(bench_start_reboot_stop);
	struct bench_options dies = *o;

	dies.dies = true;
	bench_init(&v->bench, &dies);
	if (let_live(v, nth)) {
		bury(v);
		return v;
	}
	assert_int_equal(v->r, 0);
	bench_assert_clean(&v->bench);
	bench_done(&v->bench);
	free(v);
	return NULL;
}

static void sweep(const char *what, const struct bench_options *o)
{
	struct victim *v;
	unsigned int nth;

	live(o);
	for (nth = 1; (v = kill_once(o, nth)); nth++)
		assert_recovers(v->bench.f, nth, 0);
	assert_true(nth > 50);
	print_message("killed, %s: %u points\n", what, nth - 1);
}

/* The heir is killed before its @second call. False: it was through before. */
static bool kill_twice(const struct bench_options *o, unsigned int first, unsigned int second)
{
	struct victim *v = kill_once(o, first);
	struct victim *heir = new_victim(bench_recover);
	struct fake_rm *f;

	assert_non_null(v);
	f = v->bench.f;
	inherit(f, &heir->bench);
	if (let_live(heir, second)) {
		bury(heir);
		assert_recovers(f, first, second);
		return true;
	}
	assert_int_equal(heir->r, 0);
	bench_assert_clean(&heir->bench);
	heir_done(&heir->bench);
	free(heir);
	return false;
}

static const struct bench_options small = {
	.host = { .ram_size = HOST_RAM },
	.demo = { .memory = RAM, .window = true },
};

static const struct bench_options scattered = {
	.host = { .ram_size = HOST_RAM, .chunk_pages = 1 },
	.demo = { .memory = RAM },
};

static const struct bench_options presplit = {
	.host = { .ram_size = HOST_RAM, .chunk_pages = 2 },
	.demo = { .memory = RAM },
	.presplit = true,
};

static const struct bench_options assigning = {
	.host = { .ram_size = HOST_RAM, .assigns = true },
	.demo = { .memory = RAM, .window = true },
};

static const struct bench_options assigning_presplit = {
	.host = { .ram_size = HOST_RAM, .assigns = true },
	.demo = { .memory = RAM },
	.presplit = true,
};

static const struct bench_options pair = {
	.host = { .ram_size = HOST_RAM, .assigns = true },
	.demo = { .memory = RAM, .window = true },
	.pair = true,
};

static void is_killed_anywhere(void **state)
{
	sweep("plain", &small);
	sweep("scattered", &scattered);
	sweep("presplit", &presplit);
	sweep("assigning", &assigning);
	sweep("assigning, presplit", &assigning_presplit);
	sweep("two VMs with one region", &pair);
}

/* Every ninth point of a life, and of each recovery every fifth, from another start. */
static void heir_is_killed_as_well(void **state)
{
	unsigned int points = 0;

	for (unsigned int first = 3; first < 110; first += 9)
		for (unsigned int second = 1 + first % 5; kill_twice(&scattered, first, second);
		     second += 5)
			points++;
	assert_true(points > 200);
	print_message("killed twice: %u points\n", points);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_killed_anywhere),
		cmocka_unit_test(heir_is_killed_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
