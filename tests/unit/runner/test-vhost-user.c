/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device that a back-end in another process serves: requests survive it, and its lies stay with it. */
#include "daemon/runner/virtio/vhost-user.h"
#include "tests/fixtures/virtio/back-end.h"
#include "tests/fixtures/virtio/driver.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 20000
#define STATUS 0x070
#define NEEDS_RESET 64
#define BLOCK 2

/**
 * struct bench - a guest, a device, a back-end
 * @rings: interrupts
 * @windowed: of the device's setup
 */
struct bench {
	struct driver driver;
	struct vhost_user device;
	struct back_end back_end;
	atomic_uint rings;
	bool windowed;
};

static void on_interrupt(void *data)
{
	struct bench *b = data;

	atomic_fetch_add(&b->rings, 1);
}

static int init_device(struct bench *b, unsigned int n_queues, struct ghvm_error *err)
{
	const struct vhost_setup setup = {
		.name = "vhost-user",
		.id = BLOCK,
		.n_queues = n_queues,
		.socket = b->back_end.handle,
		.dma = &b->driver.dma,
		.windowed = b->windowed,
		.on_interrupt = on_interrupt,
		.data = b,
	};
	int r = vhost_user_init(&b->device, &setup, err);

	b->device.pause_min = b->device.pause_max = 1;
	return r;
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	driver_init(&b->driver);
	back_end_init(&b->back_end);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	back_end_done(&b->back_end);
	driver_done(&b->driver);
	free(b);
	return 0;
}

static int set_up_running(void **state)
{
	struct bench *b;

	set_up(state);
	b = *state;
	back_end_start(&b->back_end);
	assert_int_equal(init_device(b, 1, NULL), 0);
	driver_start(&b->device.virtio);
	return 0;
}

static int tear_down_running(void **state)
{
	struct bench *b = *state;

	vhost_user_done(&b->device);
	back_end_stop(&b->back_end);
	return tear_down(state);
}

static void pause_a_bit(int *waited)
{
	assert_true(++*waited < PATIENCE_MS);
	(void)poll(NULL, 0, 1);
}

/* The guest's memory is written by the device's thread. */
static uint16_t used_index(const struct bench *b)
{
	const uint16_t *at = (const void *)driver_at(&b->driver, DRIVER_USED + 2);

	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void await_used(const struct bench *b, uint16_t n)
{
	for (int waited = 0; used_index(b) != n;)
		pause_a_bit(&waited);
}

static void await_logged(struct bench *b, unsigned int n)
{
	for (int waited = 0; atomic_load(&b->back_end.logged) < n;)
		pause_a_bit(&waited);
}

static void await_broken(struct bench *b)
{
	for (int waited = 0; !(virtio_read(&b->device.virtio, STATUS, 4) & NEEDS_RESET);)
		pause_a_bit(&waited);
}

static void notify(struct bench *b)
{
	virtio_write(&b->device.virtio, 0x050, 4, 0);
}

static uint64_t buffer(uint16_t nth)
{
	return DRIVER_BUFFERS + nth * 256ULL;
}

/* A request of one buffer, to be written. */
static void request(struct bench *b, uint16_t nth)
{
	memset(driver_at(&b->driver, buffer(nth)), 0, 256);
	driver_describe(&b->driver, nth, buffer(nth), 100, DRIVER_WRITE, 0);
	driver_offer(&b->driver, nth);
}

static void offer(struct bench *b, uint16_t first, uint16_t last)
{
	for (uint16_t i = first; i <= last; i++)
		request(b, i);
	notify(b);
}

static void a_request_is_served(void **state)
{
	struct bench *b = *state;

	offer(b, 3, 3);
	await_used(b, 1);
	assert_int_equal(driver_used_head(&b->driver, 0), 3);
	assert_int_equal(driver_used_size(&b->driver, 0), 100);
	assert_int_equal(*driver_at(&b->driver, buffer(3) + 99), BACK_END_FILL);
	assert_int_equal(*driver_at(&b->driver, buffer(3) + 100), 0);
	for (int waited = 0; !atomic_load(&b->rings);)
		pause_a_bit(&waited);
	assert_int_equal(virtio_read(&b->device.virtio, 0x060, 4), 1);
}

static struct ghvm_link_device report(struct bench *b)
{
	struct ghvm_link_device d = {};

	vhost_user_report(&b->device, &d);
	return d;
}

/* A request is counted just before, or after, the guest sees that it is served. */
static struct ghvm_link_device await_counted(struct bench *b, uint64_t n)
{
	struct ghvm_link_device d;

	for (int waited = 0; (d = report(b)).requests != n;)
		pause_a_bit(&waited);
	return d;
}

static void what_was_served_is_counted(void **state)
{
	struct bench *b = *state;
	struct ghvm_link_device d = report(b);

	assert_int_equal(d.state, GHVM_LINK_DEVICE_RUNNING);
	assert_int_equal(d.backend, GHVM_LINK_BACKEND_CONNECTED);
	assert_int_equal(d.n_ready, 1);
	assert_int_equal(d.requests, 0);

	driver_describe(&b->driver, 0, buffer(0), 16, DRIVER_NEXT, 1);
	driver_describe(&b->driver, 1, buffer(1), 100, DRIVER_WRITE, 0);
	driver_offer(&b->driver, 0);
	offer(b, 3, 3);
	d = await_counted(b, 2);
	assert_int_equal(d.from_guest, 16);
	assert_int_equal(d.to_guest, 200);
	assert_int_equal(d.faults + d.losses, 0);
	/* the last byte is the status of a disk's request, and this back-end fills it with another than 0 */
	assert_int_equal(d.errors, 2);
}

static void many_rounds_are_served(void **state)
{
	struct bench *b = *state;

	for (uint16_t i = 1; i <= 200; i++) {
		offer(b, i % DRIVER_RING_SIZE, i % DRIVER_RING_SIZE);
		await_used(b, i);
	}
	assert_int_equal(atomic_load(&b->back_end.connections), 1);
}

static void a_killed_back_end_loses_nothing(void **state)
{
	static const uint16_t expected[] = { 5, 2, 7, 5, 2, 7 };
	struct bench *b = *state;

	atomic_store(&b->back_end.way, BACK_END_WAITS);
	offer(b, 5, 5);
	offer(b, 2, 2);
	offer(b, 7, 7);
	await_logged(b, 3);
	back_end_stop(&b->back_end);
	atomic_store(&b->back_end.way, BACK_END_SERVES);
	back_end_start(&b->back_end);
	await_used(b, 3);
	assert_int_equal(atomic_load(&b->back_end.logged), 6);
	assert_memory_equal(b->back_end.log, expected, sizeof(expected));
	offer(b, 5, 5);
	await_used(b, 4);
	assert_int_equal(atomic_load(&b->back_end.served), 4);
}

/* Requests that come while there is no back-end wait. */
static void requests_wait_for_a_back_end(void **state)
{
	struct bench *b = *state;

	back_end_stop(&b->back_end);
	offer(b, 0, 2);
	for (int waited = 0; report(b).backend != GHVM_LINK_BACKEND_AWAY;)
		pause_a_bit(&waited);
	assert_int_equal(report(b).losses, 1);
	assert_int_equal(report(b).requests, 0);
	back_end_start(&b->back_end);
	await_used(b, 3);
	assert_int_equal(await_counted(b, 3).backend, GHVM_LINK_BACKEND_CONNECTED);
}

static void breaks_by(struct bench *b, enum back_end_way way)
{
	atomic_store(&b->back_end.way, way);
	offer(b, 1, 1);
	await_broken(b);
	assert_int_equal(atomic_load(&b->back_end.connections), 8);
	assert_int_equal(used_index(b), 0);
}

static void a_back_end_that_lies_breaks_the_device(void **state)
{
	breaks_by(*state, BACK_END_INVENTS);
}

static void a_back_end_that_boasts_breaks_the_device(void **state)
{
	breaks_by(*state, BACK_END_BOASTS);
}

static void a_back_end_that_talks_breaks_the_device(void **state)
{
	breaks_by(*state, BACK_END_TALKS);
}

static void a_back_end_that_closes_breaks_the_device(void **state)
{
	breaks_by(*state, BACK_END_CLOSES);
}

/* One of the two is true. The guest gets the request once. */
static void a_request_given_back_twice_is_given_once(void **state)
{
	struct bench *b = *state;

	atomic_store(&b->back_end.way, BACK_END_REPEATS);
	offer(b, 1, 1);
	for (int waited = 0; atomic_load(&b->back_end.connections) < 2;)
		pause_a_bit(&waited);
	assert_true(used_index(b) <= 1);
	atomic_store(&b->back_end.way, BACK_END_SERVES);
	await_used(b, 1);
	offer(b, 1, 1);
	await_used(b, 2);
}

static void a_reset_mends_it(void **state)
{
	struct bench *b = *state;

	breaks_by(b, BACK_END_INVENTS);
	atomic_store(&b->back_end.way, BACK_END_SERVES);
	virtio_write(&b->device.virtio, STATUS, 4, 0);
	driver_set_index(&b->driver, 0);
	memset(driver_at(&b->driver, DRIVER_USED), 0, 4);
	driver_start(&b->device.virtio);
	offer(b, 4, 4);
	await_used(b, 1);
	assert_int_equal(driver_used_head(&b->driver, 0), 4);
}

/* After a reset nothing is written to the guest's memory. */
static void a_reset_takes_requests_back(void **state)
{
	struct bench *b = *state;

	atomic_store(&b->back_end.way, BACK_END_WAITS);
	offer(b, 1, 1);
	await_logged(b, 1);
	virtio_write(&b->device.virtio, STATUS, 4, 0);
	atomic_store(&b->back_end.way, BACK_END_SERVES);
	assert_int_equal(virtio_read(&b->device.virtio, STATUS, 4), 0);
	(void)poll(NULL, 0, 20);
	assert_int_equal(atomic_load(&b->back_end.served), 0);
	assert_int_equal(used_index(b), 0);
}

static void a_guest_that_lies_reaches_no_back_end(void **state)
{
	struct bench *b = *state;

	driver_describe(&b->driver, 0, DRIVER_RAM_END, 16, DRIVER_WRITE, 0);
	driver_offer(&b->driver, 0);
	notify(b);
	await_broken(b);
	assert_int_equal(atomic_load(&b->back_end.logged), 0);
}

static void a_request_offered_twice_breaks_the_device(void **state)
{
	struct bench *b = *state;

	atomic_store(&b->back_end.way, BACK_END_WAITS);
	offer(b, 1, 1);
	await_logged(b, 1);
	offer(b, 1, 1);
	await_broken(b);
	assert_int_equal(atomic_load(&b->back_end.logged), 1);
}

static uint64_t features(struct bench *b, unsigned int half)
{
	virtio_write(&b->device.virtio, 0x014, 4, half);
	return virtio_read(&b->device.virtio, 0x010, 4);
}

/* Of the bits of rings those that the runner can do, and not CONFIG_WCE. */
static void offers_what_the_back_end_can_do(void **state)
{
	struct bench *b = *state;

	assert_int_equal(features(b, 0), 1 << 29 | 1 << 28 | 1 << 9);
	assert_int_equal(features(b, 1), 3);
}

static void shows_its_registers(void **state)
{
	struct virtio *v = &((struct bench *)*state)->device.virtio;

	assert_int_equal(virtio_read(v, 0x100, 8), UINT64_MAX);
	assert_int_equal(virtio_read(v, 0x10c, 4), 126); /* segments of a request */
	assert_int_equal(virtio_read(v, 0x122, 2), 1);	 /* queues */
	assert_int_equal(virtio_read(v, 0x13b, 1), 0xff);
	assert_int_equal(virtio_read(v, 0x13c, 1), 0);
	assert_int_equal(virtio_read(v, 0x1f8, 8), 0);
	virtio_write(v, 0x10c, 4, 5);
	assert_int_equal(virtio_read(v, 0x10c, 4), 126);
}

/* In a table of its own, which the back-end reads in the guest's memory. */
static void a_table_of_descriptors_is_served(void **state)
{
	struct bench *b = *state;
	uint8_t *table = driver_at(&b->driver, buffer(7));

	driver_start_with(&b->device.virtio, VIRTIO_INDIRECT);
	driver_describe(&b->driver, 1, buffer(1), 100, DRIVER_WRITE, 0);
	memcpy(table, driver_at(&b->driver, DRIVER_DESCRIPTORS + 16), 16);
	driver_describe(&b->driver, 0, buffer(7), 16, DRIVER_INDIRECT, 0);
	driver_offer(&b->driver, 0);
	notify(b);
	await_used(b, 1);
	assert_int_equal(driver_used_size(&b->driver, 0), 100);
	assert_int_equal(*driver_at(&b->driver, buffer(1) + 99), BACK_END_FILL);
}

/* The requests in a ring of such could need more than a window has. */
static void a_window_has_no_tables(void **state)
{
	struct bench *b = *state;

	back_end_start(&b->back_end);
	b->windowed = true;
	assert_int_equal(init_device(b, 1, NULL), 0);
	assert_int_equal(features(b, 0), 1 << 29 | 1 << 9);
	vhost_user_done(&b->device);
	back_end_stop(&b->back_end);
}

/* The driver notifies when it is asked to, and wants an interrupt when the ring has come so far. */
static void indexes_say_when_to_notify(void **state)
{
	struct bench *b = *state;
	const uint16_t *event =
		(const void *)driver_at(&b->driver, DRIVER_USED + 4 + DRIVER_RING_SIZE * 8);
	uint16_t *wanted = (void *)driver_at(&b->driver, DRIVER_AVAIL + 4 + DRIVER_RING_SIZE * 2);

	driver_start_with(&b->device.virtio, VIRTIO_EVENTS);
	*wanted = 2;
	offer(b, 0, 0);
	await_used(b, 1);
	offer(b, 1, 1);
	await_used(b, 2);
	assert_int_equal(__atomic_load_n(event, __ATOMIC_ACQUIRE), 2);
	assert_int_equal(atomic_load(&b->rings), 0);
	offer(b, 2, 2);
	for (int waited = 0; !atomic_load(&b->rings);)
		pause_a_bit(&waited);
	assert_int_equal(used_index(b), 3);
}

static void refused(struct bench *b, unsigned int n_queues, int code, const char *text)
{
	struct ghvm_error err = {};

	back_end_start(&b->back_end);
	assert_int_equal(init_device(b, n_queues, &err), code);
	assert_non_null(strstr(err.msg, text));
	vhost_user_done(&b->device);
	back_end_stop(&b->back_end);
}

static void a_back_end_has_to_be_there(void **state)
{
	struct bench *b = *state;
	struct ghvm_error err = {};

	assert_int_equal(init_device(b, 1, &err), -ECONNREFUSED);
	assert_string_equal(err.msg,
			    "device vhost-user: cannot use its back-end: Connection refused. Is "
			    "the process that serves the socket running?");
	vhost_user_done(&b->device);
}

static void a_back_end_has_to_have_the_queues(void **state)
{
	struct bench *b = *state;

	b->back_end.queues = 2;
	refused(b, 3, -EOPNOTSUPP, "it has 2 queues, and 3 are needed");
}

static void a_back_end_has_to_be_new_enough(void **state)
{
	struct bench *b = *state;

	b->back_end.features &= ~(1ULL << 32);
	refused(b, 1, -EOPNOTSUPP, "it lacks virtio 1");
}

static void a_back_end_has_to_stay(void **state)
{
	struct bench *b = *state;

	atomic_store(&b->back_end.way, BACK_END_RUSHES);
	refused(b, 1, -EPIPE, "it closed the connection (vhost-user request 15)");
}

static void a_back_end_may_refuse_the_memory(void **state)
{
	struct bench *b = *state;

	back_end_start(&b->back_end);
	assert_int_equal(init_device(b, 1, NULL), 0);
	atomic_store(&b->back_end.way, BACK_END_REFUSES);
	driver_start(&b->device.virtio);
	await_broken(b);
	vhost_user_done(&b->device);
	back_end_stop(&b->back_end);
}

/* One that lost a feature which the guest may use. */
static void a_later_back_end_has_to_do_as_much(void **state)
{
	struct bench *b = *state;

	back_end_stop(&b->back_end);
	b->back_end.features &= ~(1ULL << 9);
	back_end_start(&b->back_end);
	await_broken(b);
}

#define running(test) cmocka_unit_test_setup_teardown(test, set_up_running, tear_down_running)
#define alone(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		running(a_request_is_served),
		running(what_was_served_is_counted),
		running(many_rounds_are_served),
		running(a_killed_back_end_loses_nothing),
		running(requests_wait_for_a_back_end),
		running(a_back_end_that_lies_breaks_the_device),
		running(a_back_end_that_boasts_breaks_the_device),
		running(a_back_end_that_talks_breaks_the_device),
		running(a_back_end_that_closes_breaks_the_device),
		running(a_request_given_back_twice_is_given_once),
		running(a_reset_mends_it),
		running(a_reset_takes_requests_back),
		running(a_guest_that_lies_reaches_no_back_end),
		running(a_request_offered_twice_breaks_the_device),
		running(offers_what_the_back_end_can_do),
		running(shows_its_registers),
		running(a_table_of_descriptors_is_served),
		running(indexes_say_when_to_notify),
		alone(a_window_has_no_tables),
		running(a_later_back_end_has_to_do_as_much),
		alone(a_back_end_has_to_be_there),
		alone(a_back_end_has_to_have_the_queues),
		alone(a_back_end_has_to_be_new_enough),
		alone(a_back_end_has_to_stay),
		alone(a_back_end_may_refuse_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
