/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One kind of device: what the runner adds to its row in libghvm/plan/devices.c, under the same name.
 *
 * A device is a file here that defines such a row, and that meson.build lists among the kinds.
 */
#pragma once

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/ipc/protocol.h"
#include "daemon/ipc/runinfo.h"
#include "daemon/runner/base/bell.h"

struct console;
struct dma_map;

/**
 * struct device_setup - what a device is made of; all borrowed
 * @bell: outlives the device
 * @dma: the memory that devices may access; outlives the device
 * @logs: descriptors of the console's log, -1 after the last; the device that logs takes them
 * @device: this one
 * @sockets, @disks: O_PATH descriptors of the back-ends' sockets, by @device->nth; -1: none. They outlive the device
 * @vsock: the host's vhost-vsock, -1: none. It outlives the device
 * @err: the reason of a failure, if errno does not say enough
 */
struct device_setup {
	struct bell *bell;
	const struct ghvm_runinfo *info;
	const struct dma_map *dma;
	int *logs;
	const struct ghvm_runinfo_device *device;
	const int *sockets;
	const int *disks;
	int vsock;
	struct ghvm_error *err;
};

/**
 * struct device_kind - a kind; its functions get the state of one device
 * @name: as in ghvm_device_kinds
 * @size: of the state, which begins zeroed
 * @init: 0 or a negative errno; @done is called also after a failure
 * @reset: power-on: the VM is new or rebuilt. Thread: main, no vCPU runs
 * @quiet: afterwards it raises no interrupt until @reset. Thread: main, no vCPU runs. NULL: only vCPUs make it
 *         raise any
 * @read, @write: an access to the page of registers: struct mmio_device. Thread: any
 * @n_pollfds: number of descriptors that @poll sets for the main thread, 0: none
 * @timeout: time limit of poll() in ms, -1: none; @process is called after it. NULL: never
 * @console: the console that the device speaks to. NULL: it is no serial line
 * @press: sets the level of the power key. NULL: it is no key
 * @report: sets what `ghvmctl status` shows of the device besides its place. NULL: nothing; then it has no queues.
 *     Thread: main
 * @bites: the guest has not fed its watchdog in time; once. NULL: it is no watchdog. Thread: main
 */
struct device_kind {
	const char *name;
	size_t size;
	int (*init)(void *device, const struct device_setup *setup);
	void (*done)(void *device);
	void (*reset)(void *device);
	void (*quiet)(void *device);
	uint64_t (*read)(void *device, uint64_t offset, unsigned int size);
	void (*write)(void *device, uint64_t offset, unsigned int size, uint64_t value);
	size_t n_pollfds;
	void (*poll)(void *device, struct pollfd *ret);
	int (*timeout)(const void *device);
	void (*process)(void *device);
	struct console *(*console)(void *device);
	void (*press)(void *device, bool down);
	bool (*bites)(void *device);
	void (*report)(void *device, struct ghvm_link_device *ret);
};
