/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that are opened without waiting, and read whole. */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void opens_nothing_but_files(void **state)
{
	char dir[FOLDER_SIZE], buf[4096];
	_cleanup_(closep) int events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	_cleanup_(closep) int d = -1, fd = -1;

	folder_make(dir);
	d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkfifoat(d, "fifo", 0600), 0);
	assert_int_equal(symlinkat("file", d, "link"), 0);
	assert_true(inotify_add_watch(events, dir, IN_OPEN) >= 0);
	assert_int_equal(ghvm_file_open(d, "file"), -ENOENT);
	assert_int_equal(ghvm_file_open(d, "fifo"), -EINVAL);
	assert_int_equal(ghvm_file_open(d, "link"), -ELOOP);
	assert_int_equal(ghvm_file_open(AT_FDCWD, "/dev/null"), -EINVAL);
	assert_int_equal(ghvm_file_open(AT_FDCWD, dir), -EINVAL);
	assert_true(read(events, buf, sizeof(buf)) < 0); /* not even to see what it is */

	fd = ghvm_file_create(d, "fifo");
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	fd = ghvm_file_open(d, "fifo");
	assert_true(fd >= 0);
	assert_int_equal(read(fd, buf, sizeof(buf)), 1);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_PATH), O_RDONLY);
	folder_remove(dir);
}

/* A folder with a file, links to it in all ways, and links to nothing. @ret_d: of the folder */
static void make_links(char dir[FOLDER_SIZE], int *ret_d)
{
	char target[FOLDER_SIZE + 32];
	int d;

	folder_make(dir);
	folder_put(dir, "sub/Image", "x");
	d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(symlinkat("sub/Image", d, "relative"), 0);
	(void)snprintf(target, sizeof(target), "%s//sub/./Image", dir);
	assert_int_equal(symlinkat(target, d, "absolute"), 0);
	assert_int_equal(symlinkat("relative", d, "chain"), 0);
	assert_int_equal(symlinkat("sub", d, "folder"), 0);
	assert_int_equal(symlinkat("folder/../chain", d, "up"), 0);
	assert_int_equal(symlinkat("loop", d, "loop"), 0);
	assert_int_equal(symlinkat("nothing", d, "void"), 0);
	*ret_d = d;
}

static int follow_in(const char *dir, const char *link, char *ret)
{
	char path[FOLDER_SIZE + 64];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, link);
	return ghvm_file_follow(path, ret);
}

static void follows_links_of_root(void **state)
{
	static const char *const links[] = { "relative", "absolute", "chain", "folder/Image",
					     "up" };
	char dir[FOLDER_SIZE], found[PATH_MAX], file[FOLDER_SIZE + 32], path[FOLDER_SIZE + 300];
	_cleanup_(closep) int d = -1;

	if (geteuid() != 0)
		skip();
	make_links(dir, &d);
	(void)snprintf(file, sizeof(file), "%s/sub/Image", dir);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		_cleanup_(closep) int fd = -1;

		assert_int_equal(follow_in(dir, links[i], found), 0);
		assert_string_equal(found, file);
		(void)snprintf(path, sizeof(path), "%s/%s", dir, links[i]);
		fd = ghvm_file_open_root(path, O_RDWR);
		assert_true(fd >= 0);
	}
	assert_int_equal(follow_in(dir, "loop", found), -ELOOP);
	assert_int_equal(follow_in(dir, "void", found), -ENOENT);
	(void)snprintf(path, sizeof(path), "%s/%0280d", dir, 0);
	assert_int_equal(ghvm_file_follow(path, found), -ENAMETOOLONG);
	folder_remove(dir);
}

/* Each part in turn is another user's, or may be written by others. */
static void follows_no_links_of_others(void **state)
{
	static const char *const parts[] = { "", "chain", "relative", "sub", "sub/Image" };
	char dir[FOLDER_SIZE], found[PATH_MAX], path[FOLDER_SIZE + 64], file[FOLDER_SIZE + 64];
	_cleanup_(closep) int d = -1;

	make_links(dir, &d);
	(void)snprintf(file, sizeof(file), "%s/chain", dir);
	for (size_t i = 0; geteuid() == 0 && i < ARRAY_SIZE(parts); i++) {
		(void)snprintf(path, sizeof(path), *parts[i] ? "%s/%s" : "%s", dir, parts[i]);
		assert_int_equal(lchown(path, 65534, 0), 0);
		assert_int_equal(ghvm_file_open_root(file, O_RDONLY), -ELOOP);
		assert_int_equal(ghvm_file_follow(file, found), -EPERM);
		assert_string_equal(found, path);
		assert_int_equal(lchown(path, 0, 0), 0);
		assert_int_equal(ghvm_file_follow(file, found), 0);
	}
	assert_int_equal(fchmodat(d, "sub", 0775, 0), 0);
	assert_int_equal(ghvm_file_follow(file, found), -EPERM);
	assert_int_equal(ghvm_file_open_root(file, O_RDONLY), -ELOOP);
	folder_remove(dir);
}

/* From its start, wherever its offset is, and with a NUL behind that does not count. */
static void reads_a_file_up_to_the_limit(void **state)
{
	_cleanup_(closep) int fd = memfd_create("x", MFD_CLOEXEC);
	_cleanup_(freep) char *text = NULL, *none = NULL;
	size_t len = 77;

	assert_int_equal(write(fd, "four", 4), 4);
	assert_int_equal(ghvm_file_read(fd, 4, &text, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(text, "four", 5);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 4); /* another process may use it, too */

	len = 77;
	assert_int_equal(ghvm_file_read(fd, 3, &none, &len), -EFBIG);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(ghvm_file_read(fd, (1 << 20) - 1, &none, &len), -EFBIG);
	assert_int_equal(ghvm_file_read(-1, 4, &none, &len), -EBADF);
	assert_null(none);
	assert_int_equal(len, 77);
}

static void reads_an_empty_file(void **state)
{
	_cleanup_(closep) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) char *text = NULL;
	size_t len = 77;

	assert_int_equal(ghvm_file_read(fd, 4, &text, &len), 0);
	assert_int_equal(len, 0);
	assert_string_equal(text, "");
}

/* In as many pieces as the writer has made. */
static void reads_a_pipe_to_its_end(void **state)
{
	_cleanup_(freep) char *text = NULL;
	size_t len = 0;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(write(p[1], "ab", 2), 2);
	if (fork() == 0) {
		usleep(20000);
		_exit(write(p[1], "cd", 2) != 2);
	}
	close(p[1]);
	assert_int_equal(ghvm_file_read(p[0], 100, &text, &len), 0);
	assert_int_equal(len, 4);
	assert_string_equal(text, "abcd");
	close(p[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_nothing_but_files),
		cmocka_unit_test(follows_links_of_root),
		cmocka_unit_test(follows_no_links_of_others),
		cmocka_unit_test(reads_a_file_up_to_the_limit),
		cmocka_unit_test(reads_an_empty_file),
		cmocka_unit_test(reads_a_pipe_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
