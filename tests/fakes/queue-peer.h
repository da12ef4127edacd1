/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host with scripted packets: the other end of the resource manager's queues.
 *
 * It is deliberately not an RM (that is tests/fakes/rm.c) and can send what no RM would. A
 * request is answered by the first rule with its id, which is then removed. GET_VMID without a
 * rule is answered with VMID 3; other requests without a rule are not answered. Thread: any;
 * requests are examined by the test's thread.
 */
#pragma once

#include "libghvm/hyp/host.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPT_VMID 3
#define SCRIPT_TX_CAP 0x1111222233334444ULL
#define SCRIPT_RX_CAP 0x5555666677778888ULL
#define SCRIPT_MESSAGE_MAX (64 * 232)

/* A message, assembled from its packets. */
struct script_request {
	uint32_t id;
	uint16_t seq;
	unsigned int packets;
	size_t len;
	uint8_t payload[SCRIPT_MESSAGE_MAX];
};

struct script_rule {
	struct script_rule *next;
	uint32_t id;
	size_t len;
	uint8_t payload[]; /* of the reply, with its status */
};

struct script_packet {
	struct script_packet *next;
	size_t len;
	uint8_t bytes[];
};

struct script_host;

/* Called without the lock, from the thread that sent; may push. True: handled. */
typedef bool (*script_on_request)(void *data, struct script_host *s,
				  const struct script_request *r);

/**
 * struct script_host - a host and its script
 * @requests: complete ones, in order, @n_requests of them
 * @hcall: result of calls other than the two queue calls; @last: the last such call
 * @full: number of sends for which the queue is full
 * @send_status, @send_errno: of sends, if not 0, after @send_skip good ones; @send_once: of
 *     one send; @send_lies: which takes the packet all the same
 * @receive_status, @receive_errno, @receive_size: of the next receive, if not 0 (size: not
 *     the message's); @receive_failures: so many more have that errno, too
 * @pushes: packets that were sent with the push flag; @sends: all packets that were accepted
 * @info: result of INFO
 */
struct script_host {
	struct ghvm_host host;
	pthread_mutex_t lock;
	int rx_event;
	int tx_event;

	struct script_rule *rules;
	struct script_packet *queue;
	struct script_request *partial;
	struct script_request **requests;
	size_t n_requests;
	script_on_request on_request;
	void *data;

	struct ghvm_hcall hcall;
	struct ghvm_hcall last;
	int hcall_errno;

	unsigned int full;
	int32_t send_status;
	int send_errno;
	bool send_once;
	bool send_lies;
	unsigned int send_skip;
	int32_t receive_status;
	int receive_errno;
	unsigned int receive_failures;
	uint64_t receive_size;
	unsigned int pushes;
	unsigned int sends;
	struct ghvm_info info;
	int irq_errno;
};

struct script_host *script_host_new(void);
void script_host_free(struct script_host *s);
void script_host_freep(struct script_host **s);

/* The next request with @id gets this status and payload; @status < 0: no status at all. */
void script_answer(struct script_host *s, uint32_t id, int64_t status, const void *payload,
		   size_t len);

/* Send packets to the client now. */
void script_push_raw(struct script_host *s, const void *packet, size_t len);
void script_push_reply(struct script_host *s, uint32_t id, uint16_t seq, const void *payload,
		       size_t len);
void script_push_notification(struct script_host *s, uint32_t id, uint16_t seq, const void *payload,
			      size_t len);

/* Make one packet of a message in @ret (240 bytes). @type: 0 to 3 (abi C.1). Return: its length. */
size_t script_packet(uint8_t *ret, unsigned int type, unsigned int fragments, uint16_t seq,
		     uint32_t id, const void *content, size_t len);

/* The last request, or NULL. */
const struct script_request *script_last(const struct script_host *s);
