/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parcels of the model: every refusal, who has which page, and RM's small heap. */
#include "libghvm/base/cleanup.h"
#include "tests/fixtures/model.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096ULL
#define MIB (1ULL << 20)
#define GUEST 0x80
#define HLOS 3

struct acl {
	uint16_t vmid;
	uint8_t rights;
};

struct attr {
	uint16_t attr;
	uint16_t vmid;
};

/* A create in all its parts; counts of 0 mean that the list is empty. */
struct request {
	uint32_t message;
	uint8_t type;
	uint8_t flags;
	unsigned int n_acl;
	struct acl acl[3];
	unsigned int n_sgl;
	struct bench_range sgl[3];
	unsigned int n_attr;
	struct attr attr[2];
};

static void put_lists(struct ghvm_put *w, const struct request *r, bool attrs)
{
	ghvm_put_u16(w, (uint16_t)r->n_acl);
	ghvm_put_u16(w, 0);
	for (unsigned int i = 0; i < r->n_acl; i++) {
		ghvm_put_u16(w, r->acl[i].vmid);
		ghvm_put_u16(w, r->acl[i].rights);
	}
	ghvm_put_u16(w, (uint16_t)r->n_sgl);
	ghvm_put_u16(w, 0);
	for (unsigned int i = 0; i < r->n_sgl; i++) {
		ghvm_put_u64(w, r->sgl[i].ipa);
		ghvm_put_u64(w, r->sgl[i].size);
	}
	if (!attrs)
		return;
	ghvm_put_u16(w, (uint16_t)r->n_attr);
	ghvm_put_u16(w, 0);
	for (unsigned int i = 0; i < r->n_attr; i++) {
		ghvm_put_u16(w, r->attr[i].attr);
		ghvm_put_u16(w, r->attr[i].vmid);
	}
}

static uint32_t create(struct bench *b, const struct request *r)
{
	uint8_t buf[256];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u8(&w, r->type);
	ghvm_put_u8(&w, 0);
	ghvm_put_u8(&w, r->flags);
	ghvm_put_u8(&w, 0);
	ghvm_put_u32(&w, 5);
	put_lists(&w, r, true);
	return bench_rm_put(b, r->message, &w);
}

static uint32_t lookup(struct bench *b, const struct request *r)
{
	uint8_t buf[256];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, r->type);
	ghvm_put_u32(&w, 77); /* the label is not compared */
	put_lists(&w, r, true);
	return bench_rm_put(b, BENCH_LOOKUP, &w);
}

static void a_lend_byte_by_byte(void **state)
{
	static const uint8_t request[] = {
		0, 0, 0, 0, 7,	  0, 0, 0, /* normal, no flags, label 7 */
		1, 0, 0, 0, 0x80, 0, 7, 0, /* one VM, RWX */
		1, 0, 0, 0, 0,	  0, 0, 0x42, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, /* two pages */
		0, 0, 0, 0, /* no attributes */
	};
	static const uint8_t reclaim[] = { 0, 0, 0, 0, 0, 0, 0, 0 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	struct model_counts n;
	uint64_t heap;

	assert_int_equal(bench_allocate(b), GUEST);
	heap = bench_heap_used(b);
	assert_int_equal(bench_rm(b, BENCH_LEND, request, sizeof(request)), OK);
	assert_int_equal(b->reply_len, 4);
	assert_int_equal(bench_reply_u32(b, 0), 0); /* the first handle, and a valid one */
	assert_int_equal(bench_rights_at(b, 0x42000000), 0);
	assert_int_equal(bench_rights_at(b, 0x42001000), 0);
	assert_int_equal(bench_rights_at(b, 0x42002000), 7);
	assert_int_equal(model_page_owner(b->m, 0x42001000), 1);
	model_counts(b->m, &n);
	assert_int_equal(n.lent_pages, 2);
	assert_int_equal(n.entries, 1);
	assert_int_equal(bench_rm(b, 0x51000015, reclaim, sizeof(reclaim)), OK);
	bench_assert_all_back(b, heap);
}

static const struct request good = {
	.message = BENCH_LEND,
	.n_acl = 1,
	.acl = { { GUEST, 7 } },
	.n_sgl = 1,
	.sgl = { { BENCH_RAM, PAGE } },
};

#define BASE .n_acl = 1, .acl = { { GUEST, 7 } }, .n_sgl = 1, .sgl = { { BENCH_RAM, PAGE } }
#define LEND_BASE .message = BENCH_LEND, BASE
#define SGL_BASE .message = BENCH_LEND, .n_acl = 1, .acl = { { GUEST, 7 } }, .n_sgl = 1
#define ACL_BASE .message = BENCH_LEND, .n_sgl = 1, .sgl = { { BENCH_RAM, PAGE } }

static const struct {
	const char *what;
	uint32_t status;
	struct request r;
} refusals[] = {
	{ "no ACL", ARGUMENT_INVALID, { ACL_BASE } },
	{ "no entries",
	  ARGUMENT_INVALID,
	  { .message = BENCH_LEND, .n_acl = 1, .acl = { { GUEST, 7 } } } },
	{ "donate to two",
	  ARGUMENT_INVALID,
	  { .message = BENCH_DONATE,
	    .n_acl = 2,
	    .acl = { { GUEST, 7 }, { 5, 7 } },
	    .n_sgl = 1,
	    .sgl = { { BENCH_RAM, PAGE } } } },
	{ "sanitise IO", ARGUMENT_INVALID, { LEND_BASE, .type = 1, .flags = 1 } },
	{ "VM twice", ARGUMENT_INVALID, { ACL_BASE, .n_acl = 2, .acl = { { 5, 7 }, { 5, 7 } } } },
	{ "no rights", ARGUMENT_INVALID, { ACL_BASE, .n_acl = 1, .acl = { { GUEST, 0 } } } },
	{ "W alone", ARGUMENT_INVALID, { ACL_BASE, .n_acl = 1, .acl = { { GUEST, 2 } } } },
	{ "WX", ARGUMENT_INVALID, { ACL_BASE, .n_acl = 1, .acl = { { GUEST, 3 } } } },
	{ "too many rights", ARGUMENT_INVALID, { ACL_BASE, .n_acl = 1, .acl = { { GUEST, 8 } } } },
	{ "IO with X", ARGUMENT_INVALID, { LEND_BASE, .type = 1 } },
	{ "dead VMID", ARGUMENT_INVALID, { ACL_BASE, .n_acl = 1, .acl = { { 190, 7 } } } },
	{ "VMID 0", ARGUMENT_INVALID, { ACL_BASE, .n_acl = 1, .acl = { { 0, 7 } } } },
	{ "VMID 64", ARGUMENT_INVALID, { ACL_BASE, .n_acl = 1, .acl = { { 64, 7 } } } },
	{ "donate RW",
	  DENIED,
	  { .message = BENCH_DONATE,
	    .n_acl = 1,
	    .acl = { { GUEST, 6 } },
	    .n_sgl = 1,
	    .sgl = { { BENCH_RAM, PAGE } } } },
	{ "share without the owner", ARGUMENT_INVALID, { .message = BENCH_SHARE, BASE } },
	{ "lend to the owner", ARGUMENT_INVALID, { ACL_BASE, .n_acl = 1, .acl = { { HLOS, 7 } } } },
	{ "donate to the owner",
	  ARGUMENT_INVALID,
	  { .message = BENCH_DONATE,
	    .n_acl = 1,
	    .acl = { { HLOS, 7 } },
	    .n_sgl = 1,
	    .sgl = { { BENCH_RAM, PAGE } } } },
	{ "attribute twice",
	  ARGUMENT_INVALID,
	  { LEND_BASE, .n_attr = 2, .attr = { { 0, GUEST }, { 0, GUEST } } } },
	{ "attribute 4", ARGUMENT_INVALID, { LEND_BASE, .n_attr = 1, .attr = { { 4, GUEST } } } },
	{ "device on normal",
	  ARGUMENT_INVALID,
	  { LEND_BASE, .n_attr = 1, .attr = { { 1, GUEST } } } },
	{ "attribute of a stranger",
	  VMID_INVALID,
	  { LEND_BASE, .n_attr = 1, .attr = { { 0, 5 } } } },
	{ "IPA unaligned", ARGUMENT_INVALID, { SGL_BASE, .sgl = { { BENCH_RAM + 1, PAGE } } } },
	{ "size unaligned", ARGUMENT_INVALID, { SGL_BASE, .sgl = { { BENCH_RAM, PAGE + 1 } } } },
	{ "IPA too high", ARGUMENT_INVALID, { SGL_BASE, .sgl = { { 1ULL << 36, PAGE } } } },
	{ "size too high", ARGUMENT_INVALID, { SGL_BASE, .sgl = { { BENCH_RAM, 1ULL << 40 } } } },
	{ "size 0", MEM_INVALID, { SGL_BASE, .sgl = { { BENCH_RAM, 0 } } } },
	{ "not RAM", MEM_INVALID, { SGL_BASE, .sgl = { { BENCH_RAM - PAGE, PAGE } } } },
	{ "above RAM", MEM_INVALID, { SGL_BASE, .sgl = { { BENCH_RAM + BENCH_RAM_SIZE, PAGE } } } },
	{ "twice in one list",
	  MEM_INVALID,
	  { .message = BENCH_LEND,
	    .n_acl = 1,
	    .acl = { { GUEST, 7 } },
	    .n_sgl = 2,
	    .sgl = { { BENCH_RAM, 2 * PAGE }, { BENCH_RAM + PAGE, PAGE } } } },
};

static void creates_that_are_refused(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint64_t heap;

	assert_int_equal(bench_allocate(b), GUEST);
	heap = bench_heap_used(b);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (create(b, &refusals[i].r) != refusals[i].status)
			fail_msg("%s", refusals[i].what);
	}
	bench_assert_all_back(b, heap);
	/* each of them used up a handle (abi K.9) */
	assert_int_equal(create(b, &good), OK);
	assert_int_equal(bench_reply_u32(b, 0), sizeof(refusals) / sizeof(refusals[0]));
}

/* abi K.9 */
static void what_is_accepted_though_odd(void **state)
{
	static const struct request odd[] = {
		{ ACL_BASE, .n_acl = 1, .acl = { { 5, 7 } } },
		{ ACL_BASE, .n_acl = 1, .acl = { { 255, 7 } } },
		{ LEND_BASE, .type = 9 },
		{ LEND_BASE, .flags = 0xf0 },
		{ LEND_BASE, .n_attr = 1, .attr = { { 3, GUEST } } },
		{ .message = BENCH_LEND,
		  .type = 1,
		  .n_acl = 1,
		  .acl = { { GUEST, 6 } },
		  .n_sgl = 1,
		  .sgl = { { BENCH_RAM, PAGE } },
		  .n_attr = 1,
		  .attr = { { 1, GUEST } } },
	};
	static const uint8_t no_attr_list[] = { 0,    0, 0, 0, 0, 0,	0, 0, 1, 0, 0, 0,
						0x80, 0, 7, 0, 1, 0,	0, 0, 0, 0, 0, 0x42,
						0,    0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);

	assert_int_equal(bench_allocate(b), GUEST);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_int_equal(create(b, &odd[i]), OK);
		assert_int_equal(bench_reclaim(b, bench_reply_u32(b, 0), false), OK);
	}
	assert_int_equal(bench_rm(b, BENCH_LEND, no_attr_list, sizeof(no_attr_list)), OK);
}

static void lengths_that_do_not_add_up(void **state)
{
	static uint8_t big[20 + 16 * 513];
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint8_t buf[64] = { 0 };
	uint64_t heap;

	assert_int_equal(bench_allocate(b), GUEST);
	heap = bench_heap_used(b);
	buf[8] = 1;
	buf[16] = 1; /* one of each: 40 bytes with an empty attribute list */
	for (size_t n = 0; n < 44; n++) {
		if (n != 36 && n != 40) /* 36: the attribute list left out */
			assert_int_equal(bench_rm(b, BENCH_LEND, buf, n), MSG_INVALID);
	}
	assert_int_equal(bench_rm(b, 0x51000018, buf, 11), MSG_INVALID);
	assert_int_equal(bench_rm(b, 0x51000018, buf, 13), MSG_INVALID);
	assert_int_equal(bench_rm(b, 0x51000015, buf, 7), MSG_INVALID);
	assert_int_equal(bench_rm(b, BENCH_RELEASE, buf, 7), MSG_INVALID);
	assert_int_equal(bench_rm(b, BENCH_NOTIFY, buf, 11), MSG_INVALID);
	assert_int_equal(bench_rm(b, BENCH_ACCEPT, buf, 23), MSG_INVALID);
	assert_int_equal(bench_rm(b, BENCH_LOOKUP, buf, 11), MSG_INVALID);

	big[8] = 1;
	big[16] = 1; /* 513 */
	big[17] = 2;
	assert_int_equal(bench_rm(b, BENCH_LEND, big, sizeof(big)), NORESOURCE);
	bench_assert_all_back(b, heap);
}

static void an_entry_past_the_end_of_ram_is_fatal(void **state)
{
	static const struct request r = { SGL_BASE, .sgl = { { BENCH_RAM + BENCH_RAM_SIZE - PAGE,
							       2 * PAGE } } };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);

	assert_int_equal(bench_allocate(b), GUEST);
	expect_assert_failure(create(b, &r));
}

static void a_share_leaves_the_owner_his_rights(void **state)
{
	static const struct request r = {
		.message = BENCH_SHARE,
		.n_acl = 2,
		.acl = { { GUEST, 7 }, { HLOS, 4 } },
		.n_sgl = 1,
		.sgl = { { BENCH_RAM, PAGE } },
	};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	struct model_counts n;
	uint64_t heap;

	assert_int_equal(bench_allocate(b), GUEST);
	heap = bench_heap_used(b);
	assert_int_equal(create(b, &r), OK);
	assert_int_equal(bench_rights_at(b, BENCH_RAM), 4);
	assert_int_equal(model_page_owner(b->m, BENCH_RAM), 2);
	model_counts(b->m, &n);
	assert_int_equal(n.shared_pages, 1);
	assert_int_equal(create(b, &good), MEM_INVALID); /* in another parcel */
	assert_int_equal(bench_reclaim(b, 0, false), OK);
	bench_assert_all_back(b, heap);
}

static void an_owner_has_64_parcels(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint64_t heap = bench_heap_used(b);
	struct bench_range r = { BENCH_RAM, PAGE };

	for (uint32_t i = 0; i < 64; i++, r.ipa += PAGE) {
		assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &r, 1), OK);
		assert_int_equal(bench_reply_u32(b, 0), i);
	}
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &r, 1), DENIED);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(bench_reclaim(b, i, false), OK);
	assert_int_equal(bench_reclaim(b, 0, false), HANDLE_INVALID);
	assert_int_equal(bench_reclaim(b, 64, false), HANDLE_INVALID);
	bench_assert_all_back(b, heap);
}

static void appends(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint64_t heap = bench_heap_used(b);
	struct bench_range r[3] = { { BENCH_RAM, PAGE },
				    { BENCH_RAM + 4 * PAGE, PAGE },
				    { BENCH_RAM + 8 * PAGE, 2 * PAGE } };
	struct bench_range bad[2] = { { BENCH_RAM + 16 * PAGE, PAGE }, { BENCH_RAM, PAGE } };

	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, BENCH_APPEND, r, 1), OK);
	assert_int_equal(bench_append(b, 1, false, r + 1, 1), HANDLE_INVALID);
	assert_int_equal(bench_append(b, 0, false, r + 1, 0), ARGUMENT_INVALID);
	assert_int_equal(bench_append(b, 0, false, r + 1, 1), OK);
	/* an error takes back only what this message brought */
	assert_int_equal(bench_append(b, 0, true, bad, 2), MEM_INVALID);
	assert_int_equal(bench_rights_at(b, BENCH_RAM + 16 * PAGE), 7);
	assert_int_equal(bench_rights_at(b, BENCH_RAM + 4 * PAGE), 0);
	assert_int_equal(bench_append(b, 0, true, r + 2, 1), OK);
	assert_int_equal(bench_append(b, 0, true, bad, 1), DENIED); /* complete */
	assert_int_equal(bench_reclaim(b, 0, false), OK);
	bench_assert_all_back(b, heap);

	/* a half-built one can be taken back as well */
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, BENCH_APPEND, r, 1), OK);
	assert_int_equal(bench_reclaim(b, 1, false), OK);
	bench_assert_all_back(b, heap);
}

static void contents_stay_unless_sanitised(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	struct bench_range r[2] = { { BENCH_RAM, PAGE }, { BENCH_RAM + 2 * PAGE, PAGE } };
	uint8_t *ram = bench_ram(b, BENCH_RAM, 4 * PAGE);

	memset(ram, 0xaa, 4 * PAGE);
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, r, 2), OK);
	assert_int_equal(bench_reclaim(b, 0, false), OK);
	assert_int_equal(ram[0], 0xaa);
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, r, 2), OK);
	assert_int_equal(bench_reclaim(b, 1, true), OK);
	assert_int_equal(ram[0], 0);
	assert_int_equal(ram[PAGE], 0xaa); /* between the entries */
	assert_int_equal(ram[2 * PAGE], 0);
	memset(ram, 0xaa, 4 * PAGE);
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, BENCH_SANITISE, r, 2), OK);
	assert_int_equal(ram[2 * PAGE + 9], 0);
	assert_int_equal(ram[3 * PAGE], 0xaa);
}

static void a_lost_handle_is_found_by_its_lists(void **state)
{
	static const struct request want = {
		.message = BENCH_LEND,
		.n_acl = 1,
		.acl = { { GUEST, 7 } },
		.n_sgl = 2,
		.sgl = { { BENCH_RAM, PAGE }, { BENCH_RAM + 2 * PAGE, 3 * PAGE } },
	};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	struct request other;

	assert_int_equal(bench_allocate(b), GUEST);
	assert_int_equal(lookup(b, &want), LOOKUP_FAILED);
	assert_int_equal(create(b, &refusals[0].r), ARGUMENT_INVALID);
	assert_int_equal(create(b, &want), OK);
	assert_int_equal(lookup(b, &want), OK);
	assert_int_equal(bench_reply_u32(b, 0), 1);

	other = want;
	other.acl[0].rights = 6;
	assert_int_equal(lookup(b, &other), LOOKUP_FAILED);
	other = want;
	other.n_sgl = 1;
	assert_int_equal(lookup(b, &other), LOOKUP_FAILED);
	other = want;
	other.sgl[1].size = PAGE;
	assert_int_equal(lookup(b, &other), LOOKUP_FAILED);
	other = want;
	other.type = 1;
	assert_int_equal(lookup(b, &other), LOOKUP_FAILED);
	other = want;
	other.n_attr = 1;
	assert_int_equal(lookup(b, &other), LOOKUP_FAILED);

	assert_int_equal(bench_reclaim(b, 1, false), OK);
	other = want;
	other.flags = BENCH_APPEND;
	assert_int_equal(create(b, &other), OK);
	assert_int_equal(lookup(b, &want), LOOKUP_FAILED); /* not complete */
}

static uint32_t handle_and_flags(struct bench *b, uint32_t message, uint32_t handle, uint8_t flags)
{
	uint8_t p[12] = { handle & 0xff, 0, 0, 0, flags };

	return bench_rm(b, message, p, message == BENCH_NOTIFY ? 12 : 8);
}

static void release_and_notify_by_the_wrong_one(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);

	assert_int_equal(bench_allocate(b), GUEST);
	assert_int_equal(create(b, &good), OK);
	assert_int_equal(handle_and_flags(b, BENCH_RELEASE, 0, 0), HANDLE_INVALID);
	assert_int_equal(handle_and_flags(b, BENCH_RELEASE, 9, 0), HANDLE_INVALID);
	assert_int_equal(handle_and_flags(b, BENCH_NOTIFY, 9, 1), HANDLE_INVALID);
	assert_int_equal(handle_and_flags(b, BENCH_NOTIFY, 0, 0), ARGUMENT_INVALID);
	assert_int_equal(handle_and_flags(b, BENCH_NOTIFY, 0, 3), ARGUMENT_INVALID);
	assert_int_equal(handle_and_flags(b, BENCH_NOTIFY, 0, 2), DENIED);
	assert_int_equal(handle_and_flags(b, BENCH_NOTIFY, 0, 1), MSG_INVALID); /* no VMIDs */
}

/* abi K.6: to one without a link to RM. */
static void notify_shared_kills(void **state)
{
	static const uint8_t p[20] = { 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, GUEST };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);

	assert_int_equal(bench_allocate(b), GUEST);
	assert_int_equal(create(b, &good), OK);
	assert_int_equal(bench_rm(b, BENCH_NOTIFY, p, sizeof(p)), BENCH_SILENCE);
	assert_int_equal(bench_rm(b, 0x56000024, NULL, 0), BENCH_SILENCE);
}

static void out_of_tables(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint64_t heap;

	assert_int_equal(bench_allocate(b), GUEST);
	heap = bench_heap_used(b);
	b->no_tables = true;
	assert_int_equal(create(b, &good), NOMEM);
	bench_assert_all_back(b, heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lend_byte_by_byte),
		cmocka_unit_test(creates_that_are_refused),
		cmocka_unit_test(what_is_accepted_though_odd),
		cmocka_unit_test(lengths_that_do_not_add_up),
		cmocka_unit_test(an_entry_past_the_end_of_ram_is_fatal),
		cmocka_unit_test(a_share_leaves_the_owner_his_rights),
		cmocka_unit_test(an_owner_has_64_parcels),
		cmocka_unit_test(appends),
		cmocka_unit_test(contents_stay_unless_sanitised),
		cmocka_unit_test(a_lost_handle_is_found_by_its_lists),
		cmocka_unit_test(release_and_notify_by_the_wrong_one),
		cmocka_unit_test(notify_shared_kills),
		cmocka_unit_test(out_of_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
