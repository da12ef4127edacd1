/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets between host and guest: what the host's kernel is told, and what it tells. The kernel is played here. */
#include "daemon/runner/vhost/vsock.h"
#include "tests/fixtures/virtio/driver.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/vhost.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS 0x070
#define NEEDS_RESET 64
#define INTERRUPT 0x060
#define CID 0xfedcba98U
#define OFFERED                                                                                    \
	(VIRTIO_VERSION_1 | VIRTIO_ACCESS_PLATFORM | VIRTIO_INDIRECT | VIRTIO_EVENTS |             \
	 1ULL << 24 | 1ULL << 26 | 2)

/**
 * struct kernel - vhost-vsock of the host
 * @refuses: this request fails, with EIO
 * @offers: features; @features: that it was told
 * @calls: in order, their numbers
 */
static struct kernel {
	unsigned long refuses;
	uint64_t offers;
	uint64_t features;
	int running;
	uint64_t n_memory;
	struct vhost_memory_region memory;
	struct vhost_vring_addr rings[2];
	unsigned int sizes[2];
	unsigned int bases[2];
	int kick[2];
	int call[2];
	int error[2];
	unsigned int n_owned;
	unsigned int n_stops;
} kernel;

static int set_file(int files[2], const struct vhost_vring_file *file)
{
	assert_true(file->index < 2 && !kernel.running);
	files[file->index] = file->fd;
	return 0;
}

static int set_state(unsigned int values[2], const struct vhost_vring_state *state)
{
	assert_true(state->index < 2 && !kernel.running);
	values[state->index] = state->num;
	return 0;
}

static int set_running(int running)
{
	if (running)
		assert_true(kernel.n_owned && kernel.call[0] > 0 && kernel.call[1] > 0);
	else
		kernel.n_stops++;
	kernel.running = running;
	return 0;
}

static int serve(unsigned long request, const void *argument)
{
	const struct vhost_memory *memory = argument;
	const struct vhost_vring_addr *rings = argument;

	switch (request) {
	case VHOST_SET_OWNER:
		kernel.n_owned++;
		return 0;
	case VHOST_GET_FEATURES:
		memcpy((void *)argument, &kernel.offers, sizeof(kernel.offers));
		return 0;
	case VHOST_SET_FEATURES:
		kernel.features = *(const uint64_t *)argument;
		return 0;
	case VHOST_SET_MEM_TABLE:
		kernel.n_memory = memory->nregions;
		kernel.memory = memory->regions[0];
		return 0;
	case VHOST_SET_VRING_NUM:
		return set_state(kernel.sizes, argument);
	case VHOST_SET_VRING_BASE:
		return set_state(kernel.bases, argument);
	case VHOST_SET_VRING_ADDR:
		assert_true(rings->index < 2 && !kernel.running);
		kernel.rings[rings->index] = *rings;
		return 0;
	case VHOST_SET_VRING_KICK:
		return set_file(kernel.kick, argument);
	case VHOST_SET_VRING_CALL:
		return set_file(kernel.call, argument);
	case VHOST_SET_VRING_ERR:
		return set_file(kernel.error, argument);
	case VHOST_VSOCK_SET_RUNNING:
		return set_running(*(const int *)argument);
	}
	fail_msg("request 0x%lx", request);
	return -1;
}

static int control(int fd, unsigned long request, ...)
{
	const void *argument;
	va_list ap;

	assert_int_equal(fd, 1234);
	va_start(ap, request);
	argument = va_arg(ap, const void *);
	va_end(ap);
	if (request == kernel.refuses) {
		errno = EIO;
		return -1;
	}
	return serve(request, argument);
}

struct bench {
	struct driver driver;
	struct vsock device;
	unsigned int rings;
};

static void on_interrupt(void *data)
{
	struct bench *b = data;

	b->rings++;
}

static int init_device(struct bench *b, bool windowed, struct ghvm_error *err)
{
	const struct vsock_setup setup = {
		.fd = 1234,
		.control = control,
		.cid = CID,
		.dma = &b->driver.dma,
		.windowed = windowed,
		.on_interrupt = on_interrupt,
		.data = b,
	};

	return vsock_init(&b->device, &setup, err);
}

static int set_up_alone(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	kernel = (struct kernel){ .offers = OFFERED };
	driver_init(&b->driver);
	*state = b;
	return 0;
}

static int set_up(void **state)
{
	set_up_alone(state);
	return init_device(*state, false, NULL);
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	vsock_done(&b->device);
	driver_done(&b->driver);
	free(b);
	return 0;
}

static uint32_t read_features(struct bench *b, uint32_t half)
{
	virtio_write(&b->device.virtio, 0x014, 4, half);
	return (uint32_t)virtio_read(&b->device.virtio, 0x010, 4);
}

static void set_up_queue(struct virtio *v, uint32_t queue)
{
	const struct {
		uint16_t offset;
		uint32_t value;
	} writes[] = {
		{ 0x030, queue },
		{ 0x038, DRIVER_RING_SIZE },
		{ 0x080, (uint32_t)DRIVER_DESCRIPTORS },
		{ 0x090, (uint32_t)DRIVER_AVAIL + queue * 0x400 },
		{ 0x0a0, (uint32_t)DRIVER_USED + queue * 0x400 },
		{ 0x044, 1 },
	};

	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
		virtio_write(v, writes[i].offset, 4, writes[i].value);
}

/* A driver of @n queues, until it is ready. */
static void start_driver(struct bench *b, uint32_t n)
{
	const uint32_t writes[][2] = {
		{ STATUS, 0 }, { STATUS, 3 }, { 0x024, 0 },   { 0x020, 1U << 28 | 2 },
		{ 0x024, 1 },  { 0x020, 3 },  { STATUS, 11 },
	};

	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
		virtio_write(&b->device.virtio, writes[i][0], 4, writes[i][1]);
	for (uint32_t i = 0; i < n; i++)
		set_up_queue(&b->device.virtio, i);
	virtio_write(&b->device.virtio, STATUS, 4, 15);
}

static void signal_event(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static bool is_broken(struct bench *b)
{
	return virtio_read(&b->device.virtio, STATUS, 4) & NEEDS_RESET;
}

static void has_the_address_and_no_strange_features(void **state)
{
	struct bench *b = *state;

	assert_int_equal(virtio_read(&b->device.virtio, 0x008, 4), 19);
	assert_int_equal(virtio_read(&b->device.virtio, 0x100, 4), CID);
	assert_int_equal(virtio_read(&b->device.virtio, 0x104, 4), 0);
	assert_int_equal(read_features(b, 0), 1U << 28 | 1U << 29 | 2);
	assert_int_equal(read_features(b, 1), 3);
}

static void a_window_takes_no_indirect_descriptors(void **state)
{
	struct bench *b = *state;

	assert_int_equal(init_device(b, true, NULL), 0);
	assert_int_equal(read_features(b, 0), 1U << 29 | 2);
}

/* The kernel is told of the memory that is shared, where this process has it, and of nothing else. */
static void the_kernel_gets_what_is_shared(void **state)
{
	struct bench *b = *state;

	assert_int_equal(kernel.n_owned, 1);
	assert_int_equal(kernel.n_memory, 1);
	assert_int_equal(kernel.memory.guest_phys_addr, DRIVER_RAM);
	assert_int_equal(kernel.memory.memory_size, DRIVER_RAM_SIZE);
	assert_ptr_equal((void *)kernel.memory.userspace_addr, b->driver.dma.ranges[0].at);
}

static void the_kernel_gets_the_rings_of_the_guest(void **state)
{
	struct bench *b = *state;

	start_driver(b, 3);
	assert_true(kernel.running && !is_broken(b));
	assert_int_equal(kernel.features, VIRTIO_VERSION_1 | VIRTIO_INDIRECT | 2);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(kernel.sizes[i], DRIVER_RING_SIZE);
		assert_int_equal(kernel.bases[i], 0);
		assert_int_equal(kernel.rings[i].flags, 0);
		assert_ptr_equal((void *)kernel.rings[i].desc_user_addr,
				 dma_map_find(&b->driver.dma, DRIVER_DESCRIPTORS, 1));
		assert_ptr_equal((void *)kernel.rings[i].avail_user_addr,
				 dma_map_find(&b->driver.dma, DRIVER_AVAIL + i * 0x400, 1));
		assert_ptr_equal((void *)kernel.rings[i].used_user_addr,
				 dma_map_find(&b->driver.dma, DRIVER_USED + i * 0x400, 1));
	}
}

static void a_notification_is_a_kick_of_that_queue(void **state)
{
	struct bench *b = *state;

	start_driver(b, 3);
	for (uint32_t i = 0; i < 2; i++)
		assert_true(vhost_kernel_happened(kernel.kick[i])); /* all were looked at once */
	virtio_write(&b->device.virtio, 0x050, 4, 1);
	assert_false(vhost_kernel_happened(kernel.kick[0]));
	assert_true(vhost_kernel_happened(kernel.kick[1]));
	virtio_write(&b->device.virtio, 0x050, 4, 2); /* events: there is none */
	virtio_write(&b->device.virtio, 0x050, 4, 3);
	assert_false(vhost_kernel_happened(kernel.kick[0]));
	assert_false(vhost_kernel_happened(kernel.kick[1]));
}

static void a_call_is_an_interrupt(void **state)
{
	struct bench *b = *state;
	int events[VSOCK_EVENTS];

	start_driver(b, 3);
	vsock_process(&b->device);
	assert_int_equal(b->rings, 0);
	signal_event(kernel.call[1]);
	vsock_events(&b->device, events);
	assert_int_equal(events[0], kernel.call[0]);
	vsock_process(&b->device);
	assert_int_equal(b->rings, 1);
	assert_int_equal(virtio_read(&b->device.virtio, INTERRUPT, 4), 1);
}

static void what_the_kernel_cannot_use_breaks_the_device(void **state)
{
	struct bench *b = *state;

	start_driver(b, 3);
	signal_event(kernel.error[1]);
	vsock_process(&b->device);
	assert_true(is_broken(b));
	assert_int_equal(virtio_read(&b->device.virtio, INTERRUPT, 4), 2);
	assert_int_equal(b->rings, 1);
	start_driver(b, 3);
	assert_false(is_broken(b));
	assert_true(kernel.running);
}

/* Of a reset nothing is left: not the kernel's access, and no event of before. */
static void a_reset_stops_the_kernel(void **state)
{
	struct bench *b = *state;

	start_driver(b, 3);
	signal_event(kernel.call[0]);
	signal_event(kernel.error[0]);
	virtio_write(&b->device.virtio, STATUS, 4, 0);
	assert_false(kernel.running);
	start_driver(b, 3);
	vsock_process(&b->device);
	assert_false(is_broken(b));
	assert_int_equal(b->rings, 0);
	vsock_stop(&b->device);
	assert_false(kernel.running);
}

static void a_driver_without_its_queues_is_refused(void **state)
{
	struct bench *b = *state;

	start_driver(b, 1);
	assert_true(is_broken(b));
	assert_false(kernel.running);
	assert_int_equal(b->rings, 1);
	start_driver(b, 2); /* that of events is not needed */
	assert_false(is_broken(b));
}

static void a_kernel_that_refuses_breaks_the_device(void **state)
{
	static const unsigned long requests[] = {
		VHOST_SET_FEATURES,   VHOST_SET_VRING_NUM, VHOST_SET_VRING_BASE,
		VHOST_SET_VRING_ADDR, VHOST_SET_VRING_ERR, VHOST_SET_VRING_CALL,
		VHOST_SET_VRING_KICK,
	};
	struct bench *b = *state;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		kernel.refuses = requests[i];
		start_driver(b, 3);
		assert_true(is_broken(b));
		assert_false(kernel.running);
	}
	kernel.refuses = 0;
	start_driver(b, 3);
	assert_false(is_broken(b));
}

static void a_host_that_cannot_is_said_to(void **state)
{
	static const struct {
		unsigned long refuses;
		const char *says;
	} cases[] = {
		{ VHOST_SET_OWNER,
		  "the host's kernel refuses VHOST_SET_OWNER: Input/output error" },
		{ VHOST_GET_FEATURES, "the host's kernel refuses VHOST_GET_FEATURES" },
		{ VHOST_SET_MEM_TABLE, "the host's kernel refuses VHOST_SET_MEM_TABLE" },
	};
	struct bench *b = *state;
	struct ghvm_error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kernel.refuses = cases[i].refuses;
		assert_int_equal(init_device(b, false, &err), -EIO);
		assert_non_null(strstr(err.msg, cases[i].says));
		vsock_done(&b->device);
		b->device = (struct vsock){};
	}
	kernel = (struct kernel){ .offers = VIRTIO_EVENTS };
	assert_int_equal(init_device(b, false, &err), -EOPNOTSUPP);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(has_the_address_and_no_strange_features),
		cmocka_unit_test_setup_teardown(a_window_takes_no_indirect_descriptors,
						set_up_alone, tear_down),
		TEST(the_kernel_gets_what_is_shared),
		TEST(the_kernel_gets_the_rings_of_the_guest),
		TEST(a_notification_is_a_kick_of_that_queue),
		TEST(a_call_is_an_interrupt),
		TEST(what_the_kernel_cannot_use_breaks_the_device),
		TEST(a_reset_stops_the_kernel),
		TEST(a_driver_without_its_queues_is_refused),
		TEST(a_kernel_that_refuses_breaks_the_device),
		cmocka_unit_test_setup_teardown(a_host_that_cannot_is_said_to, set_up_alone,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
