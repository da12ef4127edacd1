/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of devices: what a descriptor, a plan and a device tree have of each kind.
 *
 * Registers are emulated by the runner (daemon/runner/devices), which finds a kind by its name.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/plan.h"
#include "ghvm/spec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHVM_DEVICE_NAME_SIZE 16 /* of a kind, with its NUL: runners are told it */
#define GHVM_DEVICE_BACKEND_SIZE 256
#define GHVM_DISK_UNIT "gunyah-vm-disk%u@%s" /* its number and its VM; then .service or .socket */
#define GHVM_POWER_KEY_LINE 3 /* of the GPIO block: in the tree, and set by the runner */

struct dt_writer;

/**
 * struct ghvm_device_kind - a row of the table
 * @name: in plans, and for the runner, which may be of another version: never changes
 * @node: name of its node in the device tree, without the address
 * @bell: of its doorbell's vdevice: "bell-NAME", or "bell-NAME-N" for the Nth further device
 * @ipa: address of the only device of this kind, with the doorbell @label; 0: each device gets the
 *       next page from GHVM_IPA_DEVICES on, and the next label
 * @no_bell: it raises no interrupt
 * @console: /chosen names it, and the alias serial0
 * @clock: its node refers to DT_PHANDLE_CLOCK
 * @dma: its rings and buffers are in memory that the guest shares with the host
 * @region: label of that memory of the device @nth, 0: RAM; NULL without @dma
 * @backend: another process serves it over vhost-user: the kind of the virtio device, and the number of its queues;
 *           NULL: none does
 * @name_backend: writes which: its socket, or its unit; NULL without @backend
 * @kernel: the host's kernel serves it, by a file that the start helper opens
 * @options: of a kernel that has its driver, without "CONFIG_", NULL-terminated
 * @count: number of these devices in a VM of @spec
 * @put_node: writes its node, and others that it needs
 */
struct ghvm_device_kind {
	const char *name;
	const char *node;
	const char *bell;
	uint64_t ipa;
	uint32_t label;
	bool no_bell;
	bool console;
	bool clock;
	bool dma;
	void (*name_backend)(const struct ghvm_spec *spec, unsigned int nth, char *ret,
			     size_t size);
	bool kernel;
	const char *const *options;
	void (*backend)(const struct ghvm_spec *spec, unsigned int nth, unsigned int *ret_id,
			unsigned int *ret_queues);
	uint32_t (*region)(const struct ghvm_spec *spec, unsigned int nth);
	unsigned int (*count)(const struct ghvm_spec *spec);
	void (*put_node)(struct dt_writer *w, const struct ghvm_device_kind *kind,
			 const struct ghvm_plan_device *d);
};

/* All kinds, in the order of plans and trees; the last one has no name. */
extern const struct ghvm_device_kind ghvm_device_kinds[];

/* The row of that name; NULL: there is none. */
const struct ghvm_device_kind *ghvm_device_kind(const char *name);

/**
 * ghvm_devices_place() - the devices of a VM, with addresses and doorbells
 * @kinds: ghvm_device_kinds; tests have their own
 *
 * Return: 0; -EINVAL more devices or interrupts than there is place for: @ret_n is untouched.
 */
int ghvm_devices_place(const struct ghvm_device_kind *kinds, const struct ghvm_spec *spec,
		       struct ghvm_plan_device ret[GHVM_PLAN_DEVICES_MAX], size_t *ret_n,
		       struct ghvm_error *err);

/* True if a VM of @spec has a device that accesses RAM. */
bool ghvm_devices_want_ram(const struct ghvm_spec *spec);

/* True if a device of the plan accesses parcel @nth, so that it must not be lent: the runner has it mapped. */
bool ghvm_devices_access(const struct ghvm_plan *plan, size_t nth);

/**
 * ghvm_devices_find_memory() - find the parcel that each device of the plan accesses
 * @plan: its parcels and devices are complete, but for the devices' @parcel
 *
 * Return: 0; -EOPNOTSUPP RAM that is lent; -EINVAL a region that there is not, or that one side only reads.
 */
int ghvm_devices_find_memory(struct ghvm_plan *plan, struct ghvm_error *err);

/* Name of the vdevice of its doorbell. */
void ghvm_device_bell(const struct ghvm_plan_device *d, char *ret, size_t size);

/* The process that serves the device @nth of the kind @name: its socket or unit; "" if the runner itself does. */
void ghvm_device_backend(const struct ghvm_spec *spec, const char *name, unsigned int nth,
			 char *ret, size_t size);
