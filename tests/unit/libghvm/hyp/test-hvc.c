/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libghvm/hyp/hvc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libghvm/base/cleanup.h"
#include "tests/fakes/queue-peer.h"

static const struct ghvm_capid cap = { 0x8000000000000001ULL };

static void set_results(struct script_host *s, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3,
			uint64_t x4)
{
	uint64_t x[5] = { x0, x1, x2, x3, x4 };

	for (size_t i = 0; i < 5; i++)
		s->hcall.results[i] = x[i];
}

static void check_args(const struct script_host *s, uint32_t call, uint64_t x1, uint64_t x2,
		       uint64_t x3, uint64_t x4)
{
	uint64_t x[6] = { x1, x2, x3, x4, 0, 0 };

	assert_int_equal(s->last.call, call);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(s->last.args[i], x[i]);
}

static void identity(void **state)
{
	static const uint64_t words[4] = { 0x5100000000008001, 0x10000d7f, 1, 2 };
	struct ghvm_hyp_identity id;

	ghvm_hyp_identity_decode(words, &id);
	assert_int_equal(id.api_version, 1);
	assert_int_equal(id.variant, 0x51);
	assert_true(id.is_64bit);
	assert_false(id.big_endian);
	assert_int_equal(id.flags[0], 0x10000d7f);
	assert_int_equal(id.flags[2], 2);

	ghvm_hyp_identity_decode((const uint64_t[4]){ 0x7fff }, &id); /* big endian, 32 bit */
	assert_int_equal(id.api_version, 0x3fff);
	assert_true(id.big_endian);
	assert_false(id.is_64bit);
}

static void doorbells(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_hvc_doorbell bell;
	int32_t status = 77;

	set_results(s, 0, 0xfeed, 0, 0, 0);
	assert_int_equal(ghvm_hvc_doorbell_send(&s->host, cap, 0x100000001, &bell), 0);
	check_args(s, 0x12, cap.id, 0x100000001, 0, 0);
	assert_int_equal(bell.status, 0);
	assert_int_equal(bell.old, 0xfeed);

	assert_int_equal(ghvm_hvc_doorbell_receive(&s->host, cap, 6, &bell), 0);
	check_args(s, 0x13, cap.id, 6, 0, 0);

	assert_int_equal(ghvm_hvc_doorbell_mask(&s->host, cap, 1, UINT64_MAX, &status), 0);
	check_args(s, 0x15, cap.id, 1, UINT64_MAX, 0);
	assert_int_equal(status, 0);
}

/* Results of a refused call are not looked at; the status is 32 bits, signed. */
static void refusals(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_hvc_msgqueue_receive got;
	struct ghvm_hvc_msgqueue_send sent;
	struct ghvm_hvc_doorbell bell;
	uint8_t buf[4] = {};

	set_results(s, 0xdeadbeef00000035, 1, 1, 1, 1);
	assert_int_equal(ghvm_hvc_doorbell_send(&s->host, cap, 1, &bell), 0);
	assert_int_equal(bell.status, GHVM_HYP_INSUFFICIENT_RIGHTS);
	assert_int_equal(bell.old, 0);
	assert_int_equal(ghvm_hvc_msgqueue_send(&s->host, cap, buf, 4, false, &sent), 0);
	assert_int_equal(sent.status, 53);
	assert_false(sent.not_full);
	assert_int_equal(ghvm_hvc_msgqueue_receive(&s->host, cap, buf, 4, &got), 0);
	assert_int_equal(got.status, 53);
	assert_int_equal(got.size, 0);

	set_results(s, 0x00000000ffffffff, 0, 0, 0, 0);
	assert_int_equal(ghvm_hvc_doorbell_send(&s->host, cap, 1, &bell), 0);
	assert_int_equal(bell.status, GHVM_HYP_UNIMPLEMENTED);
}

static void queues(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_hvc_msgqueue_receive got;
	struct ghvm_hvc_msgqueue_send sent;
	uint8_t buf[240] = {};

	set_results(s, 0, 1, 0, 0, 0);
	assert_int_equal(ghvm_hvc_msgqueue_send(&s->host, cap, buf, 239, true, &sent), 0);
	check_args(s, 0x1b, cap.id, 239, (uintptr_t)buf, 1);
	assert_true(sent.not_full);
	assert_int_equal(ghvm_hvc_msgqueue_send(&s->host, cap, buf, 8, false, &sent), 0);
	check_args(s, 0x1b, cap.id, 8, (uintptr_t)buf, 0);

	set_results(s, 0, 17, 1, 0, 0);
	assert_int_equal(ghvm_hvc_msgqueue_receive(&s->host, cap, buf, 240, &got), 0);
	check_args(s, 0x1c, cap.id, (uintptr_t)buf, 240, 0);
	assert_int_equal(got.size, 17);
	assert_true(got.not_empty);
}

static void host_errors_touch_nothing(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_hvc_msgqueue_receive got = { .status = 77 };
	struct ghvm_hvc_msgqueue_send sent = { .status = 77 };
	struct ghvm_hvc_doorbell bell = { .status = 77 };
	int32_t status = 77;
	uint8_t buf[4] = {};

	s->hcall_errno = -EPERM;
	assert_int_equal(ghvm_hvc_doorbell_send(&s->host, cap, 1, &bell), -EPERM);
	assert_int_equal(ghvm_hvc_doorbell_receive(&s->host, cap, 1, &bell), -EPERM);
	assert_int_equal(ghvm_hvc_doorbell_mask(&s->host, cap, 1, 1, &status), -EPERM);
	assert_int_equal(ghvm_hvc_msgqueue_send(&s->host, cap, buf, 4, true, &sent), -EPERM);
	assert_int_equal(ghvm_hvc_msgqueue_receive(&s->host, cap, buf, 4, &got), -EPERM);
	assert_int_equal(bell.status, 77);
	assert_int_equal(status, 77);
	assert_int_equal(sent.status, 77);
	assert_int_equal(got.status, 77);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity),
		cmocka_unit_test(doorbells),
		cmocka_unit_test(refusals),
		cmocka_unit_test(queues),
		cmocka_unit_test(host_errors_touch_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
