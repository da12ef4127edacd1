// SPDX-License-Identifier: GPL-2.0-or-later
/* The module goes when nothing needs it, and comes again. */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static long unload(void)
{
	return syscall(SYS_delete_module, "ghvm", O_NONBLOCK) < 0 ? -errno : 0;
}

static long load(const char *options)
{
	int fd = open("/ghvm.ko", O_RDONLY | O_CLOEXEC);
	long r = syscall(SYS_finit_module, fd, options, 0) < 0 ? -errno : 0;

	close(fd);
	return r;
}

void test_unload(void)
{
	int dev = t_open();
	int pin = (int)t_pin(dev, t_map(PAGE), PAGE);

	t_eq(unload(), -EAGAIN, "unload: the node is open");
	close(dev);
	t_eq(unload(), -EAGAIN, "unload: a pin is open");
	close(pin);
	for (int i = 0; i < 3; i++) {
		t_eq(unload(), 0, "unload: nothing needs it");
		t_ok(access("/dev/ghvm", F_OK) < 0, "unload: the node is gone");
		t_eq(load(""), 0, "loaded again");
		dev = t_open();
		t_eq((int64_t)t_info(dev).quarantined_pages, 0, "nothing is quarantined");
		close(dev);
	}
}
