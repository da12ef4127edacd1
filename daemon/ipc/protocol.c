/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the programs: SEQPACKET datagrams with descriptors.
 *
 * The peer is not trusted: a message that is too long or has too many descriptors is refused, and
 * its descriptors are closed.
 */
#include "daemon/ipc/protocol.h"

#include "daemon/ipc/foreign.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define LINK_HEADER 8
#define LINK_STRING_MAX UINT16_MAX
#define ERRNO_MAX 4095 /* of Linux */
#define LINK_AGAIN_MS 50

union link_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * GHVM_LINK_FDS_MAX)];
};

void ghvm_link_message_done(struct ghvm_link_message *m)
{
	for (size_t i = 0; i < m->n_fds; i++)
		ghvm_close_foreign(m->fds[i]);
	m->n_fds = 0;
}

static void put_fds(struct msghdr *mh, union link_control *c, const int *fds, size_t n)
{
	struct cmsghdr *cm;

	if (!n)
		return;
	memset(c, 0, sizeof(*c));
	mh->msg_control = c->buf;
	mh->msg_controllen = CMSG_SPACE(sizeof(int) * n);
	cm = CMSG_FIRSTHDR(mh);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(cm), fds, sizeof(int) * n);
}

int ghvm_link_send(int sock, uint32_t type, const struct ghvm_put *payload, const int *fds,
		   size_t n_fds)
{
	uint8_t head[LINK_HEADER];
	struct ghvm_put w = { .buf = head, .cap = sizeof(head) };
	size_t len = payload ? payload->len : 0;
	struct iovec iov[] = { { head, sizeof(head) }, { payload ? payload->buf : NULL, len } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	union link_control control;
	ssize_t n;

	if ((payload && payload->bad) || len > GHVM_LINK_MAX - LINK_HEADER ||
	    n_fds > GHVM_LINK_FDS_MAX)
		return -EMSGSIZE;
	ghvm_put_u32(&w, type);
	ghvm_put_u32(&w, GHVM_LINK_VERSION);
	put_fds(&mh, &control, fds, n_fds);

	do
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

bool ghvm_link_try_later(int r)
{
	return r == -EAGAIN || r == -EINTR || r == -ENOBUFS || r == -ENOMEM || r == -ETOOMANYREFS;
}

int ghvm_link_send_within(int sock, uint32_t type, const struct ghvm_put *payload, const int *fds,
			  size_t n_fds, unsigned int ms)
{
	int r;

	for (;;) {
		r = ghvm_link_send(sock, type, payload, fds, n_fds);
		if (!ghvm_link_try_later(r) || ms < LINK_AGAIN_MS)
			return r;
		(void)poll(NULL, 0, LINK_AGAIN_MS); /* waking early is harmless */
		ms -= LINK_AGAIN_MS;
	}
}

/*
 * Add the received descriptors to the message, so that they are closed if it turns out to be bad.
 * False: too many. Without credentials the control buffer has space for more than a message may
 * have.
 */
static bool get_fds(const struct cmsghdr *cm, struct ghvm_link_message *m)
{
	size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool fit = true;
	int fd;

	for (size_t i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(cm) + i * sizeof(fd), sizeof(fd));
		fit = m->n_fds < GHVM_LINK_FDS_MAX;
		if (fit)
			m->fds[m->n_fds++] = fd;
		else
			ghvm_close_foreign(fd);
	}
	return fit;
}

static void get_sender(const struct cmsghdr *cm, struct ghvm_link_message *m)
{
	struct ucred sender;

	memcpy(&sender, CMSG_DATA(cm), sizeof(sender));
	m->pid = sender.pid;
	m->uid = sender.uid;
	m->gid = sender.gid;
}

/* Read the control data of a message. */
static bool get_control(struct msghdr *mh, struct ghvm_link_message *m)
{
	bool fit = true;

	m->n_fds = 0;
	m->pid = 0;
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
		if (cm->cmsg_level != SOL_SOCKET)
			continue;
		if (cm->cmsg_type == SCM_RIGHTS)
			fit = get_fds(cm, m) && fit;
		else if (cm->cmsg_type == SCM_CREDENTIALS)
			get_sender(cm, m);
	}
	return fit;
}

static int read_head(struct ghvm_link_message *m, size_t len)
{
	struct ghvm_get g = { .buf = m->buf, .len = len };
	uint32_t version;

	m->type = ghvm_get_u32(&g);
	version = ghvm_get_u32(&g);
	if (g.bad || version != GHVM_LINK_VERSION)
		return -EBADMSG;
	m->payload = g;
	return 1;
}

int ghvm_link_recv(int sock, struct ghvm_link_message *ret)
{
	struct iovec iov = { ret->buf, sizeof(ret->buf) };
	union link_control control;
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	ssize_t n;
	bool fit;
	int r;

	do
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;

	fit = get_control(&mh, ret);
	if (n == 0 && !ret->n_fds)
		return 0; /* end of file: even an empty message has a header */
	if (mh.msg_flags & MSG_CTRUNC && ret->n_fds < GHVM_LINK_FDS_MAX)
		r = -EMFILE; /* the control buffer had space: this process is out of descriptors */
	else if (!fit || mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		r = -EBADMSG;
	else
		r = read_head(ret, (size_t)n);
	if (r < 0)
		ghvm_link_message_done(ret);
	return r;
}

int ghvm_link_ask_sender(int sock)
{
	const int on = 1;

	return setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

static const char *const sent_rests[GHVM_LINK_KINDS] = {
	[GHVM_LINK_KERNEL] = "kernel",
	[GHVM_LINK_INITRD] = "initrd",
};

const char *ghvm_link_sent_rest(enum ghvm_link_kind kind)
{
	return sent_rests[kind];
}

enum ghvm_link_kind ghvm_link_sent_kind(const char *rest)
{
	for (unsigned int i = 0; i < GHVM_LINK_KINDS; i++)
		if (sent_rests[i] && !strcmp(sent_rests[i], rest))
			return (enum ghvm_link_kind)i;
	return (enum ghvm_link_kind)0;
}

int ghvm_link_get_errno(struct ghvm_get *g)
{
	int32_t code = (int32_t)ghvm_get_u32(g);

	return code < 0 && code >= -ERRNO_MAX ? code : -EIO;
}

void ghvm_link_put_string(struct ghvm_put *w, const char *s)
{
	size_t n = strlen(s);

	if (n > LINK_STRING_MAX) {
		w->bad = true;
		return;
	}
	ghvm_put_u16(w, (uint16_t)n);
	ghvm_put_bytes(w, s, n);
}

void ghvm_link_get_string(struct ghvm_get *g, char *ret, size_t cap)
{
	size_t n = ghvm_get_u16(g);

	if (n >= cap || (!g->bad && n <= g->len && memchr(g->buf, 0, n)))
		g->bad = true;
	ghvm_get_bytes(g, ret, g->bad ? 0 : n);
	ret[g->bad ? 0 : n] = '\0';
}

static void put_device(struct ghvm_put *w, const struct ghvm_link_device *d)
{
	ghvm_link_put_string(w, d->kind);
	ghvm_put_u16(w, d->nth);
	ghvm_put_u64(w, d->ipa);
	ghvm_put_u32(w, d->doorbell);
	ghvm_put_u8(w, (uint8_t)d->state);
	ghvm_put_u8(w, (uint8_t)d->backend);
	ghvm_put_u16(w, d->n_queues);
	ghvm_put_u16(w, d->n_ready);
	ghvm_put_u64(w, d->requests);
	ghvm_put_u64(w, d->from_guest);
	ghvm_put_u64(w, d->to_guest);
	ghvm_put_u64(w, d->errors);
	ghvm_put_u64(w, d->faults);
	ghvm_put_u64(w, d->losses);
}

void ghvm_link_put_devices(struct ghvm_put *w, const struct ghvm_link_device *v, size_t n)
{
	ghvm_put_u16(w, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		put_device(w, &v[i]);
}

static void get_device(struct ghvm_get *g, struct ghvm_link_device *ret)
{
	ghvm_link_get_string(g, ret->kind, sizeof(ret->kind));
	ret->nth = ghvm_get_u16(g);
	ret->ipa = ghvm_get_u64(g);
	ret->doorbell = ghvm_get_u32(g);
	ret->state = (enum ghvm_link_device_state)ghvm_get_u8(g);
	ret->backend = (enum ghvm_link_backend)ghvm_get_u8(g);
	ret->n_queues = ghvm_get_u16(g);
	ret->n_ready = ghvm_get_u16(g);
	ret->requests = ghvm_get_u64(g);
	ret->from_guest = ghvm_get_u64(g);
	ret->to_guest = ghvm_get_u64(g);
	ret->errors = ghvm_get_u64(g);
	ret->faults = ghvm_get_u64(g);
	ret->losses = ghvm_get_u64(g);
}

static bool is_kind(const char *s)
{
	return *s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-")];
}

int ghvm_link_get_devices(struct ghvm_get *g, struct ghvm_link_device ret[GHVM_LINK_DEVICES_MAX])
{
	const size_t n = ghvm_get_u16(g);

	if (g->bad || n > GHVM_LINK_DEVICES_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		get_device(g, &ret[i]);
		if (g->bad || !is_kind(ret[i].kind) || ret[i].state >= GHVM_LINK_DEVICE_STATES ||
		    ret[i].backend >= GHVM_LINK_BACKENDS)
			return -EBADMSG;
	}
	return (int)n;
}
