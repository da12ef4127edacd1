/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A resource manager that lies once: each field of each reply of a start, a stop, a reboot and a
 * transaction is replaced by nothing, by one, by all ones, by what is another's, by every state and
 * by statuses that deceive. The manager lives on; or it dies soon after, and the next one has only
 * tags; or it dies at some point and the next one is lied to.
 *
 * The fake aborts at the first page that goes back to Linux while the model says that a guest may
 * own it (tests/fakes/rm.h). Another VM, which has nothing to do with it, keeps what it has. And when
 * RM is honest again, nothing stays behind.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/machine/internal.h"
#include "libghvm/memory/parcel.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fakes/other-vm.h"
#include "tests/fixtures/region.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORD 4
#define FIELDS_MAX 24 /* of a reply; what is longer is a list of things that are alike */
#define PATIENCE_MS 5 /* of a machine with a VM that does not change its state */

/* ---- which point it was, if the fake aborts ---- */

static char where[256];

static void on_abort(int sig)
{
	(void)!write(STDERR_FILENO, where, strlen(where));
}

/* ---- what is lied about ---- */

/**
 * struct scenario - what happens meanwhile
 * @live: all of it; 0: all of it worked
 * @has_guest: that takes what it gets and does not let go of it; it can only be lived with
 */
struct scenario {
	const char *what;
	struct bench_options options;
	int (*live)(struct bench *b, struct ghvm_error *err);
	bool has_guest;
};

/**
 * struct lie - one
 * @nth: reply, from 0 on; @offset: into it; UINT32_MAX: none
 * @dies_after: so many calls of the host the process is dead, too; 0: it lives on
 * @way: REFUSED: with @value as status; REPLACED: by @offset bytes that begin with @value
 */
struct lie {
	enum { ONE_WORD, REFUSED, REPLACED } way;
	unsigned int nth;
	size_t offset;
	uint32_t value;
	unsigned int dies_after;
};

/* An on_leave: death comes some calls after the lie. */
struct death {
	struct bench *b;
	unsigned int after;
};

static void let_it_die(void *data)
{
	const struct death *d = data;

	if (!d->b->f->dead_from && !model_lie_waits(d->b->f->model))
		d->b->f->dead_from = d->b->f->calls + d->after;
}

static void arm(struct bench *b, const struct lie *l)
{
	uint8_t bytes[64] = {};
	struct ghvm_put w = { .buf = bytes, .cap = sizeof(bytes) };

	ghvm_put_u32(&w, l->value);
	switch (l->way) {
	case ONE_WORD:
		model_lie(b->f->model, 0, l->offset, bytes, WORD, l->nth);
		break;
	case REFUSED:
		model_refuse(b->f->model, 0, l->value, l->nth);
		break;
	case REPLACED:
		model_reply(b->f->model, 0, bytes, l->offset, l->nth);
		break;
	}
}

static void disarm(struct bench *b)
{
	b->f->on_leave = NULL;
	b->f->dead_from = 0;
	model_lie(b->f->model, 0, 0, NULL, 0, UINT32_MAX);
	model_refuse(b->f->model, UINT32_MAX, 0, UINT32_MAX);
	model_reply(b->f->model, UINT32_MAX, NULL, 0, UINT32_MAX);
}

/* ---- lives ---- */

static int change(struct bench *b, uint32_t comes, uint32_t goes, struct ghvm_error *err)
{
	_cleanup_(ghvm_transaction_freep) struct ghvm_transaction *t = NULL;
	int r = ghvm_transaction_new(b->m, &t, err);

	if (r == 0 && comes)
		r = regions_try_add(t, comes, err);
	if (r == 0 && goes)
		r = ghvm_transaction_remove(t, goes, err);
	return r == 0 ? ghvm_transaction_commit(t, PATIENCE_MS, err) : r;
}

static int run_and_change(struct bench *b, struct ghvm_error *err)
{
	int r = ghvm_machine_build(b->m, &b->demo.files, NULL, err);

	if (r == 0)
		r = ghvm_machine_start(b->m, err);
	if (r == 0)
		r = change(b, 7, 0, err);
	if (r == 0)
		r = change(b, 8, 7, err);
	if (r == 0)
		r = ghvm_machine_teardown(b->m, err);
	return r;
}

/* RM refuses to take back what the guest keeps, and says otherwise. */
static int change_and_keep(struct bench *b, struct ghvm_error *err)
{
	int r;

	b->guest_does = BENCH_GUEST_KEEPS;
	r = bench_run(b, err);
	if (r == 0)
		r = change(b, 7, 0, err);
	if (r == 0 && change(b, 8, 7, NULL) == 0)
		return ghvm_error_set(err, -EPROTO, "it has given it up");
	if (r == 0)
		r = ghvm_machine_teardown(b->m, err);
	return r;
}

#define RAM 0x90000ULL /* 144 pages */
#define HOST_RAM GHVM_MIB(2)

static const struct scenario scenarios[] = {
	{ "plain",
	  { .host = { .ram_size = HOST_RAM }, .demo = { .memory = RAM, .window = true } },
	  bench_start_reboot_stop,
	  false },
	{ "scattered",
	  { .host = { .ram_size = HOST_RAM, .chunk_pages = 1 },
	    .demo = { .memory = RAM, .window = true } },
	  bench_start_reboot_stop,
	  false },
	{ "presplit",
	  { .host = { .ram_size = HOST_RAM, .chunk_pages = 2, .presplit_quirk = true },
	    .demo = { .memory = RAM, .window = true },
	    .presplit = true },
	  bench_start_reboot_stop,
	  false },
	{ "lent instead",
	  { .host = { .ram_size = HOST_RAM, .production = true },
	    .demo = { .memory = RAM, .shared = true } },
	  bench_share_then_lend,
	  false },
	{ "transaction",
	  { .host = { .ram_size = HOST_RAM },
	    .demo = { .memory = RAM, .window = true, .rm_rpc = true } },
	  run_and_change,
	  false },
	{ "kept",
	  { .host = { .ram_size = HOST_RAM },
	    .demo = { .memory = RAM, .window = true, .rm_rpc = true } },
	  change_and_keep,
	  true },
};

/* ---- the values ---- */

/* What a field is replaced by; the last three are another's. */
#define VALUES 22

static void values(struct bench *b, const struct other *o, uint32_t ret[VALUES])
{
	static const uint32_t fixed[VALUES - 3] = {
		0,	    1,		2,	    3,	4,  5,	6,  7, 8,
		9,	    10,		11,	    12, 13, 14, 20, /* handles, states, statuses */
		0x77777777, 0x2509b8f5, UINT32_MAX,
	};

	memcpy(ret, fixed, sizeof(fixed));
	ret[VALUES - 3] = o->vmid.id;
	ret[VALUES - 2] = o->lent.handle.id;
	ret[VALUES - 1] = o->shared.handle.id;
}

/* ---- points ---- */

struct tally {
	unsigned int points;
	unsigned int noticed;
	unsigned int rm_dead;
};

static void begin(struct bench *b, const struct scenario *s, struct other *o)
{
	bench_init(b, &s->options);
	ghvm_machine_set_patience(b->m, PATIENCE_MS);
	b->settle_ms = PATIENCE_MS;
	other_begin(b, o);
}

/* What RM has of anybody is guarded. */
static void assert_guarded(struct bench *b)
{
	for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++) {
		const struct fake_pin *p = &b->f->pins[i];

		for (size_t k = 0; p->used && k < p->n_extents; k++)
			if (model_page_owner(b->f->model, p->extents[k].pa) != 0)
				assert_int_equal(p->state, GHVM_PIN_GUARDED);
	}
}

/* Nothing is left, but for VMIDs that RM itself cannot take back any more (abi K.6). */
static bool is_clean(struct bench *b)
{
	struct ghvm_ledger_figures g;

	ghvm_ledger_figures(&b->ledger, &g);
	return fake_rm_leftovers(b->f) == g.stuck && fake_rm_counts(b->f).vms == g.stuck &&
	       !g.entries && !g.parcels && g.vmids == g.stuck;
}

/* The processes that come after it; the last ones hear the truth. */
static void recover(struct bench *b, struct tally *t)
{
	struct ghvm_error err = {};
	int r = 0;

	for (unsigned int i = 0; i < 3; i++) {
		r = bench_recover(b, &err);
		assert_guarded(b);
		if (r == 0 && is_clean(b))
			return;
		if (fake_rm_counts(b->f).rm_dead) {
			t->rm_dead++;
			return;
		}
	}
	fail_msg("%s: left behind: %d %s", where, r, err.msg);
}

static void end_honestly(struct bench *b, struct other *o, struct tally *t)
{
	struct ghvm_error err = {};
	int r = 0;

	for (unsigned int i = 0; i < 3 && !fake_rm_counts(b->f).rm_dead; i++) {
		r = ghvm_machine_teardown(b->m, &err);
		assert_guarded(b);
		if (r == 0)
			break;
	}
	if (fake_rm_counts(b->f).rm_dead) {
		t->rm_dead++;
		other_dies(o);
		return;
	}
	other_assert_well(b, o);
	if (r == 0)
		other_end(b, o);
	else
		other_dies(o);
	if (r < 0 || !is_clean(b)) /* e.g. an unknown VMID */
		recover(b, t);
}

static void try_lie(const struct scenario *s, const struct lie *l, struct tally *t)
{
	_cleanup_(bench_done) struct bench b;
	struct death d = { .b = &b, .after = l->dies_after };
	struct ghvm_error err = {};
	struct other o;

	(void)snprintf(where, sizeof(where),
		       "%s: reply %u, way %u, byte %zu: 0x%x, dead after %u\n", s->what, l->nth,
		       l->way, l->offset, l->value, l->dies_after);
	begin(&b, s, &o);
	arm(&b, l);
	if (l->dies_after) {
		b.f->on_leave = let_it_die;
		b.f->on_leave_data = &d;
	}
	t->noticed += s->live(&b, &err) < 0;
	disarm(&b);
	assert_guarded(&b);
	t->points++;
	if (l->dies_after) {
		other_dies(&o);
		recover(&b, t);
	} else {
		end_honestly(&b, &o, t);
	}
}

/* Lengths of the replies of an undisturbed life. */
static size_t replies_of(const struct scenario *s, size_t ret[FAKE_RM_SENT_MAX])
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct other o;
	size_t from, n;

	begin(&b, s, &o);
	from = b.f->n_answered;
	if (s->live(&b, &err) < 0)
		fail_msg("%s", err.msg);
	n = b.f->n_answered - from;
	memcpy(ret, b.f->answered + from, n * sizeof(*ret));
	other_end(&b, &o);
	bench_assert_clean(&b);
	return n;
}

static size_t fields(size_t len)
{
	return len / WORD < FIELDS_MAX ? len / WORD : FIELDS_MAX;
}

/* What is another's is so in each life alike. */
static void learn_values(const struct scenario *s, uint32_t ret[VALUES])
{
	_cleanup_(bench_done) struct bench b;
	struct other o;

	begin(&b, s, &o);
	values(&b, &o, ret);
	other_end(&b, &o);
}

/* GHVM_LIES=all: every point, which takes minutes; else every so many-eth. */
static unsigned int stride(unsigned int usual)
{
	return getenv("GHVM_LIES") ? 1 : usual;
}

/* @after: how many calls later it is dead, by turns; 0: it is not */
static void sweep(const struct scenario *s, const unsigned int *after, size_t n_after,
		  unsigned int step)
{
	size_t lengths[FAKE_RM_SENT_MAX];
	size_t n = replies_of(s, lengths);
	uint32_t v[VALUES];
	struct tally t = {};
	unsigned int turn = 0;

	learn_values(s, v);
	for (unsigned int nth = 0; nth < n; nth++)
		for (size_t i = 0; i < fields(lengths[nth]) * VALUES * n_after; i++) {
			const struct lie l = { .nth = nth,
					       .offset = i / n_after / VALUES * WORD,
					       .value = v[i / n_after % VALUES],
					       .dies_after = after[i % n_after] };

			if (turn++ % step == 0)
				try_lie(s, &l, &t);
		}
	print_message("%s: %u points, noticed in %u, RM dead in %u\n", s->what, t.points, t.noticed,
		      t.rm_dead);
	assert_in_range(t.points, 500, UINT32_MAX);
}

static void a_lie_and_it_lives_on(void **state)
{
	static const unsigned int never[] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		sweep(&scenarios[i], never, ARRAY_SIZE(never), 1);
}

/* Before it has noticed, and when it has and was about to do something about it. */
static void a_lie_and_it_dies(void **state)
{
	static const unsigned int after[] = { 1, 2, 3, 5, 9 };

	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (!scenarios[i].has_guest)
			sweep(&scenarios[i], after, ARRAY_SIZE(after), stride(13));
}

/* ---- a refusal that says that there is no such thing ---- */

/* RM knows the handle, has done nothing, and says once that it does not know the handle. */
static void a_handle_is_denied_once(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		size_t lengths[FAKE_RM_SENT_MAX];
		unsigned int n = (unsigned int)replies_of(&scenarios[i], lengths);
		struct tally t = {};

		for (unsigned int nth = 0; nth < n; nth++) {
			const struct lie l = { .nth = nth,
					       .value = GHVM_RM_HANDLE_INVALID,
					       .way = REFUSED };

			try_lie(&scenarios[i], &l, &t);
		}
	}
}

/* ---- any reply ---- */

/* xorshift64: the same numbers each time, so that a failure comes back */
static uint64_t next_number(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Any number, known or not; half of them are small, as statuses are. */
static uint32_t any_number(uint64_t *state)
{
	uint32_t value = (uint32_t)next_number(state);

	return next_number(state) % 2 ? value : value % 64;
}

/* A word of a reply becomes any number. */
static struct lie any_lie(const struct scenario *s, uint64_t *state, const size_t *lengths,
			  size_t n)
{
	struct lie l = { .nth = (unsigned int)(next_number(state) % n) };
	size_t words = fields(lengths[l.nth]);

	l.offset = words ? next_number(state) % words * WORD : 0;
	l.value = any_number(state);
	if (!s->has_guest && next_number(state) % 2)
		l.dies_after = 1 + (unsigned int)(next_number(state) % 9);
	return l;
}

/* A request is refused with any status; or it is done, and the reply is of any length and content. */
static struct lie any_reply(uint64_t *state, size_t n)
{
	return (struct lie){ .nth = (unsigned int)(next_number(state) % n),
			     .value = any_number(state),
			     .way = next_number(state) % 2 ? REFUSED : REPLACED,
			     .offset = next_number(state) % 64 };
}

/* GHVM_LIES=N: N in each kind of life */
static void any_reply_to_any_message(void **state)
{
	const char *many = getenv("GHVM_LIES");
	unsigned long rounds = many ? strtoul(many, NULL, 10) : 0;
	size_t lengths[FAKE_RM_SENT_MAX];
	uint64_t seed = 1;

	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		size_t n = replies_of(&scenarios[i], lengths);
		struct tally t = {};

		while (t.points < (rounds ? rounds : 200)) {
			const struct lie l = t.points % 2
						     ? any_lie(&scenarios[i], &seed, lengths, n)
						     : any_reply(&seed, n);

			try_lie(&scenarios[i], &l, &t);
		}
		print_message("%s: %u points, noticed in %u\n", scenarios[i].what, t.points,
			      t.noticed);
	}
}

/* ---- the next one is lied to ---- */

/* How many calls of the host a life is. */
static unsigned long calls_of(const struct scenario *s)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct other o;
	unsigned long from;

	begin(&b, s, &o);
	from = b.f->calls;
	assert_int_equal(s->live(&b, &err), 0);
	from = b.f->calls - from;
	other_end(&b, &o);
	return from;
}

/* Dead at its @nth call of the host, and the next one is about to be lied to. */
static void die_at(struct bench *b, const struct scenario *s, unsigned long nth)
{
	struct ghvm_error err = {};
	struct other o;

	begin(b, s, &o);
	b->f->dead_from = b->f->calls + nth;
	(void)s->live(b, &err);
	disarm(b);
	other_dies(&o);
}

/* False: there are not so many replies. */
static bool try_heir(const struct scenario *s, unsigned long at, const struct lie *l,
		     struct tally *t, size_t *ret_fields)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	bool waits;
	size_t from;

	(void)snprintf(where, sizeof(where), "%s: dead at %lu, then reply %u, byte %zu: 0x%x\n",
		       s->what, at, l->nth, l->offset, l->value);
	die_at(&b, s, at);
	from = b.f->n_answered;
	arm(&b, l);
	t->noticed += bench_recover(&b, &err) < 0;
	waits = model_lie_waits(b.f->model);
	disarm(&b);
	if (!waits)
		*ret_fields = fields(b.f->answered[from + l->nth]);
	assert_guarded(&b);
	t->points++;
	recover(&b, t);
	return !waits;
}

static void sweep_heir(const struct scenario *s, unsigned long step)
{
	unsigned long n = calls_of(s);
	uint32_t v[VALUES];
	struct tally t = {};

	learn_values(s, v);
	for (unsigned long at = 1; at <= n; at += step) {
		struct lie l = {};
		bool there = true;

		for (l.nth = 0; there; l.nth++) {
			size_t n_fields = 1;

			/* which value at which point: all of them in the end */
			for (size_t f = 0; there && f < n_fields; f++) {
				l.offset = f * WORD;
				l.value = v[(at + l.nth + f) % VALUES];
				there = try_heir(s, at, &l, &t, &n_fields);
			}
		}
	}
	print_message("%s: %u points, noticed in %u, RM dead in %u\n", s->what, t.points, t.noticed,
		      t.rm_dead);
	assert_in_range(t.points, 500, UINT32_MAX);
}

static void it_dies_and_the_next_one_is_lied_to(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (!scenarios[i].has_guest)
			sweep_heir(&scenarios[i], stride(11));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lie_and_it_lives_on),
		cmocka_unit_test(a_lie_and_it_dies),
		cmocka_unit_test(a_handle_is_denied_once),
		cmocka_unit_test(any_reply_to_any_message),
		cmocka_unit_test(it_dies_and_the_next_one_is_lied_to),
	};

	(void)signal(SIGABRT, on_abort);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
