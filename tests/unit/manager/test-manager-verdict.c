/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ends of guests mean, and what errors are called on the bus.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/instance/exit-policy.h"
#include "libghvm/base/bits.h"
#include "ghvm/vcpu.h"

struct case_ {
	struct verdict_input in;
	enum ghvm_link_action action;
	bool crashed;
};

#define STOP GHVM_ON_END_STOP
#define RESTART GHVM_ON_END_RESTART

static void every_end_has_its_action(void **state)
{
	/* type, asked, on_reboot, on_crash, on_watchdog, can_rebuild */
	static const struct case_ cases[] = {
		{ { GHVM_EXIT_VM_EXIT, false, RESTART, STOP, STOP, true },
		  GHVM_LINK_EXIT_OK,
		  false },
		{ { GHVM_EXIT_SYSTEM_OFF, false, RESTART, STOP, STOP, true },
		  GHVM_LINK_EXIT_OK,
		  false },
		{ { GHVM_EXIT_SYSTEM_OFF, true, RESTART, RESTART, STOP, true },
		  GHVM_LINK_EXIT_OK,
		  false },
		{ { GHVM_EXIT_SYSTEM_RESET, false, RESTART, STOP, STOP, true },
		  GHVM_LINK_WAIT,
		  false },
		{ { GHVM_EXIT_SYSTEM_RESET2, false, RESTART, STOP, STOP, true },
		  GHVM_LINK_WAIT,
		  false },
		{ { GHVM_EXIT_SYSTEM_RESET, false, RESTART, STOP, STOP, false },
		  GHVM_LINK_EXIT_RESTART,
		  false },
		{ { GHVM_EXIT_SYSTEM_RESET, false, STOP, STOP, STOP, true },
		  GHVM_LINK_EXIT_OK,
		  false },
		{ { GHVM_EXIT_SYSTEM_RESET, true, RESTART, STOP, STOP, true },
		  GHVM_LINK_EXIT_OK,
		  false },
		{ { GHVM_EXIT_WATCHDOG, false, RESTART, RESTART, STOP, true },
		  GHVM_LINK_EXIT_STOP,
		  true },
		{ { GHVM_EXIT_WATCHDOG, false, STOP, STOP, RESTART, true },
		  GHVM_LINK_EXIT_RESTART,
		  true },
		{ { GHVM_EXIT_WATCHDOG, true, STOP, STOP, RESTART, true },
		  GHVM_LINK_EXIT_STOP,
		  true },
		/* RM's own has ended it */
		{ { GHVM_EXIT_WATCHDOG, false, RESTART, RESTART, GHVM_ON_END_DUMP_ONLY, true },
		  GHVM_LINK_EXIT_STOP,
		  true },
		{ { GHVM_EXIT_SOFTWARE_ERROR, false, STOP, STOP, STOP, true },
		  GHVM_LINK_EXIT_STOP,
		  true },
		{ { GHVM_EXIT_SOFTWARE_ERROR, true, STOP, RESTART, STOP, true },
		  GHVM_LINK_EXIT_STOP,
		  true },
		{ { GHVM_EXIT_ASYNC_ABORT, false, STOP, RESTART, STOP, true },
		  GHVM_LINK_EXIT_RESTART,
		  true },
		{ { GHVM_EXIT_FORCED, true, RESTART, STOP, STOP, true }, GHVM_LINK_EXIT_OK, false },
		{ { GHVM_EXIT_FORCED, false, RESTART, STOP, STOP, true },
		  GHVM_LINK_EXIT_FAILED,
		  true },
		{ { (enum ghvm_exit_type)99, false, RESTART, STOP, STOP, true },
		  GHVM_LINK_EXIT_FAILED,
		  true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct verdict v = verdict_of(&cases[i].in);

		assert_int_equal(v.action, cases[i].action);
		assert_int_equal(v.crashed, cases[i].crashed);
		assert_true(*v.reason);
	}
}

static void guesses_only_what_is_an_end(void **state)
{
	enum ghvm_exit_type type = GHVM_EXIT_FORCED;

	assert_int_equal(verdict_guess(GHVM_VCPU_READY, &type), 0);
	assert_int_equal(type, GHVM_EXIT_FORCED);
	assert_int_equal(verdict_guess(GHVM_VCPU_POWERED_OFF, &type), 1);
	assert_int_equal(type, GHVM_EXIT_SYSTEM_OFF);
	assert_int_equal(verdict_guess(GHVM_VCPU_SYSTEM_RESET, &type), 1);
	assert_int_equal(type, GHVM_EXIT_SYSTEM_RESET);
	assert_int_equal(verdict_guess(GHVM_VCPU_FAULT, &type), 1);
	assert_int_equal(type, GHVM_EXIT_SOFTWARE_ERROR);
	assert_int_equal(verdict_guess(GHVM_LINK_BITTEN, &type), 1);
	assert_int_equal(type, GHVM_EXIT_WATCHDOG);
}

static const char *name_of(int code, uint32_t message)
{
	const struct ghvm_error err = { .code = code, .rm_message = message };

	return failure_name(&err) + strlen(FAILURE_PREFIX);
}

static void failures_have_names(void **state)
{
	assert_string_equal(name_of(-EINVAL, 0), "InvalidSpec");
	assert_string_equal(name_of(-ENOENT, 0), "NoSuchVM");
	assert_string_equal(name_of(-ENOEXEC, 0), "ImageInvalid");
	assert_string_equal(name_of(-E2BIG, 0), "QuotaExceeded");
	assert_string_equal(name_of(-EREMOTEIO, 0x51000012), "RmRejected");
	assert_string_equal(name_of(-EREMOTEIO, 0), "HypercallFailed");
	assert_string_equal(name_of(-EHOSTDOWN, 0), "HostUnavailable");
	assert_string_equal(name_of(-ETIMEDOUT, 0), "TimedOut");
	assert_string_equal(name_of(-ECONNABORTED, 0), "GuestCrashed");
	assert_string_equal(name_of(-ECONNRESET, 0), "ProcessDied");
	assert_string_equal(name_of(-EXDEV, 0), "HypercallFailed");
}

static void failures_of_regions_have_names(void **state)
{
	static const struct {
		int code;
		const char *name;
	} cases[] = {
		{ -EINVAL, FAILURE_PREFIX "Misaligned" },
		{ -EEXIST, FAILURE_PREFIX "RegionOverlap" },
		{ -ENOTUNIQ, FAILURE_PREFIX "LabelInUse" },
		{ -ENOENT, FAILURE_PREFIX "NoSuchRegion" },
		{ -EALREADY, FAILURE_CONFLICT },
		{ -EPERM, FAILURE_INVALID_ARGS },
		{ -ENOSPC, FAILURE_QUOTA },
		{ -ETIMEDOUT, FAILURE_PREFIX "TimedOut" },
		{ -ENOMEM, FAILURE_PREFIX "PinFailed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ghvm_error err = { .code = cases[i].code };

		assert_string_equal(failure_name_of_region(&err), cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_has_its_action),
		cmocka_unit_test(guesses_only_what_is_an_end),
		cmocka_unit_test(failures_have_names),
		cmocka_unit_test(failures_of_regions_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
