/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ghvm_host_ops over a socket to the model: a call is one packet there and one back, on a socket
 * created for it.
 *
 * Two spare descriptors let a process that has run out of descriptors still make hypercalls, as
 * with the module. Otherwise a client that makes the process open many files would make it
 * believe that the resource manager is dead.
 */
#include "libghvm/hyp/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"

#define CALL_SEND 0x1b /* the hypercalls that take a buffer, abi A.4 */
#define CALL_RECEIVE 0x1c
#define PARTS_MAX 4
#define FDS_MAX 2

#define SPARE_TRIES 100
#define SPARE_AGAIN_MS 10

/**
 * struct sock - a host
 * @spare: descriptors to be closed when the process has run out of them; guarded by @lock
 */
struct sock {
	struct ghvm_host host;
	int fd;
	pthread_mutex_t lock;
	int spare[2];
};

/**
 * struct call - one request and its reply
 * @fd: host, pin or grant to call
 * @parts: parts of the request after its header
 * @pass: descriptor to send, -1: none
 * @reply: buffers for the parts of the reply, filled in order
 * @got: bytes received
 * @ret_fd: descriptor received, or -1
 */
struct call {
	int fd;
	uint32_t op;
	struct iovec parts[PARTS_MAX];
	size_t n_parts;
	int pass;
	struct iovec reply[PARTS_MAX];
	size_t n_reply;
	size_t got;
	int ret_fd;
};

static void add_part(struct call *c, const void *p, size_t n)
{
	c->parts[c->n_parts++] = (struct iovec){ (void *)(uintptr_t)p, n };
}

static void add_reply_part(struct call *c, void *p, size_t n)
{
	c->reply[c->n_reply++] = (struct iovec){ p, n };
}

static void attach_fds(struct msghdr *msg, const int *fds, size_t n)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	msg->msg_controllen = CMSG_SPACE(n * sizeof(int));
}

static int send_request(struct call *c, int reply_fd)
{
	const struct ghvm_sock_request head = { .op = c->op };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {};
	struct iovec iov[1 + PARTS_MAX] = { { (void *)(uintptr_t)&head, sizeof(head) } };
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 1 + c->n_parts,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	const int fds[FDS_MAX] = { reply_fd, c->pass };
	ssize_t n;

	memcpy(iov + 1, c->parts, c->n_parts * sizeof(c->parts[0]));
	attach_fds(&msg, fds, c->pass >= 0 ? 2 : 1);
	do
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EPIPE || errno == ECONNRESET ? -ENODEV : -errno;
	return 0;
}

static int get_fd(struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	int fd;

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS ||
	    cmsg->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

static int receive_reply(struct call *c, int from)
{
	struct ghvm_sock_reply head;
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov[1 + PARTS_MAX] = { { &head, sizeof(head) } };
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 1 + c->n_reply,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;

	memcpy(iov + 1, c->reply, c->n_reply * sizeof(c->reply[0]));
	do
		n = recvmsg(from, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -ENODEV : -errno;
	if (n == 0)
		return -ENODEV; /* the model is gone */
	c->ret_fd = get_fd(&msg);
	if ((size_t)n < sizeof(head) || msg.msg_flags & MSG_TRUNC)
		return -EBADMSG;
	c->got = (size_t)n - sizeof(head);
	return head.result;
}

/*
 * Make a call. Return: the result of the ioctl. A received descriptor is closed unless @wants_fd.
 */
static int run_call(struct call *c, bool wants_fd)
{
	_cleanup_(closep) int mine = -1;
	int sv[2], r;

	c->ret_fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	mine = sv[0];
	r = send_request(c, sv[1]);
	(void)close(sv[1]); /* the model has its own copy */
	if (r == 0)
		r = receive_reply(c, mine);
	if (c->ret_fd >= 0 && (r < 0 || !wants_fd)) {
		(void)close(c->ret_fd); /* not asked for */
		c->ret_fd = -1;
	}
	if (r >= 0 && wants_fd)
		return c->ret_fd >= 0 ? c->ret_fd : -EBADMSG;
	return r;
}

static void keep_spares(struct sock *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->spare); i++)
		if (s->spare[i] < 0)
			s->spare[i] = fcntl(s->fd, F_DUPFD_CLOEXEC,
					    0); /* on failure retried at the next call */
}

static void close_spares(struct sock *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->spare); i++) {
		closep(&s->spare[i]);
		s->spare[i] = -1;
	}
}

static bool no_descriptor(int r)
{
	return r == -EMFILE || r == -ENFILE;
}

/*
 * Without a descriptor nothing was sent, so repeat the call. Another thread may take a descriptor
 * just freed.
 */
static int run_call_with_spares(struct sock *s, struct call *c)
{
	int r = run_call(c, false);

	for (int i = 0; no_descriptor(r) && i < SPARE_TRIES; i++) {
		if (i)
			(void)poll(NULL, 0, SPARE_AGAIN_MS); /* early is no harm */
		pthread_mutex_lock(&s->lock);
		close_spares(s);
		r = run_call(c, false);
		keep_spares(s);
		pthread_mutex_unlock(&s->lock);
	}
	return r;
}

static int fd_of(const struct ghvm_host *h)
{
	return ((const struct sock *)h)->fd;
}

/* An ioctl with only a structure, which is returned in @ret unless NULL. */
static int struct_call(int fd, uint32_t op, const void *arg, size_t size, void *ret)
{
	struct call c = { .fd = fd, .op = op, .pass = -1 };
	int r;

	add_part(&c, arg, size);
	if (ret)
		add_reply_part(&c, ret, size);
	r = run_call(&c, false);
	if (r >= 0 && ret && c.got != size)
		return -EBADMSG;
	return r;
}

static int sock_info(struct ghvm_host *h, struct ghvm_info *ret)
{
	struct ghvm_info arg = { .size = sizeof(arg) }, got;
	int r = struct_call(fd_of(h), GHVM_INFO, &arg, sizeof(arg), &got);

	if (r < 0)
		return r;
	*ret = got;
	return 0;
}

/* The buffer of a hypercall and its size; 0: it has none. */
static uint64_t buffer_of(const struct ghvm_hcall *call, void **ret)
{
	if (call->call == CALL_SEND) {
		*ret = (void *)(uintptr_t)call->args[2];
		return call->args[1];
	}
	if (call->call == CALL_RECEIVE) {
		*ret = (void *)(uintptr_t)call->args[1];
		return call->args[2];
	}
	return 0;
}

static int sock_hcall(struct ghvm_host *h, struct ghvm_hcall *call)
{
	struct ghvm_hcall arg = *call, got;
	struct call c = { .fd = fd_of(h), .op = GHVM_HCALL, .pass = -1 };
	void *buffer = NULL;
	uint64_t n = buffer_of(call, &buffer);
	int r;

	if (n > GHVM_SOCK_BUFFER_MAX)
		return -EINVAL;
	arg.size = sizeof(arg);
	add_part(&c, &arg, sizeof(arg));
	add_reply_part(&c, &got, sizeof(got));
	if (call->call == CALL_SEND)
		add_part(&c, buffer, (size_t)n);
	else if (call->call == CALL_RECEIVE)
		add_reply_part(&c, buffer, (size_t)n);
	r = run_call_with_spares((struct sock *)h, &c);
	if (r < 0)
		return r;
	if (c.got < sizeof(got))
		return -EBADMSG;
	memcpy(call->results, got.results, sizeof(call->results));
	return 0;
}

static int sock_irq(struct ghvm_host *h, uint32_t kind, uint32_t virq, int eventfd)
{
	struct ghvm_irq arg = {
		.size = sizeof(arg), .kind = kind, .virq = virq, .eventfd = eventfd
	};
	struct call c = { .fd = fd_of(h), .op = GHVM_IRQ, .pass = eventfd };

	if (eventfd < -1)
		return -EINVAL;
	add_part(&c, &arg, sizeof(arg));
	return run_call(&c, false);
}

/* The socket passes @memfd; its number is the other side's. */
static int sock_pin(struct ghvm_host *h, int memfd, uint64_t offset, uint64_t length, bool readonly)
{
	struct ghvm_pin arg = { .size = sizeof(arg),
				.flags = readonly ? GHVM_PIN_READONLY : 0,
				.start = offset,
				.length = length };
	struct call c = { .fd = fd_of(h), .op = GHVM_PIN, .pass = memfd };

	if (memfd < 0)
		return -EBADF;
	add_part(&c, &arg, sizeof(arg));
	return run_call(&c, true);
}

static int sock_pin_status(struct ghvm_host *h, int pin, struct ghvm_pin_status *ret)
{
	struct ghvm_pin_status arg = { .size = sizeof(arg) }, got;
	int r = struct_call(pin, GHVM_PIN_STATUS, &arg, sizeof(arg), &got);

	if (r < 0)
		return r;
	*ret = got;
	return 0;
}

/* Read as many as fit into one packet; 0: no more. */
static int extents_once(int pin, uint64_t first, struct ghvm_extent *ret, uint32_t count)
{
	struct ghvm_pin_extents arg = { .size = sizeof(arg), .first = first }, got;
	struct call c = { .fd = pin, .op = GHVM_PIN_EXTENTS, .pass = -1 };
	const uint32_t most = GHVM_SOCK_DATA_MAX / sizeof(*ret);
	int r;

	arg.count = count < most ? count : most;
	add_part(&c, &arg, sizeof(arg));
	add_reply_part(&c, &got, sizeof(got));
	add_reply_part(&c, ret, arg.count * sizeof(*ret));
	r = run_call(&c, false);
	if (r < 0)
		return r;
	if (c.got < sizeof(got) || got.count > arg.count ||
	    c.got != sizeof(got) + got.count * sizeof(*ret))
		return -EBADMSG;
	return (int)got.count;
}

static int sock_pin_extents(struct ghvm_host *h, int pin, uint64_t first, struct ghvm_extent *ret,
			    uint32_t count)
{
	uint32_t n = 0;
	int r;

	if (count > INT32_MAX)
		return -EINVAL;
	do {
		r = extents_once(pin, first + n, ret + n, count - n);
		if (r < 0)
			return r;
		n += (uint32_t)r;
	} while (r && n < count);
	return (int)n;
}

static int sock_pin_set(struct ghvm_host *h, int pin, uint32_t state,
			const uint8_t tag[GHVM_TAG_SIZE])
{
	struct ghvm_pin_set arg = { .size = sizeof(arg), .state = state };

	memcpy(arg.tag, tag, sizeof(arg.tag));
	return struct_call(pin, GHVM_PIN_SET, &arg, sizeof(arg), NULL);
}

static int sock_pin_write(struct ghvm_host *h, int pin, uint64_t offset, const void *buf,
			  size_t length)
{
	const uint8_t *from = buf;

	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return -EFBIG;
	while (length) {
		size_t n = length < GHVM_SOCK_DATA_MAX ? length : GHVM_SOCK_DATA_MAX;
		struct ghvm_sock_write arg = { .offset = offset };
		struct call c = { .fd = pin, .op = GHVM_SOCK_WRITE, .pass = -1 };
		int r;

		add_part(&c, &arg, sizeof(arg));
		add_part(&c, from, n);
		r = run_call(&c, false);
		if (r < 0)
			return r;
		from += n;
		offset += n;
		length -= n;
	}
	return 0;
}

static void sock_pin_close(struct ghvm_host *h, int pin)
{
	(void)close(pin); /* the model sees the close */
}

static int sock_grant(struct ghvm_host *h, uint64_t id, const struct ghvm_grant_call *calls,
		      uint32_t n_calls, const uint32_t *virqs, uint32_t n_virqs)
{
	struct ghvm_grant arg = { .size = sizeof(arg), .id = id, .n_calls = n_calls };
	struct call c = { .fd = fd_of(h), .op = GHVM_GRANT, .pass = -1 };

	if (n_calls > GHVM_GRANT_MAX || n_virqs > GHVM_GRANT_MAX)
		return -EINVAL;
	arg.n_virqs = n_virqs;
	add_part(&c, &arg, sizeof(arg));
	add_part(&c, calls, n_calls * sizeof(*calls));
	add_part(&c, virqs, n_virqs * sizeof(*virqs));
	return run_call(&c, true);
}

static int sock_revoke(struct ghvm_host *h, uint64_t id)
{
	struct ghvm_revoke arg = { .size = sizeof(arg), .id = id };

	return struct_call(fd_of(h), GHVM_REVOKE, &arg, sizeof(arg), NULL);
}

static int list_once(int fd, uint64_t after, struct ghvm_quarantine_entry *ret, uint32_t count)
{
	struct ghvm_quarantine_list arg = { .size = sizeof(arg), .after = after }, got;
	struct call c = { .fd = fd, .op = GHVM_QUARANTINE_LIST, .pass = -1 };
	const uint32_t most = GHVM_SOCK_DATA_MAX / sizeof(*ret);
	int r;

	arg.count = count < most ? count : most;
	add_part(&c, &arg, sizeof(arg));
	add_reply_part(&c, &got, sizeof(got));
	add_reply_part(&c, ret, arg.count * sizeof(*ret));
	r = run_call(&c, false);
	if (r < 0)
		return r;
	if (c.got < sizeof(got) || got.count > arg.count ||
	    c.got != sizeof(got) + got.count * sizeof(*ret))
		return -EBADMSG;
	return (int)got.count;
}

static int sock_quarantine_list(struct ghvm_host *h, uint64_t after,
				struct ghvm_quarantine_entry *ret, uint32_t count)
{
	uint32_t n = 0;
	int r;

	if (count > INT32_MAX)
		return -EINVAL;
	do {
		r = list_once(fd_of(h), n ? ret[n - 1].id : after, ret + n, count - n);
		if (r < 0)
			return r;
		n += (uint32_t)r;
	} while (r && n < count);
	return (int)n;
}

static int sock_quarantine_adopt(struct ghvm_host *h, uint64_t id)
{
	struct ghvm_quarantine_adopt arg = { .size = sizeof(arg), .id = id };
	struct call c = { .fd = fd_of(h), .op = GHVM_QUARANTINE_ADOPT, .pass = -1 };

	add_part(&c, &arg, sizeof(arg));
	return run_call(&c, true);
}

/* The model's platform has no SCM. */
static int sock_assign(struct ghvm_host *h, struct ghvm_assign *arg)
{
	return -EOPNOTSUPP;
}

static void sock_close(struct ghvm_host *h)
{
	struct sock *s = (struct sock *)h;

	close_spares(s);
	(void)pthread_mutex_destroy(&s->lock);
	(void)close(s->fd); /* the model sees the close */
	free(s);
}

static const struct ghvm_host_ops sock_ops = {
	.info = sock_info,
	.hcall = sock_hcall,
	.irq = sock_irq,
	.pin = sock_pin,
	.pin_status = sock_pin_status,
	.pin_extents = sock_pin_extents,
	.pin_set = sock_pin_set,
	.pin_write = sock_pin_write,
	.pin_close = sock_pin_close,
	.grant = sock_grant,
	.revoke = sock_revoke,
	.quarantine_list = sock_quarantine_list,
	.quarantine_adopt = sock_quarantine_adopt,
	.assign = sock_assign,
	.close = sock_close,
};

int ghvm_sock_from_fd(int fd, struct ghvm_host **ret)
{
	struct sock *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct sock){ .host = { .ops = &sock_ops }, .fd = fd, .spare = { -1, -1 } };
	(void)pthread_mutex_init(&s->lock, NULL); /* without attributes it cannot fail */
	keep_spares(s);
	*ret = &s->host;
	return 0;
}

int ghvm_sock_open(const char *path, struct ghvm_host **ret, struct ghvm_error *err)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int r;

	if (fd < 0)
		return ghvm_error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	if (strlen(path) >= sizeof(addr.sun_path))
		return ghvm_error_set(err, -ENAMETOOLONG, "unix:%s: too long", path);
	memcpy(addr.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		r = errno == ENOENT || errno == ECONNREFUSED ? -ENODEV : -errno;
		return ghvm_error_set(err, r, "unix:%s: no model listens there: %s", path,
				      strerror(errno));
	}
	r = ghvm_sock_from_fd(fd, ret);
	if (r < 0)
		return ghvm_error_set(err, r, "unix:%s: %s", path, strerror(-r));
	fd = -1;
	return 0;
}
