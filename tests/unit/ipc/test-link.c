/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the programs, over a real socket pair: golden bytes, limits, and what a
 * hostile peer may send.
 */
#include "daemon/ipc/queue.h"
#include "daemon/ipc/protocol.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct pair {
	int a;
	int b;
};

static struct pair open_pair(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	return (struct pair){ fds[0], fds[1] };
}

static void close_pair(struct pair *p)
{
	closep(&p->a);
	closep(&p->b);
}

static size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	assert_int_equal(closedir(d), 0);
	return n;
}

static void sends_golden_bytes(void **state)
{
	static const uint8_t golden[] = { 0x0a, 0, 0, 0, 1, 0, 0, 0, 4, 0, 'd', 'e', 'm', 'o' };
	_cleanup_(close_pair) struct pair p = open_pair();
	uint8_t payload[64], got[64];
	struct ghvm_put w = { .buf = payload, .cap = sizeof(payload) };

	ghvm_link_put_string(&w, "demo");
	assert_int_equal(ghvm_link_send(p.a, 10, &w, NULL, 0), 0);
	assert_int_equal(recv(p.b, got, sizeof(got), 0), sizeof(golden));
	assert_memory_equal(got, golden, sizeof(golden));
}

static void brings_payload_and_descriptors(void **state)
{
	_cleanup_(close_pair) struct pair p = open_pair();
	uint8_t payload[64];
	struct ghvm_put w = { .buf = payload, .cap = sizeof(payload) };
	int fds[GHVM_LINK_FDS_MAX];
	struct ghvm_link_message m;
	size_t before = count_fds();

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = p.a;
	ghvm_put_u32(&w, 0x12345678);
	assert_int_equal(ghvm_link_send(p.a, GHVM_LINK_STORE, &w, fds, ARRAY_SIZE(fds)), 0);
	assert_int_equal(ghvm_link_recv(p.b, &m), 1);
	assert_int_equal(m.type, GHVM_LINK_STORE);
	assert_int_equal(ghvm_get_u32(&m.payload), 0x12345678);
	assert_int_equal(ghvm_get_end(&m.payload), 0);
	assert_int_equal(m.n_fds, ARRAY_SIZE(fds));
	assert_int_equal(fcntl(m.fds[15], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(count_fds(), before + ARRAY_SIZE(fds));
	ghvm_link_message_done(&m);
	assert_int_equal(count_fds(), before);
}

static void keeps_what_was_taken(void **state)
{
	_cleanup_(close_pair) struct pair p = open_pair();
	struct ghvm_link_message m;
	int fd;

	assert_int_equal(ghvm_link_send(p.a, GHVM_LINK_GIVE, NULL, &p.a, 1), 0);
	assert_int_equal(ghvm_link_recv(p.b, &m), 1);
	fd = TAKE_FD(m.fds[0]);
	ghvm_link_message_done(&m);
	assert_int_equal(close(fd), 0);
}

static void refuses_too_much_to_send(void **state)
{
	static uint8_t big[GHVM_LINK_MAX];
	_cleanup_(close_pair) struct pair p = open_pair();
	struct ghvm_put w = { .buf = big, .cap = sizeof(big), .len = GHVM_LINK_MAX - 7 };
	struct ghvm_link_message m;
	int fds[GHVM_LINK_FDS_MAX + 1] = {};

	assert_int_equal(ghvm_link_send(p.a, 1, &w, NULL, 0), -EMSGSIZE);
	assert_int_equal(ghvm_link_send(p.a, 1, NULL, fds, ARRAY_SIZE(fds)), -EMSGSIZE);
	w.bad = true;
	w.len = 0;
	assert_int_equal(ghvm_link_send(p.a, 1, &w, NULL, 0), -EMSGSIZE);
	w = (struct ghvm_put){ .buf = big, .cap = sizeof(big), .len = GHVM_LINK_MAX - 8 };
	assert_int_equal(ghvm_link_send(p.a, 1, &w, NULL, 0), 0);
	assert_int_equal(ghvm_link_recv(p.b, &m), 1);
	assert_int_equal(m.payload.len, GHVM_LINK_MAX - 8);
}

static void tells_empty_from_gone(void **state)
{
	_cleanup_(close_pair) struct pair p = open_pair();
	struct ghvm_link_message m;

	assert_int_equal(ghvm_link_recv(p.b, &m), -EAGAIN);
	assert_int_equal(ghvm_link_send(p.a, GHVM_LINK_GIVEN, NULL, NULL, 0), 0);
	assert_int_equal(close(TAKE_FD(p.a)), 0);
	assert_int_equal(ghvm_link_recv(p.b, &m), 1);
	assert_int_equal(ghvm_link_recv(p.b, &m), 0);
	assert_int_equal(ghvm_link_send(p.b, GHVM_LINK_GIVEN, NULL, NULL, 0), -EPIPE);
}

/* A raw datagram with descriptors, as a hostile peer makes it. */
static void send_raw(int sock, const void *buf, size_t len, int fd, size_t n_fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 32)];
	} c = {};
	struct iovec iov = { (void *)buf, len };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = c.buf,
			     .msg_controllen = CMSG_SPACE(sizeof(int) * n_fds) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
	for (size_t i = 0; i < n_fds; i++)
		memcpy(CMSG_DATA(cm) + i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(sock, &mh, 0), len);
}

static void refuses_hostile_messages_and_leaks_nothing(void **state)
{
	static const uint8_t version_2[] = { 1, 0, 0, 0, 2, 0, 0, 0 };
	static uint8_t big[GHVM_LINK_MAX + 1] = { 1, 0, 0, 0, 1 };
	_cleanup_(close_pair) struct pair p = open_pair();
	struct ghvm_link_message m;
	size_t before = count_fds();

	send_raw(p.a, version_2, sizeof(version_2), p.a, 1);
	assert_int_equal(ghvm_link_recv(p.b, &m), -EBADMSG);
	for (size_t n = 0; n < 8; n++) {
		send_raw(p.a, big, n, p.a, 2);
		assert_int_equal(ghvm_link_recv(p.b, &m), -EBADMSG);
	}
	send_raw(p.a, big, sizeof(big), p.a, 3);
	assert_int_equal(ghvm_link_recv(p.b, &m), -EBADMSG);
	send_raw(p.a, big, 8, p.a, GHVM_LINK_FDS_MAX + 1);
	assert_int_equal(ghvm_link_recv(p.b, &m), -EBADMSG);
	assert_int_equal(count_fds(), before);
}

static void strings_are_bounded(void **state)
{
	uint8_t buf[64];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	char s[5];

	ghvm_link_put_string(&w, "demo");
	for (size_t len = 0; len < w.len; len++) { /* every short message */
		struct ghvm_get g = { .buf = buf, .len = len };

		ghvm_link_get_string(&g, s, sizeof(s));
		assert_true(g.bad);
		assert_string_equal(s, "");
	}
	struct ghvm_get exact = { .buf = buf, .len = w.len };
	struct ghvm_get small = exact;

	ghvm_link_get_string(&exact, s, sizeof(s));
	assert_int_equal(ghvm_get_end(&exact), 0);
	assert_string_equal(s, "demo");
	ghvm_link_get_string(&small, s, sizeof(s) - 1);
	assert_true(small.bad);
	buf[4] = '\0'; /* a NUL inside would cut what was checked from what is used */
	exact = (struct ghvm_get){ .buf = buf, .len = w.len };
	ghvm_link_get_string(&exact, s, sizeof(s));
	assert_true(exact.bad);
}

/* --- the queue --- */

static const struct ghvm_link_device some_device = {
	.kind = "vhost-user",
	.nth = 1,
	.ipa = 0x10010000,
	.doorbell = 4,
	.state = GHVM_LINK_DEVICE_RUNNING,
	.backend = GHVM_LINK_BACKEND_AWAY,
	.n_queues = 2,
	.n_ready = 1,
	.requests = UINT64_MAX,
	.from_guest = 5,
	.to_guest = 6,
	.errors = 7,
	.faults = 8,
	.losses = 9,
};

/* What is decoded of @n times @d, with @cut bytes missing at the end. Return: as ghvm_link_get_devices(). */
static int decode_devices(const struct ghvm_link_device *d, size_t n, size_t cut,
			  struct ghvm_link_device ret[GHVM_LINK_DEVICES_MAX])
{
	struct ghvm_link_device all[GHVM_LINK_DEVICES_MAX + 1] = {};
	uint8_t buf[GHVM_LINK_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	struct ghvm_get g;

	for (size_t i = 0; i < n; i++)
		all[i] = *d;
	ghvm_link_put_devices(&w, all, n);
	assert_false(w.bad);
	g = (struct ghvm_get){ .buf = buf, .len = w.len - cut };
	return ghvm_link_get_devices(&g, ret);
}

static void devices_come_as_they_are(void **state)
{
	struct ghvm_link_device v[GHVM_LINK_DEVICES_MAX];
	const size_t last = GHVM_LINK_DEVICES_MAX - 1;

	assert_int_equal(decode_devices(&some_device, 0, 0, v), 0);
	assert_int_equal(decode_devices(&some_device, last + 1, 0, v), last + 1);
	assert_string_equal(v[last].kind, "vhost-user");
	assert_int_equal(v[last].ipa, 0x10010000);
	assert_int_equal(v[last].backend, GHVM_LINK_BACKEND_AWAY);
	assert_true(v[last].requests == UINT64_MAX);
	assert_int_equal(v[last].losses, 9);
}

static void devices_of_a_hostile_runner_are_refused(void **state)
{
	static const char *const kinds[] = { "", "Disk", "a b", "\xff", "disk\n" };
	struct ghvm_link_device v[GHVM_LINK_DEVICES_MAX], d = some_device;

	assert_int_equal(decode_devices(&d, GHVM_LINK_DEVICES_MAX + 1, 0, v), -EBADMSG);
	for (size_t cut = 1; cut < 64; cut++)
		assert_int_equal(decode_devices(&d, 1, cut, v), -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		(void)snprintf(d.kind, sizeof(d.kind), "%s", kinds[i]);
		assert_int_equal(decode_devices(&d, 1, 0, v), -EBADMSG);
	}
	d = some_device;
	d.state = GHVM_LINK_DEVICE_STATES;
	assert_int_equal(decode_devices(&d, 1, 0, v), -EBADMSG);
	d = some_device;
	d.backend = GHVM_LINK_BACKENDS;
	assert_int_equal(decode_devices(&d, 1, 0, v), -EBADMSG);
}

static void post_number(struct ghvm_link_queue *q, int sock, uint32_t n)
{
	uint8_t buf[4];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, n);
	assert_int_equal(ghvm_link_post(q, sock, GHVM_LINK_PING, &w, &sock, n % 2), 0);
}

static void expect_number(int sock, uint32_t n)
{
	struct ghvm_link_message m;

	assert_int_equal(ghvm_link_recv(sock, &m), 1);
	assert_int_equal(ghvm_get_u32(&m.payload), n);
	assert_int_equal(m.n_fds, n % 2);
	ghvm_link_message_done(&m);
}

/* A peer that does not read for a while gets all of it, in order, with its descriptors. */
static void what_finds_no_room_waits(void **state)
{
	_cleanup_(close_pair) struct pair p = open_pair();
	struct ghvm_link_queue q = {};
	size_t before = count_fds();
	uint32_t sent = 0, n = 0;

	while (q.n < 10)
		post_number(&q, p.a, sent++);
	assert_true(ghvm_link_waits(&q));
	assert_int_equal(ghvm_link_flush(&q, p.a), 0);
	assert_int_equal(q.n, 10); /* still no room */
	for (; n < 5; n++)
		expect_number(p.b, n);
	post_number(&q, p.a, sent++); /* overtakes nothing */
	for (; n < sent; n++) {
		assert_int_equal(ghvm_link_flush(&q, p.a), 0);
		expect_number(p.b, n);
	}
	assert_false(ghvm_link_waits(&q));
	assert_int_equal(count_fds(), before);
}

static void too_many_do_not_wait(void **state)
{
	_cleanup_(close_pair) struct pair p = open_pair();
	struct ghvm_link_queue q = {};
	size_t before = count_fds();

	for (uint32_t i = 0; q.n < GHVM_LINK_QUEUE_MAX; i++)
		post_number(&q, p.a, i);
	assert_int_equal(ghvm_link_post(&q, p.a, GHVM_LINK_PING, NULL, NULL, 0), -EAGAIN);
	ghvm_link_queue_done(&q);
	assert_false(ghvm_link_waits(&q));
	assert_true(count_fds() <= before);
}

static void the_queue_of_one_that_has_gone(void **state)
{
	_cleanup_(close_pair) struct pair p = open_pair();
	struct ghvm_link_queue q = {};

	while (!q.n)
		post_number(&q, p.a, 0);
	assert_int_equal(close(TAKE_FD(p.b)), 0);
	assert_int_equal(ghvm_link_flush(&q, p.a), -EPIPE);
	assert_int_equal(ghvm_link_post(&q, p.a, GHVM_LINK_PING, NULL, NULL, 0), -EPIPE);
	ghvm_link_queue_done(&q);
}

/* Our own limit is no fault of the peer's. */
static void descriptors_that_find_no_room(void **state)
{
	_cleanup_(close_pair) struct pair p = open_pair();
	struct rlimit old, none;
	struct ghvm_link_message m;

	assert_int_equal(ghvm_link_send(p.a, GHVM_LINK_GIVE, NULL, &p.a, 1), 0);
	assert_int_equal(ghvm_link_send(p.a, GHVM_LINK_GIVEN, NULL, NULL, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ 0, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(ghvm_link_recv(p.b, &m), -EMFILE);
	assert_int_equal(ghvm_link_recv(p.b, &m), 1);
	assert_int_equal(m.type, GHVM_LINK_GIVEN);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void error_numbers_can_be_turned_over(void **state)
{
	static const struct {
		uint8_t bytes[4];
		int code;
	} cases[] = {
		{ { 0xff, 0xff, 0xff, 0xff }, -1 },
		{ { 0x01, 0xf0, 0xff, 0xff }, -4095 },
		{ { 0x00, 0xf0, 0xff, 0xff }, -EIO },
		{ { 0, 0, 0, 0x80 }, -EIO },
		{ { 0, 0, 0, 0 }, -EIO },
		{ { 1, 0, 0, 0 }, -EIO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ghvm_get g = { .buf = cases[i].bytes, .len = sizeof(cases[i].bytes) };

		assert_int_equal(ghvm_link_get_errno(&g), cases[i].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_golden_bytes),
		cmocka_unit_test(brings_payload_and_descriptors),
		cmocka_unit_test(keeps_what_was_taken),
		cmocka_unit_test(refuses_too_much_to_send),
		cmocka_unit_test(tells_empty_from_gone),
		cmocka_unit_test(refuses_hostile_messages_and_leaks_nothing),
		cmocka_unit_test(strings_are_bounded),
		cmocka_unit_test(devices_come_as_they_are),
		cmocka_unit_test(devices_of_a_hostile_runner_are_refused),
		cmocka_unit_test(what_finds_no_room_waits),
		cmocka_unit_test(error_numbers_can_be_turned_over),
		cmocka_unit_test(too_many_do_not_wait),
		cmocka_unit_test(the_queue_of_one_that_has_gone),
		cmocka_unit_test(descriptors_that_find_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
