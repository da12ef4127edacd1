/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that are opened without waiting, and read whole. */
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
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
		cmocka_unit_test(reads_a_file_up_to_the_limit),
		cmocka_unit_test(reads_an_empty_file),
		cmocka_unit_test(reads_a_pipe_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
