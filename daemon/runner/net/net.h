/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio network device (virtio 1.2, section 5.1). Its cable is a stream of frames: passt(1) is at its other end, and
 * makes connections of the host of them.
 *
 * No offloads: the stream has no place for what they need, so the guest computes its checksums. If the other end goes
 * away, the guest sees that its link is down, until there is a new connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/ipc/protocol.h"
#include "daemon/runner/net/frames.h"
#include "daemon/runner/virtio/transport.h"
#include "daemon/runner/virtio/worker.h"

#define NET_QUEUE_SIZE 256
#define NET_MAC_SIZE 6

enum net_queue {
	NET_RECEIVE,
	NET_SEND,
	NET_QUEUES,
};

/**
 * struct net - a device
 * @virtio: its registers; the first member
 * @kind: its name in the journal and its features; @name: for it
 * @socket: an O_PATH descriptor of the socket to connect to, borrowed
 * @mac, @mtu: of the guest's interface
 * @pause_min, @pause_max: ms between two tries to connect
 * @worker: the thread and its orders
 *
 * The rest is the thread's.
 * @orders: what it carries out; their rings are its own
 * @fd: the connection, owned; -1: none
 * @in: received, and not yet given to the guest; @out: taken from the guest, and not yet sent
 * @starved: the guest has no buffer for the first frame of @in
 * @next_try: CLOCK_MONOTONIC in ms; @pause: ms, grows
 * @lost: it was said that the connection is gone; @n_lost: how often it went. Read by other threads
 * @counts: not yet told to the registers
 * @broken: until the next order
 * @chain: the chain that is being served
 *
 * Not movable.
 */
struct net {
	struct virtio virtio;
	struct virtio_kind kind;
	char name[16];
	int socket;
	uint8_t mac[NET_MAC_SIZE];
	uint16_t mtu;
	unsigned int pause_min;
	unsigned int pause_max;
	struct worker worker;

	struct worker_orders orders;
	int fd;
	struct frames in;
	struct frames out;
	bool starved;
	uint64_t next_try;
	unsigned int pause;
	bool lost;
	unsigned long long n_lost;
	bool broken;
	struct virtio_counts counts;
	struct ring_chain chain;
};

/**
 * struct net_setup - what a device is made of; all borrowed
 * @nth: for the journal: 0 for the first device of the VM
 * @socket, @mac, @mtu: see struct net
 */
struct net_setup {
	unsigned int nth;
	int socket;
	uint8_t mac[NET_MAC_SIZE];
	uint16_t mtu;
	const struct dma_map *dma;
	void (*on_interrupt)(void *data);
	void *data;
};

/**
 * net_init() - make the device; it connects when the driver is ready
 * @n: zeroed; the caller calls net_done(), also on failure, or without this call
 *
 * Return: 0; negative errno with a message.
 */
int net_init(struct net *n, const struct net_setup *setup, struct ghvm_error *err);
void net_done(struct net *n);

/* What it has done. Thread: any */
void net_report(struct net *n, struct ghvm_link_device *ret);

/* It accesses no memory of the guest, and no interrupt comes, until the driver is ready again. */
void net_stop(struct net *n);
