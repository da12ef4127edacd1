/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One virtual CPU: run it, examine the exit, resume it (abi F, K.8).
 *
 * Thread: the vCPU's own. Each ghvm_vcpu_run() is exactly one hypercall.
 */
#pragma once

#include "ghvm/api.h"
#include "ghvm/host.h"
#include "ghvm/types.h"

#include <stdbool.h>
#include <stdint.h>

GHVM_BEGIN_DECLS

/* abi F.1 */
enum ghvm_vcpu_state {
	GHVM_VCPU_READY = 0,
	GHVM_VCPU_EXPECTS_WAKEUP = 1,
	GHVM_VCPU_POWERED_OFF = 2,
	GHVM_VCPU_BLOCKED = 3,
	GHVM_VCPU_MMIO_READ = 4,
	GHVM_VCPU_MMIO_WRITE = 5,
	GHVM_VCPU_FAULT = 6,
	GHVM_VCPU_SYSTEM_RESET = 0x100,
};

/**
 * struct ghvm_vcpu - a vCPU and its last exit
 * @host: a grant or the full device; borrowed
 * @state: last enum ghvm_vcpu_state, or an unknown value; GHVM_VCPU_READY at first
 * @ipa, @size, @value: MMIO: address, bytes (1, 2, 4, 8), value written
 * @for_good: after POWERED_OFF: the VM is over; else the vCPU waits for CPU_ON
 * @read: the value read, to be set before the run after MMIO_READ
 */
struct ghvm_vcpu {
	struct ghvm_host *host;
	struct ghvm_capid cap;
	uint64_t state;
	uint64_t ipa;
	uint64_t size;
	uint64_t value;
	bool for_good;
	uint64_t read;
};

/**
 * ghvm_vcpu_run() - run until the next exit
 *
 * Return: 0, *v has the exit; -EAGAIN: it runs elsewhere, or the hypervisor said RETRY; -ESTALE:
 * the grant was revoked or the capability is gone; -EREMOTEIO: another refusal, in v->value.
 * After READY and BLOCKED run it again. After EXPECTS_WAKEUP, and POWERED_OFF not for good, wait
 * for the wake-up virq first. The authority on the VM's end is RM's VM_EXITED.
 */
int ghvm_vcpu_run(struct ghvm_vcpu *v);

/* Raise the guest's edge-triggered interrupt of a doorbell. */
int ghvm_doorbell_ring(struct ghvm_host *host, struct ghvm_capid cap);

GHVM_END_DECLS
