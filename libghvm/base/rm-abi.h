/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers of the resource manager's protocol (abi C.3, C.4, D): pure, for codecs and names. Only
 * those that this library sends or may receive.
 */
#pragma once

#include "ghvm/types.h"
#include "ghvm/vm-state.h"

#include <stdbool.h>
#include <stdint.h>

#define GHVM_RM_MEM_LEND 0x51000012U
#define GHVM_RM_MEM_SHARE 0x51000013U
#define GHVM_RM_MEM_RELEASE 0x51000014U
#define GHVM_RM_MEM_RECLAIM 0x51000015U
#define GHVM_RM_MEM_NOTIFY 0x51000017U
#define GHVM_RM_MEM_APPEND 0x51000018U
#define GHVM_RM_MEM_LOOKUP_SGL 0x5100001aU

#define GHVM_RM_VM_ALLOCATE 0x56000001U
#define GHVM_RM_VM_DEALLOCATE 0x56000002U
#define GHVM_RM_VM_START 0x56000004U
#define GHVM_RM_VM_STOP 0x56000005U
#define GHVM_RM_VM_RESET 0x56000006U
#define GHVM_RM_VM_CONFIG_IMAGE 0x56000009U
#define GHVM_RM_VM_AUTH_IMAGE 0x5600000aU
#define GHVM_RM_VM_INIT 0x5600000bU
#define GHVM_RM_VM_GET_STATE 0x56000017U
#define GHVM_RM_VM_GET_CRASH_MSG 0x56000019U
#define GHVM_RM_VM_GET_HYP_RESOURCES 0x56000020U
#define GHVM_RM_VM_GET_VMID 0x56000024U
#define GHVM_RM_VM_SET_BOOT_CONTEXT 0x56000031U
#define GHVM_RM_VM_SET_FIRMWARE_MEM 0x56000032U
#define GHVM_RM_VM_SET_ADDRESS_LAYOUT 0x56000034U
#define GHVM_RM_VM_HOST_GET_TYPE 0x560000a0U

#define GHVM_RM_NOTIFY_MEM_SHARED 0x51100011U
#define GHVM_RM_NOTIFY_MEM_RELEASED 0x51100012U
#define GHVM_RM_NOTIFY_MEM_ACCEPTED 0x51100013U
#define GHVM_RM_NOTIFY_MEM_RECALL 0x51100014U
#define GHVM_RM_NOTIFY_VM_EXITED 0x56100001U
#define GHVM_RM_NOTIFY_VM_SHUTDOWN 0x56100002U
#define GHVM_RM_NOTIFY_VM_STATUS 0x56100008U
#define GHVM_RM_NOTIFY_VM_IRQ_LENT 0x56100011U
#define GHVM_RM_NOTIFY_VM_IRQ_RELEASED 0x56100012U
#define GHVM_RM_NOTIFY_VM_IRQ_ACCEPTED 0x56100013U
#define GHVM_RM_NOTIFY_VM_CONSOLE_CHARS 0x56100080U

#define GHVM_RM_OK 0U
#define GHVM_RM_UNIMPLEMENTED 0xffffffffU
#define GHVM_RM_NOMEM 0x1U
#define GHVM_RM_NORESOURCE 0x2U
#define GHVM_RM_DENIED 0x3U
#define GHVM_RM_MSG_INVALID 0x4U
#define GHVM_RM_BUSY 0x5U
#define GHVM_RM_ARGUMENT_INVALID 0x6U
#define GHVM_RM_HANDLE_INVALID 0x7U
#define GHVM_RM_VALIDATE_FAILED 0x8U
#define GHVM_RM_MAP_FAILED 0x9U
#define GHVM_RM_MEM_INVALID 0xaU
#define GHVM_RM_MEM_INUSE 0xbU
#define GHVM_RM_MEM_RELEASED 0xcU
#define GHVM_RM_VMID_INVALID 0xdU
#define GHVM_RM_LOOKUP_FAILED 0xeU
#define GHVM_RM_IRQ_INVALID 0xfU
#define GHVM_RM_IRQ_INUSE 0x10U
#define GHVM_RM_IRQ_RELEASED 0x11U
#define GHVM_RM_IN_USE 0x12U
#define GHVM_RM_IRQ_NOT_MAPPED 0x13U
#define GHVM_RM_VM_STATE 0x14U

/* How a VM's image is authenticated (abi D.4). */
enum ghvm_rm_auth {
	GHVM_RM_AUTH_NONE = 0,
	GHVM_RM_AUTH_PLATFORM = 1,
	GHVM_RM_AUTH_ANDROID = 2,
};

/* Parameters of VM_AUTH_IMAGE; what there is depends on the platform. */
#define GHVM_RM_AUTH_PAS_ID 0U /* of Qualcomm's: the peripheral that the image is signed for */

/* Ranges of VM_SET_ADDRESS_LAYOUT (abi C.5). */
enum ghvm_rm_range {
	GHVM_RM_RANGE_IMAGE = 0,
	GHVM_RM_RANGE_FIRMWARE = 1,
};

/* Register sets of VM_SET_BOOT_CONTEXT (abi C.5). */
enum ghvm_rm_register_set {
	GHVM_RM_REGISTER_X = 0,
	GHVM_RM_REGISTER_PC = 1,
	GHVM_RM_REGISTER_SP = 2, /* index 0: SP_EL0, 1: SP_EL1 */
};

/**
 * ghvm_vmid_is_guest() - can a guest have this VMID?
 *
 * The one rule, whichever generation of RM there is: no other VMID is taken from ALLOCATE, sent to
 * RM, or believed of a tag. So what one process starts the next one adopts. VMIDs have 8 bits; 0 to
 * 3 are the hypervisor, the firmware and the host, 255 is RM (abi C.5).
 */
bool ghvm_vmid_is_guest(struct ghvm_vmid vmid);

/**
 * ghvm_rm_made_nothing() - is @status a documented refusal of @message?
 * @message: a message that creates a parcel or a VM
 *
 * After any other status it is unknown whether RM has created it.
 */
bool ghvm_rm_made_nothing(uint32_t message, uint32_t status);
