/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The start helper between a manager and a systemd, both played by the test: what it gives,
 * what it stores, and that failures leave nothing in the store.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/prepare/session.h"
#include "daemon/prepare/store.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "daemon/ipc/protocol.h"
#include "ghvm/spec.h"
#include "tests/fakes/systemd.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

struct fixture {
	char dir[FOLDER_SIZE];
	const char *vms_dirs[2];
	struct fake_systemd systemd;
	int manager;
	struct store store;
	struct session session;
	struct ghvm_error err;
	pthread_t thread;
	struct ghvm_link_message m;
};

/* --- fixture --- */

static void path_in(const struct fixture *f, const char *file, char *ret)
{
	(void)snprintf(ret, 128, "%s/%s", f->dir, file);
}

static void make_file(const struct fixture *f, const char *file, const char *content)
{
	char path[128];
	FILE *out;

	path_in(f, file, path);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs(content, out);
	fclose(out);
}

/* The descriptor, with the file that is its kernel. */
static void describe(const struct fixture *f, const char *kernel_file)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
		       "version: 1\nmemory: {size: 4M}\nregions: [{label: 7, size: 8K}]\n"
		       "kernel: {image: \"%s/%s\"}\n",
		       f->dir, kernel_file);
	make_file(f, "demo.yaml", text);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	folder_make(f->dir);
	fake_systemd_start(&f->systemd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	f->manager = pair[0];
	store_init(&f->store, false);
	f->session = (struct session){
		.sock = pair[1],
		.name = "demo",
		.log_dir = f->dir,
		.vms_dirs = f->vms_dirs,
		.store = &f->store,
	};
	f->vms_dirs[0] = f->dir;
	describe(f, "Image");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	ghvm_link_message_done(&f->m);
	store_done(&f->store);
	closep(&f->manager);
	close(f->session.sock);
	fake_systemd_stop(&f->systemd);
	folder_remove(f->dir);
	free(f);
	return 0;
}

static void *session_main(void *data)
{
	struct fixture *f = data;

	return (void *)(intptr_t)session_run(&f->session, &f->err);
}

static void launch(struct fixture *f)
{
	assert_int_equal(pthread_create(&f->thread, NULL, session_main, f), 0);
}

static int join(struct fixture *f)
{
	struct timespec until;
	void *r;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	assert_int_equal(pthread_timedjoin_np(f->thread, &r, &until), 0);
	return (int)(intptr_t)r;
}

/* --- the manager --- */

static void expect(struct fixture *f, uint32_t type)
{
	struct pollfd p = { .fd = f->manager, .events = POLLIN };

	ghvm_link_message_done(&f->m);
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(ghvm_link_recv(f->manager, &f->m), 1);
	assert_int_equal(f->m.type, type);
}

/* What the helper said before it failed, if it could. */
static void drain(struct fixture *f)
{
	while (recv(f->manager, &f->m.buf, sizeof(f->m.buf), MSG_DONTWAIT) > 0)
		;
}

static void expect_gone(struct fixture *f)
{
	struct pollfd p = { .fd = f->manager, .events = POLLIN };

	shutdown(f->session.sock, SHUT_RDWR);
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(ghvm_link_recv(f->manager, &f->m), 0);
}

static void expect_hello(struct fixture *f)
{
	char name[32];

	expect(f, GHVM_LINK_HELLO);
	ghvm_link_get_string(&f->m.payload, name, sizeof(name));
	assert_string_equal(name, "demo");
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
}

static const struct ghvm_need ram = {
	.kind = GHVM_LINK_MEMORY,
	.size = GHVM_MIB(4),
	.key = "memory.size",
};
static const struct ghvm_need window = {
	.kind = GHVM_LINK_MEMORY,
	.index = 1,
	.size = 8192,
	.key = "regions",
};
static const struct ghvm_need kernel = { .kind = GHVM_LINK_KERNEL, .key = "kernel.image" };
static const struct ghvm_need console = { .kind = GHVM_LINK_LOG, .key = "devices[].console" };

static void say_need(struct fixture *f, const struct ghvm_need *w, uint16_t n)
{
	uint8_t buf[4096];
	struct ghvm_put p = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&p, n);
	for (uint16_t i = 0; i < n; i++)
		ghvm_need_put(&p, &w[i]);
	assert_int_equal(ghvm_link_send(f->manager, GHVM_LINK_NEED, &p, NULL, 0), 0);
}

/* Return: the descriptor, the caller's. */
static int expect_give(struct fixture *f, uint8_t kind, uint16_t index)
{
	expect(f, GHVM_LINK_GIVE);
	assert_int_equal(ghvm_get_u8(&f->m.payload), kind);
	assert_int_equal(ghvm_get_u8(&f->m.payload), 0);
	assert_int_equal(ghvm_get_u16(&f->m.payload), index);
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
	assert_int_equal(f->m.n_fds, 1);
	return TAKE_FD(f->m.fds[0]);
}

static void say_store(struct fixture *f, const char *const *names, uint16_t n, size_t n_fds)
{
	uint8_t buf[1024];
	struct ghvm_put p = { .buf = buf, .cap = sizeof(buf) };
	int fds[GHVM_LINK_FDS_MAX];

	ghvm_put_u16(&p, n);
	for (uint16_t i = 0; i < n; i++)
		ghvm_link_put_string(&p, names[i]);
	for (size_t i = 0; i < n_fds; i++)
		fds[i] = f->manager;
	assert_int_equal(ghvm_link_send(f->manager, GHVM_LINK_STORE, &p, fds, n_fds), 0);
}

static void say_error(struct fixture *f, int32_t code, uint8_t permanent, const char *text)
{
	uint8_t buf[1024];
	struct ghvm_put p = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&p, (uint32_t)code);
	ghvm_put_u8(&p, permanent);
	ghvm_link_put_string(&p, text);
	assert_int_equal(ghvm_link_send(f->manager, GHVM_LINK_ERROR, &p, NULL, 0), 0);
}

static void say_built(struct fixture *f)
{
	uint8_t vmid[2] = { 0x80, 0 };
	struct ghvm_put p = { .buf = vmid, .cap = 2, .len = 2 };

	assert_int_equal(ghvm_link_send(f->manager, GHVM_LINK_BUILT, &p, NULL, 0), 0);
}

/* --- tests of the session --- */

static void a_whole_start(void **state)
{
	static const char *const first[] = { "grant", "control" };
	static const char *const second[] = { "machine", "wake-0" };
	struct fixture *f = *state;
	const struct ghvm_need wants[] = { ram, window, kernel, console };
	char content[8] = "";
	struct stat st;
	int fd;

	make_file(f, "Image", "kernel");
	launch(f);
	expect_hello(f);
	say_need(f, wants, ARRAY_SIZE(wants));
	fd = expect_give(f, GHVM_LINK_MEMORY, 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, GHVM_MIB(4));
	assert_int_equal(st.st_blocks * 512, GHVM_MIB(4));
	close(fd);
	close(expect_give(f, GHVM_LINK_MEMORY, 1));
	fd = expect_give(f, GHVM_LINK_KERNEL, 0);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
	assert_int_equal(read(fd, content, 7), 6);
	assert_string_equal(content, "kernel");
	close(fd);
	fd = expect_give(f, GHVM_LINK_LOG, 0);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND), O_RDWR | O_APPEND);
	close(fd);
	expect(f, GHVM_LINK_GIVEN);
	say_store(f, first, 2, 2);
	say_store(f, second, 2, 2);
	say_built(f);
	assert_int_equal(join(f), 0);
	assert_int_equal(fake_systemd_count(&f->systemd), 4);
	assert_int_equal(fake_systemd_pushes(&f->systemd), 4);
	assert_true(fake_systemd_barriers(&f->systemd) >= 1);
	assert_true(fake_systemd_has(&f->systemd, "grant") &&
		    fake_systemd_has(&f->systemd, "wake-0"));
}

/* No descriptor of guest memory is left when the manager is told so. */
static void given_means_closed(void **state)
{
	struct fixture *f = *state;
	char path[64], target[256];
	struct dirent *e;
	DIR *d;

	launch(f);
	expect_hello(f);
	say_need(f, &ram, 1);
	close(expect_give(f, GHVM_LINK_MEMORY, 0));
	expect(f, GHVM_LINK_GIVEN);
	d = opendir("/proc/self/fd");
	while ((e = readdir(d))) {
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%.20s", e->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		assert_null(strstr(target, "memfd:ram"));
	}
	closedir(d);
	expect_gone(f);
	assert_int_equal(join(f), -EPIPE);
}

static void a_refusal_is_told_from_a_failure(void **state)
{
	struct fixture *f = *state;

	launch(f);
	expect_hello(f);
	say_error(f, -EINVAL, 1, "demo.yaml:3:9: memory.size: 101M is not a multiple of 2M");
	assert_int_equal(join(f), SESSION_REFUSED);
	assert_string_equal(f->err.msg, "demo.yaml:3:9: memory.size: 101M is not a multiple of 2M");
	launch(f);
	expect_hello(f);
	say_error(f, -ENOMEM, 0, "not now");
	assert_int_equal(join(f), -ENOMEM);
	assert_string_equal(f->err.msg, "not now");
	launch(f);
	expect_hello(f);
	say_error(f, 5, 0, "a code that is none");
	assert_int_equal(join(f), -EIO);
}

static void a_failure_leaves_nothing_in_the_store(void **state)
{
	static const char *const names[] = { "grant", "control", "machine" };
	struct fixture *f = *state;

	launch(f);
	expect_hello(f);
	say_store(f, names, 3, 3);
	say_error(f, -EIO, 0, "lend memory: refused");
	assert_int_equal(join(f), -EIO);
	assert_int_equal(fake_systemd_pushes(&f->systemd), 3);
	assert_int_equal(fake_systemd_count(&f->systemd), 0);
	launch(f);
	expect_hello(f);
	say_store(f, names, 3, 3);
	expect_gone(f); /* before BUILT */
	assert_int_equal(join(f), -EPIPE);
	assert_int_equal(fake_systemd_count(&f->systemd), 0);
}

static void files_that_cannot_be_given_are_refusals(void **state)
{
	struct fixture *f = *state;
	char path[128];
	static const struct {
		const char *file, *says;
	} cases[] = {
		{ "absent", "kernel.image: " },	  { "link", "a symbolic link" },
		{ "fifo", "not a regular file" }, { "socket", "not a regular file" },
		{ "", "not a regular file" }, /* the folder */
	};
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	_cleanup_(closep) int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	path_in(f, "link", path);
	assert_int_equal(symlink("Image", path), 0);
	if (geteuid() == 0) /* root's are followed */
		assert_int_equal(lchown(path, 65534, 0), 0);
	path_in(f, "fifo", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	path_in(f, "socket", at.sun_path);
	assert_int_equal(bind(s, (struct sockaddr *)&at, sizeof(at)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		describe(f, cases[i].file);
		path_in(f, cases[i].file, path);
		launch(f);
		expect_hello(f);
		say_need(f, &kernel, 1);
		assert_int_equal(join(f), SESSION_REFUSED);
		assert_non_null(strstr(f->err.msg, cases[i].says));
		assert_non_null(strstr(f->err.msg, path));
		drain(f);
	}
}

/* To open a device can be to do something to it, so it is not opened to see what it is. */
static void nothing_is_opened_to_see_what_it_is(void **state)
{
	struct fixture *f = *state;
	_cleanup_(closep) int events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[128], buf[4096];

	path_in(f, "fifo", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(inotify_add_watch(events, path, IN_OPEN) >= 0);
	describe(f, "fifo");
	launch(f);
	expect_hello(f);
	say_need(f, &kernel, 1);
	assert_int_equal(join(f), SESSION_REFUSED);
	assert_true(read(events, buf, sizeof(buf)) < 0);
}

/* An attacker in control of the manager gets no more than the descriptor names. */
static void a_manager_gets_what_the_descriptor_names(void **state)
{
	struct fixture *f = *state;
	static const struct {
		struct ghvm_need need;
		const char *says;
	} cases[] = {
		{ { GHVM_LINK_KERNEL, 0, 0, 0, "/etc/shadow", NULL }, "'/etc/shadow'" },
		{ { GHVM_LINK_INITRD, 0, 0, 0, "/etc/shadow", NULL }, "'/etc/shadow'" },
		{ { GHVM_LINK_INITRD, 0, 0, 0, "kernel.initrd", NULL }, "does not name" },
		{ { GHVM_LINK_OVERLAY, 0, 0, 0, "kernel.dtb-overlay", NULL }, "does not name" },
		{ { GHVM_LINK_KERNEL, 1, 0, 0, "kernel.image", NULL }, "does not name" },
		{ { GHVM_LINK_MEMORY, 2, 0, 8192, "regions", NULL }, "does not name" },
		{ { GHVM_LINK_MEMORY, 0, 0, GHVM_MIB(6), "memory.size", NULL },
		  "memory.size: the manager requested 6291456 bytes, the descriptor says 4194304" },
		{ { GHVM_LINK_MEMORY, 0, GHVM_HUGEPAGES_1G, GHVM_MIB(4), "memory.size", NULL },
		  "memory.size: the manager requested" },
	};
	const struct ghvm_need twice[] = { ram, ram };

	make_file(f, "Image", "x");
	for (size_t i = 0; i <= ARRAY_SIZE(cases); i++) {
		launch(f);
		expect_hello(f);
		if (i < ARRAY_SIZE(cases))
			say_need(f, &cases[i].need, 1);
		else
			say_need(f, twice, 2);
		expect(f, GHVM_LINK_ERROR); /* and no GIVE */
		assert_true(join(f) < 0);   /* the next one may be better */
		if (!strstr(f->err.msg, i < ARRAY_SIZE(cases) ? cases[i].says : "twice"))
			fail_msg("%zu: %s", i, f->err.msg);
	}
}

static void a_descriptor_that_has_gone_is_said(void **state)
{
	struct fixture *f = *state;

	make_file(f, "demo.yaml", "version: 1\n");
	launch(f);
	expect_hello(f);
	say_need(f, &kernel, 1);
	assert_int_equal(join(f), SESSION_REFUSED);
	assert_non_null(strstr(f->err.msg, "demo.yaml:1:1"));
	drain(f);
}

/* Before anything is populated, and the manager hears of it too. */
static void no_room_is_said_up_front(void **state)
{
	struct fixture *f = *state;
	const struct ghvm_need wants[] = { ram, window };
	char proc[64];
	struct ghvm_room_sources nowhere = { proc, "/nonexistent" };
	char text[GHVM_ERROR_TEXT];

	(void)snprintf(proc, sizeof(proc), "%s", f->dir);
	make_file(f, "meminfo", "MemAvailable:    2048 kB\n");
	f->session.room = &nowhere;
	launch(f);
	expect_hello(f);
	say_need(f, wants, ARRAY_SIZE(wants));
	expect(f, GHVM_LINK_ERROR); /* and no GIVE */
	assert_int_equal((int32_t)ghvm_get_u32(&f->m.payload), -ENOSPC);
	assert_int_equal(ghvm_get_u8(&f->m.payload), 0);
	ghvm_link_get_string(&f->m.payload, text, sizeof(text));
	assert_non_null(strstr(text, "the host has 2 MiB available"));
	assert_int_equal(join(f), -ENOSPC);
	assert_string_equal(f->err.msg, text);
}

static void what_the_helper_lacks_is_told(void **state)
{
	struct fixture *f = *state;
	char text[GHVM_ERROR_TEXT];

	describe(f, "absent/Image");
	launch(f);
	expect_hello(f);
	say_need(f, &kernel, 1);
	expect(f, GHVM_LINK_ERROR);
	assert_int_equal((int32_t)ghvm_get_u32(&f->m.payload),
			 -EINVAL); /* the descriptor is wrong */
	assert_int_equal(ghvm_get_u8(&f->m.payload), 1);
	ghvm_link_get_string(&f->m.payload, text, sizeof(text));
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
	assert_non_null(strstr(text, "/absent/Image"));
	assert_int_equal(join(f), SESSION_REFUSED);
}

static void malformed_messages_end_the_start(void **state)
{
	static const char *const twice[] = { "grant", "grant" };
	static const char *const evil[] = { "grant\nFDSTOREREMOVE=1" };
	static const char *const empty[] = { "" };
	struct fixture *f = *state;
	static const char *const refusal[] = { "refused" };
	static const char *const wakes[] = { "wake-1" };
	static const char *const windows[] = { "window-8" };
	const struct ghvm_need unknown = { .kind = (enum ghvm_link_kind)99, .key = "" };
	const struct ghvm_need pages = {
		.kind = GHVM_LINK_MEMORY, .hugepages = 77, .size = 4096, .key = "memory.size"
	};
	uint8_t count[2] = { 0xff, 0xff };
	struct ghvm_put p = { .buf = count, .cap = 2, .len = 2 };

	for (int i = 0; i < 12; i++) {
		launch(f);
		expect_hello(f);
		if (i == 0)
			say_store(f, twice, 2, 2);
		else if (i == 1)
			say_store(f, evil, 1, 1);
		else if (i == 2)
			say_store(f, empty, 1, 1);
		else if (i == 3)
			say_store(f, twice, 1, 2); /* more descriptors than names */
		else if (i == 4)
			say_store(f, twice, 2, 1);
		else if (i == 5)
			say_need(f, &unknown, 1);
		else if (i == 6)
			say_need(f, &pages, 1);
		else if (i == 9)
			say_store(f, refusal, 1, 1); /* is ours to say */
		else if (i == 10)
			say_store(f, wakes, 1, 1); /* it has one CPU */
		else if (i == 11)
			say_store(f, windows, 1, 1);
		else
			assert_int_equal(ghvm_link_send(f->manager,
							i == 7 ? GHVM_LINK_NEED : GHVM_LINK_ERROR,
							&p, NULL, 0),
					 0);
		assert_true(join(f) < 0);
		drain(f);
		assert_string_not_equal(f->err.msg, "");
		assert_int_equal(fake_systemd_count(&f->systemd), 0);
		store_done(&f->store);
	}
}

static void unknown_messages_are_ignored(void **state)
{
	struct fixture *f = *state;

	launch(f);
	expect_hello(f);
	assert_int_equal(ghvm_link_send(f->manager, 4711, NULL, &f->manager, 1), 0);
	say_built(f);
	assert_int_equal(join(f), 0);
}

static void without_a_log_it_starts_all_the_same(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->session.log_dir = "/nonexistent";
	launch(f);
	expect_hello(f);
	say_need(f, &console, 1);
	fd = expect_give(f, GHVM_LINK_LOG, 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	expect(f, GHVM_LINK_GIVEN);
	say_built(f);
	assert_int_equal(join(f), 0);
}

#define PREPARE_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PREPARE_TEST(a_whole_start),
		PREPARE_TEST(given_means_closed),
		PREPARE_TEST(a_refusal_is_told_from_a_failure),
		PREPARE_TEST(a_failure_leaves_nothing_in_the_store),
		PREPARE_TEST(files_that_cannot_be_given_are_refusals),
		PREPARE_TEST(nothing_is_opened_to_see_what_it_is),
		PREPARE_TEST(a_manager_gets_what_the_descriptor_names),
		PREPARE_TEST(a_descriptor_that_has_gone_is_said),
		PREPARE_TEST(no_room_is_said_up_front),
		PREPARE_TEST(what_the_helper_lacks_is_told),
		PREPARE_TEST(malformed_messages_end_the_start),
		PREPARE_TEST(unknown_messages_are_ignored),
		PREPARE_TEST(without_a_log_it_starts_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
