/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Console logs: appended to, and not written where they should not be.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
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

static int make_socket(const char *path, mode_t mode)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(at.sun_path));
	strcpy(at.sun_path, path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(chmod(path, mode), 0);
	return fd;
}

static void refused(const char *path, int code, const char *text)
{
	const struct ghvm_spec_owner self = { .uid = getuid(), .gid = getgid() };
	struct ghvm_error err = {};

	assert_int_equal(files_open_socket("devices[0].vhost-user.socket", path, &self, &err),
			 code);
	if (!strstr(err.msg, text))
		fail_msg("%s", err.msg);
	assert_non_null(strstr(err.msg, path));
}

/* It is found, and not connected to. */
static void a_socket_is_one_and_open_to_the_runner(void **state)
{
	const struct ghvm_spec_owner self = { .uid = getuid(), .gid = getgid() };
	struct fixture *f = *state;
	struct stat a, b;
	char path[128], link[128];
	int fd, listener;

	path_in(f, "socket", path);
	refused(path, -ENOENT, "No such file");
	refused(f->dir, -EINVAL, "not a socket");
	listener = make_socket(path, 0755);
	refused(path, -EACCES, "give it the mode 0666");
	assert_int_equal(chmod(path, 0666), 0);
	fd = files_open_socket("devices[0].vhost-user.socket", path, &self, NULL);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_PATH);
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(stat(path, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	path_in(f, "link", link);
	assert_int_equal(symlink(path, link), 0);
	refused(link, -EINVAL, "not a socket");
	close(fd);
	close(listener);
}

/* ---- logs of VMs that came over the bus ---- */

static void log_path(const struct fixture *f, const char *file, char *ret)
{
	(void)snprintf(ret, 128, "%s/" FILES_USERS_DIR "/%s", f->dir, file);
}

/* A log that was last written @age seconds ago. */
static void make_log(const struct fixture *f, const char *file, uint64_t size, time_t age)
{
	const struct timespec times[2] = { { .tv_sec = time(NULL) - age },
					   { .tv_sec = time(NULL) - age } };
	char path[128];
	int fd;

	log_path(f, file, path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0); /* a hole */
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static bool has_log(const struct fixture *f, const char *file)
{
	char path[128];

	log_path(f, file, path);
	return access(path, F_OK) == 0;
}

static void open_log(const struct fixture *f, const char *name, unsigned int nth)
{
	struct ghvm_error err = {};
	int fd = files_open_user_log(f->dir, 1000, name, nth, &err);

	if (fd < 0)
		fail_msg("%s", err.msg);
	close(fd);
}

static void logs_of_users_have_a_folder(void **state)
{
	struct fixture *f = *state;

	open_log(f, "demo", 0);
	open_log(f, "demo", 1);
	assert_true(has_log(f, "1000.demo.log"));
	assert_true(has_log(f, "1000.demo.log.1"));
}

/* The user runs VMs under ever new names; what the others have stays. */
static void only_the_newest_logs_of_users_stay(void **state)
{
	struct fixture *f = *state;
	char file[32];

	open_log(f, "demo", 0);
	make_log(f, "10001.other.log", 1, 100000);
	make_log(f, "0.roots.log", 1, 100000);
	for (int i = 0; i < FILES_KEPT_LOGS + 10; i++) {
		(void)snprintf(file, sizeof(file), "1000.vm%d.log", i);
		make_log(f, file, 1, 1000 - i);
	}
	open_log(f, "new", 1); /* not its first */
	assert_true(has_log(f, "1000.vm0.log"));
	open_log(f, "new", 0);
	assert_false(has_log(f, "1000.vm0.log"));
	assert_false(has_log(f, "1000.vm11.log")); /* demo and new.1 are newer */
	assert_true(has_log(f, "1000.vm12.log"));
	assert_true(has_log(f, "1000.demo.log"));
	assert_true(has_log(f, "10001.other.log"));
	assert_true(has_log(f, "0.roots.log"));
}

/* The log of a VM that has just crashed stays as a whole, as large as it can be. */
static void logs_of_users_are_of_limited_size(void **state)
{
	struct fixture *f = *state;
	char file[32];

	open_log(f, "demo", 0);
	make_log(f, "1000.old.log", 1, 100);
	for (int i = 0; i < GHVM_SPEC_LOGS_MAX; i++) {
		(void)snprintf(file, sizeof(file), "1000.crash.log.%d", i);
		make_log(f, file, FILES_KEPT_BYTES / GHVM_SPEC_LOGS_MAX, i);
	}
	open_log(f, "new", 0);
	assert_false(has_log(f, "1000.old.log"));
	for (int i = 0; i < GHVM_SPEC_LOGS_MAX; i++) {
		(void)snprintf(file, sizeof(file), "1000.crash.log.%d", i);
		assert_true(has_log(f, file));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(logs_grow_and_can_be_moved, set_up, tear_down),
		cmocka_unit_test_setup_teardown(logs_are_not_led_astray, set_up, tear_down),
		cmocka_unit_test_setup_teardown(logs_of_users_have_a_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_the_newest_logs_of_users_stay, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(logs_of_users_are_of_limited_size, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(images_are_opened_as_the_owner_of_the_descriptor,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_socket_is_one_and_open_to_the_runner, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
