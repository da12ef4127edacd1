/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of a VM: what the plan lists, made of the kinds in the runner's table.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/ipc/runinfo.h"
#include "daemon/runner/devices/console.h"
#include "daemon/runner/devices/device.h"
#include "daemon/runner/devices/mmio.h"
#include "daemon/runner/virtio/dma-map.h"
#include "ghvm/error.h"
#include "ghvm/host.h"

#define DEVICES_POLLFDS 64 /* of all devices of a VM */

/**
 * struct device - one device
 * @doorbell: label of its doorbell; @nth: 0 for the first of its kind; @ipa: of its registers
 * @state: @kind->size bytes, owned
 */
struct device {
	const struct device_kind *kind;
	struct bell bell;
	uint32_t doorbell;
	unsigned int nth;
	uint64_t ipa;
	void *state;
};

/**
 * struct devices - all devices, @n of them
 * @owed: eventfd: a device owes the guest an edge, which devices_process() raises; owned
 *
 * Thread: main while no vCPU runs, then any. Not movable.
 */
struct devices {
	struct mmio_table mmio;
	struct device v[GHVM_PLAN_DEVICES_MAX];
	size_t n;
	int owed;
};

/**
 * struct devices_files - what devices need of the host
 * @logs: of the console; -1 after the last
 * @sockets, @disks: O_PATH descriptors of the back-ends' sockets; -1: none
 * @vsock: the host's vhost-vsock; -1: none
 */
struct devices_files {
	int logs[GHVM_SPEC_LOGS_MAX];
	int sockets[GHVM_SPEC_VHOST_MAX];
	int disks[GHVM_SPEC_DISKS_MAX];
	int vsock;
};

/* All kinds; the last one is NULL. */
extern const struct device_kind *const device_kinds[];

/**
 * devices_init() - create the devices described by @info
 * @d: on success the caller calls devices_done()
 * @dma: outlives @d
 * @files: its logs are taken over, also on failure; the rest outlives @d
 *
 * Return: 0; -EOPNOTSUPP a kind is unknown; another errno.
 */
int devices_init(struct devices *d, const struct ghvm_runinfo *info, const struct dma_map *dma,
		 struct devices_files *files, struct ghvm_error *err);
void devices_done(struct devices *d);

/* Reset the devices and connect them to the doorbells of a new or rebuilt VM. */
void devices_connect(struct devices *d, struct ghvm_host *host, const struct ghvm_runinfo *info);

/* There is no VM until the next devices_connect(). No vCPU runs. */
void devices_disconnect(struct devices *d);

/* Events to wait for. Return: their number. */
size_t devices_poll(struct devices *d, struct pollfd ret[DEVICES_POLLFDS]);

/* Time limit for poll() in ms; -1: none. */
int devices_timeout(const struct devices *d);

/* Call it after an event of devices_poll() or the timeout. */
void devices_process(struct devices *d);

/* The console; NULL: there is none. */
struct console *devices_console(const struct devices *d);

bool devices_have_key(const struct devices *d);
/* Set the level of the power key, if there is one. */
void devices_press_key(struct devices *d, bool down);

/* What each device has done. Return: their number. Thread: main. */
size_t devices_report(const struct devices *d, struct ghvm_link_device ret[GHVM_PLAN_DEVICES_MAX]);

/* Has a watchdog expired that the guest has not fed in time? Once; call it after devices_process(). */
bool devices_bite(struct devices *d);
