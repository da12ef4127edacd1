/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children that look at a page: one that can be read, one that stops them (here by a file
 * that is too short), and children that do not live to look.
 */
#include "daemon/manager/host/presplit-witness.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES GHVM_PRESPLIT_PAGES

static int setup(void **state)
{
	static int fds[PAGES];

	for (size_t i = 0; i < PAGES; i++) {
		fds[i] = memfd_create("test", MFD_CLOEXEC);
		if (fds[i] < 0 || ftruncate(fds[i], GHVM_PAGE) < 0)
			return -1;
	}
	*state = fds;
	return 0;
}

static int teardown(void **state)
{
	int *fds = *state;

	for (size_t i = 0; i < PAGES; i++)
		(void)close(fds[i]);
	return 0;
}

static void assert_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void sees_what_can_be_read(void **state)
{
	struct witness w;

	assert_int_equal(witness_open(&w, *state), 0);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(witness_look(&w, i), 1);
	witness_close(&w);
	assert_no_children();
}

static void tells_what_stopped_it(void **state)
{
	const int *fds = *state;
	struct witness w;

	assert_int_equal(witness_open(&w, fds), 0);
	for (size_t i = 1; i < PAGES; i += 2)
		assert_int_equal(ftruncate(fds[i], 0), 0); /* SIGBUS, as of a lent page */
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(witness_look(&w, i), i % 2 == 0);
	witness_close(&w);
	assert_no_children();
}

static void does_not_guess(void **state)
{
	struct witness w;

	assert_int_equal(witness_open(&w, *state), 0);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(kill(w.pid[i], SIGKILL), 0);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(witness_look(&w, i), -ECHILD);
	witness_close(&w);
	assert_no_children();
}

static void nobody_stays_behind(void **state)
{
	int bad[PAGES];
	struct witness w;

	assert_int_equal(witness_open(&w, *state), 0);
	witness_close(&w);
	assert_no_children();

	memcpy(bad, *state, sizeof(bad));
	bad[2] = -1; /* nothing to map */
	assert_int_equal(witness_open(&w, bad), -ECHILD);
	witness_close(&w);
	assert_no_children();
}

/* One socket, and nothing of ours; and not to be dumped. */
static void a_child_has_nothing_else(void **state)
{
	struct dirent *d;
	char path[64];
	struct witness w;
	unsigned int n = 0;
	DIR *dir;

	assert_int_equal(witness_open(&w, *state), 0);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)w.pid[0]);
	dir = opendir(path);
	if (!dir) { /* not dumpable: root's alone */
		assert_int_equal(errno, EACCES);
	} else {
		while ((d = readdir(dir)))
			n += d->d_name[0] != '.';
		(void)closedir(dir);
		assert_int_equal(n, 1);
	}
	witness_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sees_what_can_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_what_stopped_it, setup, teardown),
		cmocka_unit_test_setup_teardown(does_not_guess, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_stays_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_has_nothing_else, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
