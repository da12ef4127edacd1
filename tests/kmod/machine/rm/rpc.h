/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Just enough of the resource manager's protocol (abi C): requests and replies of one packet,
 * one at a time, notifications dropped. Anything unexpected ends the tests.
 */
#pragma once

#include "kmod/uapi/ghvm.h"

#include <stddef.h>
#include <stdint.h>

#define RM_VM_ALLOCATE 0x56000001
#define RM_VM_DEALLOCATE 0x56000002
#define RM_VM_START 0x56000004
#define RM_VM_STOP 0x56000005
#define RM_VM_RESET 0x56000006
#define RM_VM_CONFIG_IMAGE 0x56000009
#define RM_VM_INIT 0x5600000b
#define RM_GET_STATE 0x56000017
#define RM_GET_HYP_RESOURCES 0x56000020
#define RM_GET_VMID 0x56000024
#define RM_MEM_LEND 0x51000012
#define RM_MEM_RECLAIM 0x51000015

struct rpc {
	int dev;
	int eventfd;
	uint16_t seq;
	struct ghvm_info info;
};

void rpc_open(struct rpc *rpc, int dev);
void rpc_close(struct rpc *rpc);
void rpc_send(struct rpc *rpc, uint32_t id, const void *payload, size_t n);
/* The reply's bytes after its status; a refusal is the negative status. */
long rpc_receive(struct rpc *rpc, void *reply, size_t room);
long rpc_call(struct rpc *rpc, uint32_t id, const void *payload, size_t n, void *reply,
	      size_t room);
