/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a vhost-user back-end says and writes. The input: u16 length of its replies; the replies to a greeting; a
 * byte with the features of a ring, bit 0 indirect, bit 1 events; then steps, a byte that says which, and its
 * arguments, of a ring that guest and back-end write.
 */
#include "daemon/runner/virtio/vhost-user-internal.h"
#include "libghvm/base/wire.h"
#include "tests/fixtures/virtio/driver.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum step {
	STEP_POKE,     /* u16 offset, u16 value, in the back-end's rings */
	STEP_DESCRIBE, /* u8 descriptor, u32 size, u8 flags, u8 next; bit 7 of it: at another of them */
	STEP_OFFER, /* u8 head */
	STEP_COLLECT,
	STEP_RECONNECT,
	STEP_COUNT_
};

#define STEPS_MAX 256
#define REPLIES_MAX 4096

static void on_interrupt(void *data)
{
}

/* The replies are there before the requests, and then the connection ends. */
static void greet(struct ghvm_get *in)
{
	struct vhost_user u = {
		.kind = { .name = "fuzz", .id = 2, .n_queues = 1, .queue_size = VHOST_QUEUE_SIZE },
		.virtio = { .kind = &u.kind, .on_interrupt = on_interrupt },
		.config_size = 60,
		.rings_fd = -1,
	};
	size_t n = ghvm_get_u16(in);
	int sockets[2];

	n = n < in->len ? n : in->len;
	n = n < REPLIES_MAX ? n : REPLIES_MAX;
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
		u.queues[i].kick = u.queues[i].call = -1;
	virtio_init(&u.virtio);
	PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets) == 0);
	PROMISE(write(sockets[1], in->buf, n) == (ssize_t)n);
	PROMISE(shutdown(sockets[1], SHUT_WR) == 0);
	u.link.fd = sockets[0];
	if (vhost_session_greet(&u, true, 1000, NULL) == 0)
		PROMISE(!(u.features & ~(VIRTIO_KIND_FEATURES | VIRTIO_INDIRECT)));
	PROMISE(u.virtio.n_config == 0 || u.virtio.n_config == 60);
	(void)close(sockets[1]);
	(void)vhost_session_end(&u);
	virtio_done(&u.virtio);
	in->buf += n;
	in->len -= n;
}

/**
 * struct ring_world - a ring, and what the guest can expect of it
 * @rings: SHADOW_SIZE bytes on the heap
 */
struct ring_world {
	struct driver driver;
	struct shadow shadow;
	uint8_t *rings;
	bool broken;
};

static void describe(struct ring_world *w, struct ghvm_get *in)
{
	uint8_t nth = ghvm_get_u8(in) % DRIVER_RING_SIZE;
	uint32_t size = ghvm_get_u32(in);
	uint8_t flags = ghvm_get_u8(in), next = ghvm_get_u8(in);

	driver_describe(&w->driver, nth, next & 0x80 ? DRIVER_DESCRIPTORS + 16 : DRIVER_BUFFERS,
			size, flags, next & 0x7f);
}

static void poke(struct ring_world *w, struct ghvm_get *in)
{
	uint16_t offset = ghvm_get_u16(in), value = ghvm_get_u16(in);

	memcpy(w->rings + offset % (SHADOW_SIZE - 1), &value, sizeof(value));
}

static void reconnect(struct ring_world *w)
{
	shadow_detach(&w->shadow);
	memset(w->rings, 0, SHADOW_SIZE);
	shadow_attach(&w->shadow, w->rings);
	PROMISE(w->shadow.offered == w->shadow.n_given);
}

/* Of what the guest has offered, each chain is either with the back-end or was given back, once. */
static void check(struct ring_world *w)
{
	size_t n = 0;

	for (uint16_t i = 0; i < RING_SIZE_MAX; i++)
		n += w->shadow.given[i].order != 0;
	PROMISE(n == w->shadow.n_given && n <= DRIVER_RING_SIZE);
	PROMISE(w->shadow.last == w->shadow.counts.requests + n);
	PROMISE(driver_used_index(&w->driver) == (uint16_t)w->shadow.counts.requests);
}

static void take_step(struct ring_world *w, struct ghvm_get *in)
{
	bool interrupt = false;

	switch (ghvm_get_u8(in) % STEP_COUNT_) {
	case STEP_POKE:
		poke(w, in);
		break;
	case STEP_DESCRIBE:
		describe(w, in);
		break;
	case STEP_OFFER:
		driver_offer(&w->driver, ghvm_get_u8(in));
		w->broken = shadow_forward(&w->shadow, &w->driver.dma, NULL) < 0;
		break;
	case STEP_COLLECT:
		if (shadow_collect(&w->shadow, &interrupt, NULL) < 0)
			reconnect(w);
		break;
	case STEP_RECONNECT:
		reconnect(w);
		break;
	}
}

static void play(struct ghvm_get *in)
{
	struct ring_world w = {
		.driver.ram = calloc(1, DRIVER_RAM_SIZE),
		.rings = calloc(1, SHADOW_SIZE),
	};
	const struct ring_setup setup = driver_setup();
	const uint8_t features = ghvm_get_u8(in);
	struct ring ring;

	PROMISE(w.driver.ram && w.rings);
	w.driver.dma.ranges[w.driver.dma.n++] =
		(struct dma_range){ DRIVER_RAM, DRIVER_RAM_SIZE, w.driver.ram, -1 };
	PROMISE(ring_init(&setup, DRIVER_RING_SIZE, &w.driver.dma, &ring, NULL) == 0);
	ring.indirect = features & 1;
	ring.events = features & 2;
	shadow_init(&w.shadow, &ring);
	shadow_attach(&w.shadow, w.rings);
	for (unsigned int i = 0; i < STEPS_MAX && in->len && !in->bad && !w.broken; i++) {
		take_step(&w, in);
		check(&w);
	}
	free(w.rings);
	free(w.driver.ram);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ghvm_get in = { .buf = data, .len = size };

	greet(&in);
	if (!in.bad)
		play(&in);
	return 0;
}
