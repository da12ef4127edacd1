/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection to a runner.
 */
#include "daemon/manager/vm/runner-link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/manager/core/log.h"
#include "daemon/ipc/region-fds.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"

#define CONSOLE_PATH_SIZE 64 /* of a pty, sent by older runners */
#define ERRNO_MAX 4095

void control_init(struct control *c, struct loop *loop, const struct control_calls *calls,
		  void *data)
{
	*c = (struct control){
		.loop = loop,
		.calls = calls,
		.data = data,
		.fd = -1,
		.pidfd = -1,
	};
}

void control_done(struct control *c)
{
	loop_watch_done(&c->watch);
	loop_watch_done(&c->death);
	loop_watch_done(&c->again);
	ghvm_link_queue_done(&c->queue);
	closep(&c->fd);
	closep(&c->pidfd);
	c->fd = c->pidfd = -1;
	c->pid = 0;
}

bool control_connected(const struct control *c)
{
	return c->fd >= 0;
}

static void gone(struct control *c, const char *why)
{
	if (!control_connected(c))
		return;
	control_done(c);
	c->calls->on_gone(c->data, why);
}

static void on_death(void *data)
{
	gone(data, "the runner died");
}

/* Read "Pid:" from the fdinfo of a pidfd. Return: 0 if it is no pidfd, or the process was reaped. */
static pid_t pid_of(int pidfd)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[64], line[128];
	long pid;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd); /* fits */
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pid: %ld", &pid) == 1)
			return pid > 0 ? (pid_t)pid : 0;
	return 0;
}

/* u16 vmid, u64 incarnation; pidfd */
static int take_hello(struct control *c, struct ghvm_link_message *m)
{
	struct ghvm_vmid vmid = { ghvm_get_u16(&m->payload) };
	uint64_t incarnation = ghvm_get_u64(&m->payload);
	int r;

	if (ghvm_get_end(&m->payload) < 0 || m->n_fds != 1 || c->pidfd >= 0)
		return -EBADMSG;
	/* the pidfd could be of another process */
	c->pid = pid_of(m->fds[0]) == m->pid ? m->pid : 0;
	if (!c->pid)
		return -EBADMSG;
	c->pidfd = TAKE_FD(m->fds[0]);
	r = loop_watch_read(c->loop, &c->death, c->pidfd, on_death, c);
	if (r < 0)
		return r;
	c->calls->on_hello(c->data, vmid, incarnation);
	return 0;
}

/* u64 run state, u64 data0 */
static int take_exited(struct control *c, struct ghvm_link_message *m)
{
	uint64_t state = ghvm_get_u64(&m->payload), data0 = ghvm_get_u64(&m->payload);

	if (ghvm_get_end(&m->payload) < 0)
		return -EBADMSG;
	c->calls->on_exited(c->data, state, data0);
	return 0;
}

/* u8 how */
static int take_stopping(struct control *c, struct ghvm_link_message *m)
{
	uint8_t how = ghvm_get_u8(&m->payload);

	if (ghvm_get_end(&m->payload) < 0 || how > GHVM_LINK_REBOOT)
		return -EBADMSG;
	c->calls->on_stopping(c->data, (enum ghvm_link_how)how);
	return 0;
}

/* The runner is not trusted: only pass a stream socket on to a client. */
static bool is_stream(int fd)
{
	int domain, type;
	socklen_t n = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM;
}

/* u32 serial, string, u32 errno; 1 file descriptor or none. Older runners send no errno. */
static int take_console(struct control *c, struct ghvm_link_message *m)
{
	uint32_t serial = ghvm_get_u32(&m->payload);
	char path[CONSOLE_PATH_SIZE];
	uint32_t error;
	int fd;

	ghvm_link_get_string(&m->payload, path, sizeof(path));
	error = m->payload.len ? ghvm_get_u32(&m->payload) : ENOTTY;
	if (ghvm_get_end(&m->payload) < 0 || m->n_fds > 1 || error > ERRNO_MAX)
		return -EBADMSG;
	if (m->n_fds)
		fd = is_stream(m->fds[0]) ? m->fds[0] : -EPROTOTYPE;
	else
		fd = error ? -(int)error : -ENOTTY;
	c->calls->on_console(c->data, serial, fd);
	return 0;
}

/* u32 serial, devices */
static int take_devices(struct control *c, struct ghvm_link_message *m)
{
	struct ghvm_link_device v[GHVM_LINK_DEVICES_MAX];
	const uint32_t serial = ghvm_get_u32(&m->payload);
	const int n = ghvm_link_get_devices(&m->payload, v);

	if (n < 0 || ghvm_get_end(&m->payload) < 0)
		return -EBADMSG;
	c->calls->on_devices(c->data, serial, v, n);
	return 0;
}

/* u32 label; a memfd. Nothing else is kept: closing another file may block. */
static int take_region_fd(struct control *c, struct ghvm_link_message *m)
{
	uint32_t label = ghvm_get_u32(&m->payload);

	if (ghvm_get_end(&m->payload) < 0 || m->n_fds != 1 || !ghvm_region_fd_sealed(m->fds[0]))
		return -EBADMSG;
	c->calls->on_region_fd(c->data, label, m->fds[0]);
	return 0;
}

/*
 * u8 kind; a memfd. Its owner is not the runner: a runner could make a file of its own that looks like the
 * first one. Without a user of its own, as in tests, it is the manager's.
 */
static int take_sent_fd(struct control *c, struct ghvm_link_message *m)
{
	enum ghvm_link_kind kind = (enum ghvm_link_kind)ghvm_get_u8(&m->payload);
	struct ghvm_error err = {};
	uint64_t size = 0;
	struct stat st;

	if (ghvm_get_end(&m->payload) < 0 || m->n_fds != 1 || kind >= GHVM_LINK_KINDS ||
	    !ghvm_link_sent_rest(kind) || ghvm_file_sealed(m->fds[0], INT64_MAX, &size, &err) < 0)
		return -EBADMSG;
	if (fstat(m->fds[0], &st) < 0 || (st.st_uid == m->uid && m->uid != geteuid()))
		return -EBADMSG;
	c->calls->on_sent_fd(c->data, kind, m->fds[0]);
	return 0;
}

/* u32 serial */
static int take_pong(struct control *c, struct ghvm_link_message *m)
{
	uint32_t serial = ghvm_get_u32(&m->payload);

	if (ghvm_get_end(&m->payload) < 0)
		return -EBADMSG;
	c->calls->on_pong(c->data, serial);
	return 0;
}

static bool has_fds(uint32_t type)
{
	return type == GHVM_LINK_RUNNER || type == GHVM_LINK_CONSOLE_IS ||
	       type == GHVM_LINK_REGION_FD || type == GHVM_LINK_SENT_FD;
}

static int handle_message(struct control *c, struct ghvm_link_message *m)
{
	/* the first message must be RUNNER */
	if (c->pidfd < 0 && m->type != GHVM_LINK_RUNNER)
		return -EBADMSG;
	/* closing an unexpected file descriptor may need a thread (foreign.h) */
	if (m->n_fds && !has_fds(m->type))
		return -EBADMSG;
	switch (m->type) {
	case GHVM_LINK_RUNNER:
		return take_hello(c, m);
	case GHVM_LINK_READY:
		c->calls->on_ready(c->data);
		return 0;
	case GHVM_LINK_EXITED:
		return take_exited(c, m);
	case GHVM_LINK_STOP:
		return take_stopping(c, m);
	case GHVM_LINK_CONSOLE_IS:
		return take_console(c, m);
	case GHVM_LINK_DEVICES:
		return take_devices(c, m);
	case GHVM_LINK_REGION_FD:
		return take_region_fd(c, m);
	case GHVM_LINK_SENT_FD:
		return take_sent_fd(c, m);
	case GHVM_LINK_PONG:
		return take_pong(c, m);
	}
	return 0;
}

static void on_readable(void *data)
{
	struct control *c = data;
	struct ghvm_link_message m;
	int r;

	r = ghvm_link_recv(c->fd, &m);
	if (ghvm_link_try_later(r))
		return;
	if (r == -EMFILE) {
		log_warning(NULL, r, "Lost a message to a runner");
		return;
	}
	if (r <= 0) {
		gone(c, r == -EBADMSG ? "the runner sent a malformed message"
				      : "the runner closed its connection");
		return;
	}
	r = handle_message(c, &m);
	ghvm_link_message_done(&m);
	if (r < 0)
		gone(c, "the runner sent a malformed message");
}

static int attach(struct control *c, int fd)
{
	int r = loop_watch_read(c->loop, &c->watch, fd, on_readable, c);

	if (r == 0)
		c->fd = fd;
	return r;
}

int control_pair(struct control *c, int *ret_peer)
{
	int sv[2], r;

	control_done(c); /* a refused runner may still be connected */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	/*
	 * Only the manager's end: a runner that does not read must not block it. SO_PEERCRED would
	 * name the manager itself, which has made the pair.
	 */
	r = fcntl(sv[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : ghvm_link_ask_sender(sv[0]);
	if (r == 0)
		r = attach(c, sv[0]);
	if (r < 0) {
		(void)close(sv[0]);
		(void)close(sv[1]);
		return r;
	}
	*ret_peer = sv[1];
	return 0;
}

static int address(const char *dir, const char *name, struct sockaddr_un *ret)
{
	int n;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%s", dir, name);
	return n < 0 || (size_t)n >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}

int control_listen(const char *dir, const char *name)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	int r;

	if (fd < 0)
		return -errno;
	r = address(dir, name, &addr);
	if (r < 0)
		return r;
	control_unlisten(dir, name);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 2) < 0)
		return -errno;
	return TAKE_FD(fd);
}

void control_unlisten(const char *dir, const char *name)
{
	struct sockaddr_un addr;

	if (address(dir, name, &addr) == 0)
		(void)unlink(addr.sun_path); /* may not exist */
}

int control_dial(struct control *c, const char *dir, const char *name)
{
	_cleanup_(closep) int fd =
		socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;
	int r;

	if (fd < 0)
		return -errno;
	r = address(dir, name, &addr);
	if (r == 0)
		r = ghvm_link_ask_sender(fd); /* SO_PEERCRED names the creator of the listener */
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	r = attach(c, fd);
	if (r == 0)
		(void)TAKE_FD(fd);
	return r;
}

static void on_again(void *data);

/* @r: result of a post or flush. If the connection is broken, the loop reads its end. */
static void after_sending(struct control *c, int r)
{
	if (r == 0 && ghvm_link_waits(&c->queue)) {
		if (!loop_watching(&c->again))
			r = loop_watch_timer(c->loop, &c->again, on_again, c);
		if (r == 0)
			r = loop_timer_arm(&c->again, GHVM_LINK_AGAIN_MS);
	}
	if (r == 0)
		return;
	if (r != -EPIPE)
		log_warning(NULL, r, "Lost the connection to a runner");
	(void)shutdown(c->fd, SHUT_RDWR);
}

static void on_again(void *data)
{
	struct control *c = data;

	after_sending(c, ghvm_link_flush(&c->queue, c->fd));
}

static void send_message(struct control *c, uint32_t type, const struct ghvm_put *payload,
			 const int *fds, size_t n_fds)
{
	if (control_connected(c))
		after_sending(c, ghvm_link_post(&c->queue, c->fd, type, payload, fds, n_fds));
}

void control_started(struct control *c)
{
	send_message(c, GHVM_LINK_STARTED, NULL, NULL, 0);
}

void control_refused(struct control *c, const char *text)
{
	uint8_t buf[GHVM_ERROR_TEXT + 2];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_link_put_string(&w, text);
	send_message(c, GHVM_LINK_REFUSED, &w, NULL, 0);
}

void control_ended(struct control *c, enum ghvm_exit_type type, enum ghvm_link_action action)
{
	uint8_t buf[8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, type);
	ghvm_put_u32(&w, action);
	send_message(c, GHVM_LINK_ENDED, &w, NULL, 0);
}

void control_rebuilt(struct control *c, int machine, int grant)
{
	const int fds[2] = { machine, grant };

	send_message(c, GHVM_LINK_REBUILT, NULL, fds, 2);
}

void control_stop(struct control *c, enum ghvm_link_how how)
{
	uint8_t buf[1];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u8(&w, how);
	send_message(c, GHVM_LINK_STOP, &w, NULL, 0);
}

static void send_number(struct control *c, uint32_t type, uint32_t number, const int *fds,
			size_t n_fds)
{
	uint8_t buf[4];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, number);
	send_message(c, type, &w, fds, n_fds);
}

void control_region_fd(struct control *c, uint32_t label, int fd)
{
	send_number(c, GHVM_LINK_REGION_FD, label, &fd, 1);
}

void control_region_gone(struct control *c, uint32_t label)
{
	send_number(c, GHVM_LINK_REGION_GONE, label, NULL, 0);
}

void control_ask_region_fds(struct control *c)
{
	send_message(c, GHVM_LINK_REGION_FDS, NULL, NULL, 0);
}

void control_ask_sent_fds(struct control *c)
{
	send_message(c, GHVM_LINK_SENT_FDS, NULL, NULL, 0);
}

void control_ping(struct control *c, uint32_t serial)
{
	send_number(c, GHVM_LINK_PING, serial, NULL, 0);
}

void control_ask_console(struct control *c, uint32_t serial, uint8_t flags)
{
	uint8_t buf[8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, serial);
	ghvm_put_u8(&w, flags);
	send_message(c, GHVM_LINK_CONSOLE, &w, NULL, 0);
}

void control_ask_devices(struct control *c, uint32_t serial)
{
	send_number(c, GHVM_LINK_DEVICES, serial, NULL, 0);
}
