/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The description of a VM for its runner: the sealed "machine" memfd.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/plan.h"
#include "ghvm/machine.h"
#include "ghvm/spec.h"
#include "libghvm/plan/devices.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct ghvm_runinfo_device - a device of the plan
 * @name: its kind, NUL-terminated
 * @nth: 0 for the first of its kind
 * @ipa: address of its page of registers
 * @doorbell: label; GHVM_DOORBELL_NONE: none
 * @virtio_id, @queues: of a device that another process serves: kind of virtio device, and number of queues;
 *     else 0
 */
struct ghvm_runinfo_device {
	char name[GHVM_DEVICE_NAME_SIZE];
	unsigned int nth;
	uint64_t ipa;
	uint32_t doorbell;
	uint32_t virtio_id;
	uint32_t queues;
};

struct ghvm_runinfo_region {
	uint32_t label;
	uint64_t ipa;
	uint64_t size;
};

/* Pieces of memory that its devices may access. */
#define GHVM_RUNINFO_DMA_MAX 2

struct ghvm_runinfo {
	char name[GHVM_NAME_SIZE];
	struct ghvm_vmid vmid;
	uint64_t incarnation;
	uint32_t stop_timeout_ms;
	uint8_t logging; /* enum ghvm_logging */
	uint64_t log_size;
	uint8_t on_reboot; /* enum ghvm_on_end */
	uint8_t on_crash;
	uint8_t on_watchdog; /* only with a device "watchdog" */
	struct ghvm_runinfo_device devices[GHVM_PLAN_DEVICES_MAX];
	size_t n_devices;
	struct ghvm_machine_vcpu vcpus[GHVM_SPEC_CPUS_MAX];
	size_t n_vcpus;
	struct ghvm_machine_doorbell doorbells[GHVM_DOORBELL_MAX];
	size_t n_doorbells;
	struct ghvm_runinfo_region regions[GHVM_SPEC_REGIONS_MAX];
	size_t n_regions;
	struct ghvm_runinfo_region dma[GHVM_RUNINFO_DMA_MAX]; /* label 0 is RAM */
	size_t n_dma;
	uint32_t cid; /* of the device "vsock"; 0: there is none */
};

/* Return: a memfd, sealed against everything; negative errno. */
int ghvm_runinfo_write(const struct ghvm_runinfo *info);

/* Do both have the same devices, at the same addresses, with access to the same memory? */
bool ghvm_runinfo_same_devices(const struct ghvm_runinfo *a, const struct ghvm_runinfo *b);

/* Do its devices access regions alone, and not RAM? */
bool ghvm_runinfo_windowed(const struct ghvm_runinfo *info);

/* Does another process serve one of the devices? */
bool ghvm_runinfo_served(const struct ghvm_runinfo *info);

/* Checks seals, version, counts. Return: 0; -EBADMSG; -EPERM not sealed. */
int ghvm_runinfo_read(int fd, struct ghvm_runinfo *ret, struct ghvm_error *err);
