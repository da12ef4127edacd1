/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of all devices, as a guest reads and writes them: of each step one byte says what is done
 * with what size, two where, and a write has a value behind.
 */
#include "daemon/runner/devices/board.h"
#include "daemon/runner/virtio/transport.h"
#include "libghvm/base/wire.h"
#include "libghvm/plan/devices.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define STEPS_MAX 512
#define STEP_WRITES 0x80 /* else it reads */

static struct ghvm_runinfo one_of_each(void)
{
	struct ghvm_runinfo info = { .name = "fuzz", .logging = GHVM_LOGGING_NONE };

	for (const struct ghvm_device_kind *k = ghvm_device_kinds; k->name; k++) {
		struct ghvm_runinfo_device *d = &info.devices[info.n_devices];

		if (k->backend || k->kernel)
			continue; /* fuzz-vhost-user; and there may be no vhost-vsock here */
		(void)snprintf(d->name, sizeof(d->name), "%s", k->name);
		d->ipa = GHVM_IPA_DEVICES + GHVM_IPA_MMIO_PAGE * info.n_devices++;
		d->doorbell = GHVM_DOORBELL_NONE;
	}
	return info;
}

/* No line in the log for what breaks a device: each input would have one. */
static void be_quiet(struct devices *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (!strcmp(d->v[i].kind->name, "rng"))
			((struct virtio *)d->v[i].state)->faults = 1ULL << 40;
}

/* Return: false: the input is over. */
static bool take_step(struct devices *d, struct ghvm_get *in)
{
	const uint8_t what = ghvm_get_u8(in);
	const uint64_t size = 1ULL << (what & 3);
	const uint64_t last = GHVM_IPA_MMIO_PAGE * d->n - 1;
	const uint64_t at = ghvm_get_u16(in) % (last + 1);
	const uint64_t value = what & STEP_WRITES ? ghvm_get_u32(in) : 0;
	const bool inside = at % GHVM_IPA_MMIO_PAGE + size <= GHVM_IPA_MMIO_PAGE;
	uint64_t read;

	if (in->bad)
		return false;
	if (what & STEP_WRITES) {
		PROMISE(mmio_write(&d->mmio, GHVM_IPA_DEVICES + at, size, value) == inside);
		return true;
	}
	PROMISE(mmio_read(&d->mmio, GHVM_IPA_DEVICES + at, size, &read) == inside);
	PROMISE(size == 8 || read >> (8 * size) == 0);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dma_map no_memory;
	const struct ghvm_runinfo info = one_of_each();
	struct ghvm_get in = { .buf = data, .len = size };
	struct devices *d = calloc(1, sizeof(*d));
	struct devices_files files = {};

	memset(&files, 0xff, sizeof(files)); /* -1: none */
	PROMISE(d && devices_init(d, &info, &no_memory, &files, NULL) == 0);
	devices_connect(d, NULL, &info);
	be_quiet(d);
	for (unsigned int i = 0; i < STEPS_MAX && take_step(d, &in); i++)
		;
	devices_process(d);
	devices_press_key(d, true);
	PROMISE(devices_timeout(d) >= -1);
	devices_done(d);
	free(d);
	return 0;
}
