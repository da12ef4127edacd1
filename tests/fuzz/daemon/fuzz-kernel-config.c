/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images of kernels that may have a configuration, and what is asked of it. */
#include "daemon/ctl/kernel/config.h"
#include "libghvm/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* One file for all inputs, as making one takes longer than the rest. */
static int image_of(const uint8_t *data, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("image", MFD_CLOEXEC);
	PROMISE(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = NULL;
	int r = kernel_config_read(image_of(data, size), &text);

	PROMISE(r == 1 || r == 0 || r == -EBADMSG);
	PROMISE((r == 1) == (text != NULL));
	if (!text)
		return 0;
	PROMISE(strlen(text) <= KERNEL_CONFIG_MAX);
	(void)kernel_config_has(text, "VIRTIO_MMIO");
	PROMISE(!kernel_config_has(text, "A=y"));
	return 0;
}
