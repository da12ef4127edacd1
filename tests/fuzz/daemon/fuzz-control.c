/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A runner that a guest has taken over, and the manager. */
#include "daemon/manager/vm/runner-link.h"
#include "daemon/ipc/region-fds.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "daemon/ipc/protocol.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/messages.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/**
 * struct told - what the manager's part was told
 * @gone: once, and then nothing more
 */
struct told {
	unsigned int hellos;
	unsigned int gone;
};

static void speaks(struct told *t)
{
	PROMISE(t->hellos == 1 && !t->gone);
}

static void on_hello(void *data, struct ghvm_vmid vmid, uint64_t incarnation)
{
	((struct told *)data)->hellos++;
	speaks(data);
}

static void on_ready(void *data)
{
	speaks(data);
}

static void on_exited(void *data, uint64_t state, uint64_t data0)
{
	speaks(data);
}

static void on_stopping(void *data, enum ghvm_link_how how)
{
	speaks(data);
	PROMISE(how <= GHVM_LINK_REBOOT);
}

static void on_console(void *data, uint32_t serial, int fd)
{
	socklen_t n = sizeof(int);
	int type;

	speaks(data);
	PROMISE(fd >= -4095);
	PROMISE(fd < 0 ||
		(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM));
}

static void on_devices(void *data, uint32_t serial, const struct ghvm_link_device *v, int n)
{
	speaks(data);
	PROMISE(n >= 0 && n <= GHVM_LINK_DEVICES_MAX);
	for (int i = 0; i < n; i++)
		PROMISE(*v[i].kind && v[i].state < GHVM_LINK_DEVICE_STATES &&
			v[i].backend < GHVM_LINK_BACKENDS);
}

static void on_region_fd(void *data, uint32_t label, int fd)
{
	speaks(data);
	PROMISE(ghvm_region_fd_sealed(fd));
}

static void on_sent_fd(void *data, enum ghvm_link_kind kind, int fd)
{
	uint64_t size;

	speaks(data);
	PROMISE(kind == GHVM_LINK_KERNEL || kind == GHVM_LINK_INITRD);
	PROMISE(ghvm_file_sealed(fd, INT64_MAX, &size, NULL) == 0);
}

static void on_pong(void *data, uint32_t serial)
{
	speaks(data);
}

static void on_gone(void *data, const char *why)
{
	PROMISE(*why && !((struct told *)data)->gone++);
}

static bool is_gone(const void *data)
{
	return ((const struct told *)data)->gone;
}

static int make_region(void)
{
	int fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	PROMISE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct control_calls calls = { on_hello,	  on_ready,   on_exited,
						    on_stopping,  on_console, on_devices,
						    on_region_fd, on_sent_fd, on_pong,
						    on_gone };
	static struct loop *loop;
	static int fds[MESSAGE_KINDS];
	struct told told = {};
	struct control c;
	int peer, before;

	if (!loop) {
		PROMISE(loop_new(&loop) == 0);
		fds[1] = (int)syscall(SYS_pidfd_open, getpid(), 0);
		fds[2] = make_region();
		fds[3] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		messages_quiet();
	}
	before = messages_next_fd();
	control_init(&c, loop, &calls, &told);
	PROMISE(control_pair(&c, &peer) == 0);
	PROMISE(fcntl(peer, F_SETFL, O_NONBLOCK) == 0);
	messages_send(peer, data, size, fds);
	PROMISE(loop_run_until(loop, is_gone, &told) == 0);
	PROMISE(told.gone == 1);
	control_done(&c);
	(void)close(peer);
	for (int i = 0; messages_next_fd() != before && i < 1000; i++)
		(void)usleep(1000); /* a foreign one is closed in its own time */
	PROMISE(messages_next_fd() == before);
	return 0;
}
