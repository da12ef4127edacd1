/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a runner is told of its VM; accepted, it is written and read the same again. */
#include "libghvm/base/cleanup.h"
#include "daemon/ipc/runinfo.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int sealed(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	PROMISE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	PROMISE(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) ==
		0);
	return fd;
}

/* In any order: those with a byte of their own come first. */
static bool has_devices_of(const struct ghvm_runinfo *a, const struct ghvm_runinfo *b)
{
	struct ghvm_runinfo one = { .n_devices = 1 }, other = { .n_devices = 1 };
	bool found = true;

	for (size_t i = 0; found && i < b->n_devices; i++) {
		found = false;
		one.devices[0] = b->devices[i];
		for (size_t k = 0; !found && k < a->n_devices; k++) {
			other.devices[0] = a->devices[k];
			found = ghvm_runinfo_same_devices(&one, &other);
		}
	}
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(closep) int fd = sealed(data, size);
	struct ghvm_runinfo info = { .n_vcpus = 77 }, back;
	struct ghvm_error err = {};

	if (ghvm_runinfo_read(fd, &info, &err) < 0) {
		PROMISE(*err.msg && info.n_vcpus == 77);
		return 0;
	}
	PROMISE(info.n_vcpus <= GHVM_SPEC_CPUS_MAX && info.n_doorbells <= GHVM_DOORBELL_MAX);
	PROMISE(info.n_regions <= GHVM_SPEC_REGIONS_MAX);
	PROMISE(info.n_devices <= GHVM_PLAN_DEVICES_MAX);
	PROMISE(info.n_dma <= GHVM_RUNINFO_DMA_MAX);
	{
		_cleanup_(closep) int again = ghvm_runinfo_write(&info);

		PROMISE(again >= 0 && ghvm_runinfo_read(again, &back, &err) == 0);
		PROMISE(back.n_vcpus == info.n_vcpus && back.vmid.id == info.vmid.id);
		PROMISE(!memcmp(back.vcpus, info.vcpus, sizeof(info.vcpus)));
		PROMISE(!memcmp(back.regions, info.regions, sizeof(info.regions)));
		PROMISE(has_devices_of(&back, &info) && has_devices_of(&info, &back));
	}
	return 0;
}
