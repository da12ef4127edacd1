/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames in a stream, from a process that lies. The input: u16 n, and a stream that arrives in pieces of up to n bytes.
 * Each frame is compared with what the stream has at its place, and sent on; what comes out must be the same stream.
 */
#include "daemon/runner/net/frames.h"
#include "libghvm/base/wire.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_MAX 200000

/**
 * struct stream - what has been checked
 * @in: the whole; @done: bytes of it that were returned as frames, with their heads
 */
struct stream {
	struct ghvm_get in;
	size_t done;
	struct frames received;
	struct frames sent;
};

/* Sent to a socket that takes a part of it at a time. */
static void send_on(struct stream *s, const uint8_t *frame, size_t size)
{
	size_t before = s->sent.end - s->sent.first;

	if (!frames_have_room(&s->sent))
		frames_clear(&s->sent);
	else
		PROMISE(before <= FRAMES_SIZE - FRAME_HEAD - FRAME_MAX);
	before = s->sent.end - s->sent.first;
	memcpy(frames_add(&s->sent, size), frame, size);
	PROMISE(s->sent.end <= FRAMES_SIZE);
	PROMISE(s->sent.end - s->sent.first == before + FRAME_HEAD + size);
	PROMISE(!memcmp(s->sent.bytes + s->sent.end - size - FRAME_HEAD, s->in.buf + s->done,
			FRAME_HEAD + size));
}

/* Return: false: the stream is over. */
static bool take_frames(struct stream *s)
{
	const uint8_t *frame;
	int size;

	while ((size = frames_peek(&s->received, &frame, NULL)) > 0) {
		PROMISE(size >= FRAME_MIN && size <= FRAME_MAX);
		PROMISE(!memcmp(frame, s->in.buf + s->done + FRAME_HEAD, (size_t)size));
		send_on(s, frame, (size_t)size);
		s->done += FRAME_HEAD + (size_t)size;
		frames_drop(&s->received);
	}
	return size == 0;
}

static void play(struct stream *s, const int sockets[2], size_t piece)
{
	for (size_t at = 0; at < s->in.len;) {
		const size_t n = piece < s->in.len - at ? piece : s->in.len - at;
		int got;

		PROMISE(write(sockets[1], s->in.buf + at, n) == (ssize_t)n);
		got = frames_receive(&s->received, sockets[0]);
		PROMISE(got > 0 && (size_t)got <= n);
		while ((size_t)got < n) { /* there was less room at the end of the buffer */
			if (!take_frames(s))
				return;
			got += frames_receive(&s->received, sockets[0]);
		}
		at += n;
		if (!take_frames(s))
			return;
		PROMISE(s->received.end - s->received.first == at - s->done);
		PROMISE(s->received.end - s->received.first < FRAME_HEAD + FRAME_MAX);
	}
	PROMISE(frames_receive(&s->received, sockets[0]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stream s; /* too large for the stack */
	struct ghvm_get in = { .buf = data, .len = size };
	const size_t piece = ghvm_get_u16(&in);
	int sockets[2];

	if (in.bad || in.len > STREAM_MAX)
		return 0;
	s.in = in;
	s.done = 0;
	frames_clear(&s.received);
	frames_clear(&s.sent);
	PROMISE(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	play(&s, sockets, piece ? piece : 1);
	(void)close(sockets[0]);
	(void)close(sockets[1]);
	return 0;
}
