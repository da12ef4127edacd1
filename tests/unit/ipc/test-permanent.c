/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which errors of a start end it: the table, walked. */
#include "daemon/ipc/permanent.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/hint.h"
#include "tests/unit/unit.h"

#include <errno.h>

#define ERRNO_MAX 4095

static const struct permanent_error *find_row(int code)
{
	const struct permanent_error *rows;
	size_t n;

	rows = permanent_errors(&n);
	for (size_t i = 0; i < n; i++)
		if (rows[i].code == code)
			return &rows[i];
	return NULL;
}

/* Each code has one row, which says yes at least once; without a row an error is not permanent. */
static void every_errno_has_at_most_one_row(void **state)
{
	const struct permanent_error *row, *rows;
	size_t n, found = 0;

	rows = permanent_errors(&n);
	for (int code = 0; code >= -ERRNO_MAX; code--) {
		row = find_row(code);
		for (unsigned int p = 0; p < PERMANENT_N_PROCESSES; p++)
			assert_int_equal(permanent_in((enum permanent_process)p, code),
					 row && row->in[p]);
		if (!row)
			continue;
		assert_true(code < 0);
		assert_true(row->in[PERMANENT_MANAGER] || row->in[PERMANENT_HELPER]);
		found++;
	}
	assert_true(rows && n == found); /* no code twice, none out of range */
}

/* Another guest uses it, a peer did not answer, or the kernel was short of something. */
static void what_may_pass_is_permanent_nowhere(void **state)
{
	static const int passing[] = {
		-ENOSPC, -E2BIG,   -ENOMEM,  -EAGAIN,	 -EBUSY,      -ESTALE,	     -EFAULT,
		-EMFILE, -ENFILE,  -EINTR,   -EIO,	 -ETIMEDOUT,  -EBADMSG,	     -EREMOTEIO,
		-EPIPE,	 -ENOBUFS, -ENODATA, -ECANCELED, -ECONNRESET, -ECONNREFUSED,
	};

	for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
		for (unsigned int p = 0; p < PERMANENT_N_PROCESSES; p++)
			if (permanent_in((enum permanent_process)p, passing[i]))
				fail_msg("%d is permanent in %u", passing[i], p);
}

/* systemd gives up after such an error, so a person has to do something: ghvmctl says what. */
static void what_ends_a_start_comes_with_advice(void **state)
{
	const struct permanent_error *rows;
	size_t n;

	rows = permanent_errors(&n);
	for (size_t i = 0; i < n; i++)
		if (rows[i].in[PERMANENT_MANAGER])
			assert_string_not_equal(ghvm_hint_find(rows[i].code, 0, 0)->advice, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_errno_has_at_most_one_row),
		cmocka_unit_test(what_may_pass_is_permanent_nowhere),
		cmocka_unit_test(what_ends_a_start_comes_with_advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
