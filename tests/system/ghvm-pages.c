// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ghvm-pages quarantined: prints how many pages the module keeps that no file names.
 * ghvm-pages info: what else GHVM_INFO says.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kmod/uapi/ghvm.h"
#include "libghvm/hyp/host.h"

int main(int argc, char **argv)
{
	struct ghvm_info info = { .size = sizeof(info) };
	int fd = open("/dev/ghvm", O_RDWR | O_CLOEXEC);

	if (argc != 2 || (strcmp(argv[1], "quarantined") && strcmp(argv[1], "info"))) {
		fprintf(stderr, "usage: ghvm-pages quarantined|info\n");
		return 2;
	}
	if (fd < 0 || ioctl(fd, GHVM_INFO, &info) < 0) {
		perror("/dev/ghvm");
		return 1;
	}
	if (!strcmp(argv[1], "quarantined")) {
		printf("%" PRIu64 "\n", (uint64_t)info.quarantined_pages);
		return 0;
	}
	printf("abi %u flags %#x uid %08x-%08x-%08x-%08x identify %#" PRIx64 " rm %" PRIu64
	       " %" PRIu64 "\n",
	       info.abi, info.flags, info.uid[0], info.uid[1], info.uid[2], info.uid[3],
	       (uint64_t)info.identify[0], (uint64_t)info.rm_tx_capid, (uint64_t)info.rm_rx_capid);
	return 0;
}
