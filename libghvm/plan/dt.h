/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device tree of a guest, for its kernel and for RM (abi D.7).
 *
 * The only user of libfdt. A user's overlay is checked before libfdt applies it to the finished
 * tree; the result is checked for nodes that would crash RM or the hypervisor.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/plan.h"
#include "libghvm/rm/quirks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct ghvm_dt_region - a region shared with the host
 * @label: of its parcel; @ipa, @size: bytes
 */
struct ghvm_dt_region {
	uint32_t label;
	uint64_t ipa;
	uint64_t size;
};

/**
 * struct ghvm_dt_machine - the machine that a tree describes; all borrowed
 * @name: of the VM
 * @cmdline: kernel command line
 * @ram_ipa: start of RAM and of the image parcel
 * @initrd_ipa, @initrd_size: the initrd; size 0: none
 * @kaslr_seed: random
 * @cpus: 1 to GHVM_SPEC_CPUS_MAX
 * @rm_rpc: has the RM node
 * @firmware_end: RM puts firmware into RAM below this offset; 0: it does not
 * @quirks: of the resource manager that reads it
 * @overlay_name: file name of the overlay for messages; NULL: none
 * @devices: @n_devices of them, of kinds that the table in devices.h has
 * @regions: @n_regions of them
 */
struct ghvm_dt_machine {
	const char *name;
	const char *cmdline;
	uint64_t ram_ipa;
	uint64_t initrd_ipa;
	uint64_t initrd_size;
	uint64_t kaslr_seed;
	unsigned int cpus;
	bool rm_rpc;
	uint64_t firmware_end;
	const struct ghvm_quirks *quirks;
	const char *overlay_name;
	const struct ghvm_plan_device *devices;
	size_t n_devices;
	const struct ghvm_dt_region *regions;
	size_t n_regions;
};

#define GHVM_OVERLAY_MAX 32768 /* bytes of an overlay */

/**
 * ghvm_dt_build() - build the tree
 * @overlay: blob, not trusted, or NULL; its fragments name targets by path
 * @ret: owned by the caller, free(); @ret_size bytes, aligned as @m->quirks says
 *
 * Thread: any.
 *
 * Return: 0; -ENOMEM; -E2BIG larger than @m->quirks allow; -EINVAL the overlay is malformed, does
 * not apply, or would crash RM or the hypervisor (abi I.7, K.6, K.8).
 */
int ghvm_dt_build(const struct ghvm_dt_machine *m, const uint8_t *overlay, size_t overlay_size,
		  uint8_t **ret, size_t *ret_size, struct ghvm_error *err);
