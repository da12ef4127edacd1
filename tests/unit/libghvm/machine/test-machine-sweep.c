/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A start and a stop with everything that can fail failing once: every host call, every
 * message of the resource manager with every status, every reply missing. Afterwards, and
 * after one more teardown where the first was disturbed, nothing may be left anywhere;
 * meanwhile the fake watches each page (tests/fakes/rm.h).
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/hyp/host.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>

#define POINTS_MAX 2000

/* What is disturbed: the nth host call, or the nth message in one of three ways. */
enum fault {
	FAULT_HOST_CALL,
	FAULT_REFUSE,
	FAULT_DROP,
	FAULT_MUTE,
};

static void arm(struct bench *b, enum fault fault, unsigned int nth, uint32_t status)
{
	switch (fault) {
	case FAULT_HOST_CALL:
		b->f->fail_at = b->f->calls + nth;
		break;
	case FAULT_REFUSE:
		model_refuse(b->f->model, 0, status, nth - 1);
		break;
	case FAULT_DROP:
		model_drop(b->f->model, 0, nth - 1);
		break;
	case FAULT_MUTE:
		model_mute(b->f->model, 0, nth - 1);
		break;
	}
}

/* How many there are to disturb, in an undisturbed life. */
static unsigned int count_points(const struct bench_options *o, enum fault fault)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	unsigned long calls;
	size_t sent;

	bench_init(&b, o);
	calls = b.f->calls;
	sent = b.f->n_sent;
	if (bench_start_reboot_stop(&b, &err) < 0)
		fail_msg("%s", err.msg);
	bench_assert_clean(&b);
	return (unsigned int)(fault == FAULT_HOST_CALL ? b.f->calls - calls : b.f->n_sent - sent);
}

static bool is_out(const struct bench *b, const struct fake_pin *p)
{
	bool out = false;

	for (size_t i = 0; i < p->n_extents; i++) {
		const struct ghvm_extent *e = &p->extents[i];

		for (uint64_t pa = e->pa; pa < e->pa + e->length; pa += GHVM_PAGE)
			out |= model_page_owner(b->f->model, pa) != 0;
	}
	return out;
}

/*
 * What stays guarded is what RM still has, and nothing else; but one parcel more if the effect
 * of a call is unknown, since then it counts as the guest's. So it is, too, if RM says that it
 * gives a parcel back, and of that parcel then anything else but that it knows no such one.
 */
static void assert_guards_what_is_out(const struct bench *b)
{
	unsigned int in_vain = 0;

	for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++) {
		const struct fake_pin *p = &b->f->pins[i];
		bool guarded = p->used && p->state == GHVM_PIN_GUARDED;

		if (p->used && is_out(b, p))
			assert_true(guarded);
		else if (guarded)
			in_vain++;
	}
	assert_in_range(in_vain, 0, 1);
}

static void try_point(const struct bench_options *o, enum fault fault, unsigned int nth,
		      uint32_t status)
{
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {}, again = {};
	int r, r2 = 0;

	bench_init(&b, o);
	arm(&b, fault, nth, status);
	r = bench_start_reboot_stop(&b, &err);
	assert_guards_what_is_out(&b);
	assert_true(r < 0 || bench_clean(&b));
	if (ghvm_rm_dead(b.rm)) /* for this process: the next one finds the rest */
		r2 = bench_recover(&b, &again);
	else if (!bench_clean(&b))
		r2 = bench_teardown(&b, &again);
	if (bench_clean(&b) && r2 == 0)
		return;
	print_error("point %u, status %u: %d \"%s\", then %d \"%s\"\n", nth, status, r, err.msg, r2,
		    again.msg);
	bench_assert_clean(&b);
	fail();
}

static void sweep(const char *what, const struct bench_options *o, enum fault fault,
		  uint32_t status)
{
	unsigned int n = count_points(o, fault);

	assert_in_range(n, 20, POINTS_MAX);
	for (unsigned int nth = 1; nth <= n; nth++)
		try_point(o, fault, nth, status);
	print_message("%s: %u points\n", what, n);
}

#define RAM 0x90000ULL /* 144 pages: three messages if every page is an entry */
#define HOST_RAM GHVM_MIB(2)

static const struct bench_options small = {
	.host = { .ram_size = HOST_RAM },
	.demo = { .memory = RAM, .window = true, .rm_rpc = true },
};

static const struct bench_options scattered = {
	.host = { .ram_size = HOST_RAM, .chunk_pages = 1 },
	.demo = { .memory = RAM, .window = true },
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

static const struct bench_options hurried = {
	.host = { .ram_size = HOST_RAM, .chunk_pages = 1 },
	.demo = { .memory = RAM, .window = true },
	.patience_ms = 5,
};

static const struct bench_options hurried_presplit = {
	.host = { .ram_size = HOST_RAM, .chunk_pages = 2 },
	.demo = { .memory = RAM },
	.patience_ms = 5,
	.presplit = true,
};

static const struct bench_options android = {
	.host = { .ram_size = HOST_RAM,
		  .address_layout = true,
		  .firmware = "firmware",
		  .firmware_size = 8 },
	.demo = { .memory = RAM, .layout = true, .auth = GHVM_AUTH_ANDROID },
};

static const struct bench_options platform = {
	.host = { .ram_size = HOST_RAM, .pas_id = 28 },
	.demo = { .memory = RAM, .auth = GHVM_AUTH_PLATFORM, .pas_id = 28 },
};

static const struct bench_options hurried_android = {
	.host = { .ram_size = HOST_RAM, .firmware = "firmware", .firmware_size = 8 },
	.demo = { .memory = RAM, .auth = GHVM_AUTH_ANDROID },
	.patience_ms = 5,
};

static const struct bench_options hurried_platform = {
	.host = { .ram_size = HOST_RAM, .pas_id = 28 },
	.demo = { .memory = RAM, .auth = GHVM_AUTH_PLATFORM, .pas_id = 28 },
	.patience_ms = 5,
};

static const struct bench_options booting = {
	.host = { .ram_size = HOST_RAM, .boot_context = true, .address_layout = true },
	.demo = { .memory = RAM, .registers = true, .layout = true },
};

static const struct bench_options hurried_booting = {
	.host = { .ram_size = HOST_RAM, .boot_context = true, .address_layout = true },
	.demo = { .memory = RAM, .registers = true, .layout = true },
	.patience_ms = 5,
};

static const struct bench_options pair = {
	.host = { .ram_size = HOST_RAM, .assigns = true },
	.demo = { .memory = RAM, .window = true },
	.pair = true,
};

static const struct bench_options hurried_pair = {
	.host = { .ram_size = HOST_RAM },
	.demo = { .memory = RAM, .window = true },
	.patience_ms = 5,
	.pair = true,
};

static void every_host_call_fails(void **state)
{
	sweep("host calls, plain", &small, FAULT_HOST_CALL, 0);
	sweep("host calls, scattered", &scattered, FAULT_HOST_CALL, 0);
	sweep("host calls, presplit", &presplit, FAULT_HOST_CALL, 0);
	sweep("host calls, assigning", &assigning, FAULT_HOST_CALL, 0);
	sweep("host calls, assigning, presplit", &assigning_presplit, FAULT_HOST_CALL, 0);
	sweep("host calls, two VMs", &pair, FAULT_HOST_CALL, 0);
}

static void every_message_is_refused_with_every_status(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bench_statuses); i++) {
		char what[48];

		(void)snprintf(what, sizeof(what), "messages refused with 0x%x", bench_statuses[i]);
		sweep(what, &small, FAULT_REFUSE, bench_statuses[i]);
		sweep("the same, two VMs", &pair, FAULT_REFUSE, bench_statuses[i]);
	}
	sweep("messages refused, scattered", &scattered, FAULT_REFUSE, GHVM_RM_NOMEM);
	sweep("messages refused, presplit", &presplit, FAULT_REFUSE, GHVM_RM_DENIED);
	sweep("messages refused, assigning, presplit", &assigning_presplit, FAULT_REFUSE,
	      GHVM_RM_DENIED);
	sweep("messages refused, boot context", &booting, FAULT_REFUSE, GHVM_RM_DENIED);
	sweep("an unknown status, boot context", &booting, FAULT_REFUSE, 0x12345678);
	sweep("messages refused, android", &android, FAULT_REFUSE, GHVM_RM_DENIED);
	sweep("messages refused, platform", &platform, FAULT_REFUSE, GHVM_RM_DENIED);
	sweep("an unknown status, android", &android, FAULT_REFUSE, 0x12345678);
	sweep("an unknown status, platform", &platform, FAULT_REFUSE, 0x12345678);
}

static void every_message_gets_lost(void **state)
{
	sweep("messages lost", &hurried, FAULT_DROP, 0);
	sweep("messages lost, presplit", &hurried_presplit, FAULT_DROP, 0);
	sweep("messages lost, boot context", &hurried_booting, FAULT_DROP, 0);
	sweep("messages lost, two VMs", &hurried_pair, FAULT_DROP, 0);
	sweep("messages lost, android", &hurried_android, FAULT_DROP, 0);
	sweep("messages lost, platform", &hurried_platform, FAULT_DROP, 0);
}

static void every_reply_goes_missing(void **state)
{
	sweep("replies missing", &hurried, FAULT_MUTE, 0);
	sweep("replies missing, presplit", &hurried_presplit, FAULT_MUTE, 0);
	sweep("replies missing, boot context", &hurried_booting, FAULT_MUTE, 0);
	sweep("replies missing, two VMs", &hurried_pair, FAULT_MUTE, 0);
	sweep("replies missing, android", &hurried_android, FAULT_MUTE, 0);
	sweep("replies missing, platform", &hurried_platform, FAULT_MUTE, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_host_call_fails),
		cmocka_unit_test(every_message_is_refused_with_every_status),
		cmocka_unit_test(every_message_gets_lost),
		cmocka_unit_test(every_reply_goes_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
