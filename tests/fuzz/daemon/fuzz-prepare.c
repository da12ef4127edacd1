/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A start helper that says anything, and the manager. The host below can do nothing, so a build ends
 * at its first step, the pin; the helper is gone at once, maybe before that.
 */
#include "daemon/manager/manager.h"
#include "daemon/manager/start/helpers.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/messages.h"
#include "tests/fakes/queue-peer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
	struct loop *loop;
	const char *dirs[2];
	struct manager_options options;
	struct script_host *host;
	struct ghvm_host_ops ops;
	struct manager manager;
	struct prepare prepare;
	int fds[MESSAGE_KINDS];
} world;

static int no_pin(struct ghvm_host *h, int memfd, uint64_t offset, uint64_t length, bool readonly)
{
	return -EIO;
}

static int make_memory(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	PROMISE(ftruncate(fd, GHVM_MIB(2)) == 0);
	PROMISE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

/* The first 64 bytes of an arm64 Image, and as many as it says that it has. */
static int make_kernel(const char *dir)
{
	static uint8_t image[65536];
	char path[PATH_MAX];

	image[18] = 1; /* 64 KiB */
	memcpy(image + 56, "ARM\x64", 4);
	messages_file(dir, "Image", image, sizeof(image));
	(void)snprintf(path, sizeof(path), "%s/Image", dir);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void make_files(void)
{
	const char *dir = messages_folder();
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "version: 1\nmemory: {size: 2M}\nkernel: {image: %s/Image}\n"
			 "devices: [{console: {enabled: false}}]\n",
			 dir);

	messages_file(dir, "demo.yaml", text, (size_t)n);
	world.dirs[0] = dir;
	world.fds[1] = make_memory();
	world.fds[2] = make_kernel(dir);
	world.fds[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* As manager_init() leaves it where there is a hypervisor: that opens none but by a URI. */
static void make_manager(void)
{
	struct manager *m = &world.manager;
	static char state[PATH_MAX], control[PATH_MAX], definitions[PATH_MAX];

	(void)snprintf(state, sizeof(state), "%s/state", world.dirs[0]);
	(void)snprintf(control, sizeof(control), "%s/ctl", world.dirs[0]);
	(void)snprintf(definitions, sizeof(definitions), "%s/lib", world.dirs[0]);
	PROMISE(mkdir(state, 0700) == 0 && mkdir(control, 0700) == 0 &&
		mkdir(definitions, 0700) == 0);
	world.options = (struct manager_options){
		.uri = "unix:/nonexistent",
		.vms_dirs = world.dirs,
		.state_dir = state,
		.control_dir = control,
		.definition_dir = definitions,
	};
	PROMISE(manager_init(m, world.loop, &world.options) == 0);
	world.host = script_host_new();
	PROMISE(world.host && ghvm_rm_new(&world.host->host, &m->rm, NULL) == 0);
	world.ops = *world.host->host.ops;
	world.ops.pin = no_pin;
	world.host->host.ops = &world.ops;
	m->guest_host.host = &world.host->host;
	m->guest_host.rm = m->rm;
	m->host_state = MANAGER_HOST_OK;
}

static void make_world(void)
{
	static char socket_path[PATH_MAX];
	int listener;

	messages_quiet();
	PROMISE(loop_new(&world.loop) == 0);
	make_files();
	make_manager();
	(void)snprintf(socket_path, sizeof(socket_path), "%s/prepare.sock", world.dirs[0]);
	listener = prepare_bind(socket_path);
	PROMISE(listener >= 0);
	PROMISE(prepare_init(&world.prepare, &world.manager, listener) == 0);
}

static int dial(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/prepare.sock", world.dirs[0]);
	PROMISE(connect(sock, (struct sockaddr *)&at, sizeof(at)) == 0);
	return sock;
}

static bool is_come(const void *data)
{
	return world.prepare.n == 1;
}

static bool is_over(const void *data)
{
	const struct vm *vm = manager_known(&world.manager, "demo");

	return world.prepare.n == 0 && (!vm || vm_vacant(vm));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int sock, before;

	if (!world.loop)
		make_world();
	before = messages_next_fd();
	sock = dial();
	PROMISE(loop_run_until(world.loop, is_come, NULL) == 0);
	messages_send(sock, data, size, world.fds);
	PROMISE(loop_run_until(world.loop, is_over, NULL) == 0);
	(void)close(sock);
	for (int i = 0; messages_next_fd() != before && i < 1000; i++)
		(void)usleep(1000); /* a foreign one is closed in its own time */
	PROMISE(messages_next_fd() == before);
	return 0;
}
