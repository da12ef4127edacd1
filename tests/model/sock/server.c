/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main loop: sockets that act as files, and the effects of closing them.
 *
 * Each round handles closed files first and then one request per file: so a client that closes a
 * pin and then lists the quarantine finds it there.
 */
#include "tests/model/sock/server.h"

#include "libghvm/hyp/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 1024
#define QUEUE_MAX 4096
#define LINE_MAX_BYTES 1024
#define FDS_MAX 4 /* accepted in a packet; two have a meaning */
#define RAM_BASE 0x80000000ULL

static volatile sig_atomic_t signalled;

uint64_t server_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void server_violation(struct server *s, const char *what, uint64_t pa, uint64_t length)
{
	s->counters.violations++;
	fprintf(stderr, "ghvm-model: VIOLATION: %s: %#llx bytes from %#llx\n", what,
		(unsigned long long)length, (unsigned long long)pa);
}

/* ---- files ---- */

int server_add_file(struct server *s, enum file_kind kind, int fd, struct file **ret)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP };
	struct file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	/* grants change hands, so each packet needs its sender */
	(void)setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int));
	f->kind = kind;
	f->fd = fd;
	ev.data.ptr = f;
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		free(f);
		return -errno;
	}
	f->next = s->files;
	s->files = f;
	if (ret)
		*ret = f;
	return 0;
}

int server_new_file(struct server *s, enum file_kind kind, struct file **ret, int *ret_fd)
{
	int sv[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	error = server_add_file(s, kind, sv[0], ret);
	if (error < 0) {
		(void)close(sv[0]);
		(void)close(sv[1]);
		return error;
	}
	(*ret)->pid = s->caller;
	*ret_fd = sv[1];
	return 0;
}

/*
 * Release a file that the client has closed. It is freed later, as an event of this round may
 * refer to it.
 */
static void release_file(struct server *s, struct file *f)
{
	if (f->dead)
		return;
	f->dead = true;
	(void)close(f->fd); /* also removes it from epoll */
	irq_release(s, f);
	if (f->pin)
		pin_release(s, f->pin);
	if (f->grant)
		grant_release(s, f->grant);
}

static void sweep_files(struct server *s)
{
	struct file **p = &s->files;

	while (*p) {
		struct file *f = *p;

		if (!f->dead) {
			p = &f->next;
			continue;
		}
		*p = f->next;
		free(f->line);
		free(f);
	}
}

/* ---- requests ---- */

static void take_control(struct msghdr *msg, int fds[FDS_MAX], pid_t *pid)
{
	struct ucred cred;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&cred, CMSG_DATA(c), sizeof(cred));
		if (cred.pid > 0) /* 0: sent before SO_PASSCRED was set */
			*pid = cred.pid;
	}
}

/*
 * Return: bytes; 0: closed; or a negative errno. Missing descriptors are -1; @pid: the sender, if
 * known.
 */
static ssize_t receive_request(struct server *s, int from, int fds[FDS_MAX], pid_t *pid)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = { s->in, GHVM_SOCK_PACKET_MAX };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;

	for (int i = 0; i < FDS_MAX; i++)
		fds[i] = -1;
	n = recvmsg(from, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	take_control(&msg, fds, pid);
	return msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EMSGSIZE : n;
}

/* The client may not read the answer. */
static void send_answer(int to, const struct request *rq, int result)
{
	const struct ghvm_sock_reply head = { .result = result };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec iov[2] = { { (void *)(uintptr_t)&head, sizeof(head) },
				{ rq->out, result < 0 ? 0 : rq->out_len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (rq->out_fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &rq->out_fd, sizeof(int));
	}
	(void)!sendmsg(to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void close_all(const int fds[FDS_MAX])
{
	for (int i = 0; i < FDS_MAX; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
}

/* False: the file was closed. */
static bool on_request(struct server *s, struct file *f)
{
	int fds[FDS_MAX];
	struct ghvm_sock_request head;
	struct request rq = { .out = s->out, .out_fd = -1 };
	ssize_t n = receive_request(s, f->fd, fds, &f->pid);

	if (n == -EAGAIN)
		return true;
	if (n < (ssize_t)sizeof(head)) { /* too long or too short: not a request */
		close_all(fds);
		return n > 0 || n == -EMSGSIZE;
	}
	memcpy(&head, s->in, sizeof(head));
	rq.op = head.op;
	rq.arg = s->in + sizeof(head);
	rq.len = (size_t)n - sizeof(head);
	rq.fd = fds[1];
	if (fds[0] >= 0) {
		int result = dispatch(s, f, &rq);

		if (result != DISPATCH_KILLED)
			send_answer(fds[0], &rq, result);
	}
	fds[1] = rq.fd;
	if (rq.out_fd >= 0)
		(void)close(rq.out_fd);
	close_all(fds);
	return true;
}

static pid_t peer_of(int fd)
{
	struct ucred cred = { 0 };
	socklen_t size = sizeof(cred);

	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size); /* else 0 */
	return cred.pid;
}

static void on_listen(struct server *s, const struct file *f)
{
	enum file_kind kind = f->kind == FILE_LISTEN ? FILE_HOST : FILE_CONTROL;
	int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);
	struct file *added = NULL;

	if (fd < 0)
		return;
	if (server_add_file(s, kind, fd, &added) < 0)
		(void)close(fd);
	else
		added->pid = peer_of(fd);
}

/* ---- the control socket: a stream of lines ---- */

static bool take_byte(struct server *s, struct file *f, char c)
{
	if (c != '\n') {
		if (f->line_len == LINE_MAX_BYTES - 1)
			return false;
		f->line[f->line_len++] = c;
		return true;
	}
	f->line[f->line_len] = 0;
	f->line_len = 0;
	control_line(s, f->fd, f->line);
	return true;
}

static bool on_control(struct server *s, struct file *f)
{
	char buf[LINE_MAX_BYTES];
	ssize_t n = recv(f->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	if (!f->line)
		f->line = malloc(LINE_MAX_BYTES);
	for (ssize_t i = 0; f->line && i < n; i++) {
		if (!take_byte(s, f, buf[i]))
			return false;
	}
	return f->line != NULL;
}

/* ---- the loop ---- */

static void on_file(struct server *s, struct file *f)
{
	bool open = true;

	if (f->dead)
		return;
	if (f->kind == FILE_LISTEN || f->kind == FILE_CONTROL_LISTEN)
		on_listen(s, f);
	else if (f->kind == FILE_CONTROL)
		open = on_control(s, f);
	else
		open = on_request(s, f);
	if (!open)
		release_file(s, f);
}

/* Requests sent before the close are still handled; no queue is longer than this. */
static void on_closed(struct server *s, struct file *f)
{
	for (int i = 0; i < QUEUE_MAX && !f->dead; i++)
		on_file(s, f);
	release_file(s, f);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* Do work that is due. Return: milliseconds until the next. */
static int on_clock(struct server *s)
{
	uint64_t now = server_now(), next;

	if (s->later && s->later <= now) {
		s->later = 0;
		model_work(s->model);
	}
	if (s->release_at && s->release_at <= now) {
		s->release_at = 0;
		model_hold_rm(s->model, false);
	}
	next = sooner(sooner(s->later, s->release_at), puppet_timers(s, now));
	if (!next)
		return -1;
	return next <= now ? 0 : (int)((next - now) / 1000000 + 1);
}

static void on_events(struct server *s, const struct epoll_event *v, int n)
{
	for (int i = 0; i < n; i++) {
		struct file *f = v[i].data.ptr;

		if (v[i].events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR))
			on_closed(s, f);
	}
	for (int i = 0; i < n; i++)
		on_file(s, v[i].data.ptr);
	sweep_files(s);
}

int server_run(struct server *s)
{
	static struct epoll_event events[EVENTS_MAX];

	while (!s->quit && !signalled) {
		int n = epoll_wait(s->epoll, events, EVENTS_MAX, on_clock(s));

		if (n < 0 && errno != EINTR)
			return -errno;
		on_events(s, events, n);
	}
	return 0;
}

/* ---- start and end ---- */

static void on_signal(int signo)
{
	signalled = 1;
}

static void catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };

	(void)sigaction(SIGTERM, &act, NULL); /* these cannot fail */
	(void)sigaction(SIGINT, &act, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Remove a stale socket file; keep anything else. */
static int listen_at(struct server *s, const char *path, int type, enum file_kind kind)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 && errno == ECONNREFUSED)
		(void)unlink(path);
	(void)close(fd);

	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, SOMAXCONN) < 0)
		error = -errno;
	else
		error = server_add_file(s, kind, fd, NULL);
	if (error < 0)
		(void)close(fd);
	return error;
}

static int listen_all(struct server *s)
{
	int error = listen_at(s, s->options->path, SOCK_SEQPACKET, FILE_LISTEN);

	if (error < 0 || !s->options->control)
		return error;
	return listen_at(s, s->options->control, SOCK_STREAM, FILE_CONTROL_LISTEN);
}

static int make_server(struct server *s)
{
	int error;

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->in = malloc(GHVM_SOCK_PACKET_MAX);
	s->out = malloc(GHVM_SOCK_PACKET_MAX);
	if (s->epoll < 0 || !s->in || !s->out)
		return -ENOMEM;
	error = ram_init(&s->ram, RAM_BASE, s->options->ram, s->options->fragment);
	if (error == 0)
		error = machine_init(s);
	return error < 0 ? error : listen_all(s);
}

int server_init(struct server *s, const struct options *options)
{
	int error;

	*s = (struct server){ .options = options, .epoll = -1 };
	catch_signals();
	error = make_server(s);
	if (error < 0)
		server_done(s);
	return error;
}

void server_done(struct server *s)
{
	bool listening = false;

	for (struct file *f = s->files; f; f = f->next) {
		listening |= f->kind == FILE_LISTEN;
		f->pin = NULL; /* the end of the model is not a violation */
		release_file(s, f);
	}
	sweep_files(s);
	if (listening) {
		(void)unlink(s->options->path);
		if (s->options->control)
			(void)unlink(s->options->control);
	}
	while (s->pins) {
		struct pin *p = s->pins;

		s->pins = p->next;
		free(p->extents);
		free(p);
	}
	machine_done(s);
	ram_done(&s->ram);
	if (s->epoll >= 0)
		(void)close(s->epoll);
	free(s->in);
	free(s->out);
}
