/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resource manager packets: a message cut into fragments, and put together again (abi C.1).
 *
 * Pure. RM never interleaves the fragments of two messages; if it interleaved those of a reply
 * and a notification, nothing would be lost, as each kind has its own assembly.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_PACKET_HEADER 8
#define GHVM_PACKET_CONTENT 232
#define GHVM_PACKET_SIZE (GHVM_PACKET_HEADER + GHVM_PACKET_CONTENT)
#define GHVM_PACKET_FRAGMENTS_MAX 62 /* continuations of one message */
#define GHVM_PACKET_MESSAGE_MAX ((GHVM_PACKET_FRAGMENTS_MAX + 1) * GHVM_PACKET_CONTENT)

enum ghvm_packet_type {
	GHVM_PACKET_CONTINUATION = 0,
	GHVM_PACKET_REQUEST = 1,
	GHVM_PACKET_REPLY = 2,
	GHVM_PACKET_NOTIFICATION = 3,
};

/* How many packets a payload of @len bytes takes, at least 1. */
unsigned int ghvm_packet_count(size_t len);

/**
 * ghvm_packet_build() - packet number @index of a request
 * @payload: all of it, @len bytes, at most GHVM_PACKET_MESSAGE_MAX
 *
 * Return: bytes written to @ret.
 */
size_t ghvm_packet_build(uint32_t id, uint16_t seq, const uint8_t *payload, size_t len,
			 unsigned int index, uint8_t ret[GHVM_PACKET_SIZE]);

/**
 * struct ghvm_assembly - a message being assembled from packets
 * @left: packets missing; 0: none begun, or complete
 * @fragments: the same in each of its packets
 */
struct ghvm_assembly {
	enum ghvm_packet_type type;
	unsigned int left;
	unsigned int fragments;
	uint16_t seq;
	uint32_t id;
	size_t len;
	uint8_t buf[GHVM_PACKET_MESSAGE_MAX];
};

/* Begins as zeroes. */
struct ghvm_assembler {
	struct ghvm_assembly reply;
	struct ghvm_assembly notification;
};

/**
 * ghvm_assembler_feed() - process one received packet
 * @packet: @len bytes, not trusted; dropped if it fits no message
 *
 * Return: the message that it completes, valid until the next call; or NULL.
 */
const struct ghvm_assembly *ghvm_assembler_feed(struct ghvm_assembler *a, const uint8_t *packet,
						size_t len);
