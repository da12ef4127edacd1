/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A manager under control of an attacker, and the start helper, which is root. */
#include "daemon/prepare/session.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "daemon/ipc/protocol.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/messages.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *dirs[2];
static int fds[MESSAGE_KINDS];

static void prepare(void)
{
	/* of the transient VM "sent", which has no descriptor on disk */
	static const char sent[] = "version: 1\nmemory: {size: 2M, hugepages: never}\n"
				   "regions: [{label: 7, size: 4K}]\nkernel: {image: fd:k}\n"
				   "devices: [{console: {logging: none}}]\n";
	char text[512];
	int n;

	dirs[0] = messages_folder();
	n = snprintf(text, sizeof(text),
		     "version: 1\nmemory: {size: 2M, hugepages: never}\n"
		     "regions: [{label: 7, size: 4K}]\ncpus: {count: 2}\n"
		     "kernel: {image: %s/Image}\n",
		     dirs[0]);
	messages_file(dirs[0], "demo.yaml", text, (size_t)n);
	messages_file(dirs[0], "Image", "kernel", 6);
	messages_file(dirs[0], "secret", "secret", 6);
	fds[1] = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fds[2] = ghvm_file_seal("sent", sent, strlen(sent));
	PROMISE(fds[2] >= 0);
	fds[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
	messages_quiet();
}

/* Files below the folder: the kernel, and the logs, of which a descriptor has 3 by default. */
static bool is_own_file(const char *target)
{
	static const char *const names[] = { "/Image", "/demo.log", "/demo.log.1", "/demo.log.2" };
	const size_t folder = strlen(dirs[0]);

	if (strncmp(target, dirs[0], folder))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(target + folder, names[i]))
			return true;
	return false;
}

/* Memory of the descriptor's sizes, its kernel, its logs, and nothing else. */
static void check_given(int fd)
{
	char path[64], target[256];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	PROMISE(n > 0);
	target[n] = '\0';
	PROMISE(!strncmp(target, "/memfd:ram ", 11) || !strncmp(target, "/memfd:region-1 ", 16) ||
		is_own_file(target));
}

static void drain(int sock)
{
	struct ghvm_link_message m;

	while (ghvm_link_recv(sock, &m) == 1) {
		PROMISE(m.type == GHVM_LINK_HELLO || m.type == GHVM_LINK_GIVE ||
			m.type == GHVM_LINK_GIVEN || m.type == GHVM_LINK_ERROR);
		PROMISE(m.n_fds == (m.type == GHVM_LINK_GIVE));
		for (size_t i = 0; i < m.n_fds; i++) {
			check_given(m.fds[i]);
			(void)close(TAKE_FD(m.fds[i]));
		}
		ghvm_link_message_done(&m);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store store = { .keep = true };
	struct session s = { .name = size & 1 ? "demo" : "sent",
			     .log_dir = dirs[0],
			     .vms_dirs = dirs,
			     .store = &store };
	struct ghvm_error err = {};
	int pair[2], r, before;

	if (!dirs[0]) {
		prepare();
		s.log_dir = dirs[0];
	}
	before = messages_next_fd();
	PROMISE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	PROMISE(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
	PROMISE(ghvm_link_ask_sender(pair[1]) ==
		0); /* the first messages are sent before it asks */
	messages_send(pair[0], data, size, fds);
	s.sock = pair[1];
	r = session_run(&s, &err);
	PROMISE(r == 0 || *err.msg);
	PROMISE(r == 0 || store.n == 0);
	PROMISE(store.n <= STORE_MAX);
	drain(pair[0]);
	store_done(&store);
	(void)close(pair[0]);
	(void)close(pair[1]);
	for (int i = 0; messages_next_fd() != before && i < 1000; i++)
		(void)usleep(1000); /* a foreign one is closed in its own time */
	PROMISE(messages_next_fd() == before);
	return 0;
}
