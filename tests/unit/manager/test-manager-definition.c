/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Definitions on disk: written, replaced and removed as a whole, whatever the system call at which the
 * writer dies.
 */
#include "daemon/manager/state/definition.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX 512
#define IMAGE_SIZE 300000 /* more than one piece of a copy */

#define BLOCK 4096
#define DISK_BLOCKS (1 << 20)

struct fixture {
	char dir[64];
};

/* The disk that the writer sees, and what others write between two looks at it. */
/* The folder of another definition, which is begun while a definition checks the room on the disk. */
static const char *other_begins;
static uint64_t blocks_free = DISK_BLOCKS, blocks_others_take;

int fstatvfs(int fd, struct statvfs *ret)
{
	*ret = (struct statvfs){ .f_frsize = BLOCK,
				 .f_blocks = DISK_BLOCKS,
				 .f_bavail = blocks_free };
	blocks_free -= blocks_others_take;
	if (other_begins && mkdir(other_begins, 0700) == 0)
		other_begins = NULL;
	return 0;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/dev/shm/test-definition-XXXXXX"); /* hundreds of fsync() */
	if (!mkdtemp(f->dir)) {
		strcpy(f->dir, "/tmp/test-definition-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
	}
	assert_int_equal(definition_clean(f->dir), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -r %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* A memfd that begins with @word. */
static int image_of(const char *word)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, IMAGE_SIZE), 0);
	assert_int_equal(pwrite(fd, word, strlen(word), 0), strlen(word));
	return fd;
}

/* A definition of "demo": its descriptor begins with @word, its kernel is @fd, or @kept. */
static void make(const struct fixture *f, struct definition *d, const char *word, int fd,
		 const char *kept)
{
	_cleanup_(freep) char *path = NULL;

	assert_int_equal(definition_init(d, f->dir, "demo", 1000), 0);
	d->limited = true;
	d->n_files = 1;
	d->files[0] =
		(struct definition_file){ .key = "kernel.image", .fd = fd, .size = IMAGE_SIZE };
	if (kept)
		(void)snprintf(d->files[0].kept, sizeof(d->files[0].kept), "%s", kept);
	path = definition_path(d, "kernel.image");
	assert_non_null(path);
	d->len = (size_t)asprintf(&d->text, "%s %s\n", word, path);
}

static int write_one(const struct fixture *f, const char *word, struct ghvm_error *err)
{
	_cleanup_(definition_done) struct definition d = {};
	_cleanup_(closep) int fd = image_of(word);

	make(f, &d, word, fd, NULL);
	return definition_write(&d, err);
}

static void read_text(const char *path, char ret[TEXT_MAX])
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, TEXT_MAX - 1);

	assert_true(n >= 0);
	ret[n] = '\0';
}

/* The word of the definition, descriptor and kernel alike; "": there is none. */
static void word_of(const struct fixture *f, char ret[TEXT_MAX])
{
	char path[128], text[TEXT_MAX], kernel[TEXT_MAX], *at;
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/vms/demo.yaml", f->dir);
	read_text(path, text);
	*ret = '\0';
	if (!*text)
		return;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	at = strchr(text, ' ');
	assert_non_null(at);
	*at++ = '\0';
	at[strcspn(at, "\n")] = '\0';
	read_text(at, kernel);
	assert_string_equal(kernel, text);
	assert_int_equal(stat(at, &st), 0);
	assert_int_equal(st.st_size, IMAGE_SIZE);
	assert_int_equal(st.st_mode & 07777, 0600);
	strcpy(ret, text);
}

static unsigned int count_in(const struct fixture *f, const char *folder)
{
	char path[128];
	unsigned int n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, folder);
	dir = opendir(path);
	assert_non_null(dir);
	for (const struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void assert_is(const struct fixture *f, const char *word)
{
	char now[TEXT_MAX];

	word_of(f, now);
	assert_string_equal(now, word);
	assert_int_equal(count_in(f, "vms"), *word ? 1 : 0);
	assert_int_equal(count_in(f, "images"), *word ? 1 : 0);
}

static void a_definition_is_replaced_and_removed(void **state)
{
	const struct fixture *f = *state;
	struct ghvm_error err = {};

	assert_int_equal(write_one(f, "one", &err), 0);
	assert_is(f, "one");
	assert_int_equal(write_one(f, "two", &err), 0);
	assert_is(f, "two");
	assert_int_equal(definition_clean(f->dir), 0);
	assert_is(f, "two");
	assert_int_equal(definition_remove(f->dir, "demo", &err), 0);
	assert_is(f, "");
	assert_int_equal(definition_remove(f->dir, "demo", &err), -ENOENT);
	assert_non_null(strstr(err.msg, "vms/demo.yaml"));
}

/* An edit of the descriptor alone sends no files. */
static void files_of_the_earlier_definition_can_be_kept(void **state)
{
	const struct fixture *f = *state;
	_cleanup_(definition_done) struct definition d = {}, e = {};
	_cleanup_(freep) char *before = NULL;
	_cleanup_(closep) int fd = image_of("one");
	struct ghvm_error err = {};
	char kept[DEFINITION_KEPT_SIZE];

	make(f, &d, "one", fd, NULL);
	assert_int_equal(definition_write(&d, &err), 0);
	before = definition_path(&d, "kernel.image");
	assert_true(definition_keeps(&d, before, kept));
	make(f, &e, "one", -1, kept);
	assert_int_equal(definition_write(&e, &err), 0);
	assert_is(f, "one");
	assert_int_not_equal(access(before, F_OK), 0);
	definition_done(&e);
	make(f, &e, "one", -1, kept); /* of the folder that has gone */
	assert_int_equal(definition_write(&e, &err), -EBADF);
	assert_is(f, "one");
}

static void only_its_own_files_are_kept(void **state)
{
	static const char *const bad[] = {
		"/etc/shadow",
		"%s/images/other.0123456789abcdef.0/kernel.image",
		"%s/images/demo.0123456789abcdef.0/../../x",
		"%s/images/demo.0123456789abcdef.0/..",
		"%s/images/demo.0123456789abcdef.0/",
		"%s/images/demo.0123456789abcdef.0",
		"%s/images/demo.0123456789abcdeF.0/kernel.image",
		"%s/images/demo.0123456789abcdef.-1/kernel.image",
		"%s/images/demo.0123456789abcdef.4294967296/kernel.image",
		"%s/images/demo.012345678.0/kernel.image",
		"%s/images/demo/kernel.image",
		"%s/vms/demo.yaml",
	};
	const struct fixture *f = *state;
	_cleanup_(definition_done) struct definition d = {};
	char path[256], kept[DEFINITION_KEPT_SIZE];

	assert_int_equal(definition_init(&d, f->dir, "demo", 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)snprintf(path, sizeof(path), bad[i], f->dir);
		assert_false(definition_keeps(&d, path, kept));
	}
	(void)snprintf(path, sizeof(path), "%s/images/demo.0123456789abcdef.0/kernel.image",
		       f->dir);
	assert_true(definition_keeps(&d, path, kept));
	assert_string_equal(kept, "demo.0123456789abcdef.0/kernel.image");
}

static void a_full_disk_leaves_the_earlier_definition(void **state)
{
	struct rlimit before, half = { .rlim_cur = IMAGE_SIZE / 2, .rlim_max = RLIM_INFINITY };
	const struct fixture *f = *state;
	_cleanup_(definition_done) struct definition d = {};
	_cleanup_(closep) int fd = image_of("two");
	struct ghvm_error err = {};
	int r;

	assert_int_equal(write_one(f, "one", &err), 0);
	make(f, &d, "two", fd, NULL);
	(void)signal(SIGXFSZ, SIG_IGN); /* then a write fails, as on a full disk */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	half.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &half), 0);
	r = definition_write(&d, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(err.msg, "kernel.image: cannot copy the file to"));
	assert_is(f, "one");
}

static void there_must_be_room(void **state)
{
	const struct fixture *f = *state;
	_cleanup_(definition_done) struct definition d = {};
	_cleanup_(closep) int fd = image_of("one");
	struct ghvm_error err = {};

	make(f, &d, "one", fd, NULL);
	d.files[0].size = UINT64_C(1) << 60;
	assert_int_equal(definition_write(&d, &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "must stay free"));
	assert_is(f, "");
}

static void there_must_be_room_at_each_part(void **state)
{
	const struct fixture *f = *state;
	struct ghvm_error err = {};

	blocks_free = DISK_BLOCKS / 16 + 2 * IMAGE_SIZE / BLOCK; /* enough at the first look */
	blocks_others_take = 2 * IMAGE_SIZE / BLOCK;
	assert_int_equal(write_one(f, "one", &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "must stay free"));
	assert_is(f, "");
	blocks_free = DISK_BLOCKS;
	blocks_others_take = 0;
	assert_int_equal(write_one(f, "one", &err), 0);
	assert_is(f, "one");
}

static void a_cancelled_definition_leaves_nothing(void **state)
{
	const struct fixture *f = *state;
	_cleanup_(definition_done) struct definition d = {};
	_cleanup_(closep) int fd = image_of("one");
	struct ghvm_error err = {};

	make(f, &d, "one", fd, NULL);
	atomic_store(&d.cancelled, true);
	assert_int_equal(definition_write(&d, &err), -ECANCELED);
	assert_is(f, "");
}

static void make_folders(const struct fixture *f, unsigned int n)
{
	char folder[128];

	for (unsigned int i = 0; i < n; i++) {
		(void)snprintf(folder, sizeof(folder), "%s/images/vm%u.0123456789abcdef.1000",
			       f->dir, i);
		assert_int_equal(mkdir(folder, 0700), 0);
	}
}

/* Two calls at the same time cannot both be the last one that is allowed. */
static void the_limit_holds_for_calls_at_the_same_time(void **state)
{
	const struct fixture *f = *state;
	struct ghvm_error err = {};
	char folder[128];

	make_folders(f, DEFINITIONS_PER_UID - 1);
	(void)snprintf(folder, sizeof(folder), "%s/images/other.0123456789abcdef.1000", f->dir);
	other_begins = folder;
	assert_int_equal(write_one(f, "one", &err), -EDQUOT);
	assert_null(other_begins);
	assert_int_equal(definition_clean(f->dir), 0);
	assert_is(f, "");
}

static void a_user_has_a_limited_number(void **state)
{
	const struct fixture *f = *state;
	struct ghvm_error err = {};

	make_folders(f, DEFINITIONS_PER_UID);
	assert_int_equal(write_one(f, "one", &err), -EDQUOT);
	assert_non_null(strstr(err.msg, "the user 1000 has 64 definitions already"));
	assert_int_equal(definition_clean(f->dir), 0); /* no descriptor names them */
	assert_int_equal(write_one(f, "one", &err), 0);
	assert_is(f, "one");
}

/* --- death at any system call --- */

typedef void (*change_fn)(const struct fixture *f);

static void change_to_two(const struct fixture *f)
{
	struct ghvm_error err = {};

	_exit(write_one(f, "two", &err) == 0 ? 0 : 1);
}

static void change_to_nothing(const struct fixture *f)
{
	struct ghvm_error err = {};

	_exit(definition_remove(f->dir, "demo", &err) == 0 ? 0 : 1);
}

/* Let a child make the change, and kill it at its stop number @nth. Return: it has ended before. */
static bool kill_at(const struct fixture *f, change_fn change, unsigned int nth)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		(void)raise(SIGSTOP);
		change(f);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (unsigned int i = 0; i < nth && !WIFEXITED(status); i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	if (WIFEXITED(status)) {
		if (WEXITSTATUS(status) == 77)
			skip();
		assert_int_equal(WEXITSTATUS(status), 0);
		return true;
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return false;
}

static void restore(const struct fixture *f, const char *word)
{
	struct ghvm_error err = {};

	(void)definition_remove(f->dir, "demo", &err); /* there may be none */
	if (*word)
		assert_int_equal(write_one(f, word, &err), 0);
}

/* Whenever it dies, there is what was before or what comes, and a later manager finds no more. */
static void sweep(const struct fixture *f, change_fn change, const char *before, const char *after)
{
	unsigned int n_before = 0, n_after = 0;
	char now[TEXT_MAX];
	bool over = false;

	for (unsigned int nth = 1; !over; nth++) {
		restore(f, before);
		over = kill_at(f, change, nth);
		word_of(f, now);
		if (over || strcmp(now, before) != 0)
			assert_string_equal(now, after);
		n_before += !strcmp(now, before);
		n_after += !strcmp(now, after);
		assert_int_equal(definition_clean(f->dir), 0);
		assert_is(f, now);
	}
	assert_true(n_before > 4 && n_after > 4);
}

static void a_writer_may_die(void **state)
{
	sweep(*state, change_to_two, "", "two");
}

static void a_replacer_may_die(void **state)
{
	sweep(*state, change_to_two, "one", "two");
}

static void a_remover_may_die(void **state)
{
	sweep(*state, change_to_nothing, "one", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(a_definition_is_replaced_and_removed),
		TEST(files_of_the_earlier_definition_can_be_kept),
		TEST(only_its_own_files_are_kept),
		TEST(a_full_disk_leaves_the_earlier_definition),
		TEST(there_must_be_room),
		TEST(there_must_be_room_at_each_part),
		TEST(a_cancelled_definition_leaves_nothing),
		TEST(a_user_has_a_limited_number),
		TEST(the_limit_holds_for_calls_at_the_same_time),
		TEST(a_writer_may_die),
		TEST(a_replacer_may_die),
		TEST(a_remover_may_die),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
