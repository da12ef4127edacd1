/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's connection to the resource manager (RM). */
#ifndef _LINK_H
#define _LINK_H

#include <linux/device.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "region_msg.h"

#define LINK_REQUEST_MAX 64

#define MEM_SHARED 0x51100011
#define MEM_RECALL 0x51100014

#define NOTIFY_RELEASED 2
#define NOTIFY_ACCEPTED 4

/**
 * struct link - the connection
 * @dev: RM's node
 * @tx: Capability of the queue to RM
 * @rx: Capability of the queue from RM
 * @on_notification: Called for each one, also while a reply is awaited: makes no request
 * @news: Woken by the interrupt, which also sets @has_news and schedules @work
 * @lock: Guards what follows
 * @ending: Nothing is accepted any more
 * @seq: Of the last request
 * @vmid: Of this VM
 * @regions: All that are offered or accepted, @n_regions in number
 * @request: What is sent
 * @packet: What arrives
 * @in: The message of which it is a part
 */
struct link {
	struct device *dev;
	u64 tx;
	u64 rx;
	void (*on_notification)(struct link *l);
	wait_queue_head_t news;
	bool has_news;
	struct work_struct work;
	struct mutex lock; /* see above */
	bool ending;
	u16 seq;
	u16 vmid;
	struct list_head regions;
	unsigned int n_regions;
	u8 request[LINK_REQUEST_MAX];
	u8 packet[REGION_PACKET_MAX];
	struct region_msg in;
};

/* Call it only if there is an RM node: without a hypervisor an HVC is UNDEFINED. */
bool link_is_gunyah(void);

/* True: @l->in is a whole message. False: there is nothing more to read. */
bool link_receive(struct link *l);

/*
 * Requests. Return: 0; RM's refusal, which is above 0; or an error, and then RM may have done it or not.
 * link_call() sends the @payload bytes of @l->request that are behind the header.
 */
int link_call(struct link *l, u32 id, size_t payload);
int link_accept(struct link *l, const struct region_offer *o);
int link_release(struct link *l, const struct region_offer *o);

/* Tell the host that a region was accepted or released. It can do without, and looks itself from time to time. */
void link_notify(struct link *l, const struct region_offer *o, unsigned int what);

#endif
