/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of a virtio device, after virtio 1.2, section 4.2.2, and what a device is that is broken. */
#include "daemon/runner/virtio/transport.h"
#include "libghvm/base/bits.h"
#include "tests/fixtures/virtio/driver.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MAGIC = 0x000,
	VERSION = 0x004,
	DEVICE_ID = 0x008,
	DEVICE_FEATURES = 0x010,
	DEVICE_FEATURES_SEL = 0x014,
	DRIVER_FEATURES = 0x020,
	DRIVER_FEATURES_SEL = 0x024,
	QUEUE_SEL = 0x030,
	QUEUE_NUM_MAX = 0x034,
	QUEUE_NUM = 0x038,
	QUEUE_READY = 0x044,
	QUEUE_NOTIFY = 0x050,
	INTERRUPT_STATUS = 0x060,
	INTERRUPT_ACK = 0x064,
	STATUS = 0x070,
	QUEUE_DESC_LOW = 0x080,
	QUEUE_DESC_HIGH = 0x084,
	QUEUE_DRIVER_LOW = 0x090,
	QUEUE_DEVICE_LOW = 0x0a0,
	SHM_SEL = 0x0ac,
	SHM_LEN_LOW = 0x0b0,
	CONFIG_GENERATION = 0x0fc,
	CONFIG = 0x100,
};

#define FEATURE_OF_KIND 5

/**
 * struct bench - a device that copies what it reads to what it writes
 * @served: chains; @queue: the queue of the last one
 * @rings: interrupts; @reason: INTERRUPT_STATUS when the last one came
 */
struct bench {
	struct driver driver;
	struct virtio virtio;
	unsigned int served;
	unsigned int queue;
	unsigned int rings;
	uint32_t reason;
};

static void on_interrupt(void *data)
{
	struct bench *b = data;

	b->rings++;
	b->reason = (uint32_t)virtio_read(&b->virtio, INTERRUPT_STATUS, 4);
}

static uint32_t serve(void *device, unsigned int queue, const struct ring_chain *chain)
{
	struct bench *b = device;

	b->served++;
	b->queue = queue;
	if (chain->n != 2 || chain->buffers[1].size < chain->buffers[0].size)
		return 0;
	memcpy(chain->buffers[1].at, chain->buffers[0].at, chain->buffers[0].size);
	return chain->buffers[0].size;
}

static const struct virtio_kind echo = {
	.name = "echo",
	.id = 77,
	.features = 1U << FEATURE_OF_KIND,
	.n_queues = 2,
	.queue_size = DRIVER_RING_SIZE,
	.serve = serve,
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	driver_init(&b->driver);
	b->virtio.kind = &echo;
	b->virtio.device = b;
	b->virtio.dma = &b->driver.dma;
	b->virtio.on_interrupt = on_interrupt;
	b->virtio.data = b;
	virtio_init(&b->virtio);
	virtio_reset(&b->virtio);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	virtio_done(&b->virtio);
	driver_done(&b->driver);
	free(b);
	return 0;
}

static uint32_t reads(struct bench *b, uint64_t offset)
{
	return (uint32_t)virtio_read(&b->virtio, offset, 4);
}

static void writes(struct bench *b, uint64_t offset, uint32_t value)
{
	virtio_write(&b->virtio, offset, 4, value);
}

/* A request of @size bytes in descriptors 0 and 1. */
static void ask(struct bench *b, const char *text)
{
	const uint32_t size = (uint32_t)strlen(text) + 1;

	memcpy(driver_at(&b->driver, DRIVER_BUFFERS), text, size);
	driver_describe(&b->driver, 0, DRIVER_BUFFERS, size, DRIVER_NEXT, 1);
	driver_describe(&b->driver, 1, DRIVER_BUFFERS + 0x1000, 64, DRIVER_WRITE, 0);
	driver_offer(&b->driver, 0);
	writes(b, QUEUE_NOTIFY, 0);
}

static void says_what_it_is(void **state)
{
	struct bench *b = *state;

	assert_int_equal(reads(b, MAGIC), 0x74726976);
	assert_int_equal(reads(b, VERSION), 2);
	assert_int_equal(reads(b, DEVICE_ID), 77);
	assert_int_equal(reads(b, STATUS), 0);
	assert_int_equal(reads(b, CONFIG_GENERATION), 0);
	assert_int_equal(reads(b, CONFIG), 0);
	writes(b, SHM_SEL, 3);
	for (uint64_t at = SHM_LEN_LOW; at < SHM_LEN_LOW + 16; at += 4)
		assert_int_equal(reads(b, at), UINT32_MAX); /* no such region */
}

static void registers_have_32_bits(void **state)
{
	struct bench *b = *state;

	assert_int_equal(virtio_read(&b->virtio, MAGIC, 1), 0);
	assert_int_equal(virtio_read(&b->virtio, MAGIC, 2), 0);
	assert_int_equal(virtio_read(&b->virtio, MAGIC, 8), 0);
	assert_int_equal(virtio_read(&b->virtio, MAGIC + 2, 4), 0);
	virtio_write(&b->virtio, STATUS, 1, 1);
	virtio_write(&b->virtio, STATUS, 8, 1);
	assert_int_equal(reads(b, STATUS), 0);
	virtio_write(&b->virtio, CONFIG, 4, 1);
	virtio_write(&b->virtio, 0xffc, 4, 1);
	assert_int_equal(virtio_read(&b->virtio, 0xffc, 4), 0);
}

static void offers_features(void **state)
{
	struct bench *b = *state;

	assert_int_equal(reads(b, DEVICE_FEATURES), 1U << FEATURE_OF_KIND);
	writes(b, DEVICE_FEATURES_SEL, 1);
	assert_int_equal(reads(b, DEVICE_FEATURES), 3); /* VERSION_1, ACCESS_PLATFORM */
	writes(b, DEVICE_FEATURES_SEL, 2);
	assert_int_equal(reads(b, DEVICE_FEATURES), 0);
	writes(b, DEVICE_FEATURES_SEL, UINT32_MAX);
	assert_int_equal(reads(b, DEVICE_FEATURES), 0);
}

/* FEATURES_OK after it was written, with these features accepted. */
static bool takes(struct bench *b, uint32_t low, uint32_t high, uint32_t beyond)
{
	static const uint32_t select[] = { 0, 1, 2 };
	const uint32_t value[] = { low, high, beyond };

	writes(b, STATUS, 0);
	writes(b, STATUS, 3);
	for (size_t i = 0; i < ARRAY_SIZE(select); i++) {
		writes(b, DRIVER_FEATURES_SEL, select[i]);
		writes(b, DRIVER_FEATURES, value[i]);
	}
	writes(b, STATUS, 11);
	return reads(b, STATUS) == 11;
}

static void takes_features_that_it_has(void **state)
{
	struct bench *b = *state;

	assert_true(takes(b, 0, 1, 0));
	assert_true(takes(b, 1U << FEATURE_OF_KIND, 3, 0));
	assert_false(takes(b, 0, 0, 0)); /* a driver of before 1.0 */
	assert_false(takes(b, 1, 1, 0));
	assert_false(takes(b, 0, 5, 0));
	assert_false(takes(b, 0, 1, 1));
	assert_true(takes(b, 0, 1, 0));
	assert_false(takes(b, 0, 0, 0)); /* nothing is left of it after a reset */
}

static void features_stay_once_they_are_taken(void **state)
{
	struct bench *b = *state;

	assert_true(takes(b, 0, 1, 0));
	writes(b, DRIVER_FEATURES_SEL, 0);
	writes(b, DRIVER_FEATURES, UINT32_MAX);
	assert_int_equal(b->virtio.features, 1ULL << 32);
}

static void status_bits_come_in_order_and_stay(void **state)
{
	struct bench *b = *state;

	writes(b, STATUS, 1);
	writes(b, STATUS, 4); /* DRIVER_OK without FEATURES_OK */
	assert_int_equal(reads(b, STATUS), 1);
	writes(b, STATUS, 0x40); /* only the device sets it */
	assert_int_equal(reads(b, STATUS), 1);
	driver_start(&b->virtio);
	assert_int_equal(reads(b, STATUS), 15);
	writes(b, STATUS, 0x80);
	assert_int_equal(reads(b, STATUS), 0x8f);
	writes(b, STATUS, 0);
	assert_int_equal(reads(b, STATUS), 0);
	assert_int_equal(reads(b, QUEUE_READY), 0);
}

static void has_queues(void **state)
{
	struct bench *b = *state;

	driver_start(&b->virtio);
	assert_int_equal(reads(b, QUEUE_NUM_MAX), DRIVER_RING_SIZE);
	assert_int_equal(reads(b, QUEUE_READY), 1);
	writes(b, QUEUE_SEL, 1);
	assert_int_equal(reads(b, QUEUE_NUM_MAX), DRIVER_RING_SIZE);
	assert_int_equal(reads(b, QUEUE_READY), 0);
	for (unsigned int i = 0; i < 2; i++) {
		writes(b, QUEUE_SEL, i ? UINT32_MAX : 2); /* none */
		assert_int_equal(reads(b, QUEUE_NUM_MAX), 0);
		writes(b, QUEUE_NUM, 8);
		writes(b, QUEUE_DESC_LOW, (uint32_t)DRIVER_RAM);
		writes(b, QUEUE_READY, 1);
		assert_int_equal(reads(b, QUEUE_READY), 0);
	}
	assert_int_equal(reads(b, STATUS), 15);
}

static void a_queue_that_is_ready_does_not_move(void **state)
{
	struct bench *b = *state;

	driver_start(&b->virtio);
	writes(b, QUEUE_NUM, 4);
	writes(b, QUEUE_DESC_HIGH, 1);
	assert_int_equal(b->virtio.queues[0].setup.size, DRIVER_RING_SIZE);
	assert_int_equal(b->virtio.queues[0].setup.descriptors, DRIVER_DESCRIPTORS);
	writes(b, QUEUE_READY, 0);
	assert_int_equal(reads(b, QUEUE_READY), 0);
	ask(b, "unheard");
	assert_int_equal(b->served, 0);
	writes(b, QUEUE_DESC_HIGH, 1);
	assert_int_equal(b->virtio.queues[0].setup.descriptors, DRIVER_DESCRIPTORS + (1ULL << 32));
}

static void queues_come_after_the_features(void **state)
{
	struct bench *b = *state;
	const struct ring_setup setup = driver_setup();

	writes(b, STATUS, 3);
	b->virtio.queues[0].setup = setup;
	writes(b, QUEUE_READY, 1);
	assert_int_equal(reads(b, QUEUE_READY), 0);
}

static void serves_a_request(void **state)
{
	struct bench *b = *state;

	driver_start(&b->virtio);
	ask(b, "hello");
	assert_int_equal(b->served, 1);
	assert_int_equal(b->queue, 0);
	assert_memory_equal(driver_at(&b->driver, DRIVER_BUFFERS + 0x1000), "hello", 6);
	assert_int_equal(driver_used_index(&b->driver), 1);
	assert_int_equal(driver_used_size(&b->driver, 0), 6);
	assert_int_equal(b->rings, 1);
	assert_int_equal(b->reason, 1); /* was there before the interrupt */
	writes(b, INTERRUPT_ACK, 1);
	assert_int_equal(reads(b, INTERRUPT_STATUS), 0);
	assert_int_equal(b->rings, 1);
}

static void serves_nothing_before_the_driver_is_ready(void **state)
{
	struct bench *b = *state;

	driver_start(&b->virtio);
	b->virtio.status = 11;
	ask(b, "early");
	assert_int_equal(b->served, 0);
	writes(b, STATUS, 15); /* and then what was offered before */
	assert_int_equal(b->served, 1);
	writes(b, QUEUE_NOTIFY, 1); /* not ready */
	writes(b, QUEUE_NOTIFY, 2); /* none */
	writes(b, QUEUE_NOTIFY, UINT32_MAX);
	assert_int_equal(b->served, 1);
}

static void several_requests_are_one_interrupt(void **state)
{
	struct bench *b = *state;

	driver_start(&b->virtio);
	driver_offer(&b->driver, 2); /* a buffer of no bytes */
	driver_offer(&b->driver, 3);
	ask(b, "three");
	assert_int_equal(b->served, 3);
	assert_int_equal(b->rings, 1);
	driver_want_no_interrupt(&b->driver);
	writes(b, INTERRUPT_ACK, 1);
	ask(b, "quiet");
	assert_int_equal(b->served, 4);
	assert_int_equal(b->rings, 1);
	assert_int_equal(reads(b, INTERRUPT_STATUS), 0);
}

/* Standard error of what @serve says, in @ret. */
static void hear(struct bench *b, void (*act)(struct bench *b), char *ret, size_t size)
{
	FILE *f = tmpfile();
	int err = dup(STDERR_FILENO);
	size_t n;

	assert_true(f && err >= 0);
	dup2(fileno(f), STDERR_FILENO);
	act(b);
	dup2(err, STDERR_FILENO);
	close(err);
	rewind(f);
	n = fread(ret, 1, size - 1, f);
	ret[n] = '\0';
	fclose(f);
}

static void offer_a_loop(struct bench *b)
{
	driver_describe(&b->driver, 0, DRIVER_BUFFERS, 1, DRIVER_NEXT, 0);
	driver_offer(&b->driver, 0);
	writes(b, QUEUE_NOTIFY, 0);
}

static void a_broken_device_waits_for_a_reset(void **state)
{
	struct bench *b = *state;
	char said[512];

	driver_start(&b->virtio);
	hear(b, offer_a_loop, said, sizeof(said));
	assert_non_null(
		strstr(said, "Device echo, queue 0: the chain of descriptor 0 does not end"));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
	assert_int_equal(reads(b, STATUS), 0x4f);
	assert_int_equal(b->rings, 1);
	assert_int_equal(b->reason, 2); /* the configuration has changed */
	hear(b, offer_a_loop, said, sizeof(said));
	assert_string_equal(said, ""); /* it does not look any more */
	ask(b, "unheard");
	assert_int_equal(b->served, 0);
	driver_set_index(&b->driver, 0);
	driver_start(&b->virtio);
	assert_int_equal(reads(b, STATUS), 15);
	ask(b, "again");
	assert_int_equal(b->served, 1);
}

/* A guest cannot fill the journal. */
static void says_less_and_less(void **state)
{
	struct bench *b = *state;
	unsigned int lines = 0;
	char said[512];

	for (unsigned int i = 0; i < 100; i++) {
		driver_set_index(&b->driver, 0);
		driver_start(&b->virtio);
		hear(b, offer_a_loop, said, sizeof(said));
		lines += *said != '\0';
	}
	assert_int_equal(lines, 7); /* the 1st, 2nd, 4th ... 64th */
}

static void set_up_outside(struct bench *b)
{
	writes(b, QUEUE_SEL, 1);
	writes(b, QUEUE_NUM, 8);
	writes(b, QUEUE_DESC_LOW, 0);
	writes(b, QUEUE_READY, 1);
}

static void rings_outside_of_memory_break_it(void **state)
{
	struct bench *b = *state;
	char said[512];

	driver_start(&b->virtio);
	hear(b, set_up_outside, said, sizeof(said));
	assert_non_null(strstr(said, "Device echo, queue 1: the descriptors at 0x0 are not in"));
	assert_int_equal(reads(b, QUEUE_READY), 0);
	assert_int_equal(reads(b, STATUS), 0x4f);
	hear(b, set_up_outside, said, sizeof(said));
	assert_string_equal(said, "");
}

static void a_reason_that_is_not_acknowledged_rings_again(void **state)
{
	struct bench *b = *state;
	char said[512];

	driver_start(&b->virtio);
	ask(b, "hello");
	hear(b, offer_a_loop, said, sizeof(said));
	assert_int_equal(b->rings, 2);
	assert_int_equal(reads(b, INTERRUPT_STATUS), 3);
	writes(b, INTERRUPT_ACK, 1);
	assert_int_equal(b->rings, 3);
	assert_int_equal(b->reason, 2);
	writes(b, INTERRUPT_ACK, 2);
	assert_int_equal(b->rings, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_what_it_is),
		TEST(registers_have_32_bits),
		TEST(offers_features),
		TEST(takes_features_that_it_has),
		TEST(features_stay_once_they_are_taken),
		TEST(status_bits_come_in_order_and_stay),
		TEST(has_queues),
		TEST(a_queue_that_is_ready_does_not_move),
		TEST(queues_come_after_the_features),
		TEST(serves_a_request),
		TEST(serves_nothing_before_the_driver_is_ready),
		TEST(several_requests_are_one_interrupt),
		TEST(a_broken_device_waits_for_a_reset),
		TEST(says_less_and_less),
		TEST(rings_outside_of_memory_break_it),
		TEST(a_reason_that_is_not_acknowledged_rings_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
