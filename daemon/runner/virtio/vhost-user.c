/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread a device: it connects, forwards what the guest offers, and hands back what the back-end has served.
 * vCPU threads only leave orders for it.
 */
#include "daemon/runner/virtio/vhost-user.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/runner/virtio/vhost-user-internal.h"
#include "libghvm/base/bits.h"

#define FIRST_GREET_MS 10000 /* the guest waits for it, and a back-end may be starting */
#define GREET_MS 3000
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 2000
#define FRUITLESS_MAX 8

/**
 * struct vhost_device - what is known of a kind of virtio device
 * @config_size: bytes of its own registers
 * @masked: features that are not passed on
 * @has_status: the last byte of a request says whether it has failed
 */
struct vhost_device {
	uint32_t id;
	size_t config_size;
	uint64_t masked;
	bool has_status;
};

/* qemu-storage-daemon offers CONFIG_WCE with "write through", which is wrong: a guest would never flush. */
static const struct vhost_device known_devices[] = {
	{ .id = 1, .config_size = 12 },						  /* network */
	{ .id = 2, .config_size = 60, .masked = 1ULL << 11, .has_status = true }, /* block */
	{ .id = 8, .config_size = 36 },						  /* SCSI */
	{ .id = 19, .config_size = 8 },						  /* socket */
	{ .id = 26, .config_size = 40 },					  /* file system */
};

static struct vhost_device find_known(uint32_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_devices); i++)
		if (known_devices[i].id == id)
			return known_devices[i];
	return (struct vhost_device){ .id = id };
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- events, and orders from other threads ---- */

static void ring_event(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; /* a full eventfd is readable, too */
}

static void empty_event(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return; /* it was empty */
}

static void start_device(void *device, uint64_t features, const struct virtio_queue *queues)
{
	struct vhost_user *u = device;

	worker_run(&u->worker, features, queues);
}

static void notify_device(void *device, unsigned int queue)
{
	struct vhost_user *u = device;

	worker_wake(&u->worker);
}

void vhost_user_stop(struct vhost_user *u)
{
	worker_halt(&u->worker);
}

static void stop_device(void *device)
{
	vhost_user_stop(device);
}

/* ---- the back-end ---- */

/* Log only the 1st, 2nd, 4th, 8th..., because guest and back-end control the rate. */
static void tell_lost(struct vhost_user *u, const char *why)
{
	if (u->lost)
		return;
	__atomic_store_n(&u->lost, true, __ATOMIC_RELAXED);
	__atomic_store_n(&u->n_lost, u->n_lost + 1, __ATOMIC_RELAXED);
	if (!(u->n_lost & (u->n_lost - 1)))
		fprintf(stderr,
			SD_WARNING "Device %s: the connection to its back-end is lost: %s. "
				   "Requests wait for a new one (loss %llu)\n",
			u->kind.name, why, u->n_lost);
}

static void tell_back(struct vhost_user *u)
{
	if (u->lost && !(u->n_lost & (u->n_lost - 1)))
		fprintf(stderr, SD_NOTICE "Device %s: its back-end is there again\n", u->kind.name);
	__atomic_store_n(&u->lost, false, __ATOMIC_RELAXED);
}

void vhost_user_report(struct vhost_user *u, struct ghvm_link_device *ret)
{
	virtio_report(&u->virtio, ret);
	ret->losses = __atomic_load_n(&u->n_lost, __ATOMIC_RELAXED);
	ret->backend = __atomic_load_n(&u->lost, __ATOMIC_RELAXED) ? GHVM_LINK_BACKEND_AWAY
								   : GHVM_LINK_BACKEND_CONNECTED;
}

static size_t count_given(const struct vhost_user *u)
{
	size_t n = 0;

	for (unsigned int i = 0; i < u->kind.n_queues; i++)
		n += u->queues[i].shadow.n_given;
	return n;
}

static void disconnect(struct vhost_user *u)
{
	if (vhost_session_end(u) < 0 && u->serving)
		fprintf(stderr,
			SD_WARNING "Device %s: its back-end does not end its connection, and may "
				   "still access memory of the guest\n",
			u->kind.name);
	u->greeted = u->serving = false;
}

static void break_device(struct vhost_user *u, unsigned int queue, const struct ghvm_error *err)
{
	disconnect(u);
	u->broken = true;
	virtio_break(&u->virtio, queue, err);
}

static void note_fruitless(struct vhost_user *u, const char *why)
{
	struct ghvm_error err;

	if (++u->fruitless < FRUITLESS_MAX)
		return;
	(void)ghvm_error_set(
		&err, -EPROTO,
		"%d connections to its back-end ended without a request served, the last: %s",
		FRUITLESS_MAX, why);
	break_device(u, 0, &err);
}

/* @fruitless: the back-end is to blame, and not only absent or slow. */
static void lose_backend(struct vhost_user *u, const char *why, bool fruitless)
{
	tell_lost(u, why);
	disconnect(u);
	u->next_try = now_ms() + u->pause;
	u->pause = u->pause * 2 < u->pause_max ? u->pause * 2 : u->pause_max;
	if (fruitless)
		note_fruitless(u, why);
}

static int connect_backend(struct vhost_user *u, struct ghvm_error *err)
{
	int r = vhost_link_open(&u->link, u->socket);

	if (r < 0)
		return ghvm_error_set(err, r, "%s", strerror(-r));
	return 0;
}

static bool is_absent(int r)
{
	return r != -EPIPE && r != -EBADMSG && r != -EPROTO && r != -EOPNOTSUPP;
}

static void try_backend(struct vhost_user *u)
{
	struct ghvm_error err = {};
	int r = 0;

	if (!u->greeted) {
		r = connect_backend(u, &err);
		if (r == 0)
			r = vhost_session_greet(u, false, GREET_MS, &err);
	}
	if (r == 0)
		r = vhost_session_begin(u, &err);
	if (r < 0) {
		lose_backend(u, err.msg, !is_absent(r));
		return;
	}
	u->greeted = u->serving = true;
	tell_back(u);
}

/* ---- requests ---- */

static int collect_queue(struct vhost_user *u, unsigned int nth, struct ghvm_error *err)
{
	bool interrupt = false;
	struct shadow *s = &u->queues[nth].shadow;
	int n = shadow_collect(s, &interrupt, err);

	if (s->counts.requests)
		virtio_count(&u->virtio, &s->counts);
	s->counts = (struct virtio_counts){};
	if (interrupt)
		virtio_used(&u->virtio);
	if (n > 0) {
		u->fruitless = 0;
		u->pause = u->pause_min;
	}
	return n;
}

static void collect_all(struct vhost_user *u)
{
	struct ghvm_error err = {};

	for (unsigned int i = 0; u->serving && i < u->kind.n_queues; i++) {
		if (u->queues[i].ready && collect_queue(u, i, &err) < 0)
			lose_backend(u, err.msg, true);
	}
}

static void forward_all(struct vhost_user *u)
{
	struct ghvm_error err = {};
	int n;

	for (unsigned int i = 0; u->serving && i < u->kind.n_queues; i++) {
		struct vhost_queue *q = &u->queues[i];

		if (!q->ready)
			continue;
		n = shadow_forward(&q->shadow, u->virtio.dma, &err);
		if (n < 0)
			break_device(u, i, &err);
		else if (n && shadow_wants_kick(&q->shadow))
			ring_event(q->kick);
	}
}

/* A back-end says nothing that it was not asked for: it is gone, or lies. What it has served counts. */
static void on_link(struct vhost_user *u)
{
	const size_t had = count_given(u);
	uint8_t byte;
	bool gone = recv(u->link.fd, &byte, sizeof(byte), MSG_DONTWAIT) <= 0;

	collect_all(u);
	if (u->link.fd >= 0)
		lose_backend(u, gone ? "it was closed" : "it says what it was not asked",
			     !gone || (had && count_given(u) == had));
}

/* ---- the thread ---- */

static void take_queues(struct vhost_user *u)
{
	for (unsigned int i = 0; i < u->kind.n_queues; i++) {
		const struct virtio_queue *from = &u->orders_now.queues[i];
		struct vhost_queue *q = &u->queues[i];

		q->ready = u->orders_now.runs && from->ready;
		q->setup = from->setup;
		shadow_init(&q->shadow, &from->ring);
		q->shadow.has_status = find_known(u->kind.id).has_status;
	}
}

/* Return: false: end. */
static bool take_orders(struct vhost_user *u)
{
	if (!worker_take(&u->worker, &u->orders_now))
		return true;
	if (u->serving)
		disconnect(u);
	take_queues(u);
	u->broken = false;
	u->fruitless = 0;
	u->pause = u->pause_min;
	u->next_try = 0;
	worker_carried_out(&u->worker, &u->orders_now);
	return !u->orders_now.quit;
}

static bool wants_backend(const struct vhost_user *u)
{
	return u->orders_now.runs && !u->broken && !u->serving;
}

static int poll_timeout(const struct vhost_user *u)
{
	const uint64_t now = now_ms();

	if (!wants_backend(u))
		return -1;
	return u->next_try > now ? (int)(u->next_try - now) : 0;
}

static void wait_events(struct vhost_user *u)
{
	struct pollfd p[2 + VIRTIO_QUEUES_MAX] = {
		{ .fd = u->worker.wake, .events = POLLIN },
		{ .fd = u->link.fd, .events = POLLIN },
	};
	const size_t n = 2 + u->kind.n_queues;

	for (size_t i = 2; i < n; i++)
		p[i] = (struct pollfd){ .fd = u->queues[i - 2].call, .events = POLLIN };
	if (poll(p, n, poll_timeout(u)) <= 0) /* EINTR: nothing fired */
		return;
	if (p[0].revents)
		worker_woken(&u->worker);
	for (size_t i = 2; i < n; i++)
		if (p[i].revents)
			empty_event(p[i].fd);
	if (p[1].revents)
		on_link(u);
}

static void *serve_device(void *data)
{
	struct vhost_user *u = data;

	while (take_orders(u)) {
		if (wants_backend(u) && now_ms() >= u->next_try)
			try_backend(u);
		collect_all(u);
		forward_all(u);
		wait_events(u);
	}
	return NULL;
}

/* ---- beginning and end ---- */

static void set_kind(struct vhost_user *u, const struct vhost_setup *setup)
{
	const struct vhost_device known = find_known(setup->id);

	if (setup->nth)
		(void)snprintf(u->name, sizeof(u->name), "%.15s %u", setup->name, setup->nth);
	else
		(void)snprintf(u->name, sizeof(u->name), "%.15s", setup->name);

	u->kind = (struct virtio_kind){
		.name = u->name,
		.id = setup->id,
		.n_queues = setup->n_queues,
		.queue_size = VHOST_QUEUE_SIZE,
		.start = start_device,
		.notify = notify_device,
		.stop = stop_device,
	};
	u->config_size = known.config_size;
	u->virtio.kind = &u->kind;
	u->virtio.device = u;
	u->virtio.dma = setup->dma;
	u->virtio.on_interrupt = setup->on_interrupt;
	u->virtio.data = setup->data;
	u->socket = setup->socket;
	u->windowed = setup->windowed;
}

static int meet_backend(struct vhost_user *u, struct ghvm_error *err)
{
	struct ghvm_error why = {};
	int r = connect_backend(u, &why);

	if (r == 0)
		r = vhost_session_greet(u, true, FIRST_GREET_MS, &why);
	if (r < 0)
		return ghvm_error_set(err, r,
				      "device %s: cannot use its back-end: %s. Is the process that "
				      "serves the socket running?",
				      u->kind.name, why.msg);
	u->greeted = true;
	u->kind.features = (u->features & ~find_known(u->kind.id).masked) | VIRTIO_EVENTS;
	if (u->windowed)
		u->kind.features &= ~VIRTIO_INDIRECT;
	return 0;
}

int vhost_user_init(struct vhost_user *u, const struct vhost_setup *setup, struct ghvm_error *err)
{
	int r;

	u->rings_fd = u->link.fd = -1;
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
		u->queues[i].kick = u->queues[i].call = -1;
	worker_init(&u->worker);
	u->pause = u->pause_min = PAUSE_MIN_MS;
	u->pause_max = PAUSE_MAX_MS;
	set_kind(u, setup);
	virtio_init(&u->virtio);
	r = meet_backend(u, err);
	return r < 0 ? r : worker_start(&u->worker, serve_device, u, err);
}

void vhost_user_done(struct vhost_user *u)
{
	if (!u->kind.name)
		return; /* vhost_user_init() was not called */
	worker_done(&u->worker);
	(void)vhost_session_end(u); /* what was told is told */
	virtio_done(&u->virtio);
}
