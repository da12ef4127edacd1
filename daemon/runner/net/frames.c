/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes are moved to the beginning of the buffer when there is no room behind them.
 */
#include "daemon/runner/net/frames.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

static_assert(FRAMES_SIZE >= 2 * (FRAME_HEAD + FRAME_MAX - FRAME_MIN),
	      "one frame is received while another one is not complete");

void frames_clear(struct frames *f)
{
	f->first = f->end = 0;
}

bool frames_empty(const struct frames *f)
{
	return f->first == f->end;
}

static void move_to_begin(struct frames *f)
{
	if (!f->first)
		return;
	memmove(f->bytes, f->bytes + f->first, f->end - f->first);
	f->end -= f->first;
	f->first = 0;
}

static bool is_again(void)
{
	return errno == EAGAIN || errno == EINTR;
}

int frames_receive(struct frames *f, int fd)
{
	ssize_t n;

	if (f->end == FRAMES_SIZE)
		move_to_begin(f);
	if (f->end == FRAMES_SIZE)
		return 0;
	n = recv(fd, f->bytes + f->end, FRAMES_SIZE - f->end, MSG_DONTWAIT);
	if (n < 0)
		return is_again() ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	f->end += (size_t)n;
	return (int)n;
}

/* The size of the first frame; there are FRAME_HEAD bytes. */
static uint32_t first_size(const struct frames *f)
{
	const uint8_t *at = f->bytes + f->first;

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

int frames_peek(struct frames *f, const uint8_t **ret, struct ghvm_error *err)
{
	uint32_t size;

	if (f->end - f->first < FRAME_HEAD)
		return 0;
	size = first_size(f);
	if (size < FRAME_MIN || size > FRAME_MAX)
		return ghvm_error_set(err, -EBADMSG, "it sends a frame of %" PRIu32 " bytes", size);
	if (f->end - f->first - FRAME_HEAD < size)
		return 0;
	*ret = f->bytes + f->first + FRAME_HEAD;
	return (int)size;
}

void frames_drop(struct frames *f)
{
	f->first += FRAME_HEAD + first_size(f);
	if (frames_empty(f))
		frames_clear(f);
}

bool frames_have_room(const struct frames *f)
{
	return FRAMES_SIZE - (f->end - f->first) >= FRAME_HEAD + FRAME_MAX;
}

uint8_t *frames_add(struct frames *f, size_t size)
{
	uint8_t *at;

	if (FRAMES_SIZE - f->end < FRAME_HEAD + size)
		move_to_begin(f);
	at = f->bytes + f->end;
	at[0] = at[1] = 0; /* FRAME_MAX has two bytes */
	at[2] = (uint8_t)(size >> 8);
	at[3] = (uint8_t)size;
	f->end += FRAME_HEAD + size;
	return at + FRAME_HEAD;
}

int frames_send(struct frames *f, int fd)
{
	ssize_t n;

	while (!frames_empty(f)) {
		n = send(fd, f->bytes + f->first, f->end - f->first, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return is_again() ? 0 : -errno;
		f->first += (size_t)n;
	}
	frames_clear(f);
	return 0;
}
