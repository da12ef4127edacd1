/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ethernet frames in a stream, as QEMU's "-netdev stream" and passt(1) have them: u32 size, big-endian, and so many
 * bytes.
 *
 * The process at the other end is not trusted. A size that no frame has ends the stream: what follows it means nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghvm/error.h"

#define FRAME_MIN 14	/* the header of Ethernet */
#define FRAME_MAX 65535 /* as passt has it */
#define FRAME_HEAD 4	/* in the stream, before each */

#define FRAMES_SIZE 131072 /* at least two of the largest */

/**
 * struct frames - the bytes of a stream that were received, or are to be sent
 * @first, @end: of them in @bytes
 *
 * Thread: one.
 */
struct frames {
	size_t first;
	size_t end;
	uint8_t bytes[FRAMES_SIZE];
};

/* Forget all of them. */
void frames_clear(struct frames *f);

/* ---- what was received ---- */

/**
 * frames_receive() - add what has arrived at @fd, without waiting
 *
 * Return: number of bytes; 0: nothing was there, or there is no room; -EPIPE the stream has ended; errno of recv().
 */
int frames_receive(struct frames *f, int fd);

/**
 * frames_peek() - the first frame
 * @ret: borrowed, until the next call with @f
 *
 * Return: its size, FRAME_MIN to FRAME_MAX; 0: it is not complete; -EBADMSG with a message: it is no stream of frames.
 */
int frames_peek(struct frames *f, const uint8_t **ret, struct ghvm_error *err);

/* Remove the frame that frames_peek() has returned. */
void frames_drop(struct frames *f);

/* ---- what is to be sent ---- */

/* Is there room for one more frame of any size? */
bool frames_have_room(const struct frames *f);

/* Where a frame of @size bytes goes, at most FRAME_MAX; there is room. The caller writes it. */
uint8_t *frames_add(struct frames *f, size_t size);

/* Send as much as @fd takes without waiting. Return: 0; negative errno of send(). */
int frames_send(struct frames *f, int fd);

bool frames_empty(const struct frames *f);
