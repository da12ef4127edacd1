/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each parcel message: the bytes of request and reply, replies of every wrong length, each
 * refusal, and the lists that must not be sent.
 */
#include "libghvm/hyp/host.h"
#include "libghvm/rm/mem-calls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/rpc.h"
#include "tests/fakes/queue-peer.h"

static const struct ghvm_mem_acl guest_acl[] = { { .vmid = { 0x80 }, .rights = GHVM_MEM_RWX } };
static const struct ghvm_mem_acl both_acl[] = {
	{ .vmid = { 0x80 }, .rights = GHVM_MEM_R },
	{ .vmid = { SCRIPT_VMID }, .rights = GHVM_MEM_RW },
};
static const struct ghvm_extent extents[] = {
	{ .pa = 0x123456000, .length = 0x200000 },
	{ .pa = 0xfffffffffffff000, .length = 0x1000 },
};
static const struct ghvm_parcel_handle handle = { 0x0a0b0c0d };

static const struct ghvm_mem_create lend = {
	.trans = GHVM_MEM_LEND,
	.label = 0,
	.append = true,
	.acl = guest_acl,
	.n_acl = 1,
	.extents = extents,
	.n_extents = 2,
};
static const struct ghvm_mem_create share = {
	.trans = GHVM_MEM_SHARE,
	.label = 0x11223344,
	.sanitise = true,
	.acl = both_acl,
	.n_acl = 2,
	.extents = extents,
	.n_extents = 1,
};

static const uint8_t lend_request[] = {
	0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, /* type, flags, label */
	0x01, 0x00, 0x00, 0x00, 0x80, 0x00, 0x07, 0x00, /* acl */
	0x02, 0x00, 0x00, 0x00,				/* extents */
	0x00, 0x60, 0x45, 0x23, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* attributes */
};
static const uint8_t share_request[] = {
	0x00, 0x00, 0x01, 0x00, 0x44, 0x33, 0x22, 0x11, /* type, flags, label */
	0x02, 0x00, 0x00, 0x00, 0x80, 0x00, 0x04, 0x00, 0x03, 0x00, 0x06, 0x00, /* acl */
	0x01, 0x00, 0x00, 0x00,							/* extents */
	0x00, 0x60, 0x45, 0x23, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* attributes */
};
static const uint8_t append_request[] = {
	0x0d, 0x0c, 0x0b, 0x0a, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x60,
	0x45, 0x23, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00,
};
static const uint8_t sanitise_request[] = { 0x0d, 0x0c, 0x0b, 0x0a, 0x01, 0x00, 0x00, 0x00 };
static const uint8_t plain_request[] = { 0x0d, 0x0c, 0x0b, 0x0a, 0x00, 0x00, 0x00, 0x00 };
static const uint8_t notify_request[] = {
	0x0d, 0x0c, 0x0b, 0x0a, 0x01, 0x00, 0x00, 0x00, 0x78, 0x56, 0x34, 0x12, /* what, tag */
	0x01, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00,				/* VMIDs */
};
static const uint8_t handle_reply[] = { 0x78, 0x56, 0x34, 0x12 };

struct fixture {
	struct script_host *s;
	struct ghvm_rm *rm;
	struct ghvm_error err;
	struct ghvm_parcel_handle out;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->s = script_host_new();
	assert_int_equal(ghvm_rm_new(&f->s->host, &f->rm, NULL), 0);
	ghvm_rm_set_deadline(f->rm, 20, 50);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ghvm_rm_free(f->rm);
	script_host_free(f->s);
	free(f);
	return 0;
}

static int do_lend(struct fixture *f)
{
	return ghvm_rm_mem_create(f->rm, &lend, &f->out, &f->err);
}

static int do_share(struct fixture *f)
{
	return ghvm_rm_mem_create(f->rm, &share, &f->out, &f->err);
}

static int do_append(struct fixture *f)
{
	return ghvm_rm_mem_append(f->rm, handle, extents, 1, true, &f->err);
}

static int do_reclaim(struct fixture *f)
{
	return ghvm_rm_mem_reclaim(f->rm, handle, true, 4096, &f->err);
}

static int do_notify(struct fixture *f)
{
	ghvm_rm_fact_set(f->rm, guest_acl[0].vmid, GHVM_RM_FACT_LINKED);
	return ghvm_rm_mem_notify(f->rm, handle, GHVM_MEM_NOTIFY_SHARED, 0x12345678,
				  guest_acl[0].vmid, &f->err);
}

static int do_lookup(struct fixture *f)
{
	return ghvm_rm_mem_lookup_sgl(f->rm, &share, &f->out, &f->err);
}

static const struct message {
	uint32_t id;
	const char *name;
	int (*call)(struct fixture *f);
	const uint8_t *request;
	size_t request_len;
	bool has_handle;
} messages[] = {
	{ 0x51000012, "MEM_LEND", do_lend, lend_request, sizeof(lend_request), true },
	{ 0x51000013, "MEM_SHARE", do_share, share_request, sizeof(share_request), true },
	{ 0x51000018, "MEM_APPEND", do_append, append_request, sizeof(append_request), false },
	{ 0x51000015, "MEM_RECLAIM", do_reclaim, sanitise_request, 8, false },
	{ 0x51000017, "MEM_NOTIFY", do_notify, notify_request, sizeof(notify_request), false },
	{ 0x5100001a, "MEM_LOOKUP_SGL", do_lookup, share_request, sizeof(share_request), true },
};

static void golden_requests_and_replies(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		const struct message *m = &messages[i];
		const struct script_request *r;
		uint8_t expected[256];

		memcpy(expected, m->request, m->request_len);
		if (m->id == 0x5100001a)
			expected[2] = 0; /* a look-up has no flags */
		f->out.id = 77;
		script_answer(f->s, m->id, 0, handle_reply, m->has_handle ? 4 : 0);
		assert_int_equal(m->call(f), 0);
		r = script_last(f->s);
		assert_int_equal(r->id, m->id);
		assert_int_equal(r->len, m->request_len);
		assert_memory_equal(r->payload, expected, m->request_len);
		assert_int_equal(f->out.id, m->has_handle ? 0x12345678 : 77);
	}
}

static void flags_the_other_way_round(void **state)
{
	struct fixture *f = *state;
	struct ghvm_mem_create m = lend;

	m.append = false;
	m.sanitise = false;
	script_answer(f->s, GHVM_RM_MEM_LEND, 0, handle_reply, 4);
	assert_int_equal(ghvm_rm_mem_create(f->rm, &m, &f->out, NULL), 0);
	assert_int_equal(script_last(f->s)->payload[2], 0);
	m.append = true;
	m.sanitise = true;
	script_answer(f->s, GHVM_RM_MEM_LEND, 0, handle_reply, 4);
	assert_int_equal(ghvm_rm_mem_create(f->rm, &m, &f->out, NULL), 0);
	assert_int_equal(script_last(f->s)->payload[2], 3);
	script_answer(f->s, GHVM_RM_MEM_APPEND, 0, NULL, 0);
	assert_int_equal(ghvm_rm_mem_append(f->rm, handle, extents, 1, false, NULL), 0);
	assert_int_equal(script_last(f->s)->payload[4], 0);
	script_answer(f->s, GHVM_RM_MEM_RECLAIM, 0, NULL, 0);
	assert_int_equal(ghvm_rm_mem_reclaim(f->rm, handle, false, 0, NULL), 0);
	assert_memory_equal(script_last(f->s)->payload, plain_request, 8);
}

static void handle_zero_is_a_handle(void **state)
{
	struct fixture *f = *state;

	script_answer(f->s, GHVM_RM_MEM_LEND, 0, "\0\0\0\0", 4);
	f->out.id = 77;
	assert_int_equal(do_lend(f), 0);
	assert_int_equal(f->out.id, 0);
	script_answer(f->s, GHVM_RM_MEM_LEND, 0, "\xff\xff\xff\xff", 4);
	assert_int_equal(do_lend(f), -EBADMSG);
	assert_int_equal(f->out.id, 0);
}

static void every_wrong_reply_is_rejected(void **state)
{
	struct fixture *f = *state;
	uint8_t reply[8] = { 0x12 };

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		for (size_t n = 0; n <= sizeof(reply); n++) {
			if (n == (messages[i].has_handle ? 4 : 0))
				continue;
			script_answer(f->s, messages[i].id, 0, reply, n);
			f->out.id = 77;
			assert_int_equal(messages[i].call(f), -EBADMSG);
			assert_int_equal(f->out.id, 77); /* untouched on failure */
			assert_non_null(strstr(f->err.msg, messages[i].name));
		}
}

static void every_refusal_says_what_and_why(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		script_answer(f->s, messages[i].id, GHVM_RM_MEM_INUSE, NULL, 0);
		assert_int_equal(messages[i].call(f), -EREMOTEIO);
		assert_int_equal(f->err.rm_message, messages[i].id);
		assert_int_equal(f->err.rm_code, GHVM_RM_MEM_INUSE);
		assert_non_null(strstr(f->err.msg, messages[i].name));
	}
	script_answer(f->s, GHVM_RM_MEM_LEND, GHVM_RM_NOMEM, NULL, 0);
	assert_int_equal(do_lend(f), -EREMOTEIO);
	assert_non_null(strstr(f->err.msg, "(2052 KiB, 2 entries)"));
}

static void silence_comes_through(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		if (messages[i].call == do_reclaim)
			continue; /* has its own patience, below */
		assert_int_equal(messages[i].call(f), -ETIMEDOUT);
		assert_non_null(strstr(f->err.msg, messages[i].name));
	}
}

/* ---- lists that are not sent ---- */

static void rejects(struct fixture *f, const struct ghvm_mem_create *m)
{
	size_t n = f->s->n_requests;

	f->err = (struct ghvm_error){};
	assert_int_equal(ghvm_rm_mem_create(f->rm, m, &f->out, &f->err), -EINVAL);
	assert_int_equal(f->err.code, -EINVAL);
	assert_true(strlen(f->err.msg) > 10);
	assert_int_equal(ghvm_rm_mem_lookup_sgl(f->rm, m, &f->out, NULL), -EINVAL);
	assert_int_equal(f->s->n_requests, n);
}

static void accepts(struct fixture *f, const struct ghvm_mem_create *m)
{
	script_answer(f->s, m->trans == GHVM_MEM_LEND ? GHVM_RM_MEM_LEND : GHVM_RM_MEM_SHARE, 0,
		      handle_reply, 4);
	assert_int_equal(ghvm_rm_mem_create(f->rm, m, &f->out, &f->err), 0);
}

static void access_lists(void **state)
{
	struct fixture *f = *state;
	struct ghvm_mem_acl many[GHVM_RM_MEM_ACL_MAX + 1];
	struct ghvm_mem_create m = lend;

	m.n_acl = 0;
	rejects(f, &m);
	for (uint16_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct ghvm_mem_acl){ { (uint16_t)(0x80 + i) }, GHVM_MEM_RW };
	m.acl = many;
	m.n_acl = ARRAY_SIZE(many);
	rejects(f, &m);
	m.n_acl--;
	accepts(f, &m);
	assert_int_equal(script_last(f->s)->len, 20 + 4 * GHVM_RM_MEM_ACL_MAX + 32);
	many[3].vmid.id = 0x80; /* twice */
	rejects(f, &m);
	many[3].vmid.id = 0;
	rejects(f, &m);
	many[3].vmid.id = SCRIPT_VMID; /* lent, and ours? */
	rejects(f, &m);
	m.trans = GHVM_MEM_SHARE;
	accepts(f, &m);
	many[3].vmid.id = 0x83; /* shared, and not ours? */
	rejects(f, &m);
}

static void rights(void **state)
{
	struct fixture *f = *state;
	struct ghvm_mem_acl acl = { .vmid = { 0x80 } };
	struct ghvm_mem_create m = lend;

	m.acl = &acl;
	for (unsigned int r = 0; r < 256; r++) {
		acl.rights = (uint8_t)r;
		if (r >= 4 && r <= 7)
			accepts(f, &m);
		else
			rejects(f, &m);
	}
	m.type = GHVM_MEM_IO;
	for (unsigned int r = 4; r <= 7; r++) {
		acl.rights = (uint8_t)r;
		if (r == GHVM_MEM_R || r == GHVM_MEM_RW)
			accepts(f, &m);
		else
			rejects(f, &m); /* nothing is executed from I/O memory */
	}
	acl.rights = GHVM_MEM_RW;
	assert_int_equal(script_last(f->s)->payload[0], 1);
	m.sanitise = true;
	rejects(f, &m);
	m.sanitise = false;
	m.type = (enum ghvm_mem_type)2;
	rejects(f, &m);
}

static void extents_are_whole_pages(void **state)
{
	static const struct ghvm_extent bad[] = {
		{ .pa = 0x1000, .length = 0 },
		{ .pa = 0x1000, .length = 0x800 },
		{ .pa = 0x1000, .length = 0x1001 },
		{ .pa = 0x1800, .length = 0x1000 },
		{ .pa = 0xfffffffffffff000, .length = 0x2000 },
		{ .pa = 0x2000, .length = 0xfffffffffffff000 },
	};
	struct fixture *f = *state;
	struct ghvm_extent two[2] = { { .pa = 0x1000, .length = 0x1000 } };
	struct ghvm_mem_create m = lend;
	size_t n;

	m.extents = two;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		two[1] = bad[i];
		rejects(f, &m);
		n = f->s->n_requests;
		assert_int_equal(ghvm_rm_mem_append(f->rm, handle, two, 2, true, NULL), -EINVAL);
		assert_int_equal(f->s->n_requests, n);
	}
}

static void entry_counts(void **state)
{
	struct fixture *f = *state;
	struct ghvm_extent many[GHVM_RM_MEM_LOOKUP_MAX + 1];
	struct ghvm_mem_create m = lend;

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct ghvm_extent){ .pa = i * 0x2000, .length = 0x1000 };
	m.extents = many;
	m.n_extents = 0;
	rejects(f, &m);
	m.n_extents = GHVM_RM_MEM_ENTRIES_MAX;
	accepts(f, &m);
	assert_int_equal(script_last(f->s)->len, 24 + 16 * 64);
	m.n_extents++;
	assert_int_equal(ghvm_rm_mem_create(f->rm, &m, &f->out, NULL), -EINVAL);

	script_answer(f->s, GHVM_RM_MEM_APPEND, 0, NULL, 0);
	assert_int_equal(ghvm_rm_mem_append(f->rm, handle, many, 64, true, NULL), 0);
	assert_int_equal(script_last(f->s)->len, 12 + 16 * 64);
	assert_int_equal(ghvm_rm_mem_append(f->rm, handle, many, 65, true, NULL), -EINVAL);
	assert_int_equal(ghvm_rm_mem_append(f->rm, handle, many, 0, true, NULL), -EINVAL);

	m.n_extents = GHVM_RM_MEM_LOOKUP_MAX;
	script_answer(f->s, GHVM_RM_MEM_LOOKUP_SGL, 0, handle_reply, 4);
	assert_int_equal(ghvm_rm_mem_lookup_sgl(f->rm, &m, &f->out, NULL), 0);
	assert_int_equal(script_last(f->s)->len, 24 + 16 * 512);
	m.n_extents++;
	assert_int_equal(ghvm_rm_mem_lookup_sgl(f->rm, &m, &f->out, NULL), -EINVAL);
}

/* To tell a VM that has no link kills RM (abi K.6): it must not be possible. */
static void only_who_has_a_link_is_told(void **state)
{
	const struct ghvm_vmid vmid = { 0x80 }, other = { 0x81 };
	struct fixture *f = *state;
	const size_t n = f->s->n_requests;

	assert_int_equal(
		ghvm_rm_mem_notify(f->rm, handle, GHVM_MEM_NOTIFY_SHARED, 1, vmid, &f->err),
		-EOPNOTSUPP);
	assert_non_null(strstr(f->err.msg, "no link"));
	ghvm_rm_fact_set(f->rm, other, GHVM_RM_FACT_LINKED);
	ghvm_rm_fact_set(f->rm, vmid, GHVM_RM_FACT_ALLOCATED);
	ghvm_rm_fact_set(f->rm, vmid, GHVM_RM_FACT_CONFIGURED);
	assert_int_equal(ghvm_rm_mem_notify(f->rm, handle, GHVM_MEM_NOTIFY_RECALL, 1, vmid, NULL),
			 -EOPNOTSUPP);
	ghvm_rm_fact_set(f->rm, vmid, GHVM_RM_FACT_LINKED);
	for (unsigned int what = 0; what < 256; what++)
		if (what != GHVM_MEM_NOTIFY_SHARED && what != GHVM_MEM_NOTIFY_RECALL)
			assert_int_equal(ghvm_rm_mem_notify(f->rm, handle,
							    (enum ghvm_mem_notify)what, 1, vmid,
							    NULL),
					 -EINVAL);
	assert_int_equal(f->s->n_requests, n);

	script_answer(f->s, GHVM_RM_MEM_NOTIFY, 0, NULL, 0);
	assert_int_equal(ghvm_rm_mem_notify(f->rm, handle, GHVM_MEM_NOTIFY_RECALL, 1, vmid, NULL),
			 0);
	assert_int_equal(script_last(f->s)->payload[4], 8);
	ghvm_rm_fact_clear(f->rm, vmid);
	assert_int_equal(ghvm_rm_mem_notify(f->rm, handle, GHVM_MEM_NOTIFY_RECALL, 1, vmid, NULL),
			 -EOPNOTSUPP);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* decision 27: a second more for each 64 MiB that RM has to zero. */
static void zeroing_takes_longer(void **state)
{
	struct fixture *f = *state;
	uint64_t begin = now_ms();

	assert_int_equal(ghvm_rm_mem_reclaim(f->rm, handle, true, 1, &f->err), -ETIMEDOUT);
	assert_in_range(now_ms() - begin, 1000, 1900);
	assert_non_null(strstr(f->err.msg, "within 1020 ms"));
	begin = now_ms();
	assert_int_equal(ghvm_rm_mem_reclaim(f->rm, handle, false, GHVM_GIB(1), NULL), -ETIMEDOUT);
	assert_in_range(now_ms() - begin, 20, 900);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(golden_requests_and_replies),
		T(flags_the_other_way_round),
		T(handle_zero_is_a_handle),
		T(every_wrong_reply_is_rejected),
		T(every_refusal_says_what_and_why),
		T(silence_comes_through),
		T(access_lists),
		T(rights),
		T(extents_are_whole_pages),
		T(entry_counts),
		T(only_who_has_a_link_is_told),
		T(zeroing_takes_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
