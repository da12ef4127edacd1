/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Console logs: appended to, and not written where they should not be.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/prepare/files.h"
#include "ghvm/spec.h"
#include "tests/unit/folder.h"

struct fixture {
	char dir[FOLDER_SIZE];
	struct ghvm_error err;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	folder_make(f->dir);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	folder_remove(f->dir);
	free(f);
	return 0;
}

static void path_in(const struct fixture *f, const char *file, char *ret)
{
	(void)snprintf(ret, 100, "%s/%s", f->dir, file);
}

static void logs_grow_and_can_be_moved(void **state)
{
	struct fixture *f = *state;
	struct ghvm_error err = {};
	char path[128], buf[8];
	struct stat st;
	int fd;

	fd = files_open_log(f->dir, "demo", 0, &err);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "one", 3), 3);
	close(fd);
	fd = files_open_log(f->dir, "demo", 0, &err);
	assert_int_equal(write(fd, "two", 3), 3);
	assert_int_equal(pread(fd, buf, 8, 0), 6);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(st.st_mode & 07777, 0640);
	close(fd);
	fd = files_open_log(f->dir, "demo", GHVM_SPEC_LOGS_MAX - 1, &err);
	assert_int_equal(pwrite(fd, "old", 3, 0), 3);
	close(fd);
	path_in(f, "demo.log.7", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(files_open_log(f->dir, "demo", GHVM_SPEC_LOGS_MAX, &err), -EBADMSG);
}

static void logs_are_not_led_astray(void **state)
{
	struct fixture *f = *state;
	struct ghvm_error err = {};
	char path[128];

	path_in(f, "demo.log", path);
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(files_open_log(f->dir, "demo", 0, &err), -ELOOP);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(files_open_log(f->dir, "demo", 0, &err) < 0);
	assert_int_equal(files_open_log("/nonexistent", "demo", 0, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/nonexistent"));
}

/* The rights of root are back after each open, whatever it says. */
static void images_are_opened_as_the_owner_of_the_descriptor(void **state)
{
	static const struct ghvm_spec_owner root = {}, nobody = { .uid = 65534, .gid = 65534 };
	struct fixture *f = *state;
	struct ghvm_error err = {};
	char path[128];
	int fd;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->dir, 0711), 0);
	path_in(f, "Image", path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "one", 3), 3);
	close(fd);
	assert_int_equal(files_open("kernel.image", path, &nobody, &err), -EACCES);
	assert_non_null(strstr(err.msg, "Image: the user 65534, who owns the descriptor, may not"));
	fd = files_open("kernel.image", path, &root, &err);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(chmod(path, 0644), 0);
	fd = files_open("kernel.image", path, &nobody, &err);
	assert_true(fd >= 0);
	close(fd);
	path_in(f, "nothing", path);
	assert_int_equal(files_open("kernel.image", path, &nobody, &err), -ENOENT);
	assert_int_equal(chmod(f->dir, 0700), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(logs_grow_and_can_be_moved, set_up, tear_down),
		cmocka_unit_test_setup_teardown(logs_are_not_led_astray, set_up, tear_down),
		cmocka_unit_test_setup_teardown(images_are_opened_as_the_owner_of_the_descriptor,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
