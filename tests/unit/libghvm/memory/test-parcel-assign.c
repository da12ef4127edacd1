/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owners in the firmware (abi G): who has the pages in each phase of a parcel, and what happens
 * when the firmware refuses. The host in memory ends a test in which RM has pages with other owners
 * or rights than the firmware.
 */
#include "libghvm/memory/parcel.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fixtures/machine.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE (4 * GHVM_PAGE)
#define INCARNATION 5
#define PHASES_MAX 16

static const struct bench_options assigning = { .host = { .assigns = true } };

/**
 * struct phases - the owners that the only pin of a host had, one after the other
 * @seen: two digits each: rights of the guest, of the host; "--" if not assigned
 */
struct phases {
	struct fake_rm *f;
	char seen[PHASES_MAX][3];
	unsigned int n;
};

static void on_leave(void *data)
{
	struct phases *s = data;
	const struct fake_pin *p = &s->f->pins[0];
	char now[3] = "--";

	if (p->assigned)
		memcpy(now, (char[]){ (char)('0' + p->guest_perm), (char)('0' + p->host_perm), 0 },
		       sizeof(now));
	if (s->n && !strcmp(s->seen[s->n - 1], now))
		return;
	assert_true(s->n < PHASES_MAX);
	memcpy(s->seen[s->n++], now, sizeof(now));
}

static void watch(struct bench *b, struct phases *s)
{
	*s = (struct phases){ .f = b->f };
	b->f->on_leave = on_leave;
	b->f->on_leave_data = s;
}

/* @wanted: the phases, separated by spaces */
static void assert_phases(const struct phases *s, const char *wanted)
{
	char seen[3 * PHASES_MAX + 1] = "";

	for (unsigned int i = 0; i < s->n; i++) {
		memcpy(seen + strlen(seen), s->seen[i], sizeof(s->seen[i]));
		if (i + 1 < s->n)
			strcat(seen, " ");
	}
	assert_string_equal(seen, wanted);
}

static void prepare(struct bench *b, struct ghvm_parcel *p, const struct ghvm_parcel_config *c)
{
	_cleanup_(closep) int fd = memfd_create("test", MFD_CLOEXEC);
	struct ghvm_vmid vmid;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)SIZE), 0);
	assert_int_equal(ghvm_rm_vm_allocate(b->rm, &vmid, NULL), 0);
	ghvm_parcel_init(p, &b->f->host, b->rm, &b->ledger, c);
	assert_int_equal(ghvm_parcel_pin(p, fd, SIZE, NULL), 0);
	assert_int_equal(ghvm_parcel_guard(p, vmid, INCARNATION, NULL), 0);
}

static struct ghvm_parcel_config lent(bool presplit)
{
	return (struct ghvm_parcel_config){ .name = "ram",
					    .vm_name = "demo",
					    .ipa = GHVM_GIB(2),
					    .lend = true,
					    .rights = GHVM_MEM_RWX,
					    .presplit = presplit };
}

static struct ghvm_parcel_config shared(uint8_t rights)
{
	return (struct ghvm_parcel_config){ .name = "window",
					    .vm_name = "demo",
					    .label = 3,
					    .ipa = GHVM_GIB(1),
					    .rights = rights };
}

static void take_back(struct ghvm_parcel *p)
{
	assert_int_equal(ghvm_parcel_reclaim(p, NULL), 0);
	assert_int_equal(ghvm_parcel_unguard(p, NULL), 0);
	ghvm_parcel_done(p);
}

static void there_and_back(const struct ghvm_parcel_config *c, const char *wanted)
{
	struct phases s; /* written to until bench_done() */
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, &assigning);
	watch(&b, &s);
	prepare(&b, &p, c);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	take_back(&p);
	assert_phases(&s, wanted);
	assert_int_equal(fake_rm_pins(b.f), 0);
}

static void each_phase_has_its_owners(void **state)
{
	const struct ghvm_parcel_config v[] = { lent(false), lent(true), shared(GHVM_MEM_RW),
						shared(GHVM_MEM_R) };

	there_and_back(&v[0], "-- 70 --");
	there_and_back(&v[1], "-- 77 -- 70 --");
	there_and_back(&v[2], "-- 67 --");
	there_and_back(&v[3], "-- 47 --");
}

/* The nth ASSIGN of a lend is refused, and moves the pages or not: nothing stays. */
static void refused(unsigned int nth, bool stay)
{
	const struct ghvm_parcel_config c = lent(true);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_error err = {};
	struct ghvm_parcel p;
	int r;

	bench_init(&b, &assigning);
	prepare(&b, &p, &c);
	b.f->assigns_to_refuse = nth;
	b.f->refused_stay = stay;
	r = ghvm_parcel_give(&p, &err);
	assert_int_equal(r, -EIO);
	assert_non_null(strstr(err.msg, "ram: the firmware refused"));
	assert_int_equal(fake_rm_counts(b.f).parcels, 0);
	assert_int_equal(fake_rm_guarded(b.f), 1);
	take_back(&p);
	assert_int_equal(fake_rm_pins(b.f), 0);
	assert_int_equal(fake_rm_quarantined(b.f), 0);
}

static void a_refusal_leaves_nothing(void **state)
{
	for (unsigned int nth = 1; nth <= 3; nth++) { /* for the SHARE, back, for the LEND */
		refused(nth, false);
		refused(nth, true);
	}
}

/* What an attempt has left assigned is taken back before the next one assigns. */
static void a_second_attempt_begins_anew(void **state)
{
	const struct ghvm_parcel_config c = lent(false);
	struct phases s; /* written to until bench_done() */
	_cleanup_(bench_done) struct bench b;
	struct ghvm_parcel p;

	bench_init(&b, &assigning);
	watch(&b, &s);
	prepare(&b, &p, &c);
	b.f->assigns_to_refuse = 1;
	b.f->refused_stay = true;
	assert_int_equal(ghvm_parcel_give(&p, NULL), -EIO);
	assert_int_equal(p.state, GHVM_PARCEL_GUARDED);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	take_back(&p);
	assert_phases(&s, "-- 70 -- 70 --");
}

/* RM has given the pages back, the firmware does not: they stay guarded, also for an heir. */
static void pages_that_the_firmware_keeps_stay_guarded(void **state)
{
	const struct ghvm_parcel_config c = lent(false);
	_cleanup_(bench_done) struct bench b;
	struct ghvm_quarantine_entry entry;
	struct ghvm_error err = {};
	struct ghvm_parcel p;
	struct ghvm_tag tag;
	int pin;

	bench_init(&b, &assigning);
	prepare(&b, &p, &c);
	assert_int_equal(ghvm_parcel_give(&p, NULL), 0);
	assert_int_equal(ghvm_parcel_reclaim(&p, NULL), 0);
	b.f->assigns_to_refuse = 1;
	assert_int_equal(ghvm_parcel_unguard(&p, &err), -EIO);
	assert_non_null(strstr(err.msg, "ram: the firmware refused to give its pages back"));
	assert_int_equal(p.state, GHVM_PARCEL_GUARDED);
	ghvm_parcel_done(&p);
	assert_int_equal(fake_rm_quarantined(b.f), 1);

	assert_int_equal(b.f->host.ops->quarantine_list(&b.f->host, 0, &entry, 1), 1);
	assert_int_equal(entry.assigned, 1);
	assert_int_equal(ghvm_tag_decode(entry.tag, &tag), 0);
	pin = b.f->host.ops->quarantine_adopt(&b.f->host, entry.id);
	assert_true(pin >= 0);
	assert_int_equal(ghvm_parcel_adopt(&p, pin, &tag, NULL), 0);
	take_back(&p);
	assert_int_equal(fake_rm_pins(b.f), 0);
	assert_int_equal(fake_rm_quarantined(b.f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_phase_has_its_owners),
		cmocka_unit_test(a_refusal_leaves_nothing),
		cmocka_unit_test(a_second_attempt_begins_anew),
		cmocka_unit_test(pages_that_the_firmware_keeps_stay_guarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
