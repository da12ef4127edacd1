/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers are 32 bits wide and read and written as such; any other access reads 0 or is ignored. The
 * device's own registers from 0x100 on are read in any width; what is written there is ignored.
 */
#include "daemon/runner/virtio/transport.h"

#include <stdio.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "libghvm/base/bits.h"

enum virtio_register {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_VENDOR_ID = 0x00c,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM_MAX = 0x034,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_QUEUE_NOTIFY = 0x050,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_QUEUE_DESC_LOW = 0x080,
	REG_QUEUE_DESC_HIGH = 0x084,
	REG_QUEUE_DRIVER_LOW = 0x090,
	REG_QUEUE_DRIVER_HIGH = 0x094,
	REG_QUEUE_DEVICE_LOW = 0x0a0,
	REG_QUEUE_DEVICE_HIGH = 0x0a4,
	REG_SHM_LEN_LOW = 0x0b0,
	REG_SHM_LEN_HIGH = 0x0b4,
	REG_SHM_BASE_LOW = 0x0b8,
	REG_SHM_BASE_HIGH = 0x0bc,
	REG_GENERATION = 0x0fc,
	REG_CONFIG = 0x100,
};

#define MAGIC 0x74726976  /* "virt" */
#define VENDOR 0x6d766867 /* "ghvm" */
#define VERSION 2

enum virtio_status {
	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 64,
	STATUS_FAILED = 128,
};

enum virtio_interrupt {
	INTERRUPT_USED = 1,
	INTERRUPT_CONFIG = 2,
};

static uint64_t offered(const struct virtio *v)
{
	return v->kind->features | VIRTIO_VERSION_1 | VIRTIO_ACCESS_PLATFORM;
}

static uint32_t half(uint64_t value, uint32_t select)
{
	return select < 2 ? (uint32_t)(value >> (32 * select)) : 0;
}

static void set_half(uint64_t *value, uint32_t select, uint32_t to)
{
	*value = (*value & ~(0xffffffffULL << (32 * select))) | (uint64_t)to << (32 * select);
}

static struct virtio_queue *selected(struct virtio *v)
{
	return v->queue_select < v->kind->n_queues ? &v->queues[v->queue_select] : NULL;
}

/* ---- faults ---- */

/* Log only the 1st, 2nd, 4th, 8th..., because the guest controls the rate. */
static void tell_fault(const struct virtio *v, unsigned int queue, const char *why)
{
	if (!(v->faults & (v->faults - 1)))
		fprintf(stderr,
			SD_WARNING "Device %s, queue %u: %s. It does nothing until the guest "
				   "resets it (fault %llu)\n",
			v->kind->name, queue, why, v->faults);
}

void virtio_fail(struct virtio *v, unsigned int queue, const struct ghvm_error *err)
{
	v->faults++;
	tell_fault(v, queue, err->msg);
	v->status |= STATUS_NEEDS_RESET;
	if (v->status & STATUS_DRIVER_OK)
		v->interrupt |= INTERRUPT_CONFIG;
}

/* ---- queues ---- */

static bool is_running(const struct virtio *v)
{
	return (v->status & STATUS_DRIVER_OK) && !(v->status & STATUS_NEEDS_RESET);
}

static void count_chain(struct virtio *v, uint32_t written)
{
	const struct virtio_counts one = {
		.requests = 1,
		.from_guest = counts_bytes(&v->chain, false),
		.to_guest = written,
	};

	counts_add(&v->counts, &one);
}

/*
 * Serve what the driver has offered. A guest that offers more meanwhile notifies once more; without a limit
 * it could keep this vCPU's thread here.
 */
static void serve_queue(struct virtio *v, unsigned int nth)
{
	struct ring *r = &v->queues[nth].ring;
	struct ghvm_error err = {};
	uint32_t written;
	int more;

	for (unsigned int i = 0; i < r->size; i++) {
		more = ring_take(r, v->dma, &v->chain, &err);
		if (more < 0)
			virtio_fail(v, nth, &err);
		if (more <= 0)
			return;
		written = v->kind->serve(v->device, nth, &v->chain);
		count_chain(v, written);
		if (ring_give(r, v->chain.head, written))
			v->interrupt |= INTERRUPT_USED;
	}
}

static void notify_queue(struct virtio *v, uint32_t nth)
{
	if (nth >= v->kind->n_queues || !v->queues[nth].ready || !is_running(v))
		return;
	if (v->kind->serve)
		serve_queue(v, nth);
	else
		v->kind->notify(v->device, nth);
}

static void start_queue(struct virtio *v, struct virtio_queue *q)
{
	struct ghvm_error err = {};

	if (!(v->status & STATUS_FEATURES_OK) || (v->status & STATUS_NEEDS_RESET) || q->ready)
		return;
	if (ring_init(&q->setup, v->kind->queue_size, v->dma, &q->ring, &err) < 0)
		virtio_fail(v, v->queue_select, &err);
	else
		q->ready = true;
	q->ring.indirect = v->features & VIRTIO_INDIRECT;
	q->ring.events = v->features & VIRTIO_EVENTS;
}

static void write_ready(struct virtio *v, uint32_t value)
{
	struct virtio_queue *q = selected(v);

	if (q && (value & 1))
		start_queue(v, q);
	else if (q)
		q->ready = false;
}

/* The registers of a queue that is ready do not change. */
static void write_setup(struct virtio *v, uint64_t offset, uint32_t value)
{
	struct virtio_queue *q = selected(v);
	const uint32_t select = (offset & 4) != 0;

	if (!q || q->ready)
		return;
	switch (offset & ~4ULL) {
	case REG_QUEUE_DESC_LOW:
		set_half(&q->setup.descriptors, select, value);
		break;
	case REG_QUEUE_DRIVER_LOW:
		set_half(&q->setup.avail, select, value);
		break;
	case REG_QUEUE_DEVICE_LOW:
		set_half(&q->setup.used, select, value);
		break;
	}
}

static void write_size(struct virtio *v, uint32_t value)
{
	struct virtio_queue *q = selected(v);

	if (q && !q->ready)
		q->setup.size = value;
}

/* ---- features and status ---- */

static void write_features(struct virtio *v, uint32_t value)
{
	if (v->status & STATUS_FEATURES_OK)
		return;
	if (v->driver_select < 2)
		set_half(&v->features, v->driver_select, value);
	else if (value)
		v->strange_features = true;
}

static bool accepts_features(const struct virtio *v)
{
	return !v->strange_features && !(v->features & ~offered(v)) &&
	       (v->features & VIRTIO_VERSION_1);
}

static void reset_registers(struct virtio *v)
{
	v->features = 0;
	v->strange_features = false;
	v->status = v->interrupt = 0;
	v->device_select = v->driver_select = v->queue_select = 0;
	memset(v->queues, 0, sizeof(v->queues));
}

/* Only a reset clears a bit. FEATURES_OK stays 0 where the features are not accepted. */
static void write_status(struct virtio *v, uint32_t value)
{
	const uint32_t was = v->status;

	if (!value) {
		reset_registers(v);
		return;
	}
	v->status |= value & (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FAILED);
	if ((value & STATUS_FEATURES_OK) && accepts_features(v))
		v->status |= STATUS_FEATURES_OK;
	if ((value & STATUS_DRIVER_OK) && (v->status & STATUS_FEATURES_OK))
		v->status |= STATUS_DRIVER_OK;
	if (!(v->status & ~was & STATUS_DRIVER_OK))
		return;
	if (v->kind->start && is_running(v))
		v->kind->start(v->device, v->features, v->queues);
	for (unsigned int i = 0; i < v->kind->n_queues; i++)
		notify_queue(v, i); /* some drivers notify before */
}

/* ---- registers ---- */

static uint32_t read_queue(struct virtio *v, uint64_t offset)
{
	const struct virtio_queue *q = selected(v);

	if (!q)
		return 0;
	return offset == REG_QUEUE_READY ? q->ready : v->kind->queue_size;
}

static uint32_t read_register(struct virtio *v, uint64_t offset)
{
	switch (offset) {
	case REG_MAGIC:
		return MAGIC;
	case REG_VERSION:
		return VERSION;
	case REG_DEVICE_ID:
		return v->kind->id;
	case REG_VENDOR_ID:
		return VENDOR;
	case REG_DEVICE_FEATURES:
		return half(offered(v), v->device_select);
	case REG_QUEUE_NUM_MAX:
	case REG_QUEUE_READY:
		return read_queue(v, offset);
	case REG_INTERRUPT_STATUS:
		return v->interrupt;
	case REG_STATUS:
		return v->status;
	case REG_SHM_LEN_LOW:
	case REG_SHM_LEN_HIGH:
	case REG_SHM_BASE_LOW:
	case REG_SHM_BASE_HIGH:
		return UINT32_MAX; /* no such region, whichever is selected */
	case REG_GENERATION:
		return v->generation;
	}
	return 0;
}

static void write_register(struct virtio *v, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case REG_DEVICE_FEATURES_SEL:
		v->device_select = value;
		break;
	case REG_DRIVER_FEATURES:
		write_features(v, value);
		break;
	case REG_DRIVER_FEATURES_SEL:
		v->driver_select = value;
		break;
	case REG_QUEUE_SEL:
		v->queue_select = value;
		break;
	case REG_QUEUE_NUM:
		write_size(v, value);
		break;
	case REG_QUEUE_READY:
		write_ready(v, value);
		break;
	case REG_QUEUE_NOTIFY:
		notify_queue(v, value);
		break;
	case REG_INTERRUPT_ACK:
		v->interrupt &= ~value;
		break;
	case REG_STATUS:
		write_status(v, value);
		break;
	default:
		write_setup(v, offset, value);
	}
}

void virtio_init(struct virtio *v)
{
	v->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

void virtio_done(struct virtio *v)
{
	(void)pthread_mutex_destroy(&v->lock); /* not held: the threads are joined */
}

/* Before the registers are reset, so that nothing of the time before is seen after it. */
static void stop_device(struct virtio *v)
{
	if (v->kind->stop)
		v->kind->stop(v->device);
}

void virtio_reset(struct virtio *v)
{
	stop_device(v);
	pthread_mutex_lock(&v->lock);
	reset_registers(v);
	pthread_mutex_unlock(&v->lock);
}

void virtio_used(struct virtio *v)
{
	bool ring;

	pthread_mutex_lock(&v->lock);
	ring = is_running(v);
	if (ring)
		v->interrupt |= INTERRUPT_USED;
	pthread_mutex_unlock(&v->lock);
	if (ring)
		v->on_interrupt(v->data);
}

void virtio_count(struct virtio *v, const struct virtio_counts *more)
{
	pthread_mutex_lock(&v->lock);
	counts_add(&v->counts, more);
	pthread_mutex_unlock(&v->lock);
}

static enum ghvm_link_device_state find_state(const struct virtio *v)
{
	if (v->status & STATUS_NEEDS_RESET)
		return GHVM_LINK_DEVICE_BROKEN;
	return v->status & STATUS_DRIVER_OK ? GHVM_LINK_DEVICE_RUNNING : GHVM_LINK_DEVICE_IDLE;
}

void virtio_report(struct virtio *v, struct ghvm_link_device *ret)
{
	pthread_mutex_lock(&v->lock);
	ret->state = find_state(v);
	ret->n_queues = (uint16_t)v->kind->n_queues;
	for (unsigned int i = 0; i < v->kind->n_queues; i++)
		ret->n_ready += v->queues[i].ready;
	ret->requests = v->counts.requests;
	ret->from_guest = v->counts.from_guest;
	ret->to_guest = v->counts.to_guest;
	ret->errors = v->counts.errors;
	ret->faults = v->faults;
	pthread_mutex_unlock(&v->lock);
}

void virtio_break(struct virtio *v, unsigned int queue, const struct ghvm_error *err)
{
	bool ring;

	pthread_mutex_lock(&v->lock);
	virtio_fail(v, queue, err);
	ring = v->interrupt;
	pthread_mutex_unlock(&v->lock);
	if (ring)
		v->on_interrupt(v->data);
}

void virtio_configure(struct virtio *v, const uint8_t *config, size_t n)
{
	bool ring = false;

	pthread_mutex_lock(&v->lock);
	if (n != v->n_config || memcmp(v->config, config, n) != 0) {
		memcpy(v->config, config, n);
		v->n_config = n;
		v->generation++;
		ring = is_running(v);
		if (ring)
			v->interrupt |= INTERRUPT_CONFIG;
	}
	pthread_mutex_unlock(&v->lock);
	if (ring)
		v->on_interrupt(v->data);
}

/* Little-endian, whatever the width; beyond the last register 0. */
static uint64_t read_config(struct virtio *v, uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	pthread_mutex_lock(&v->lock);
	for (unsigned int i = 0; i < size && offset + i < v->n_config; i++)
		value |= (uint64_t)v->config[offset + i] << (8 * i);
	pthread_mutex_unlock(&v->lock);
	return value;
}

static bool is_register(uint64_t offset, unsigned int size)
{
	return offset < REG_CONFIG && size == 4 && ghvm_aligned(offset, 4);
}

uint64_t virtio_read(struct virtio *v, uint64_t offset, unsigned int size)
{
	uint32_t value;

	if (offset >= REG_CONFIG)
		return read_config(v, offset - REG_CONFIG, size);
	if (!is_register(offset, size))
		return 0;
	pthread_mutex_lock(&v->lock);
	value = read_register(v, offset);
	pthread_mutex_unlock(&v->lock);
	return value;
}

/*
 * The interrupt is an edge, and comes after its reason is in the register. A driver that acknowledges only
 * some of the reasons gets another.
 */
void virtio_write(struct virtio *v, uint64_t offset, unsigned int size, uint64_t value)
{
	uint32_t before;
	bool ring;

	if (!is_register(offset, size))
		return;
	if (offset == REG_STATUS && !(uint32_t)value)
		stop_device(v);
	pthread_mutex_lock(&v->lock);
	before = v->interrupt;
	write_register(v, offset, (uint32_t)value);
	ring = (v->interrupt & ~before) || (offset == REG_INTERRUPT_ACK && v->interrupt);
	pthread_mutex_unlock(&v->lock);
	if (ring)
		v->on_interrupt(v->data);
}
