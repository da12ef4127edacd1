/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Creates the devices and connects them: registers to addresses, interrupts to doorbells.
 */
#include "daemon/runner/devices/board.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/runner/devices/device-kinds.h" /* made by meson.build */
#include "libghvm/base/cleanup.h"
#include "ghvm/guest-map.h"

#define KIND(kind) extern const struct device_kind kind;
DEVICE_KINDS
#undef KIND

const struct device_kind *const device_kinds[] = {
#define KIND(kind) &kind,
	DEVICE_KINDS
#undef KIND
		NULL,
};

static_assert(GHVM_PLAN_DEVICES_MAX <= MMIO_DEVICES_MAX, "there is a place for each device");

static const struct device_kind *find_kind(const char *name)
{
	for (size_t i = 0; device_kinds[i]; i++)
		if (!strcmp(device_kinds[i]->name, name))
			return device_kinds[i];
	return NULL;
}

static size_t count_pollfds(const struct devices *d)
{
	size_t n = 1; /* owed */

	for (size_t i = 0; i < d->n; i++)
		n += d->v[i].kind->n_pollfds;
	return n;
}

/* The device counts from here on, so that devices_done() ends it. */
static int init_device(struct devices *d, const struct device_kind *kind,
		       const struct ghvm_runinfo_device *from, struct device_setup setup)
{
	struct device *device = &d->v[d->n];
	void *state = calloc(1, kind->size);
	struct mmio_device mmio = {
		.first = from->ipa,
		.last = from->ipa + GHVM_IPA_MMIO_PAGE - 1,
		.read = kind->read,
		.write = kind->write,
		.data = state,
	};
	int r;

	if (!state)
		return -ENOMEM;
	*device = (struct device){
		.kind = kind,
		.bell.cap = { GHVM_CAPID_NONE },
		.doorbell = from->doorbell,
		.nth = from->nth,
		.ipa = from->ipa,
		.state = state,
	};
	setup.bell = &device->bell;
	setup.device = from;
	d->n++;
	r = kind->init(state, &setup);
	if (r == 0 && count_pollfds(d) > DEVICES_POLLFDS)
		r = -ENOSPC;
	return r == 0 ? mmio_add(&d->mmio, &mmio) : r;
}

static int add_device(struct devices *d, const struct ghvm_runinfo_device *from,
		      struct device_setup setup, struct ghvm_error *err)
{
	const struct device_kind *kind = find_kind(from->name);
	struct ghvm_error why = {};
	int r;

	if (!kind)
		return ghvm_error_set(err, -EOPNOTSUPP,
				      "the manager lists a device '%s', which is unknown to this "
				      "gunyah-vm: is it of an earlier version?",
				      from->name);
	setup.err = &why;
	r = init_device(d, kind, from, setup);
	if (r < 0)
		return ghvm_error_set(err, r, "cannot create device '%s': %s", from->name,
				      why.code ? why.msg : strerror(-r));
	return 0;
}

int devices_init(struct devices *d, const struct ghvm_runinfo *info, const struct dma_map *dma,
		 struct devices_files *files, struct ghvm_error *err)
{
	const struct device_setup setup = {
		.info = info,
		.dma = dma,
		.logs = files->logs,
		.sockets = files->sockets,
		.disks = files->disks,
		.vsock = files->vsock,
	};
	int r = 0;

	*d = (struct devices){ .owed = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	if (d->owed < 0)
		r = ghvm_error_set(err, -errno, "cannot create an eventfd: %s", strerror(errno));
	for (size_t i = 0; r == 0 && i < info->n_devices; i++)
		r = add_device(d, &info->devices[i], setup, err);
	for (size_t i = 0; i < GHVM_SPEC_LOGS_MAX; i++) {
		closep(&files->logs[i]); /* no device has taken it */
		files->logs[i] = -1;
	}
	if (r < 0)
		devices_done(d);
	return r;
}

void devices_done(struct devices *d)
{
	for (size_t i = 0; i < d->n; i++) {
		d->v[i].kind->done(d->v[i].state);
		free(d->v[i].state);
	}
	d->n = 0;
	d->mmio.n = 0;
	closep(&d->owed);
	d->owed = -1;
}

static struct ghvm_capid find_bell(const struct ghvm_runinfo *info, uint32_t label)
{
	for (size_t i = 0; i < info->n_doorbells; i++)
		if (info->doorbells[i].label == label)
			return info->doorbells[i].cap;
	return (struct ghvm_capid){ GHVM_CAPID_NONE };
}

void devices_connect(struct devices *d, struct ghvm_host *host, const struct ghvm_runinfo *info)
{
	for (size_t i = 0; i < d->n; i++) {
		struct device *device = &d->v[i];

		device->bell = (struct bell){
			.host = host,
			.cap = find_bell(info, device->doorbell),
			.device = device->kind->name,
			.wake = d->owed,
		};
		device->kind->reset(device->state);
	}
}

void devices_disconnect(struct devices *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (d->v[i].kind->quiet)
			d->v[i].kind->quiet(d->v[i].state);
		d->v[i].bell.host = NULL;
	}
}

/* ---- the main loop ---- */

size_t devices_poll(struct devices *d, struct pollfd ret[DEVICES_POLLFDS])
{
	size_t n = 0;

	ret[n++] = (struct pollfd){ .fd = d->owed, .events = POLLIN };
	for (size_t i = 0; i < d->n; i++) {
		const struct device_kind *kind = d->v[i].kind;

		if (kind->n_pollfds)
			kind->poll(d->v[i].state, &ret[n]);
		n += kind->n_pollfds;
	}
	return n;
}

/* The shorter time limit; -1: none. */
static int shorter(int a, int b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

int devices_timeout(const struct devices *d)
{
	int least = -1;

	for (size_t i = 0; i < d->n; i++) {
		const struct device_kind *kind = d->v[i].kind;

		if (kind->timeout)
			least = shorter(least, kind->timeout(d->v[i].state));
		if (atomic_load(&d->v[i].bell.owed))
			least = shorter(least, BELL_AGAIN_MS);
	}
	return least;
}

static void raise_owed_edges(struct devices *d)
{
	uint64_t count;

	(void)eventfd_read(d->owed, &count); /* it may be 0 */
	for (size_t i = 0; i < d->n; i++)
		bell_again(&d->v[i].bell);
}

void devices_process(struct devices *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].kind->process)
			d->v[i].kind->process(d->v[i].state);
	raise_owed_edges(d);
}

/* ---- what the runner does with some of them ---- */

struct console *devices_console(const struct devices *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].kind->console)
			return d->v[i].kind->console(d->v[i].state);
	return NULL;
}

static const struct device *find_key(const struct devices *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].kind->press)
			return &d->v[i];
	return NULL;
}

bool devices_have_key(const struct devices *d)
{
	return find_key(d);
}

void devices_press_key(struct devices *d, bool down)
{
	const struct device *key = find_key(d);

	if (key)
		key->kind->press(key->state, down);
}

size_t devices_report(const struct devices *d, struct ghvm_link_device ret[GHVM_PLAN_DEVICES_MAX])
{
	for (size_t i = 0; i < d->n; i++) {
		const struct device *device = &d->v[i];

		ret[i] = (struct ghvm_link_device){
			.nth = (uint16_t)device->nth,
			.ipa = device->ipa,
			.doorbell = device->doorbell,
		};
		(void)snprintf(ret[i].kind, sizeof(ret[i].kind), "%s",
			       device->kind->name); /* fits */
		if (device->kind->report)
			device->kind->report(device->state, &ret[i]);
	}
	return d->n;
}

bool devices_bite(struct devices *d)
{
	bool bites = false;

	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].kind->bites)
			bites |= d->v[i].kind->bites(d->v[i].state);
	return bites;
}
