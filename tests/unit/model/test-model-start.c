/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests of the model from START on: patched trees, windows, links to RM. */
#include "libghvm/base/cleanup.h"
#include "tests/fixtures/model-tree.h"

static uint32_t prop32(const void *dt, const char *path, const char *name)
{
	const fdt32_t *p = fdt_getprop(dt, fdt_path_offset(dt, path), name, NULL);

	assert_non_null(p);
	return fdt32_ld(p);
}

static uint64_t prop64(const void *dt, const char *path, const char *name, unsigned int i)
{
	int len;
	const fdt64_t *p = fdt_getprop(dt, fdt_path_offset(dt, path), name, &len);

	assert_true(p && len >= (int)(8 * i + 8));
	return fdt64_ld(p + i);
}

static void the_patched_tree(void **state)
{
	static const struct tree t = { .bells = 2, .rm_rpc = true, .vdevice = true, .node = true };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	const void *dt = bench_ram(b, RAM + DT_OFF, DT_SIZE);
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &t, &handle);
	int node, len;

	assert_int_equal(tree_share_window(b, vmid, tree_pieces, 2), OK);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(fdt_check_full(dt, DT_SIZE), 0);

	(void)prop64(dt, "/chosen", "kaslr-seed", 0);
	assert_string_equal(fdt_getprop(dt, fdt_path_offset(dt, "/chosen"), "bootargs", NULL),
			    "quiet");
	/* both parcels, sorted */
	assert_int_equal(prop64(dt, "/memory", "reg", 0), WINDOW_IPA);
	assert_int_equal(prop64(dt, "/memory", "reg", 1), 2 * MIB);
	assert_int_equal(prop64(dt, "/memory", "reg", 2), BASE);
	assert_int_equal(prop64(dt, "/memory", "reg", 3), RAM_SIZE);
	/* the window is the tree's own; no node is added */
	node = fdt_path_offset(dt, "/reserved-memory/window");
	assert_int_equal(fdt_node_check_compatible(dt, node, "restricted-dma-pool"), 0);
	assert_int_equal(fdt_next_subnode(dt, node), -FDT_ERR_NOTFOUND);
	assert_true(fdt_path_offset(dt, "/vsoc") > 0);

	node = fdt_path_offset(dt, "/hypervisor");
	assert_int_equal(fdt_node_check_compatible(dt, node, "gunyah-hypervisor"), 0);
	assert_int_equal(prop32(dt, "/hypervisor/qcom,gunyah-vm", "qcom,vmid"), vmid);
	assert_int_equal(prop32(dt, "/hypervisor/qcom,gunyah-vm", "qcom,owner-vmid"), 3);

	node = fdt_path_offset(dt, "/hypervisor/bell-0"); /* whatever its unit address */
	assert_int_equal(fdt_node_check_compatible(dt, node, "qcom,gunyah-doorbell"), 0);
	assert_non_null(fdt_getprop(dt, node, "interrupts", &len));
	assert_int_equal(len, 12);
	node = fdt_node_offset_by_compatible(dt, -1, "gunyah-resource-manager");
	assert_non_null(fdt_getprop(dt, node, "reg", &len));
	assert_int_equal(len, 16);
	assert_non_null(fdt_getprop(dt, node, "interrupts", &len));
	assert_int_equal(len, 24);
	node = fdt_node_offset_by_compatible(dt, -1, "acme,window");
	assert_int_equal(fdt32_ld(fdt_getprop(dt, node, "qcom,label", NULL)), WINDOW_LABEL);
}

static void a_tree_needs_room(void **state)
{
	static const struct tree t = { .bells = 30 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint8_t *dt = bench_ram(b, RAM + DT_OFF, DT_SIZE);
	uint32_t size;

	tree_make(dt, &t);
	size = fdt_totalsize((const void *)dt);
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &tree_ram, 1), OK);
	assert_int_equal(tree_config_image(b, vmid, 0, size), OK);
	assert_int_equal(bench_rm_vm(b, INIT, vmid), OK);
	assert_int_equal(bench_rm_vm(b, START, vmid), NORESOURCE);
	assert_int_equal(b->guests[0].n_maps, 0); /* nothing stays accepted */
	tree_undo(b, vmid, 1);
}

static void a_base_is_rounded_up(void **state)
{
	static const struct tree t = { .base = BASE + PAGE };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint32_t handle;

	assert_int_equal(bench_rm_vm(b, START, tree_ready(b, &t, &handle)), OK);
	assert_int_equal(b->guests[0].maps[0].ipa, BASE + 2 * MIB);
}

/* abi K.7, and D.5 for what an image may be */
static void starts_that_fail(void **state)
{
	static const struct {
		const char *what;
		uint32_t status;
		struct tree t;
		bool share;	   /* the window, in one piece */
		bool pieces;	   /* or in two */
		uint32_t more_ram; /* label + 1 of a further LEND */
		bool out_of_tables;
	} cases[] = {
		{ "nothing special", OK, {}, .share = false },
		{ "vdevice and node", OK, { .vdevice = true, .node = true }, .pieces = true },
		{ "node alone, one piece", OK, { .node = true }, .share = true },
		{ "node alone, pieces", NORESOURCE, { .node = true }, .pieces = true },
		{ "vdevice alone", OK, { .vdevice = true }, .pieces = true },
		{ "neither", OK, {}, .share = true },
		{ "no base", OK, { .vdevice = true, .no_base = true }, .pieces = true },
		{ "a size only",
		  OK,
		  { .node = true, .vdevice = true, .node_no_reg = true, .no_base = true },
		  .pieces = true },
		{ "node without parcel", NORESOURCE, .t = { .node = true } },
		{ "vdevice without parcel", NORESOURCE, .t = { .vdevice = true } },
		{ "another size", NORESOURCE, { .node = true, .window_size = MIB }, .share = true },
		{ "another place",
		  NORESOURCE,
		  { .node = true, .vdevice = true, .window_ipa = 0x50000000 },
		  .share = true },
		{ "window over RAM",
		  NORESOURCE,
		  { .node = true, .window_ipa = BASE },
		  .share = true },
		{ "window on a page of RM",
		  NORESOURCE,
		  { .node = true, .window_ipa = 0x40000000 },
		  .share = true },
		{ "more RAM", DENIED, {}, .more_ram = 1 },
		{ "another lend", OK, {}, .more_ram = 9 },
		{ "size-max", NORESOURCE, .t = { .size_max = RAM_SIZE - PAGE } },
		{ "tables", NORESOURCE, {}, .out_of_tables = true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
		uint32_t handle, n = 1;
		uint16_t vmid = tree_ready(b, &cases[i].t, &handle);

		if (cases[i].share || cases[i].pieces) {
			const struct bench_range *v = cases[i].share ? &tree_window : tree_pieces;

			assert_int_equal(tree_share_window(b, vmid, v, cases[i].share ? 1 : 2), OK);
			n++;
		}
		if (cases[i].more_ram) {
			assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, cases[i].more_ram - 1,
						      0, &tree_window, 1),
					 OK);
			n++;
		}
		b->no_tables = cases[i].out_of_tables;
		if (bench_rm_vm(b, START, vmid) != cases[i].status)
			fail_msg("%s", cases[i].what);
		if (cases[i].status == OK)
			assert_int_equal(tree_stop(b, vmid, 1), OK);
		else
			assert_int_equal(bench_state(b, vmid), STATE_INIT_FAILED);
		tree_undo(b, vmid, n);
	}
}

static void where_windows_land(void **state)
{
	static const struct tree both = { .vdevice = true, .node = true }, none = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	_cleanup_(bench_freep) struct bench *c = bench_new(NULL);
	const struct bench_map *maps = b->guests[0].maps;
	const void *dt = bench_ram(c, RAM + DT_OFF, DT_SIZE);
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &both, &handle);
	int node;

	assert_int_equal(tree_share_window(b, vmid, tree_pieces, 2), OK);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(b->guests[0].n_maps, 3);
	assert_int_equal(maps[1].ipa, WINDOW_IPA);
	assert_int_equal(maps[1].pa, WINDOW);
	assert_int_equal(maps[1].rights, 6);
	assert_int_equal(maps[2].ipa, WINDOW_IPA + MIB);
	assert_int_equal(maps[2].pa, WINDOW + 4 * MIB);

	vmid = tree_ready(c, &none, &handle);
	assert_int_equal(tree_share_window(c, vmid, &tree_window, 1), OK);
	handle = bench_reply_u32(c, 0);
	assert_int_equal(bench_rm_vm(c, START, vmid), OK);
	assert_int_equal(c->guests[0].maps[1].ipa, 1ULL << 34);
	node = fdt_path_offset(dt, "/reserved-memory/buffer@400000000");
	assert_true(node > 0);
	assert_non_null(fdt_getprop(dt, node, "no-map", NULL));
	assert_int_equal(prop32(dt, "/reserved-memory/buffer", "qcom,label"), WINDOW_LABEL);
	assert_int_equal(prop32(dt, "/reserved-memory/buffer", "qcom,rm-mem-handle"), handle);
}

static void a_production_image_takes_no_shared_ram(void **state)
{
	for (int production = 0; production < 2; production++) {
		static const struct tree t = {};
		struct model_config config = bench_config();
		_cleanup_(bench_freep) struct bench *b = NULL;
		uint16_t vmid;

		config.production = production;
		config.random = 1;
		b = bench_new(&config);
		vmid = bench_allocate(b);
		tree_make(bench_ram(b, RAM + DT_OFF, DT_SIZE), &t);
		assert_int_equal(bench_create(b, BENCH_SHARE, vmid, 7, 0, 0, &tree_ram, 1), OK);
		assert_int_equal(tree_config_image(b, vmid, 0, DT_SIZE), OK);
		assert_int_equal(bench_rm_vm(b, INIT, vmid), OK);
		assert_int_equal(bench_rm_vm(b, START, vmid), production ? NORESOURCE : OK);
	}
}

static uint32_t notify(struct bench *b, uint16_t vmid, uint32_t handle, uint8_t flags)
{
	uint8_t p[20] = { handle & 0xff, 0, 0, 0, flags, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0 };

	p[16] = vmid & 0xff;
	return bench_rm(b, NOTIFY, p, sizeof(p));
}

/* abi K.9 */
static void notify_in_ready(void **state)
{
	static const struct tree t = { .vdevice = true };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	struct bench_range other = { WINDOW + 8 * MIB, PAGE };
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &t, &handle);

	assert_int_equal(bench_create(b, BENCH_SHARE, vmid, 6, 99, 0, &other, 1), OK);
	assert_int_equal(notify(b, vmid, bench_reply_u32(b, 0), 1), MEM_RELEASED);
	assert_int_equal(b->guests[0].n_maps, 0);
	assert_int_equal(tree_share_window(b, vmid, &tree_window, 1), OK);
	handle = bench_reply_u32(b, 0);
	assert_int_equal(notify(b, vmid, handle, 1), OK);
	assert_int_equal(b->guests[0].n_maps, 1);
	assert_int_equal(b->guests[0].maps[0].ipa, WINDOW_IPA);
	assert_int_equal(bench_reclaim(b, handle, false), MEM_INUSE);
	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(b->guests[0].n_maps, 3);
}

/* The capabilities are the guest's first two, after ours and its vCPU's and bells'. */
static uint64_t cap_of(struct bench *b, const char *compatible, unsigned int i)
{
	const void *dt = bench_ram(b, RAM + DT_OFF, DT_SIZE);
	int node = fdt_node_offset_by_compatible(dt, -1, compatible);

	return fdt64_ld((const fdt64_t *)fdt_getprop(dt, node, "reg", NULL) + i);
}

static void guest_sends(struct bench *b, uint32_t id, const void *payload, size_t len)
{
	uint8_t buf[240];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	uint64_t x[8] = { 0, cap_of(b, "gunyah-resource-manager", 0) };

	ghvm_put_u8(&w, 0x21);
	ghvm_put_u8(&w, 1);
	ghvm_put_u16(&w, 7);
	ghvm_put_u32(&w, id);
	ghvm_put_bytes(&w, payload, len);
	x[2] = w.len;
	x[3] = (uint64_t)(uintptr_t)buf;
	model_guest_hypercall(b->m, 0, 0x1b, x);
	assert_int_equal(x[0], 0);
}

/* Payload of the message that waits for the guest: its length, or -1. */
static int guest_receives(struct bench *b, uint32_t *ret_id, uint8_t buf[240])
{
	uint64_t x[8] = { 0, cap_of(b, "gunyah-resource-manager", 1), (uint64_t)(uintptr_t)buf,
			  240 };

	model_guest_hypercall(b->m, 0, 0x1c, x);
	if (x[0] == 60)
		return -1;
	assert_true(x[1] >= 8);
	memcpy(ret_id, buf + 4, 4);
	memmove(buf, buf + 8, x[1] - 8);
	return (int)x[1] - 8;
}

static uint16_t start_with_link(struct bench *b)
{
	static const struct tree t = { .rm_rpc = true };
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &t, &handle);

	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	return vmid;
}

static void a_guest_accepts_and_releases(void **state)
{
	static const uint8_t accept[] = { 1, 0, 0, 0, 0, 2, 0, 0, WINDOW_LABEL, 0, 0, 0, 0, 0, 0, 0,
					  0, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t release[] = { 1, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t accepted[] = { 1, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	const struct bench_guest *g = &b->guests[0];
	uint8_t buf[240];
	uint32_t id;
	uint16_t vmid = start_with_link(b);

	assert_int_equal(tree_share_window(b, vmid, tree_pieces, 2), OK);
	assert_int_equal(notify(b, vmid, 1, 1), OK);
	/* handle, normal, share, 0, 0, owner, 0, label, tag, 2 ACL, 2 sizes, no attributes */
	assert_int_equal(guest_receives(b, &id, buf), 24 + 8 + 4 + 16 + 4);
	assert_int_equal(id, 0x51100011);
	assert_int_equal(buf[5], 2);
	assert_int_equal(buf[8], 3);
	assert_int_equal(buf[12], WINDOW_LABEL);
	assert_int_equal(buf[16], 5);

	guest_sends(b, 0x51000011, accept, sizeof(accept));
	assert_int_equal(guest_receives(b, &id, buf), 4 + 4 + 16);
	assert_int_equal(buf[0], OK);
	assert_int_equal(g->n_maps, 3);
	guest_sends(b, NOTIFY, accepted, sizeof(accepted));
	assert_int_equal(guest_receives(b, &id, buf), 4);
	bench_drain(b);
	assert_int_equal(bench_note(b, 0x51100013, 0)->payload[4], vmid);

	assert_int_equal(bench_reclaim(b, 1, false), MEM_INUSE);
	guest_sends(b, 0x51000014, release, sizeof(release));
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(buf[0], OK);
	guest_sends(b, 0x51000014, release, sizeof(release));
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(buf[0], MEM_RELEASED);
	assert_int_equal(bench_reclaim(b, 1, false), OK);
	assert_int_equal(g->n_maps, 1);
}

/* Of memory in pieces RM takes one address only with the flag for that; its reply is the status alone. */
static void a_guest_chooses_an_address(void **state)
{
	static const uint8_t flags[] = { 128, 16 | 128 };
	static const uint32_t statuses[] = { ARGUMENT_INVALID, OK };
	uint8_t accept[40] = { 1, 0, 0, 0, 0, 2, 0, 0, WINDOW_LABEL };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	const struct bench_guest *g = &b->guests[0];
	uint8_t buf[240];
	uint32_t id;
	uint16_t vmid = start_with_link(b);

	assert_int_equal(tree_share_window(b, vmid, tree_pieces, 2), OK);
	accept[16] = 1;	   /* one range: */
	accept[23] = 0x60; /* at 0x60000000, */
	accept[30] = 0x20; /* 2 MiB long */
	for (size_t i = 0; i < sizeof(flags); i++) {
		accept[6] = flags[i];
		guest_sends(b, 0x51000011, accept, sizeof(accept));
		assert_int_equal(guest_receives(b, &id, buf), 4);
		assert_int_equal(buf[0], statuses[i]);
	}
	assert_int_equal(g->n_maps, 3);
}

static void a_guest_speaks_of_itself(void **state)
{
	static const uint8_t crash[] = { 5, 0, 0, 0, 'h', 'e', 'l', 'p', '!', 0, 0, 0 };
	static const uint8_t exit[] = { 1, 0, 4, 0 }, bad_exit[] = { 0, 0, 2, 0 };
	static const uint8_t want[] = { 0x80, 0, 0, 0, 4, 0, 0, 0, 1, 0, 4, 0 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	const struct bench_note *n;
	uint8_t buf[240];
	uint32_t id;
	uint16_t vmid = start_with_link(b);

	guest_sends(b, 0x56000086, crash, sizeof(crash));
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(bench_rm_vm(b, GET_CRASH_MSG, vmid), OK);
	assert_memory_equal(b->reply, crash, sizeof(crash));

	guest_sends(b, 0x56000080, exit, sizeof(exit)); /* SET_STATUS: not for dynamic ids */
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(buf[0], DENIED);
	guest_sends(b, 0x56000001, exit, 4); /* ALLOCATE */
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(buf[0], DENIED);
	guest_sends(b, 0x56000085, bad_exit, sizeof(bad_exit));
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(buf[0], 4);

	/* asked, not forced */
	assert_int_equal(tree_stop(b, vmid, 0), OK);
	assert_int_equal(guest_receives(b, &id, buf), 4);
	assert_int_equal(id, 0x56100002);
	assert_int_equal(buf[0], 3);

	guest_sends(b, 0x56000085, exit, sizeof(exit));
	assert_int_equal(guest_receives(b, &id, buf), -1);
	bench_drain(b);
	n = bench_note(b, NOTE_EXITED, 0);
	assert_int_equal(n->len, sizeof(want));
	assert_memory_equal(n->payload, want, sizeof(want));
}

static void stop_without_force_kills_rm(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	struct model_counts n;
	uint32_t handle;
	uint16_t vmid = tree_ready(b, &t, &handle);

	assert_int_equal(bench_rm_vm(b, START, vmid), OK);
	assert_int_equal(tree_stop(b, vmid, 0), BENCH_SILENCE);
	model_counts(b->m, &n);
	assert_true(n.rm_dead);
	/* the guest goes on */
	assert_false(b->guests[0].killed);
	model_guest_ended(b->m, 0, 1, NULL, 0);
	bench_drain(b);
	assert_null(bench_note(b, NOTE_EXITED, 0));
}

static void an_rm_link_without_a_name_kills_rm(void **state)
{
	static const struct tree t = { .rm_rpc = true, .without = "rm-generate" };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint32_t handle;

	assert_int_equal(bench_rm_vm(b, INIT, tree_configure(b, &t, &handle)), BENCH_SILENCE);
}

static void guests_have_limits(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint32_t handle;

	b->no_create = true;
	assert_int_equal(bench_rm_vm(b, INIT, tree_configure(b, &t, &handle)), NORESOURCE);
	b->no_create = false;
	assert_int_equal(bench_reclaim(b, handle, false), OK);
	for (unsigned int i = 0; i < MODEL_VMS_MAX + 1; i++) {
		struct bench_range r = { RAM + i * 8 * MIB, RAM_SIZE };
		uint16_t vmid = bench_allocate(b);

		tree_make(bench_ram(b, r.ipa + DT_OFF, DT_SIZE), &t);
		assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &r, 1), OK);
		assert_int_equal(tree_config_image(b, vmid, bench_reply_u32(b, 0), DT_SIZE), OK);
		assert_int_equal(bench_rm_vm(b, INIT, vmid), i < MODEL_VMS_MAX ? OK : NORESOURCE);
	}
}

/* abi K.6: an orphan meets the next VM of its VMID. */
static void an_orphan_is_glued_into_the_next_vm(void **state)
{
	static const struct tree t = {};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint32_t handle;

	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &tree_window, 1), OK);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), OK);
	assert_int_equal(tree_ready(b, &t, &handle), vmid);
	assert_int_equal(bench_rm_vm(b, START, vmid), DENIED);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_patched_tree),
		cmocka_unit_test(a_tree_needs_room),
		cmocka_unit_test(a_base_is_rounded_up),
		cmocka_unit_test(starts_that_fail),
		cmocka_unit_test(where_windows_land),
		cmocka_unit_test(a_production_image_takes_no_shared_ram),
		cmocka_unit_test(notify_in_ready),
		cmocka_unit_test(a_guest_accepts_and_releases),
		cmocka_unit_test(a_guest_chooses_an_address),
		cmocka_unit_test(a_guest_speaks_of_itself),
		cmocka_unit_test(stop_without_force_kills_rm),
		cmocka_unit_test(an_rm_link_without_a_name_kills_rm),
		cmocka_unit_test(guests_have_limits),
		cmocka_unit_test(an_orphan_is_glued_into_the_next_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
