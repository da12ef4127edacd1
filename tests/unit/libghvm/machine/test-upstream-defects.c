/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The defects of the Linux series' memory patch (abi H.5): each has a test by its name here, but for
 * the missing MEMLOCK accounting. That is the module's: no_memlock_accounting() in
 * tests/kmod/machine/pin.c.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"
#include "libghvm/memory/parcel.h"
#include "libghvm/memory/region-map.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static struct ghvm_region_table *table(void)
{
	struct ghvm_region_table *t = NULL;

	assert_int_equal(ghvm_region_table_new(UINT64_MAX, &t), 0);
	return t;
}

static int add(struct ghvm_region_table *t, uint32_t label, uint64_t ipa, uint64_t size)
{
	const struct ghvm_region_request q = { .ipa = ipa, .size = size, .label = label };
	int r = ghvm_region_add_begin(t, &q, NULL);

	if (r == 0)
		ghvm_region_add_end(t, label);
	return r;
}

static int sparse_memfd(uint64_t size)
{
	int fd = memfd_create("sparse", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* ---- what the table refuses ---- */

static void duplicate_label_frees_the_live_mapping(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table();
	struct ghvm_region r;

	assert_int_equal(add(t, 1, 0x10000, 0x1000), 0);
	assert_int_equal(add(t, 1, 0x20000, 0x1000), -EEXIST);
	assert_int_equal(ghvm_region_find_label(t, 1, &r), 0); /* ASan would see a freed one */
	assert_int_equal(r.first, 0x10000);
}

static void mapping_visible_before_it_is_complete(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table();
	const struct ghvm_region_request q = { .ipa = 0x1000, .size = 0x1000, .label = 1 };
	struct ghvm_region r;

	assert_int_equal(ghvm_region_add_begin(t, &q, NULL), 0);
	assert_int_equal(ghvm_region_find_label(t, 1, &r), -ENOENT);
	assert_int_equal(ghvm_region_remove_begin(t, 1, NULL, NULL), -EBUSY); /* the race */
	ghvm_region_add_end(t, 1);
	assert_int_equal(ghvm_region_remove_begin(t, 1, NULL, NULL), 0);
	assert_int_equal(ghvm_region_remove_begin(t, 1, NULL, NULL), -EBUSY); /* twice */
	ghvm_region_remove_end(t, 1);
}

static void removing_a_missing_label_reports_success(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table();

	assert_int_equal(ghvm_region_remove_begin(t, 1, NULL, NULL), -ENOENT);
}

static void guest_address_unaligned_or_wrapping_accepted(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table();

	assert_int_equal(add(t, 1, 0x1800, 0x1000), -EINVAL);
	assert_int_equal(add(t, 1, ~0xfffULL, 0x2000), -EOVERFLOW);
	assert_int_equal(ghvm_region_count(t), 0);
}

static void size_of_32_bits(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table();

	assert_int_equal(add(t, 1, 0, GHVM_GIB(4) + GHVM_PAGE), 0); /* not one page */
	assert_int_equal(add(t, 2, GHVM_PAGE, GHVM_PAGE), -EEXIST);
	assert_int_equal(add(t, 2, GHVM_GIB(4), GHVM_PAGE), -EEXIST);
	assert_int_equal(add(t, 2, GHVM_GIB(4) + GHVM_PAGE, GHVM_PAGE), 0);
}

static void int_overflow_of_page_count(void **state)
{
	_cleanup_(ghvm_region_table_freep) struct ghvm_region_table *t = table();
	struct ghvm_parcel p = { .size = (1ULL << 32) * GHVM_PAGE };

	assert_int_equal(ghvm_parcel_pages(&p), 1ULL << 32);
	assert_int_equal(add(t, 1, 0, (1ULL << 32) * GHVM_PAGE), 0);
	assert_int_equal(add(t, 2, (1ULL << 44) - GHVM_PAGE, GHVM_PAGE), -EEXIST);
}

/* ---- what pins do ---- */

static void parcel_init(struct bench *b, struct ghvm_parcel *p, bool lend)
{
	const struct ghvm_parcel_config config = {
		.name = "test", .vm_name = "demo", .label = 9, .lend = lend, .rights = GHVM_MEM_RWX
	};

	ghvm_parcel_init(p, &b->f->host, b->rm, &b->ledger, &config);
}

static void error_path_unpins_pages_never_pinned(void **state)
{
	_cleanup_(closep) int fd = sparse_memfd(GHVM_PAGE);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, NULL);
	parcel_init(&b, &p, true);
	assert_int_equal(ghvm_parcel_pin(&p, fd, 2 * GHVM_PAGE, NULL), -EFAULT);
	ghvm_parcel_done(&p); /* the fake aborts at a close of what is no pin */
	for (unsigned long nth = 1; nth <= 3; nth++) {
		b.f->fail_at = b.f->calls + nth;
		assert_int_equal(ghvm_parcel_pin(&p, fd, GHVM_PAGE, NULL), -EIO);
		assert_int_equal(fake_rm_pins(b.f), 0);
		ghvm_parcel_done(&p);
	}
	bench_assert_clean(&b);
}

static void mapping_objects_leaked_at_release(void **state)
{
	_cleanup_(closep) int fd = sparse_memfd(GHVM_PAGE);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, NULL);
	parcel_init(&b, &p, true);
	assert_int_equal(ghvm_parcel_pin(&p, fd, GHVM_PAGE, NULL), 0);
	assert_int_equal(fake_rm_pins(b.f), 1);
	ghvm_parcel_done(&p); /* LSan would see its extents */
	bench_assert_clean(&b);
}

static void more_than_4_gib_at_once(void **state)
{
	static const struct bench_options options = { .host = { .ram_size = GHVM_GIB(5) } };
	const uint64_t size = GHVM_GIB(4) + GHVM_PAGE;
	_cleanup_(closep) int fd = sparse_memfd(size);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_vmid vmid;
	struct ghvm_parcel p;

	bench_init(&b, &options);
	parcel_init(&b, &p, false);
	assert_int_equal(ghvm_rm_vm_allocate(b.rm, &vmid, NULL), 0);
	assert_int_equal(ghvm_parcel_pin(&p, fd, size, NULL), 0);
	assert_int_equal(ghvm_parcel_guard(&p, vmid, 1, NULL), 0);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	assert_int_equal(fake_rm_counts(b.f).shared_pages, (1U << 20) + 1);
	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), 0);
	assert_int_equal(ghvm_parcel_unguard(&p, NULL), 0);
	ghvm_parcel_done(&p);
	assert_int_equal(fake_rm_pins(b.f), 0);
}

static void failed_reclaim_frees_pages_that_the_guest_still_owns(void **state)
{
	static const uint32_t statuses[] = { GHVM_RM_MEM_INUSE, GHVM_RM_DENIED, GHVM_RM_NOMEM };
	_cleanup_(closep) int fd = sparse_memfd(GHVM_PAGE);

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		_cleanup_(bench_done) struct bench b;
		struct ghvm_vmid vmid;
		struct ghvm_parcel p;

		bench_init(&b, NULL);
		parcel_init(&b, &p, true);
		assert_int_equal(ghvm_rm_vm_allocate(b.rm, &vmid, NULL), 0);
		assert_int_equal(ghvm_parcel_pin(&p, fd, GHVM_PAGE, NULL), 0);
		assert_int_equal(ghvm_parcel_guard(&p, vmid, 1, NULL), 0);
		assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
		model_refuse(b.f->model, GHVM_RM_MEM_RECLAIM, statuses[i], 0);
		assert_int_equal(ghvm_parcel_reclaim(&p, NULL), -EREMOTEIO);
		assert_int_equal(p.state, GHVM_PARCEL_LENT);
		ghvm_parcel_done(&p); /* the fake aborts if its pages go back */
		assert_int_equal(fake_rm_quarantined(b.f), 1);
	}
}

/* ---- what goes over the wire ---- */

struct wire {
	uint32_t id;
	uint8_t bytes[64];
	size_t len;
};

static void on_trace(void *data, const char *vm, char dir, uint32_t id, uint16_t seq,
		     const uint8_t *payload, size_t len)
{
	struct wire *w = data;

	if (dir != '>' || id != w->id)
		return;
	assert_true(len <= sizeof(w->bytes));
	memcpy(w->bytes, payload, len);
	w->len = len;
}

static struct ghvm_vmid allocate_vmid(struct bench *b)
{
	struct ghvm_vmid vmid;

	assert_int_equal(ghvm_rm_vm_allocate(b->rm, &vmid, NULL), 0);
	assert_int_equal(vmid.id, 0x80);
	return vmid;
}

static void give_page_to(struct bench *b, struct ghvm_vmid vmid, bool lend)
{
	_cleanup_(closep) int fd = sparse_memfd(GHVM_PAGE);
	struct ghvm_parcel p;

	parcel_init(b, &p, lend);
	assert_int_equal(ghvm_parcel_pin(&p, fd, GHVM_PAGE, NULL), 0);
	assert_int_equal(ghvm_parcel_guard(&p, vmid, 1, NULL), 0);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), 0);
	assert_int_equal(ghvm_parcel_unguard(&p, NULL), 0);
	ghvm_parcel_done(&p);
}

static void give_one_page(struct bench *b, bool lend)
{
	give_page_to(b, allocate_vmid(b), lend);
}

static void acl_vmids_addresses_sizes_counts_not_little_endian(void **state)
{
	static const uint8_t golden[] = {
		0, 0,	 0, 0, 9,    0, 0, 0,		     /* normal, label 9 */
		1, 0,	 0, 0, 0x80, 0, 7, 0,		     /* VMID 0x80 gets RWX */
		1, 0,	 0, 0, 0,    0, 0, 0x80, 0, 0, 0, 0, /* one entry at 2 GiB */
		0, 0x10, 0, 0, 0,    0, 0, 0,	 0, 0, 0, 0, /* of 4 KiB; no attributes */
	};
	struct wire w = { .id = GHVM_RM_MEM_LEND };
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, NULL);
	ghvm_rm_set_on_trace(b.rm, on_trace, &w);
	give_one_page(&b, true);
	assert_int_equal(w.len, sizeof(golden));
	assert_memory_equal(w.bytes, golden, sizeof(golden));
}

static void handles_not_little_endian(void **state)
{
	static const uint8_t golden[] = { 1, 0, 0, 0, 1, 0, 0, 0 }; /* handle 1, sanitise */
	struct wire w = { .id = GHVM_RM_MEM_RECLAIM };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_vmid vmid;

	bench_init(&b, NULL);
	vmid = allocate_vmid(&b);
	give_page_to(&b, vmid, true); /* as handle 0, which is the same in either order */
	ghvm_rm_set_on_trace(b.rm, on_trace, &w);
	give_page_to(&b, vmid, true);
	assert_int_equal(w.len, sizeof(golden));
	assert_memory_equal(w.bytes, golden, sizeof(golden));
}

/* One entry more than a message has: RM waits for the rest until an APPEND is the last. */
static void last_append_not_marked(void **state)
{
	static const struct bench_options scattered = { .host = { .chunk_pages = 1 } };
	_cleanup_(closep) int fd = sparse_memfd(65 * GHVM_PAGE);
	struct wire w = { .id = GHVM_RM_MEM_APPEND };
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, &scattered);
	ghvm_rm_set_on_trace(b.rm, on_trace, &w);
	parcel_init(&b, &p, true);
	assert_int_equal(ghvm_parcel_pin(&p, fd, 65 * GHVM_PAGE, NULL), 0);
	assert_int_equal(ghvm_parcel_guard(&p, allocate_vmid(&b), 1, NULL), 0);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	assert_int_equal(w.len, 28);
	assert_int_equal(w.bytes[4], 1); /* the flag "done" */
	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), 0);
	assert_int_equal(ghvm_parcel_unguard(&p, NULL), 0);
	ghvm_parcel_done(&p);
}

static void host_vmid_byte_order(void **state)
{
	struct wire w = { .id = GHVM_RM_MEM_SHARE };
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, NULL);
	ghvm_rm_set_on_trace(b.rm, on_trace, &w);
	give_one_page(&b, false);
	assert_int_equal(w.bytes[8], 2); /* in the ACL: the guest, and us as RM calls us */
	assert_int_equal(w.bytes[16] | w.bytes[17] << 8, MODEL_PRIMARY_VMID);
}

static void rights_0_accepted(void **state)
{
	const struct ghvm_mem_acl acl = { { 0x80 }, 0 };
	const struct ghvm_extent extent = { FAKE_RM_RAM_BASE, GHVM_PAGE };
	const struct ghvm_mem_create m = {
		.trans = GHVM_MEM_LEND, .acl = &acl, .n_acl = 1, .extents = &extent, .n_extents = 1
	};
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel_handle h;

	bench_init(&b, NULL);
	assert_int_equal(ghvm_rm_mem_create(b.rm, &m, &h, NULL), -EINVAL);
	for (uint32_t label = 0; label < 2; label++)
		for (unsigned int flags = 0; flags < 4; flags++)
			assert_int_not_equal(ghvm_parcel_rights(label, flags & 1, flags & 2), 0);
}

/* ---- in which order ---- */

static size_t position(const struct fake_rm *f, uint32_t id)
{
	for (size_t i = 0; i < f->n_sent; i++)
		if (f->sent[i] == id)
			return i;
	return SIZE_MAX;
}

static void live(struct bench *b)
{
	assert_int_equal(ghvm_machine_build(b->m, &b->demo.files, NULL, NULL), 0);
	assert_int_equal(ghvm_machine_start(b->m, NULL), 0);
	assert_int_equal(ghvm_machine_teardown(b->m, NULL), 0);
}

static void reset_never_sent_before_reclaim(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, NULL);
	live(&b);
	assert_true(position(b.f, GHVM_RM_VM_STOP) < position(b.f, GHVM_RM_VM_RESET));
	assert_true(position(b.f, GHVM_RM_VM_RESET) < position(b.f, GHVM_RM_MEM_RECLAIM));
	assert_int_not_equal(position(b.f, GHVM_RM_MEM_RECLAIM), SIZE_MAX);
}

static void vmid_never_deallocated(void **state)
{
	_cleanup_(bench_done) struct bench b;

	bench_init(&b, NULL);
	live(&b);
	assert_int_equal(b.f->sent[b.f->n_sent - 1], GHVM_RM_VM_DEALLOCATE);
	assert_int_equal(fake_rm_counts(b.f).vms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(duplicate_label_frees_the_live_mapping),
		cmocka_unit_test(mapping_visible_before_it_is_complete),
		cmocka_unit_test(removing_a_missing_label_reports_success),
		cmocka_unit_test(guest_address_unaligned_or_wrapping_accepted),
		cmocka_unit_test(size_of_32_bits),
		cmocka_unit_test(int_overflow_of_page_count),
		cmocka_unit_test(error_path_unpins_pages_never_pinned),
		cmocka_unit_test(mapping_objects_leaked_at_release),
		cmocka_unit_test(more_than_4_gib_at_once),
		cmocka_unit_test(failed_reclaim_frees_pages_that_the_guest_still_owns),
		cmocka_unit_test(acl_vmids_addresses_sizes_counts_not_little_endian),
		cmocka_unit_test(handles_not_little_endian),
		cmocka_unit_test(last_append_not_marked),
		cmocka_unit_test(host_vmid_byte_order),
		cmocka_unit_test(rights_0_accepted),
		cmocka_unit_test(reset_never_sent_before_reclaim),
		cmocka_unit_test(vmid_never_deallocated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
