/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * u32 request, u32 flags, u32 size, payload of @size bytes. In the byte order of the host, which is
 * little-endian wherever Gunyah runs.
 */
#include "daemon/runner/virtio/vhost-link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "libghvm/base/cleanup.h"

#define HEADER_SIZE 12
#define CONFIG_HEADER_SIZE 12
#define PAYLOAD_MAX (CONFIG_HEADER_SIZE + 256)
#define MESSAGE_MAX (HEADER_SIZE + PAYLOAD_MAX)

enum vhost_flag {
	FLAG_VERSION = 1, /* of the message; bits 0 and 1 */
	FLAG_REPLY = 4,
	FLAG_NEED_REPLY = 8,
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The path of the descriptor: a name that leads to this socket and to nothing else. */
int vhost_link_open(struct vhost_link *l, int socket_path)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (fd < 0)
		return -errno;
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d",
		       socket_path); /* fits */
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	*l = (struct vhost_link){ .fd = TAKE_FD(fd) };
	return 0;
}

void vhost_link_close(struct vhost_link *l)
{
	closep(&l->fd);
	*l = (struct vhost_link){ .fd = -1 };
}

void vhost_link_limit(struct vhost_link *l, unsigned int ms)
{
	l->until = now_ms() + ms;
}

/* ---- bytes ---- */

static int wait_for(const struct vhost_link *l, short events)
{
	struct pollfd p = { .fd = l->fd, .events = events };
	uint64_t now = now_ms();

	if (now >= l->until)
		return -ETIMEDOUT;
	if (poll(&p, 1, (int)(l->until - now)) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

static bool is_again(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void put_fds(struct msghdr *m, void *control, const int *fds, size_t n)
{
	struct cmsghdr *c;

	m->msg_control = control;
	m->msg_controllen = CMSG_SPACE(n * sizeof(int));
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
}

/* The descriptors go with the first byte. */
static int send_bytes(struct vhost_link *l, const uint8_t *bytes, size_t n, const int *fds,
		      size_t n_fds)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(VHOST_FDS_MAX * sizeof(int))] = {};
	size_t done = 0;
	ssize_t sent;
	int r;

	while (done < n) {
		struct iovec v = { .iov_base = (void *)(bytes + done), .iov_len = n - done };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

		if (!done && n_fds)
			put_fds(&m, control, fds, n_fds);
		sent = sendmsg(l->fd, &m, MSG_NOSIGNAL);
		if (sent < 0 && !is_again(sent))
			return -EPIPE;
		r = sent < 0 ? wait_for(l, POLLOUT) : 0;
		if (r < 0)
			return r;
		done += sent < 0 ? 0 : (size_t)sent;
	}
	return 0;
}

/* Without room for them, the kernel closes descriptors that come along. */
static int receive_bytes(struct vhost_link *l, uint8_t *ret, size_t n)
{
	size_t done = 0;
	ssize_t got;
	int r;

	while (done < n) {
		got = recv(l->fd, ret + done, n - done, 0);
		if (got == 0 || (got < 0 && !is_again(got)))
			return -EPIPE;
		r = got < 0 ? wait_for(l, POLLIN) : 0;
		if (r < 0)
			return r;
		done += got < 0 ? 0 : (size_t)got;
	}
	return 0;
}

/* What still comes is dropped; a back-end that sends without end has the same time limit. */
int vhost_link_finish(struct vhost_link *l, unsigned int ms)
{
	uint8_t dropped[MESSAGE_MAX];
	ssize_t got;
	int r = 0;

	vhost_link_limit(l, ms);
	(void)shutdown(l->fd, SHUT_WR); /* fails if the back-end has ended it */
	do {
		r = wait_for(l, POLLIN);
		got = r < 0 ? 0 : recv(l->fd, dropped, sizeof(dropped), 0);
	} while (got > 0 || is_again(got));
	return r;
}

/* ---- messages ---- */

static int explain(int r, enum vhost_request request, struct ghvm_error *err)
{
	const char *why = "it closed the connection";

	if (r == -ETIMEDOUT)
		why = "it does not answer in time";
	else if (r == -EBADMSG)
		why = "its answer is malformed";
	else if (r == -EPROTO)
		why = "it refuses";
	return ghvm_error_set(err, r, "%s (vhost-user request %d)", why, request);
}

static int send_message(struct vhost_link *l, enum vhost_request request, uint32_t flags,
			const struct ghvm_put *payload, const int *fds, size_t n_fds)
{
	uint8_t buf[MESSAGE_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, request);
	ghvm_put_u32(&w, FLAG_VERSION | flags);
	ghvm_put_u32(&w, payload ? (uint32_t)payload->len : 0);
	if (payload)
		ghvm_put_bytes(&w, payload->buf, payload->len);
	if (w.bad || (payload && payload->bad) || n_fds > VHOST_FDS_MAX)
		return -EINVAL;
	return send_bytes(l, buf, w.len, fds, n_fds);
}

/* The reply to @request, of exactly @size bytes. */
static int receive_reply(struct vhost_link *l, enum vhost_request request, uint8_t *ret,
			 size_t size)
{
	uint8_t header[HEADER_SIZE];
	struct ghvm_get g = { .buf = header, .len = sizeof(header) };
	uint32_t is, flags;
	int r;

	r = receive_bytes(l, header, sizeof(header));
	if (r < 0)
		return r;
	is = ghvm_get_u32(&g);
	flags = ghvm_get_u32(&g);
	if (is != request || (flags & ~(uint32_t)FLAG_NEED_REPLY) != (FLAG_VERSION | FLAG_REPLY) ||
	    ghvm_get_u32(&g) != size)
		return -EBADMSG;
	return receive_bytes(l, ret, size);
}

static int receive_u64(struct vhost_link *l, enum vhost_request request, uint64_t *ret)
{
	uint8_t payload[8];
	struct ghvm_get g = { .buf = payload, .len = sizeof(payload) };
	int r = receive_reply(l, request, payload, sizeof(payload));

	if (r == 0)
		*ret = ghvm_get_u64(&g);
	return r;
}

static int receive_ack(struct vhost_link *l, enum vhost_request request)
{
	uint64_t refused = 0;
	int r = receive_u64(l, request, &refused);

	return r == 0 && refused ? -EPROTO : r;
}

int vhost_link_set(struct vhost_link *l, enum vhost_request request, const struct ghvm_put *payload,
		   const int *fds, size_t n_fds, struct ghvm_error *err)
{
	int r = send_message(l, request, l->acks ? FLAG_NEED_REPLY : 0, payload, fds, n_fds);

	if (r == 0 && l->acks)
		r = receive_ack(l, request);
	return r < 0 ? explain(r, request, err) : 0;
}

int vhost_link_set_u64(struct vhost_link *l, enum vhost_request request, uint64_t value,
		       struct ghvm_error *err)
{
	uint8_t buf[8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u64(&w, value);
	return vhost_link_set(l, request, &w, NULL, 0, err);
}

int vhost_link_get_u64(struct vhost_link *l, enum vhost_request request, uint64_t *ret,
		       struct ghvm_error *err)
{
	int r = send_message(l, request, 0, NULL, NULL, 0);

	if (r == 0)
		r = receive_u64(l, request, ret);
	return r < 0 ? explain(r, request, err) : 0;
}

/* u32 offset, u32 size, u32 flags, size * u8; the same in both directions */
int vhost_link_get_config(struct vhost_link *l, uint8_t *ret, size_t n, struct ghvm_error *err)
{
	uint8_t buf[PAYLOAD_MAX], reply[PAYLOAD_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int r;

	ghvm_put_u32(&w, 0);
	ghvm_put_u32(&w, (uint32_t)n);
	ghvm_put_u32(&w, 0);
	ghvm_put_zero(&w, n);
	r = send_message(l, VHOST_GET_CONFIG, 0, &w, NULL, 0);
	if (r == 0)
		r = receive_reply(l, VHOST_GET_CONFIG, reply, CONFIG_HEADER_SIZE + n);
	if (r < 0)
		return explain(r, VHOST_GET_CONFIG, err);
	memcpy(ret, reply + CONFIG_HEADER_SIZE, n);
	return 0;
}
