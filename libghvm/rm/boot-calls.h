/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resource manager: how a VM boots. Codec and call, no policy (abi C.5, D.5).
 *
 * Only some resource managers know these messages (quirks.h); the others answer UNIMPLEMENTED.
 *
 * Thread: any but the dispatcher's. All return 0 or what ghvm_rm_call() returns, with the
 * sentence in @err. -EINVAL, not sent: VMID 0, or that of this host.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/types.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/rpc.h"

#include <stdint.h>

/**
 * ghvm_rm_vm_set_boot_context() - set a register of the boot vCPU; the VM is READY
 * @set, @index: X 0 to 30, PC 0, SP 0 and 1
 * @value: RM does not look at it before VM_START, which fails if an SP is no multiple of 16
 */
int ghvm_rm_vm_set_boot_context(struct ghvm_rm *rm, struct ghvm_vmid vmid,
				enum ghvm_rm_register_set set, uint8_t index, uint64_t value,
				struct ghvm_error *err);

/**
 * ghvm_rm_vm_set_address_layout() - say where a parcel is in the guest; the VM is in INIT
 * @ipa, @size: whole pages; for the image parcel both instead of what its device tree says
 */
int ghvm_rm_vm_set_address_layout(struct ghvm_rm *rm, struct ghvm_vmid vmid,
				  enum ghvm_rm_range range, uint64_t ipa, uint64_t size,
				  struct ghvm_error *err);

/**
 * ghvm_rm_vm_auth_image() - have the image authenticated; the VM is in AUTH, and in INIT afterwards
 * @pas_id: the only parameter; 0: none, which RM refuses, and the VM is in INIT_FAILED
 */
int ghvm_rm_vm_auth_image(struct ghvm_rm *rm, struct ghvm_vmid vmid, uint32_t pas_id,
			  struct ghvm_error *err);

/**
 * ghvm_rm_vm_set_firmware_mem() - say where RM puts its firmware; the VM is in INIT
 * @parcel: given to the VM; @offset, @size: bytes of it
 */
int ghvm_rm_vm_set_firmware_mem(struct ghvm_rm *rm, struct ghvm_vmid vmid,
				struct ghvm_parcel_handle parcel, uint64_t offset, uint64_t size,
				struct ghvm_error *err);
