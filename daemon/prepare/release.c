/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Send RELEASE and wait for the reply, even if the manager is restarted.
 */
#include "daemon/prepare/release.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "libghvm/base/cleanup.h"
#include "daemon/ipc/protocol.h"
#include "libghvm/base/printable.h"

#define RETRY_MS 500
#define SEND_MS 10000 /* for the kernel to have memory for a message */

/**
 * struct patience - time limits
 * @deadline: for the reply, in total
 * @absent_ms: for a manager to read the request
 */
struct patience {
	uint64_t deadline;
	unsigned int absent_ms;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int release_dial(const char *path, struct ghvm_error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_(closep) int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		return ghvm_error_set(err, -ENAMETOOLONG, "%s: socket path too long", path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return ghvm_error_set(err, -errno, "cannot reach the manager at %s: %s", path,
				      strerror(errno));
	return TAKE_FD(sock);
}

/* Older managers ignore unknown messages. */
static int send_release(int sock, const char *name, bool wanted)
{
	uint8_t buf[64];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int r = 0;

	if (wanted)
		r = ghvm_link_send_within(sock, GHVM_LINK_WANTED, NULL, NULL, 0, SEND_MS);
	if (r < 0)
		return r;
	ghvm_link_put_string(&w, name);
	return ghvm_link_send_within(sock, GHVM_LINK_RELEASE, &w, NULL, 0, SEND_MS);
}

/* u64 pages, text */
static int take_answer(struct ghvm_link_message *m, uint64_t *ret_pages, char *text)
{
	uint64_t pages = ghvm_get_u64(&m->payload);

	ghvm_link_get_string(&m->payload, text, GHVM_ERROR_TEXT);
	if (m->payload.bad)
		return -EBADMSG;
	ghvm_make_printable(text);
	*ret_pages = pages;
	return 0;
}

/*
 * The request was not read. Without a manager, systemd holds the socket, and it does not start a manager
 * before units ordered after it have stopped. This unit is one of them and would wait forever.
 */
static bool is_unread(int sock)
{
	int n;

	return ioctl(sock, SIOCOUTQ, &n) == 0 && n > 0;
}

/* Return: 0; -EPIPE the manager has exited; -EHOSTDOWN there is no manager; -ETIMEDOUT; -EBADMSG. */
static int wait_for_answer(int sock, const struct patience *patience, uint64_t *ret_pages,
			   char *text)
{
	uint64_t now = now_ms(), absent = now + patience->absent_ms;
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct ghvm_link_message m;
	uint64_t next;
	int r;

	for (;;) {
		now = now_ms();
		if (now >= patience->deadline)
			return -ETIMEDOUT;
		if (now >= absent && is_unread(sock))
			return -EHOSTDOWN;
		next = now < absent && absent < patience->deadline ? absent : patience->deadline;
		if (poll(&p, 1, (int)(next - now)) <= 0)
			continue;
		r = ghvm_link_recv(sock, &m);
		if (ghvm_link_try_later(r))
			continue;
		if (r != 1)
			return r == -EBADMSG ? r : -EPIPE;
		r = m.type == GHVM_LINK_RELEASED ? take_answer(&m, ret_pages, text) : 1;
		ghvm_link_message_done(&m);
		if (r <= 0)
			return r;
	}
}

static int try_once(const char *path, const char *name, bool wanted,
		    const struct patience *patience, uint64_t *ret_pages, char *text,
		    struct ghvm_error *err)
{
	_cleanup_(closep) int sock = release_dial(path, err);
	int r;

	if (sock < 0)
		return sock;
	r = send_release(sock, name, wanted);
	if (r == 0)
		r = wait_for_answer(sock, patience, ret_pages, text);
	return r < 0 ? ghvm_error_set(err, r, "no reply from the manager: %s", strerror(-r)) : 0;
}

/* A restarted manager continues what its predecessor began, so try again. */
static bool worth_another(int r)
{
	return r == -EPIPE || r == -ECONNREFUSED || r == -ECONNRESET;
}

int release_run(const char *path, const char *name, bool wanted, unsigned int timeout_ms,
		uint64_t *ret_pages, char *text, struct ghvm_error *err)
{
	const struct patience patience = {
		.deadline = now_ms() + timeout_ms,
		.absent_ms = timeout_ms / 4,
	};
	int r;

	for (;;) {
		r = try_once(path, name, wanted, &patience, ret_pages, text, err);
		if (!worth_another(r) || now_ms() + RETRY_MS >= patience.deadline)
			return r;
		(void)poll(NULL, 0, RETRY_MS); /* an early return is harmless */
	}
}
