/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A network device with a stream of frames: what each side sends arrives, and what it may not send stays with it. */
#include "daemon/runner/net/net.h"
#include "tests/fixtures/virtio/driver.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define STATUS 0x070
#define NEEDS_RESET 64
#define MTU 1500
#define HEADER 12
#define EVENTS (1ULL << 29)
#define LINK_STATUS 0x106
#define RECEIVE_BUFFER 2048

/**
 * struct bench - a guest, a device, and the process at the other end of its cable
 * @receive, @send: both queues of the guest, in the same memory
 * @rings: interrupts
 * @peer: the connection, as that process has it; -1: none
 */
struct bench {
	struct driver receive;
	struct driver send;
	struct net device;
	atomic_uint rings;
	char dir[32];
	char path[48];
	int listener;
	int handle;
	int peer;
};

static void on_interrupt(void *data)
{
	struct bench *b = data;

	atomic_fetch_add(&b->rings, 1);
}

static void listen_at(struct bench *b)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	strcpy(b->dir, "/tmp/ghvm-net-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	(void)snprintf(b->path, sizeof(b->path), "%s/socket", b->dir);
	strcpy(at.sun_path, b->path);
	b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(b->listener, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(b->listener, 4), 0);
	b->handle = open(b->path, O_PATH | O_CLOEXEC);
	assert_true(b->handle >= 0);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct net_setup setup = {
		.mac = { 2, 1, 2, 3, 4, 5 },
		.mtu = MTU,
		.dma = &b->receive.dma,
		.on_interrupt = on_interrupt,
		.data = b,
	};

	b->peer = -1;
	driver_init(&b->receive);
	b->send = b->receive;
	b->send.rings = DRIVER_NEXT_RINGS;
	listen_at(b);
	setup.socket = b->handle;
	assert_int_equal(net_init(&b->device, &setup, NULL), 0);
	b->device.pause_min = b->device.pause_max = 1;
	*state = b;
	return 0;
}

static void hang_up(struct bench *b)
{
	if (b->peer >= 0)
		assert_int_equal(close(b->peer), 0);
	b->peer = -1;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	net_done(&b->device);
	hang_up(b);
	close(b->listener);
	close(b->handle);
	(void)unlink(b->path);
	(void)rmdir(b->dir);
	driver_done(&b->receive);
	free(b);
	return 0;
}

static struct virtio *registers(struct bench *b)
{
	return &b->device.virtio;
}

static void pick_up(struct bench *b)
{
	struct pollfd p = { .fd = b->listener, .events = POLLIN };

	hang_up(b);
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	b->peer = accept(b->listener, NULL, NULL);
	assert_true(b->peer >= 0);
}

static void start_with(struct bench *b, uint64_t features)
{
	driver_reset(registers(b), features);
	driver_set_queue(&b->receive, registers(b), NET_RECEIVE);
	driver_set_queue(&b->send, registers(b), NET_SEND);
	driver_go(registers(b));
	pick_up(b);
}

static void pause_a_bit(int *waited)
{
	assert_true(++*waited < PATIENCE_MS);
	(void)poll(NULL, 0, 1);
}

/* The guest's memory is written by the device's thread. */
static uint16_t used_index(const struct driver *d)
{
	const uint16_t *at = (const void *)driver_at(d, DRIVER_USED + d->rings + 2);

	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void await_used(const struct driver *d, uint16_t n)
{
	for (int waited = 0; used_index(d) != n;)
		pause_a_bit(&waited);
}

static void await_register(struct bench *b, uint64_t at, unsigned int size, uint64_t bit, bool set)
{
	for (int waited = 0; !(virtio_read(registers(b), at, size) & bit) == set;)
		pause_a_bit(&waited);
}

static void notify(struct bench *b, enum net_queue queue)
{
	virtio_write(registers(b), 0x050, 4, queue);
}

#define receive_buffer(nth) (DRIVER_BUFFERS + (nth) * (uint64_t)RECEIVE_BUFFER)

static void offer_buffer(struct bench *b, uint16_t nth, uint32_t size)
{
	memset(driver_at(&b->receive, receive_buffer(nth)), 0xee, RECEIVE_BUFFER);
	driver_describe(&b->receive, nth, receive_buffer(nth), size, DRIVER_WRITE, 0);
	driver_offer(&b->receive, nth);
	notify(b, NET_RECEIVE);
}

static void fill(uint8_t *frame, size_t size, uint8_t with)
{
	for (size_t i = 0; i < size; i++)
		frame[i] = (uint8_t)(with + i * 7);
}

static void write_all(int fd, const void *bytes, size_t n)
{
	assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

/* What passt says. */
static void say(struct bench *b, uint32_t size, uint8_t with)
{
	const uint8_t head[] = { (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8),
				 (uint8_t)size };
	uint8_t frame[70000];

	fill(frame, size, with);
	write_all(b->peer, head, sizeof(head));
	write_all(b->peer, frame, size);
}

static void assert_received(struct bench *b, uint16_t nth, uint32_t size, uint8_t with)
{
	const uint8_t header[HEADER] = { [10] = 1 };
	uint8_t frame[2048];

	fill(frame, size, with);
	assert_int_equal(driver_used_size(&b->receive, nth), HEADER + size);
	nth = (uint16_t)driver_used_head(&b->receive, nth);
	assert_memory_equal(driver_at(&b->receive, receive_buffer(nth)), header, HEADER);
	assert_memory_equal(driver_at(&b->receive, receive_buffer(nth) + HEADER), frame, size);
	assert_int_equal(*driver_at(&b->receive, receive_buffer(nth) + HEADER + size), 0xee);
}

#define SEND_BUFFER (DRIVER_BUFFERS + 0x8000)

/* The header and the frame each have a descriptor. */
static void offer_frame(struct bench *b, uint32_t size, uint8_t with)
{
	memset(driver_at(&b->send, SEND_BUFFER), 0, HEADER);
	fill(driver_at(&b->send, SEND_BUFFER + HEADER), size, with);
	driver_describe(&b->send, 0, SEND_BUFFER, HEADER, DRIVER_NEXT, 1);
	driver_describe(&b->send, 1, SEND_BUFFER + HEADER, size, 0, 0);
	driver_offer(&b->send, 0);
	notify(b, NET_SEND);
}

static void read_all(int fd, uint8_t *ret, size_t n)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t got;

	for (size_t i = 0; i < n; i += (size_t)got) {
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		got = recv(fd, ret + i, n - i, 0);
		assert_true(got > 0);
	}
}

static void assert_heard(struct bench *b, uint32_t size, uint8_t with)
{
	const uint8_t head[] = { 0, 0, (uint8_t)(size >> 8), (uint8_t)size };
	uint8_t got[4], frame[2048], expected[2048];

	read_all(b->peer, got, sizeof(got));
	assert_memory_equal(got, head, sizeof(head));
	read_all(b->peer, frame, size);
	fill(expected, size, with);
	assert_memory_equal(frame, expected, size);
}

/* ---- what works ---- */

static void is_a_network_interface(void **state)
{
	struct bench *b = *state;
	const uint8_t mac[] = { 2, 1, 2, 3, 4, 5 };

	assert_int_equal(virtio_read(registers(b), 8, 4), 1);
	virtio_write(registers(b), 0x014, 4, 0);
	assert_int_equal(virtio_read(registers(b), 0x010, 4),
			 1 << 3 | 1 << 5 | 1 << 16 | 1 << 29); /* MTU, MAC, STATUS, EVENT_IDX */
	for (unsigned int i = 0; i < sizeof(mac); i++)
		assert_int_equal(virtio_read(registers(b), 0x100 + i, 1), mac[i]);
	assert_int_equal(virtio_read(registers(b), 0x10a, 2), MTU);
	assert_int_equal(virtio_read(registers(b), LINK_STATUS, 2), 0);
}

static void the_link_is_up_while_there_is_a_connection(void **state)
{
	struct bench *b = *state;

	start_with(b, 0);
	await_register(b, LINK_STATUS, 2, 1, true);
	hang_up(b);
	pick_up(b); /* it tries again */
	await_register(b, LINK_STATUS, 2, 1, true);
	assert_true(virtio_read(registers(b), 0x060, 4) & 2); /* the registers have changed */
	assert_true(atomic_load(&b->rings) >= 1);
}

static void a_frame_for_the_guest_arrives(void **state)
{
	struct bench *b = *state;

	start_with(b, 0);
	offer_buffer(b, 0, RECEIVE_BUFFER);
	offer_buffer(b, 1, RECEIVE_BUFFER);
	say(b, 60, 1);
	await_used(&b->receive, 1);
	assert_received(b, 0, 60, 1);
	say(b, MTU + 14, 2);
	await_used(&b->receive, 2);
	assert_received(b, 1, MTU + 14, 2);
}

static void a_frame_in_pieces_arrives(void **state)
{
	struct bench *b = *state;
	uint8_t stream[4 + 60] = { [3] = 60 };

	start_with(b, 0);
	offer_buffer(b, 0, RECEIVE_BUFFER);
	fill(stream + 4, 60, 9);
	for (size_t i = 0; i < sizeof(stream); i++)
		write_all(b->peer, stream + i, 1);
	await_used(&b->receive, 1);
	assert_received(b, 0, 60, 9);
}

static void a_frame_of_the_guest_arrives(void **state)
{
	struct ghvm_link_device report = {};
	struct bench *b = *state;

	start_with(b, 0);
	offer_frame(b, 60, 3);
	assert_heard(b, 60, 3);
	await_used(&b->send, 1);
	offer_frame(b, MTU + 14, 4);
	assert_heard(b, MTU + 14, 4);
	await_used(&b->send, 2);
	virtio_write(registers(b), STATUS, 4, 0); /* afterwards all is counted */
	net_report(&b->device, &report);
	assert_int_equal(report.requests, 2);
	assert_int_equal(report.from_guest, 2 * HEADER + 60 + MTU + 14);
}

static void with_event_indexes_as_well(void **state)
{
	struct bench *b = *state;

	start_with(b, EVENTS);
	offer_buffer(b, 0, RECEIVE_BUFFER);
	for (uint16_t i = 0; i < 20; i++) {
		say(b, 60, (uint8_t)i);
		await_used(&b->receive, i + 1);
		assert_received(b, i, 60, (uint8_t)i);
		offer_buffer(b, 0, RECEIVE_BUFFER);
		offer_frame(b, 70, (uint8_t)i);
		assert_heard(b, 70, (uint8_t)i);
		await_used(&b->send, i + 1);
	}
}

/* ---- what waits ---- */

static void frames_wait_for_buffers(void **state)
{
	struct bench *b = *state;

	start_with(b, 0);
	say(b, 60, 1);
	say(b, 60, 2);
	(void)poll(NULL, 0, 20);
	assert_int_equal(used_index(&b->receive), 0);
	offer_buffer(b, 0, RECEIVE_BUFFER);
	await_used(&b->receive, 1);
	assert_received(b, 0, 60, 1);
	offer_buffer(b, 1, RECEIVE_BUFFER);
	await_used(&b->receive, 2);
	assert_received(b, 1, 60, 2);
}

/* Without buffers it reads no more than it has room for: the other end is blocked. */
static void without_buffers_the_other_end_is_blocked(void **state)
{
	struct bench *b = *state;
	uint8_t stream[4 + 60] = { [3] = 60 };
	size_t taken = 0;
	ssize_t n = 0;

	start_with(b, 0);
	for (int quiet = 0; quiet < 50;) {
		n = send(b->peer, stream, sizeof(stream), MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_true(n < 0 || n == sizeof(stream));
		taken += n > 0 ? (size_t)n : 0;
		quiet = n > 0 ? 0 : quiet + 1;
		if (n < 0)
			(void)poll(NULL, 0, 1);
	}
	assert_int_equal(errno, EAGAIN);
	assert_true(taken < 16 << 20);
	assert_int_equal(used_index(&b->receive), 0);
}

static unsigned long long cpu_ms(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
	return (unsigned long long)ts.tv_sec * 1000 + (unsigned long long)ts.tv_nsec / 1000000;
}

/* The other end takes nothing: chains stay in the guest's queue, and the thread sleeps. */
static void a_guest_that_sends_too_much_waits(void **state)
{
	struct bench *b = *state;
	unsigned int sent = 0;
	unsigned long long before;
	int waited = 0;

	start_with(b, 0);
	while (waited < 50) {
		if (used_index(&b->send) == (uint16_t)sent) {
			offer_frame(b, 1000, (uint8_t)sent++);
			waited = 0;
		}
		waited++;
		(void)poll(NULL, 0, 1);
	}
	assert_true(sent > 1 && sent < 16 << 10);
	before = cpu_ms();
	(void)poll(NULL, 0, 300);
	assert_true(cpu_ms() - before < 150);
	for (unsigned int i = 0; i < sent - 1; i++)
		assert_heard(b, 1000, (uint8_t)i);
	await_used(&b->send, (uint16_t)sent);
}

static void nothing_happens_while_starved_and_closed(void **state)
{
	struct bench *b = *state;

	start_with(b, 0);
	say(b, 60, 1); /* no buffer */
	(void)poll(NULL, 0, 20);
	hang_up(b);
	pick_up(b); /* noticed without a buffer */
	offer_buffer(b, 0, RECEIVE_BUFFER);
	say(b, 60, 2);
	await_used(&b->receive, 1);
	assert_received(b, 0, 60, 2); /* the frame of the other connection is lost */
}

/* ---- what is wrong ---- */

static void wrong_sizes_end_the_connection(void **state)
{
	static const uint8_t heads[][4] = {
		{ 0, 0, 0, 0 }, { 0, 0, 0, 13 }, { 0, 1, 0, 0 }, { 0xff, 0xff, 0xff, 0xff }
	};
	struct bench *b = *state;

	start_with(b, 0);
	offer_buffer(b, 0, RECEIVE_BUFFER);
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		write_all(b->peer, heads[i], sizeof(heads[i]));
		pick_up(b);
	}
	assert_int_equal(used_index(&b->receive), 0);
	say(b, 60, 5);
	await_used(&b->receive, 1);
	assert_received(b, 0, 60, 5);
}

static void half_a_frame_is_forgotten(void **state)
{
	struct bench *b = *state;

	start_with(b, 0);
	offer_buffer(b, 0, RECEIVE_BUFFER);
	write_all(b->peer, "\0\0\0\x3c-----", 9);
	hang_up(b);
	pick_up(b);
	say(b, 60, 6);
	await_used(&b->receive, 1);
	assert_received(b, 0, 60, 6);
}

static void frames_above_the_mtu_are_lost(void **state)
{
	struct bench *b = *state;

	start_with(b, 0);
	offer_buffer(b, 0, RECEIVE_BUFFER);
	say(b, MTU + 19, 1); /* with a VLAN 18 are more than the MTU */
	say(b, 65535, 1);
	say(b, 60, 2);
	await_used(&b->receive, 1);
	assert_received(b, 0, 60, 2);
	offer_frame(b, MTU + 19, 3);
	offer_frame(b, 13, 3);
	await_used(&b->send, 2);
	offer_frame(b, 60, 4);
	assert_heard(b, 60, 4);
}

static void a_buffer_that_is_too_small_has_nothing(void **state)
{
	struct bench *b = *state;

	start_with(b, 0);
	offer_buffer(b, 0, HEADER + 59);
	offer_buffer(b, 1, RECEIVE_BUFFER);
	say(b, 60, 1);
	say(b, 60, 2);
	await_used(&b->receive, 2);
	assert_int_equal(driver_used_size(&b->receive, 0), 0);
	assert_int_equal(*driver_at(&b->receive, receive_buffer(0)), 0xee);
	assert_received(b, 1, 60, 2);
}

static void chains_of_the_wrong_kind_break_the_device(void **state)
{
	struct bench *b = *state;

	start_with(b, 0);
	driver_describe(&b->send, 0, SEND_BUFFER, 100, DRIVER_WRITE, 0);
	driver_offer(&b->send, 0);
	notify(b, NET_SEND);
	await_register(b, STATUS, 4, NEEDS_RESET, true);
	driver_set_index(&b->send, 0);
	start_with(b, 0); /* a reset mends it */
	offer_buffer(b, 0, RECEIVE_BUFFER);
	driver_describe(&b->receive, 0, receive_buffer(0), 100, 0, 0);
	say(b, 60, 1);
	await_register(b, STATUS, 4, NEEDS_RESET, true);
}

static void a_chain_outside_of_memory_breaks_the_device(void **state)
{
	struct bench *b = *state;

	start_with(b, 0);
	driver_describe(&b->send, 0, DRIVER_RAM_END - 50, 100, 0, 0);
	driver_offer(&b->send, 0);
	notify(b, NET_SEND);
	await_register(b, STATUS, 4, NEEDS_RESET, true);
	await_register(b, LINK_STATUS, 2, 1, false);
}

/* ---- resets ---- */

static void a_reset_ends_the_connection(void **state)
{
	struct bench *b = *state;
	uint8_t byte;

	start_with(b, 0);
	virtio_write(registers(b), 0x070, 4, 0);
	assert_int_equal(recv(b->peer, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(virtio_read(registers(b), LINK_STATUS, 2), 0);
}

static void queues_that_are_not_set_up_are_not_served(void **state)
{
	struct bench *b = *state;

	driver_reset(registers(b), 0);
	driver_set_queue(&b->send, registers(b), NET_SEND);
	driver_go(registers(b));
	pick_up(b);
	for (unsigned int i = 0; i < 1000; i++)
		say(b, 1000, 1); /* lost */
	offer_frame(b, 60, 2);
	assert_heard(b, 60, 2);
}

static void no_socket_is_tried_again(void **state)
{
	struct bench *b = *state;

	close(b->listener);
	driver_reset(registers(b), 0);
	driver_set_queue(&b->send, registers(b), NET_SEND);
	driver_go(registers(b));
	(void)poll(NULL, 0, 20);
	assert_int_equal(virtio_read(registers(b), LINK_STATUS, 2), 0);
	b->listener = -1;
}

#define RUNNING(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNNING(is_a_network_interface),
		RUNNING(the_link_is_up_while_there_is_a_connection),
		RUNNING(a_frame_for_the_guest_arrives),
		RUNNING(a_frame_in_pieces_arrives),
		RUNNING(a_frame_of_the_guest_arrives),
		RUNNING(with_event_indexes_as_well),
		RUNNING(frames_wait_for_buffers),
		RUNNING(without_buffers_the_other_end_is_blocked),
		RUNNING(a_guest_that_sends_too_much_waits),
		RUNNING(nothing_happens_while_starved_and_closed),
		RUNNING(wrong_sizes_end_the_connection),
		RUNNING(half_a_frame_is_forgotten),
		RUNNING(frames_above_the_mtu_are_lost),
		RUNNING(a_buffer_that_is_too_small_has_nothing),
		RUNNING(chains_of_the_wrong_kind_break_the_device),
		RUNNING(a_chain_outside_of_memory_breaks_the_device),
		RUNNING(a_reset_ends_the_connection),
		RUNNING(queues_that_are_not_set_up_are_not_served),
		RUNNING(no_socket_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
