/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread a device moves frames between the connection and the queues. It waits for nothing but events.
 *
 * What the guest does not take stays in the connection, and what the connection does not take stays in the guest's
 * queue: the buffers between them have a fixed size.
 */
#include "daemon/runner/net/net.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <systemd/sd-daemon.h>

#include "daemon/runner/virtio/vhost-link.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#define NET_DEVICE_ID 1
#define FEATURE_MTU (1ULL << 3)
#define FEATURE_MAC (1ULL << 5)
#define FEATURE_STATUS (1ULL << 16)

#define HEADER_SIZE 12 /* struct virtio_net_hdr, all zeroes but for: */
#define HEADER_N_BUFFERS 10
#define VLAN_SIZE 4

/* The device's own registers: u8 mac[6], u16 status, u16 pairs of queues, u16 mtu */
#define CONFIG_SIZE 12
#define CONFIG_STATUS 6
#define CONFIG_MTU 10
#define STATUS_LINK_UP 1

#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 2000

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- the connection ---- */

static void set_link(struct net *n, bool up)
{
	uint8_t config[CONFIG_SIZE] = {};

	memcpy(config, n->mac, NET_MAC_SIZE);
	config[CONFIG_STATUS] = up ? STATUS_LINK_UP : 0;
	config[CONFIG_MTU] = (uint8_t)n->mtu;
	config[CONFIG_MTU + 1] = (uint8_t)(n->mtu >> 8);
	virtio_configure(&n->virtio, config, sizeof(config));
}

static void disconnect(struct net *n)
{
	closep(&n->fd);
	n->fd = -1;
	n->starved = false;
	frames_clear(&n->in);
	frames_clear(&n->out);
	set_link(n, false);
}

/* Log only the 1st, 2nd, 4th, 8th..., because guest and back-end control the rate. */
static void lose_connection(struct net *n, const char *why)
{
	disconnect(n);
	n->next_try = now_ms() + n->pause;
	n->pause = n->pause * 2 < n->pause_max ? n->pause * 2 : n->pause_max;
	if (n->lost)
		return;
	__atomic_store_n(&n->lost, true, __ATOMIC_RELAXED);
	__atomic_store_n(&n->n_lost, n->n_lost + 1, __ATOMIC_RELAXED);
	if (!(n->n_lost & (n->n_lost - 1)))
		fprintf(stderr,
			SD_WARNING "Device %s: the connection to its passt is lost: %s. The link "
				   "is down until there is a new one (loss %llu)\n",
			n->name, why, n->n_lost);
}

/* A frame has come: the other end works. */
static void note_alive(struct net *n)
{
	n->pause = n->pause_min;
	if (n->lost && !(n->n_lost & (n->n_lost - 1)))
		fprintf(stderr, SD_NOTICE "Device %s: its passt is there again\n", n->name);
	__atomic_store_n(&n->lost, false, __ATOMIC_RELAXED);
}

void net_report(struct net *n, struct ghvm_link_device *ret)
{
	virtio_report(&n->virtio, ret);
	ret->losses = __atomic_load_n(&n->n_lost, __ATOMIC_RELAXED);
	ret->backend = __atomic_load_n(&n->lost, __ATOMIC_RELAXED) ? GHVM_LINK_BACKEND_AWAY
								   : GHVM_LINK_BACKEND_CONNECTED;
}

static void connect_socket(struct net *n)
{
	struct vhost_link link; /* of another protocol: only its descriptor is used */
	int r = vhost_link_open(&link, n->socket);

	if (r < 0) {
		lose_connection(n, strerror(-r));
		return;
	}
	n->fd = link.fd;
	set_link(n, true);
}

static void break_device(struct net *n, enum net_queue queue, const struct ghvm_error *err)
{
	disconnect(n);
	n->broken = true;
	virtio_break(&n->virtio, queue, err);
}

/* ---- chains of the guest ---- */

/* All buffers of a chain of one queue are to be read, and of the other to be written. */
static int check_chain(const struct ring_chain *c, bool writable, struct ghvm_error *err)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->buffers[i].writable != writable)
			return ghvm_error_set(err, -EBADMSG,
					      "the chain of descriptor %u is to be %s", c->head,
					      writable ? "read, in the queue to receive"
						       : "written, in the queue to send");
	return 0;
}

/* The next chain of a queue, in n->chain. Return: as ring_take(). */
static int take_chain(struct net *n, struct ring *r, bool writable, struct ghvm_error *err)
{
	int found = ring_take(r, n->virtio.dma, &n->chain, err);

	if (found == 0 && ring_await(r))
		found = ring_take(r, n->virtio.dma, &n->chain, err);
	if (found > 0 && check_chain(&n->chain, writable, err) < 0)
		return -EBADMSG;
	return found;
}

static size_t chain_size(const struct ring_chain *c)
{
	size_t size = 0;

	for (size_t i = 0; i < c->n; i++)
		size += c->buffers[i].size; /* less than 4 GiB in total */
	return size;
}

/* Copy @n bytes to @c from byte @offset on, or from there to @to; the chain has them. */
static void copy_chain(const struct ring_chain *c, size_t offset, const uint8_t *from, uint8_t *to,
		       size_t n)
{
	for (size_t i = 0; i < c->n && n; i++) {
		const struct ring_buffer *b = &c->buffers[i];
		size_t piece = b->size > offset ? b->size - offset : 0;

		if (piece > n)
			piece = n;
		if (piece && from)
			memcpy(b->at + offset, from, piece);
		else if (piece)
			memcpy(to, b->at + offset, piece);
		from = from ? from + piece : NULL;
		to = to ? to + piece : NULL;
		n -= piece;
		offset = piece ? 0 : offset - b->size;
	}
}

/* Return: true: the driver wants an interrupt. */
static bool give_chain(struct net *n, struct ring *r, uint32_t written)
{
	n->counts.requests++;
	n->counts.from_guest += counts_bytes(&n->chain, false);
	n->counts.to_guest += written;
	return ring_give(r, n->chain.head, written);
}

static void tell_used(struct net *n, bool interrupt)
{
	virtio_count(&n->virtio, &n->counts);
	n->counts = (struct virtio_counts){};
	if (interrupt)
		virtio_used(&n->virtio);
}

static size_t frame_limit(const struct net *n)
{
	const size_t most = (size_t)n->mtu + FRAME_MIN + VLAN_SIZE;

	return most < FRAME_MAX ? most : FRAME_MAX;
}

/* ---- to the guest ---- */

/* Return: number of bytes written; 0: the driver has given too little room, and the frame is lost. */
static uint32_t fill_chain(const struct ring_chain *c, const uint8_t *frame, size_t size)
{
	uint8_t header[HEADER_SIZE] = {};

	if (chain_size(c) < HEADER_SIZE + size)
		return 0;
	header[HEADER_N_BUFFERS] = 1;
	copy_chain(c, 0, header, NULL, HEADER_SIZE);
	copy_chain(c, HEADER_SIZE, frame, NULL, size);
	return (uint32_t)(HEADER_SIZE + size);
}

/* Return: true: the guest has it, or it is lost. */
static bool give_frame(struct net *n, const uint8_t *frame, size_t size, bool *interrupt)
{
	struct ring *r = &n->orders.queues[NET_RECEIVE].ring;
	struct ghvm_error err = {};
	int found;

	if (!n->orders.queues[NET_RECEIVE].ready || size > frame_limit(n))
		return true;
	found = take_chain(n, r, true, &err);
	if (found < 0)
		break_device(n, NET_RECEIVE, &err);
	n->starved = found == 0;
	if (found <= 0)
		return false;
	*interrupt |= give_chain(n, r, fill_chain(&n->chain, frame, size));
	return true;
}

static void give_frames(struct net *n)
{
	struct ghvm_error err = {};
	const uint8_t *frame;
	bool interrupt = false;
	int size;

	while ((size = frames_peek(&n->in, &frame, &err)) > 0) {
		note_alive(n);
		if (!give_frame(n, frame, (size_t)size, &interrupt))
			break;
		frames_drop(&n->in);
	}
	if (size < 0)
		lose_connection(n, err.msg);
	tell_used(n, interrupt);
}

static void receive(struct net *n)
{
	int r = n->starved ? 0 : frames_receive(&n->in, n->fd);

	if (r < 0)
		lose_connection(n, r == -EPIPE ? "it was closed" : strerror(-r));
	else
		give_frames(n);
}

/* ---- from the guest ---- */

/* A frame that is too short or too long is lost, as on a cable. */
static void add_frame(struct net *n)
{
	const size_t all = chain_size(&n->chain);
	const size_t size = all > HEADER_SIZE ? all - HEADER_SIZE : 0;

	if (size >= FRAME_MIN && size <= frame_limit(n))
		copy_chain(&n->chain, HEADER_SIZE, NULL, frames_add(&n->out, size), size);
}

/* Return: 1 took one; 0 there is none; -EBADMSG. */
static int take_frame(struct net *n, struct ring *r, bool *interrupt, struct ghvm_error *err)
{
	int found = take_chain(n, r, false, err);

	if (found <= 0)
		return found;
	add_frame(n);
	*interrupt |= give_chain(n, r, 0);
	return 1;
}

/*
 * Take what there is room for, and no more at once than the ring has: the guest may offer without end. Return: true:
 * there may be more.
 */
static bool take_frames(struct net *n)
{
	struct ring *r = &n->orders.queues[NET_SEND].ring;
	struct ghvm_error err = {};
	bool interrupt = false;
	int found = 1;

	for (unsigned int i = 0; found > 0 && i < r->size && frames_have_room(&n->out); i++)
		found = take_frame(n, r, &interrupt, &err);
	tell_used(n, interrupt);
	if (found < 0)
		break_device(n, NET_SEND, &err);
	return found > 0;
}

/* Return: true: more can be sent at once. */
static bool send_frames(struct net *n)
{
	bool more = n->orders.queues[NET_SEND].ready && take_frames(n);
	int r = n->fd < 0 ? 0 : frames_send(&n->out, n->fd);

	if (r < 0)
		lose_connection(n, strerror(-r));
	return n->fd >= 0 && more && frames_have_room(&n->out);
}

/* ---- the thread ---- */

static bool wants_connection(const struct net *n)
{
	return n->orders.runs && !n->broken && n->fd < 0;
}

/* Return: false: end. The connection is of one driver: the next one gets no frames of the time before. */
static bool take_orders(struct net *n)
{
	struct worker_orders *orders = &n->orders;

	if (!worker_take(&n->worker, orders))
		return true;
	disconnect(n);
	n->broken = false;
	__atomic_store_n(&n->lost, false, __ATOMIC_RELAXED);
	n->pause = n->pause_min;
	n->next_try = 0;
	worker_carried_out(&n->worker, orders);
	return !orders->quit;
}

static int poll_timeout(const struct net *n, bool more)
{
	const uint64_t now = now_ms();

	if (more)
		return 0;
	if (!wants_connection(n))
		return -1;
	return n->next_try > now ? (int)(n->next_try - now) : 0;
}

static void wait_events(struct net *n, bool more)
{
	struct pollfd p[] = {
		{ .fd = n->worker.wake, .events = POLLIN },
		{ .fd = n->fd },
	};

	if (!n->starved)
		p[1].events |= POLLIN;
	if (!frames_empty(&n->out))
		p[1].events |= POLLOUT;
	if (poll(p, ARRAY_SIZE(p), poll_timeout(n, more)) <= 0) /* EINTR: nothing fired */
		return;
	if (p[0].revents)
		worker_woken(&n->worker);
	/* What is left in it cannot be received, as the guest has no buffer. */
	if (n->starved && p[1].revents & (POLLHUP | POLLERR))
		lose_connection(n, "it was closed");
}

static void *serve_device(void *data)
{
	struct net *n = data;
	bool more;

	while (take_orders(n)) {
		more = false;
		if (wants_connection(n) && now_ms() >= n->next_try)
			connect_socket(n);
		if (n->fd >= 0)
			receive(n);
		if (n->fd >= 0)
			more = send_frames(n);
		wait_events(n, more);
	}
	return NULL;
}

/* ---- registers ---- */

static void start_device(void *device, uint64_t features, const struct virtio_queue *queues)
{
	struct net *n = device;

	worker_run(&n->worker, features, queues);
}

static void notify_device(void *device, unsigned int queue)
{
	struct net *n = device;

	worker_wake(&n->worker);
}

static void stop_device(void *device)
{
	net_stop(device);
}

static const struct virtio_kind net_virtio = {
	.id = NET_DEVICE_ID,
	.features = FEATURE_MTU | FEATURE_MAC | FEATURE_STATUS | VIRTIO_EVENTS,
	.n_queues = NET_QUEUES,
	.queue_size = NET_QUEUE_SIZE,
	.start = start_device,
	.notify = notify_device,
	.stop = stop_device,
};

int net_init(struct net *n, const struct net_setup *setup, struct ghvm_error *err)
{
	(void)snprintf(n->name, sizeof(n->name), setup->nth ? "net %u" : "net",
		       setup->nth); /* fits */
	n->kind = net_virtio;
	n->kind.name = n->name;
	n->virtio.kind = &n->kind;
	n->virtio.device = n;
	n->virtio.dma = setup->dma;
	n->virtio.on_interrupt = setup->on_interrupt;
	n->virtio.data = setup->data;
	n->socket = setup->socket;
	memcpy(n->mac, setup->mac, NET_MAC_SIZE);
	n->mtu = setup->mtu;
	n->pause = n->pause_min = PAUSE_MIN_MS;
	n->pause_max = PAUSE_MAX_MS;
	n->fd = -1;
	virtio_init(&n->virtio);
	worker_init(&n->worker);
	set_link(n, false);
	return worker_start(&n->worker, serve_device, n, err);
}

void net_stop(struct net *n)
{
	worker_halt(&n->worker);
}

void net_done(struct net *n)
{
	if (!n->kind.name)
		return; /* net_init() was not called */
	worker_done(&n->worker);
	closep(&n->fd);
	n->fd = -1;
	virtio_done(&n->virtio);
}
