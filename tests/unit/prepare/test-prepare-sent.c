/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The start helper and the descriptor of a transient VM, which comes from the manager. All that the manager
 * says is sent before the session begins.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/ipc/needs.h"
#include "daemon/ipc/protocol.h"
#include "daemon/prepare/session.h"
#include "daemon/prepare/store.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#define TEXT "version: 1\nmemory: {size: 2M, hugepages: never}\nkernel: {image: fd:k}\n"

struct fixture {
	char dir[FOLDER_SIZE];
	const char *vms_dirs[2];
	int manager;
	struct store store;
	struct session session;
	struct ghvm_error err;
	struct ghvm_link_message m;
};

static const struct ghvm_need ram = {
	.kind = GHVM_LINK_MEMORY,
	.size = GHVM_MIB(2),
	.hugepages = GHVM_HUGEPAGES_NEVER,
	.key = "memory.size",
};
static const struct ghvm_need kernel = { .kind = GHVM_LINK_KERNEL, .key = "kernel.image" };

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];

	folder_make(f->dir);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(ghvm_link_ask_sender(pair[1]), 0);
	f->manager = pair[0];
	f->vms_dirs[0] = f->dir;
	store_init(&f->store, true);
	f->session = (struct session){
		.sock = pair[1],
		.name = "demo",
		.log_dir = f->dir,
		.vms_dirs = f->vms_dirs,
		.store = &f->store,
	};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	ghvm_link_message_done(&f->m);
	store_done(&f->store);
	close(f->manager);
	close(f->session.sock);
	folder_remove(f->dir);
	free(f);
	return 0;
}

static void make_file(const struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *out;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static void say_spec_fd(struct fixture *f, int fd)
{
	assert_int_equal(ghvm_link_send(f->manager, GHVM_LINK_SPEC, NULL, &fd, fd >= 0), 0);
}

static void say_spec(struct fixture *f, const char *text)
{
	_cleanup_(closep) int fd = ghvm_file_seal("text", text, strlen(text));

	assert_true(fd >= 0);
	say_spec_fd(f, fd);
}

static void say_need(struct fixture *f, const struct ghvm_need *n)
{
	uint8_t buf[256];
	struct ghvm_put p = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&p, 1);
	ghvm_need_put(&p, n);
	assert_int_equal(ghvm_link_send(f->manager, GHVM_LINK_NEED, &p, NULL, 0), 0);
}

static void say_store(struct fixture *f, const char *name)
{
	_cleanup_(closep) int fd = ghvm_file_seal("x", "x", 1);
	uint8_t buf[64];
	struct ghvm_put p = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&p, 1);
	ghvm_link_put_string(&p, name);
	assert_int_equal(ghvm_link_send(f->manager, GHVM_LINK_STORE, &p, &fd, 1), 0);
}

static void say_built(struct fixture *f)
{
	assert_int_equal(ghvm_link_send(f->manager, GHVM_LINK_BUILT, NULL, NULL, 0), 0);
}

static int run_session(struct fixture *f)
{
	shutdown(f->manager, SHUT_WR);
	return session_run(&f->session, &f->err);
}

static void expect(struct fixture *f, uint32_t type)
{
	ghvm_link_message_done(&f->m);
	assert_int_equal(ghvm_link_recv(f->manager, &f->m), 1);
	assert_int_equal(f->m.type, type);
}

static void assert_refused(struct fixture *f, int r, const char *why)
{
	assert_int_equal(r, SESSION_REFUSED);
	if (!strstr(f->err.msg, why))
		fail_msg("'%s' does not say: %s", f->err.msg, why);
}

static void the_memory_is_that_of_the_text(void **state)
{
	struct fixture *f = *state;

	say_spec(f, TEXT);
	say_need(f, &ram);
	say_store(f, "grant");
	say_store(f, "sent-kernel");
	say_built(f);
	assert_int_equal(run_session(f), 0);
	assert_int_equal(f->store.n, 2);
	expect(f, GHVM_LINK_HELLO);
	expect(f, GHVM_LINK_GIVE);
	expect(f, GHVM_LINK_GIVEN);
}

static void more_memory_is_refused(void **state)
{
	struct ghvm_need more = ram;
	struct fixture *f = *state;

	more.size *= 2;
	say_spec(f, TEXT);
	say_need(f, &more);
	assert_true(run_session(f) < 0);
	assert_non_null(strstr(f->err.msg, "the descriptor says 2097152"));
}

/* The manager has the files of the call; the helper opens none in their place. */
static void a_file_of_the_call_is_not_the_helpers(void **state)
{
	struct fixture *f = *state;

	say_spec(f, TEXT);
	say_need(f, &kernel);
	assert_refused(f, run_session(f), "'fd:k' is not an absolute path");
}

static void a_file_of_the_host_is_opened(void **state)
{
	struct fixture *f = *state;
	char text[512];

	make_file(f, "Image", "kernel");
	(void)snprintf(text, sizeof(text),
		       "version: 1\nmemory: {size: 2M}\nkernel: {image: %s/Image}\n", f->dir);
	say_spec(f, text);
	say_need(f, &kernel);
	say_built(f);
	assert_int_equal(run_session(f), 0);
	expect(f, GHVM_LINK_HELLO);
	expect(f, GHVM_LINK_GIVE);
}

static void assert_owner(void **state, uid_t uid)
{
	struct fixture *f = *state;
	struct descriptor d;
	_cleanup_(closep) int fd = ghvm_file_seal("text", TEXT, strlen(TEXT));
	const struct ghvm_spec_owner from = { .uid = uid, .gid = 7 };

	descriptor_read(&d, "demo", f->vms_dirs);
	descriptor_take(&d, "demo", fd, &from);
	assert_int_equal(d.result, 0);
	assert_int_equal(d.spec.owners[0].uid, uid);
	assert_int_equal(d.spec.owners[0].gid, 7);
	descriptor_done(&d);
}

/* Decision 51: with the rights of the manager, which has sent the text, not with root's. */
static void files_are_opened_as_the_sender(void **state)
{
	assert_owner(state, 1234);
}

static void without_a_sender_it_is_refused(void **state)
{
	struct fixture *f = *state;
	const int off = 0;

	assert_int_equal(setsockopt(f->session.sock, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off)),
			 0);
	say_spec(f, TEXT);
	assert_int_equal(run_session(f), -EBADMSG);
}

/* A name that is described on disk cannot be taken by the manager. */
static void a_descriptor_on_disk_is_not_replaced(void **state)
{
	struct fixture *f = *state;

	make_file(f, "demo.yaml",
		  "version: 1\nmemory: {size: 2M, hugepages: never}\n"
		  "kernel: {image: /boot/Image}\n");
	say_spec(f, TEXT);
	say_need(f, &ram);
	assert_refused(f, run_session(f), "has a descriptor on disk now");
}

static void a_text_that_may_change_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup_(closep) int fd = memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, TEXT, strlen(TEXT)), strlen(TEXT));
	say_spec_fd(f, fd);
	say_need(f, &ram);
	assert_true(run_session(f) < 0);
	assert_non_null(strstr(f->err.msg, "not a memfd sealed"));
}

static void a_text_with_errors_is_refused(void **state)
{
	struct fixture *f = *state;

	say_spec(f, "version: 1\nmemory: {size: much}\nkernel: {image: fd:k}\n");
	say_need(f, &ram);
	assert_refused(f, run_session(f), "demo.yaml:2:16: memory.size");
}

static void malformed(void **state)
{
	struct fixture *f = *state;

	say_spec_fd(f, -1);
	assert_int_equal(run_session(f), -EBADMSG);
}

static void said_twice(void **state)
{
	struct fixture *f = *state;

	say_spec(f, TEXT);
	say_spec(f, TEXT);
	assert_int_equal(run_session(f), -EBADMSG);
}

/* Of a descriptor on disk the runner keeps no files. */
static void stores_sent_files_only_of_a_transient_vm(void **state)
{
	static const char *const bad[] = { "sent-", "sent-overlay", "sent-kernel-2", "sent" };
	struct fixture *f = *state;
	_cleanup_(closep) int fd = ghvm_file_seal("text", TEXT, strlen(TEXT));
	const struct ghvm_spec_owner from = {};
	struct descriptor d;

	descriptor_read(&d, "demo", f->vms_dirs);
	assert_false(descriptor_stores(&d, "sent-kernel"));
	descriptor_take(&d, "demo", fd, &from);
	assert_true(descriptor_stores(&d, "sent-kernel"));
	assert_true(descriptor_stores(&d, "sent-initrd"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(descriptor_stores(&d, bad[i]));
	descriptor_done(&d);
}

/* No program gets a file of RAM that is lent, even if the manager sends one. */
static void stores_ram_only_if_a_device_needs_it_and_it_is_shared(void **state)
{
	struct descriptor d = {};

	d.spec.protection = GHVM_PROTECTION_NONE;
	assert_false(descriptor_stores(&d, "ram"));
	d.spec.rng = true;
	assert_true(descriptor_stores(&d, "ram"));
	d.spec.protection = GHVM_PROTECTION_PROTECTED;
	assert_false(descriptor_stores(&d, "ram"));
}

static void stores_a_socket_only_if_a_device_has_one(void **state)
{
	struct descriptor d = {};

	assert_false(descriptor_stores(&d, "vhost-user-0"));
	d.spec.vhost[0].socket = (char *)"/run/disk";
	assert_true(descriptor_stores(&d, "vhost-user-0"));
	assert_false(descriptor_stores(&d, "vhost-user-1"));
}

#define SENT_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENT_TEST(the_memory_is_that_of_the_text),
		SENT_TEST(more_memory_is_refused),
		SENT_TEST(a_file_of_the_call_is_not_the_helpers),
		SENT_TEST(a_file_of_the_host_is_opened),
		SENT_TEST(files_are_opened_as_the_sender),
		SENT_TEST(without_a_sender_it_is_refused),
		cmocka_unit_test(stores_a_socket_only_if_a_device_has_one),
		SENT_TEST(a_descriptor_on_disk_is_not_replaced),
		SENT_TEST(a_text_that_may_change_is_refused),
		SENT_TEST(a_text_with_errors_is_refused),
		SENT_TEST(malformed),
		SENT_TEST(said_twice),
		SENT_TEST(stores_sent_files_only_of_a_transient_vm),
		SENT_TEST(stores_ram_only_if_a_device_needs_it_and_it_is_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
