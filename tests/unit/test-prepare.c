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
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/prepare/session.h"
#include "daemon/prepare/store.h"
#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/link.h"
#include "libghvm/spec.h"
#include "tests/unit/fake-systemd.h"

struct fixture {
	char dir[64];
	struct fake_systemd systemd;
	int manager;
	struct store store;
	struct session session;
	struct ghvm_error err;
	pthread_t thread;
	struct ghvm_link_message m;
};

/* --- fixture --- */

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	strcpy(f->dir, "/tmp/test-prepare-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	fake_systemd_start(&f->systemd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	f->manager = pair[0];
	store_init(&f->store, false);
	f->session = (struct session){
		.sock = pair[1],
		.name = "demo",
		.log_dir = f->dir,
		.store = &f->store,
	};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	ghvm_link_message_done(&f->m);
	store_done(&f->store);
	closep(&f->manager);
	close(f->session.sock);
	fake_systemd_stop(&f->systemd);
	(void)snprintf(command, sizeof(command), "rm -r %s", f->dir);
	assert_int_equal(system(command), 0);
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

struct want {
	uint8_t kind, hugepages;
	uint16_t index;
	uint64_t size;
	const char *path;
};

static void say_need(struct fixture *f, const struct want *w, uint16_t n)
{
	uint8_t buf[4096];
	struct ghvm_put p = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&p, n);
	for (uint16_t i = 0; i < n; i++) {
		ghvm_put_u8(&p, w[i].kind);
		ghvm_put_u8(&p, w[i].hugepages);
		ghvm_put_u16(&p, w[i].index);
		ghvm_put_u64(&p, w[i].size);
		ghvm_link_put_string(&p, w[i].path ? w[i].path : "");
	}
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
	char kernel[128], content[8] = "";
	struct want wants[] = { { GHVM_LINK_MEMORY, GHVM_HUGEPAGES_AUTO, 0, GHVM_MIB(4), NULL },
				{ GHVM_LINK_MEMORY, GHVM_HUGEPAGES_NEVER, 1, 8192, NULL },
				{ GHVM_LINK_KERNEL, 0, 0, 0, kernel },
				{ GHVM_LINK_LOG, 0, 0, 0, NULL } };
	struct stat st;
	int fd;

	path_in(f, "Image", kernel);
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
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
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
	const struct want want = { GHVM_LINK_MEMORY, GHVM_HUGEPAGES_NEVER, 0, 65536, NULL };
	char path[64], target[256];
	struct dirent *e;
	DIR *d;

	launch(f);
	expect_hello(f);
	say_need(f, &want, 1);
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
	struct want want = { GHVM_LINK_KERNEL, 0, 0, 0, path };
	static const struct {
		uint8_t kind;
		const char *file, *says;
	} cases[] = {
		{ GHVM_LINK_KERNEL, "absent", "kernel.image: " },
		{ GHVM_LINK_INITRD, "link", "a symbolic link" },
		{ GHVM_LINK_OVERLAY, "fifo", "not a regular file" },
		{ GHVM_LINK_KERNEL, "", "not a regular file" }, /* the directory */
	};

	make_file(f, "Image", "x");
	path_in(f, "link", path);
	assert_int_equal(symlink("Image", path), 0);
	path_in(f, "fifo", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		path_in(f, cases[i].file, path);
		want.kind = cases[i].kind;
		launch(f);
		expect_hello(f);
		say_need(f, &want, 1);
		assert_int_equal(join(f), SESSION_REFUSED);
		assert_non_null(strstr(f->err.msg, cases[i].says));
		assert_non_null(strstr(f->err.msg, path));
		drain(f);
	}
	strcpy(path, "etc/passwd");
	launch(f);
	expect_hello(f);
	say_need(f, &want, 1);
	assert_int_equal(join(f), SESSION_REFUSED);
	assert_non_null(strstr(f->err.msg, "absolute"));
}

/* Before anything is populated, and the manager hears of it too. */
static void no_room_is_said_up_front(void **state)
{
	struct fixture *f = *state;
	const struct want wants[] = {
		{ GHVM_LINK_MEMORY, GHVM_HUGEPAGES_AUTO, 0, GHVM_MIB(4), NULL },
		{ GHVM_LINK_MEMORY, GHVM_HUGEPAGES_AUTO, 1, 1ULL << 60, NULL },
	};
	char proc[64];
	struct ghvm_room_sources nowhere = { proc, "/nonexistent" };
	char text[GHVM_ERROR_TEXT];

	(void)snprintf(proc, sizeof(proc), "%s", f->dir);
	make_file(f, "meminfo", "MemAvailable:    65536 kB\n");
	f->session.room = &nowhere;
	launch(f);
	expect_hello(f);
	say_need(f, wants, ARRAY_SIZE(wants));
	expect(f, GHVM_LINK_ERROR); /* and no GIVE */
	assert_int_equal((int32_t)ghvm_get_u32(&f->m.payload), -ENOSPC);
	assert_int_equal(ghvm_get_u8(&f->m.payload), 0);
	ghvm_link_get_string(&f->m.payload, text, sizeof(text));
	assert_non_null(strstr(text, "the host has 64 MiB available"));
	assert_int_equal(join(f), -ENOSPC);
	assert_string_equal(f->err.msg, text);
}

static void what_the_helper_lacks_is_told(void **state)
{
	struct fixture *f = *state;
	const struct want want = { GHVM_LINK_KERNEL, 0, 0, 0, "/nonexistent/Image" };
	char text[GHVM_ERROR_TEXT];

	launch(f);
	expect_hello(f);
	say_need(f, &want, 1);
	expect(f, GHVM_LINK_ERROR);
	assert_int_equal((int32_t)ghvm_get_u32(&f->m.payload),
			 -EINVAL); /* the descriptor is wrong */
	assert_int_equal(ghvm_get_u8(&f->m.payload), 1);
	ghvm_link_get_string(&f->m.payload, text, sizeof(text));
	assert_int_equal(ghvm_get_end(&f->m.payload), 0);
	assert_non_null(strstr(text, "/nonexistent/Image"));
	assert_int_equal(join(f), SESSION_REFUSED);
}

static void malformed_messages_end_the_start(void **state)
{
	static const char *const twice[] = { "grant", "grant" };
	static const char *const evil[] = { "grant\nFDSTOREREMOVE=1" };
	static const char *const empty[] = { "" };
	struct fixture *f = *state;
	const struct want unknown = { 99, 0, 0, 0, NULL };
	const struct want pages = { GHVM_LINK_MEMORY, 77, 0, 4096, NULL };
	uint8_t count[2] = { 0xff, 0xff };
	struct ghvm_put p = { .buf = count, .cap = 2, .len = 2 };

	for (int i = 0; i < 9; i++) {
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

static void what_an_earlier_start_left_is_removed(void **state)
{
	struct fixture *f = *state;
	struct ghvm_error err = {};
	struct store fresh;

	assert_int_equal(store_add(&f->store, "wake-5", dup(0), &err), 0);
	assert_int_equal(store_add(&f->store, "refused", dup(0), &err), 0);
	assert_int_equal(store_sync(&f->store, &err), 0);
	assert_true(fake_systemd_has(&f->systemd, "wake-5"));
	store_init(&fresh, false);
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

static void without_a_log_it_starts_all_the_same(void **state)
{
	struct fixture *f = *state;
	const struct want want = { GHVM_LINK_LOG, 0, 0, 0, NULL };
	int fd;

	f->session.log_dir = "/nonexistent";
	launch(f);
	expect_hello(f);
	say_need(f, &want, 1);
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
		PREPARE_TEST(no_room_is_said_up_front),
		PREPARE_TEST(what_the_helper_lacks_is_told),
		PREPARE_TEST(malformed_messages_end_the_start),
		PREPARE_TEST(unknown_messages_are_ignored),
		PREPARE_TEST(what_an_earlier_start_left_is_removed),
		PREPARE_TEST(without_systemd_they_are_kept),
		PREPARE_TEST(without_a_log_it_starts_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
