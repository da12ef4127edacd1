/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/runner/manager-link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "libghvm/base/cleanup.h"

static void set_nonblocking(int fd)
{
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* cannot fail on a socket */
}

void control_init(struct control *c, int fd, int listen)
{
	*c = (struct control){ .fd = fd, .listen = listen };
	set_nonblocking(fd);
	set_nonblocking(listen);
}

void control_drop(struct control *c)
{
	ghvm_link_queue_done(&c->queue);
	closep(&c->fd);
	c->fd = -1;
}

void control_done(struct control *c)
{
	control_drop(c);
	closep(&c->listen);
	c->listen = -1;
}

bool control_accept(struct control *c)
{
	int fd = accept4(c->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return false;
	control_drop(c);
	c->fd = fd;
	return true;
}

int control_receive(struct control *c, struct ghvm_link_message *ret)
{
	int r = ghvm_link_recv(c->fd, ret);

	if (ghvm_link_try_later(r) || r == -EMFILE)
		return 0;
	return r == 1 ? 1 : -EPIPE;
}

static void after_sending(struct control *c, int r)
{
	if (r == 0)
		return;
	fprintf(stderr, SD_WARNING "Cannot talk to the manager: %s\n", strerror(-r));
	control_drop(c);
}

static void post_message(struct control *c, uint32_t type, const struct ghvm_put *payload,
			 const int *fds, size_t n_fds)
{
	if (c->fd >= 0)
		after_sending(c, ghvm_link_post(&c->queue, c->fd, type, payload, fds, n_fds));
}

int control_timeout(const struct control *c)
{
	return ghvm_link_waits(&c->queue) ? GHVM_LINK_AGAIN_MS : -1;
}

void control_flush(struct control *c)
{
	if (c->fd >= 0)
		after_sending(c, ghvm_link_flush(&c->queue, c->fd));
}

/* u16 vmid, u64 incarnation; pidfd */
void control_hello(struct control *c, struct ghvm_vmid vmid, uint64_t incarnation)
{
	_cleanup_(closep) int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	uint8_t buf[16];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid.id);
	ghvm_put_u64(&w, incarnation);
	post_message(c, GHVM_LINK_RUNNER, &w, &pidfd, pidfd >= 0);
}

void control_ready(struct control *c)
{
	post_message(c, GHVM_LINK_READY, NULL, NULL, 0);
}

/* u64 run state, u64 data0 */
void control_exited(struct control *c, uint64_t state, uint64_t data0)
{
	uint8_t buf[16];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u64(&w, state);
	ghvm_put_u64(&w, data0);
	post_message(c, GHVM_LINK_EXITED, &w, NULL, 0);
}

/* u8 how */
void control_stopping(struct control *c, enum ghvm_link_how how)
{
	uint8_t buf[1];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u8(&w, (uint8_t)how);
	post_message(c, GHVM_LINK_STOP, &w, NULL, 0);
}

/* u32 serial */
void control_pong(struct control *c, struct ghvm_link_message *ping)
{
	uint32_t serial = ghvm_get_u32(&ping->payload);
	uint8_t buf[4];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, serial);
	if (!ping->payload.bad)
		post_message(c, GHVM_LINK_PONG, &w, NULL, 0);
}

/* u32 label; a memfd */
void control_region_fd(struct control *c, uint32_t label, int fd)
{
	uint8_t buf[4];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, label);
	post_message(c, GHVM_LINK_REGION_FD, &w, &fd, 1);
}

/* u8 kind; a memfd */
void control_sent_fd(struct control *c, enum ghvm_link_kind kind, int fd)
{
	uint8_t buf[1];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u8(&w, (uint8_t)kind);
	post_message(c, GHVM_LINK_SENT_FD, &w, &fd, 1);
}

/* u32 serial, devices */
void control_devices(struct control *c, struct ghvm_link_message *question,
		     const struct devices *devices)
{
	const uint32_t serial = ghvm_get_u32(&question->payload);
	struct ghvm_link_device v[GHVM_PLAN_DEVICES_MAX];
	const size_t n = devices_report(devices, v);
	uint8_t buf[GHVM_LINK_MAX / 2];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, serial);
	ghvm_link_put_devices(&w, v, n);
	if (!question->payload.bad)
		post_message(c, GHVM_LINK_DEVICES, &w, NULL, 0);
}

/* u32 serial, "", u32 errno; a socket */
void control_console_is(struct control *c, uint32_t serial, int fd, bool plain)
{
	uint8_t buf[16];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, serial);
	ghvm_link_put_string(&w, "");
	if (!plain)
		ghvm_put_u32(&w, fd < 0 ? (uint32_t)-fd : 0);
	post_message(c, GHVM_LINK_CONSOLE_IS, &w, &fd, fd >= 0);
}
