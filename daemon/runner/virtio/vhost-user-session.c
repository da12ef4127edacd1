/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of the messages is the one in which QEMU sends them.
 *
 * Addresses in messages are guest addresses throughout: a back-end translates them by the table of memory, so it
 * does not learn where this process has what. The rings of the runner are behind all guest addresses.
 */
#include "daemon/runner/virtio/vhost-user-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#define BEGIN_MS 1000
#define END_MS 1000
#define RINGS_IPA (1ULL << 52)
#define RINGS_SIZE ((uint64_t)SHADOW_SIZE * VIRTIO_QUEUES_MAX)

#define FEATURE_PROTOCOL (1ULL << 30)

#define PROTOCOL_MQ (1ULL << 0)
#define PROTOCOL_REPLY_ACK (1ULL << 3)
#define PROTOCOL_CONFIG (1ULL << 9)
#define PROTOCOL_USED (PROTOCOL_MQ | PROTOCOL_REPLY_ACK | PROTOCOL_CONFIG)

/* ---- block devices (virtio 1.2, section 5.2) ---- */

#define BLOCK_ID 2
#define BLOCK_SEG_MAX 12
#define BLOCK_NUM_QUEUES 34

static uint64_t get_number(const uint8_t *at, unsigned int size)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < size; i++)
		v |= (uint64_t)at[i] << (8 * i);
	return v;
}

static void cut_number(uint8_t *at, unsigned int size, uint64_t max)
{
	const uint64_t v = get_number(at, size);

	for (unsigned int i = 0; i < size; i++)
		at[i] = (uint8_t)((v < max ? v : max) >> (8 * i));
}

/*
 * A request of that many segments has to fit into the ring, with its two descriptors beside the data. QEMU
 * says 126 whatever the ring is.
 */
static void adjust_block(const struct vhost_user *u, uint8_t *config)
{
	cut_number(config + BLOCK_SEG_MAX, 4, u->kind.queue_size - 2);
	cut_number(config + BLOCK_NUM_QUEUES, 2, u->kind.n_queues);
}

/* ---- greeting ---- */

static int check_features(const struct vhost_user *u, bool first, uint64_t features,
			  struct ghvm_error *err)
{
	const uint64_t needed = FEATURE_PROTOCOL | VIRTIO_VERSION_1;
	const uint64_t missing = (first ? needed : needed | u->features) & ~features;

	if (missing & needed)
		return ghvm_error_set(err, -EOPNOTSUPP,
				      "it lacks virtio 1 or the protocol features of vhost-user "
				      "(features 0x%llx)",
				      (unsigned long long)features);
	if (missing)
		return ghvm_error_set(err, -EOPNOTSUPP,
				      "it lacks the features 0x%llx, which the one before it had",
				      (unsigned long long)missing);
	return 0;
}

static int check_queues(struct vhost_user *u, uint64_t protocol, struct ghvm_error *err)
{
	uint64_t n = 0;
	int r;

	if (!(protocol & PROTOCOL_MQ))
		return 0; /* as many as its kind of device has */
	r = vhost_link_get_u64(&u->link, VHOST_GET_QUEUE_NUM, &n, err);
	if (r == 0 && n < u->kind.n_queues)
		return ghvm_error_set(err, -EOPNOTSUPP, "it has %llu queues, and %u are needed",
				      (unsigned long long)n, u->kind.n_queues);
	return r;
}

static int get_config(struct vhost_user *u, uint64_t protocol, struct ghvm_error *err)
{
	uint8_t config[VIRTIO_CONFIG_MAX] = {};
	int r;

	if (!(protocol & PROTOCOL_CONFIG) || !u->config_size)
		return 0;
	r = vhost_link_get_config(&u->link, config, u->config_size, err);
	if (r < 0)
		return r;
	if (u->kind.id == BLOCK_ID)
		adjust_block(u, config);
	virtio_configure(&u->virtio, config, u->config_size);
	return 0;
}

int vhost_session_greet(struct vhost_user *u, bool first, unsigned int ms, struct ghvm_error *err)
{
	uint64_t features, protocol;
	int r;

	vhost_link_limit(&u->link, ms);
	r = vhost_link_get_u64(&u->link, VHOST_GET_FEATURES, &features, err);
	if (r == 0)
		r = check_features(u, first, features, err);
	if (r == 0)
		r = vhost_link_get_u64(&u->link, VHOST_GET_PROTOCOL_FEATURES, &protocol, err);
	if (r < 0)
		return r;
	protocol &= PROTOCOL_USED;
	r = vhost_link_set_u64(&u->link, VHOST_SET_PROTOCOL_FEATURES, protocol, err);
	if (r < 0)
		return r;
	u->link.acks = protocol & PROTOCOL_REPLY_ACK;
	r = vhost_link_set(&u->link, VHOST_SET_OWNER, NULL, NULL, 0, err);
	if (r == 0)
		r = check_queues(u, protocol, err);
	if (r == 0)
		r = get_config(u, protocol, err);
	if (r == 0 && first)
		u->features = features & (VIRTIO_KIND_FEATURES | VIRTIO_INDIRECT);
	return r;
}

/* ---- memory ---- */

/* A file of its own for each back-end: an earlier one cannot write into it. */
static int make_rings(struct vhost_user *u, struct ghvm_error *err)
{
	_cleanup_(closep) int fd = memfd_create("rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *at = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, RINGS_SIZE) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		at = mmap(NULL, RINGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return ghvm_error_set(err, -errno, "no memory for its rings: %s", strerror(errno));
	u->rings = at;
	u->rings_fd = TAKE_FD(fd);
	return 0;
}

static void drop_rings(struct vhost_user *u)
{
	if (u->rings)
		(void)munmap(u->rings, RINGS_SIZE); /* a mapping of ours */
	u->rings = NULL;
	closep(&u->rings_fd);
	u->rings_fd = -1;
}

static void put_memory(struct ghvm_put *w, uint64_t ipa, uint64_t size)
{
	ghvm_put_u64(w, ipa);
	ghvm_put_u64(w, size);
	ghvm_put_u64(w, ipa);
	ghvm_put_u64(w, 0);
}

/* u32 n, u32 0, n * { u64 guest address, u64 size, u64 user address, u64 offset in the file }; n files */
static int send_memory(struct vhost_user *u, struct ghvm_error *err)
{
	const struct dma_map *dma = u->virtio.dma;
	uint8_t buf[8 + 32 * (DMA_RANGES_MAX + 1)];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int fds[DMA_RANGES_MAX + 1];
	size_t n = 0;

	ghvm_put_u32(&w, (uint32_t)dma->n + 1);
	ghvm_put_u32(&w, 0);
	for (; n < dma->n; n++) {
		put_memory(&w, dma->ranges[n].ipa, dma->ranges[n].size);
		fds[n] = dma->ranges[n].fd;
	}
	put_memory(&w, RINGS_IPA, RINGS_SIZE);
	fds[n++] = u->rings_fd;
	return vhost_link_set(&u->link, VHOST_SET_MEM_TABLE, &w, fds, n, err);
}

/* ---- queues ---- */

/* u32 queue, u32 value */
static int send_state(struct vhost_user *u, enum vhost_request request, unsigned int nth,
		      uint32_t value, struct ghvm_error *err)
{
	uint8_t buf[8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, nth);
	ghvm_put_u32(&w, value);
	return vhost_link_set(&u->link, request, &w, NULL, 0, err);
}

/* u32 queue, u32 flags, u64 descriptors, u64 used, u64 available, u64 log */
static int send_addresses(struct vhost_user *u, unsigned int nth, struct ghvm_error *err)
{
	const uint64_t rings = RINGS_IPA + (uint64_t)nth * SHADOW_SIZE;
	uint8_t buf[40];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, nth);
	ghvm_put_u32(&w, 0);
	ghvm_put_u64(&w, u->queues[nth].setup.descriptors);
	ghvm_put_u64(&w, rings + SHADOW_USED);
	ghvm_put_u64(&w, rings);
	ghvm_put_u64(&w, 0);
	return vhost_link_set(&u->link, VHOST_SET_VRING_ADDR, &w, NULL, 0, err);
}

/* u64 queue; an eventfd */
static int send_event(struct vhost_user *u, enum vhost_request request, unsigned int nth, int fd,
		      struct ghvm_error *err)
{
	uint8_t buf[8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u64(&w, nth);
	return vhost_link_set(&u->link, request, &w, &fd, 1, err);
}

static int begin_queue(struct vhost_user *u, unsigned int nth, struct ghvm_error *err)
{
	struct vhost_queue *q = &u->queues[nth];
	int r;

	r = send_state(u, VHOST_SET_VRING_NUM, nth, q->setup.size, err);
	if (r == 0)
		r = send_state(u, VHOST_SET_VRING_BASE, nth, 0, err);
	if (r == 0)
		r = send_addresses(u, nth, err);
	if (r == 0)
		r = send_event(u, VHOST_SET_VRING_KICK, nth, q->kick, err);
	if (r == 0)
		r = send_event(u, VHOST_SET_VRING_CALL, nth, q->call, err);
	if (r == 0)
		r = send_state(u, VHOST_SET_VRING_ENABLE, nth, 1, err);
	return r;
}

/* Eventfds of its own for each back-end: an earlier one cannot empty them. */
static int attach_queue(struct vhost_user *u, unsigned int nth, struct ghvm_error *err)
{
	struct vhost_queue *q = &u->queues[nth];

	q->kick = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC); /* look at once what is there */
	q->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->kick < 0 || q->call < 0)
		return ghvm_error_set(err, -errno, "no eventfd: %s", strerror(errno));
	shadow_attach(&q->shadow, u->rings + (size_t)nth * SHADOW_SIZE);
	return 0;
}

static void detach_queue(struct vhost_queue *q)
{
	shadow_detach(&q->shadow);
	closep(&q->kick);
	closep(&q->call);
	q->kick = q->call = -1;
}

int vhost_session_begin(struct vhost_user *u, struct ghvm_error *err)
{
	/* event indexes are those of the guest's rings, addresses those of the table of memory */
	const uint64_t features =
		u->orders_now.features & ~(VIRTIO_ACCESS_PLATFORM | VIRTIO_EVENTS);
	int r;

	vhost_link_limit(&u->link, BEGIN_MS);
	r = make_rings(u, err);
	for (unsigned int i = 0; r == 0 && i < u->kind.n_queues; i++)
		if (u->queues[i].ready)
			r = attach_queue(u, i, err);
	if (r == 0)
		r = vhost_link_set_u64(&u->link, VHOST_SET_FEATURES, features | FEATURE_PROTOCOL,
				       err);
	if (r == 0)
		r = send_memory(u, err);
	for (unsigned int i = 0; r == 0 && i < u->kind.n_queues; i++)
		if (u->queues[i].ready)
			r = begin_queue(u, i, err);
	return r;
}

int vhost_session_end(struct vhost_user *u)
{
	int r = u->link.fd < 0 ? 0 : vhost_link_finish(&u->link, END_MS);

	vhost_link_close(&u->link);
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
		detach_queue(&u->queues[i]);
	drop_rings(u);
	return r;
}
