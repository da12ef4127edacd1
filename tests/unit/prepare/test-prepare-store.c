/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where descriptors wait for the runner: a systemd that the test plays, or the helper itself. */
#include "daemon/prepare/store.h"
#include "libghvm/base/cleanup.h"
#include "tests/fakes/systemd.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
	struct fake_systemd systemd;
	struct store store;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_systemd_start(&f->systemd);
	store_init(&f->store, false);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	store_done(&f->store);
	fake_systemd_stop(&f->systemd);
	free(f);
	return 0;
}

static void what_an_earlier_start_left_is_removed(void **state)
{
	struct fixture *f = *state;
	struct ghvm_error err = {};
	struct store fresh;

	assert_int_equal(store_add(&f->store, "wake-5", dup(0), &err), 0);
	assert_int_equal(store_add(&f->store, "refused", dup(0), &err), 0);
	assert_int_equal(store_add(&f->store, "window-7", dup(0), &err), 0);
	assert_int_equal(store_sync(&f->store, &err), 0);
	assert_true(fake_systemd_has(&f->systemd, "wake-5"));
	store_init(&fresh, false);
	store_forget_region(&fresh, 7);
	assert_int_equal(store_sync(&fresh, &err), 0);
	for (int i = 0; fake_systemd_count(&f->systemd) && i < 1000; i++)
		usleep(1000);
	assert_int_equal(fake_systemd_count(&f->systemd), 0);
}

static void without_systemd_they_are_kept(void **state)
{
	struct fixture *f = *state;
	struct ghvm_error err = {};
	struct store s;
	int fd = dup(0);

	store_init(&s, true);
	assert_int_equal(store_add(&s, "grant", fd, &err), 0);
	assert_int_equal(s.fds[0], fd);
	assert_int_equal(store_sync(&s, &err), 0);
	assert_int_equal(fake_systemd_pushes(&f->systemd), 0);
	store_done(&s);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	unsetenv("NOTIFY_SOCKET");
	store_init(&s, false);
	assert_int_equal(store_add(&s, "grant", dup(0), &err), -ENOTCONN);
	for (int i = 0; i < STORE_MAX; i++) {
		char name[16];

		s.keep = true;
		(void)snprintf(name, sizeof(name), "window-%d", i);
		assert_int_equal(store_add(&s, name, dup(0), &err), 0);
	}
	assert_int_equal(store_add(&s, "one-more", dup(0), &err), -ENOSPC);
	store_done(&s);
}

#define STORE_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(what_an_earlier_start_left_is_removed),
		STORE_TEST(without_systemd_they_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
