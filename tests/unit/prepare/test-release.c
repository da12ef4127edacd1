/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RELEASE: answered, answered by the next manager, and never answered.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/prepare/release.h"
#include "daemon/ipc/protocol.h"
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

struct releaser {
	char path[128];
	int listener;
	unsigned int hang_ups;
	bool silent;
	uint64_t pages;
};

static void *releaser_main(void *data)
{
	struct releaser *r = data;
	struct ghvm_link_message m;
	uint8_t buf[64];
	struct ghvm_put p = { .buf = buf, .cap = sizeof(buf) };
	int sock;

	for (;;) {
		sock = accept(r->listener, NULL, NULL);
		if (sock < 0 || ghvm_link_recv(sock, &m) != 1 || m.type != GHVM_LINK_RELEASE)
			abort();
		if (!r->hang_ups)
			break;
		r->hang_ups--;
		close(sock);
	}
	if (r->silent) {
		(void)ghvm_link_recv(sock, &m); /* until it gives up */
		close(sock);
		return NULL;
	}
	(void)ghvm_link_send(sock, 4711, NULL, NULL, 0);
	ghvm_put_u64(&p, r->pages);
	ghvm_link_put_string(&p, "RM is dead");
	(void)ghvm_link_send(sock, GHVM_LINK_RELEASED, &p, NULL, 0);
	close(sock);
	return NULL;
}

static int release(struct fixture *f, struct releaser *r, unsigned int timeout_ms, uint64_t *pages,
		   char *text)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	pthread_t thread;
	int result;

	path_in(f, "sock", a.sun_path);
	unlink(a.sun_path);
	r->listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(bind(r->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(r->listener, 4), 0);
	assert_int_equal(pthread_create(&thread, NULL, releaser_main, r), 0);
	result = release_run(a.sun_path, "demo", false, timeout_ms, pages, text, &f->err);
	pthread_join(thread, NULL);
	close(r->listener);
	return result;
}

static void release_waits_for_the_answer(void **state)
{
	struct releaser plain = { .pages = 0 }, stuck = { .pages = 512 };
	struct releaser restarted = { .hang_ups = 2, .pages = 3 };
	char text[GHVM_ERROR_TEXT];
	uint64_t pages = 77;

	assert_int_equal(release(*state, &plain, 5000, &pages, text), 0);
	assert_int_equal(pages, 0);
	assert_int_equal(release(*state, &stuck, 5000, &pages, text), 0);
	assert_int_equal(pages, 512);
	assert_string_equal(text, "RM is dead");
	assert_int_equal(release(*state, &restarted, 5000, &pages, text), 0);
	assert_int_equal(pages, 3);
}

/* A socket that PID 1 holds, and no manager to read from it. */
static void release_does_not_wait_for_nobody(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct fixture *f = *state;
	char text[GHVM_ERROR_TEXT];
	uint64_t pages = 77;
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	path_in(f, "nobody", a.sun_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(release_run(a.sun_path, "demo", false, 400, &pages, text, &f->err),
			 -EHOSTDOWN);
	assert_int_equal(pages, 77);
	close(listener);
}

static void release_does_not_wait_for_ever(void **state)
{
	struct fixture *f = *state;
	struct releaser silent = { .silent = true };
	char text[GHVM_ERROR_TEXT];
	uint64_t pages;

	assert_int_equal(release(f, &silent, 100, &pages, text), -ETIMEDOUT);
	assert_string_not_equal(f->err.msg, "");
	assert_int_equal(
		release_run("/nonexistent/sock", "demo", false, 5000, &pages, text, &f->err),
		-ENOENT);
	memset(text, 'x', 200);
	text[0] = '/';
	text[200] = '\0';
	assert_int_equal(release_dial(text, &f->err), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(release_waits_for_the_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(release_does_not_wait_for_nobody, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(release_does_not_wait_for_ever, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
