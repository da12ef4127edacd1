/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hostile peers are made of.
 */
#include "tests/fuzz/messages.h"

#include "libghvm/base/cleanup.h"
#include "daemon/ipc/protocol.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGES_MAX 64

static char folder[] = "/tmp/ghvm-fuzz-XXXXXX";

static size_t choose_fds(uint8_t kinds, const int fds[MESSAGE_KINDS], int ret[4])
{
	size_t n = 0;

	for (; kinds & 3; kinds >>= 2)
		ret[n++] = fds[kinds & 3];
	return n;
}

void messages_send(int sock, const uint8_t *data, size_t size, const int fds[MESSAGE_KINDS])
{
	struct ghvm_get g = { .buf = data, .len = size };
	uint8_t buf[GHVM_LINK_MAX];
	int chosen[4];

	for (int i = 0; i < MESSAGES_MAX && g.len >= 4; i++) {
		const uint32_t type = ghvm_get_u8(&g);
		const size_t n_fds = choose_fds(ghvm_get_u8(&g), fds, chosen);
		size_t len = ghvm_get_u16(&g);
		struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) - 8 };

		len = len > g.len ? g.len : len;
		len = len > w.cap ? w.cap : len;
		ghvm_get_bytes(&g, buf, len);
		w.len = len;
		if (ghvm_link_send(sock, type, &w, chosen, n_fds) < 0)
			break;
	}
	(void)shutdown(sock, SHUT_WR); /* it may have gone already */
}

int messages_next_fd(void)
{
	int fd = open("/", O_PATH | O_CLOEXEC);

	PROMISE(fd >= 0);
	(void)close(fd);
	return fd;
}

static void remove_folder(void)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command))
		fprintf(stderr, "%s: not removed\n", folder);
}

const char *messages_folder(void)
{
	PROMISE(mkdtemp(folder));
	PROMISE(atexit(remove_folder) == 0);
	return folder;
}

void messages_file(const char *dir, const char *name, const void *text, size_t size)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	PROMISE(f);
	PROMISE(fwrite(text, 1, size, f) == size);
}

void messages_quiet(void)
{
	stderr = fopen("/dev/null", "we"); /* the stream alone, not the descriptor */
	PROMISE(stderr);
}
