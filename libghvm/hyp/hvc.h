/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed wrappers of the hypercalls that this library makes (abi A.4).
 *
 * A function returns 0 when the hypercall was made. The hypervisor's answer is in ret->status;
 * the other results are valid if it is GHVM_HYP_OK, else 0. Negative: the host's errno, nothing
 * was done and *ret is untouched. Thread: any.
 */
#pragma once

#include "ghvm/host.h"
#include "ghvm/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ghvm_hyp_status { /* abi A.5 */
		       GHVM_HYP_RETRY = -2,
		       GHVM_HYP_UNIMPLEMENTED = -1,
		       GHVM_HYP_OK = 0,
		       GHVM_HYP_ARGUMENT_INVALID = 1,
		       GHVM_HYP_ARGUMENT_SIZE = 2,
		       GHVM_HYP_ARGUMENT_ALIGNMENT = 3,
		       GHVM_HYP_NOMEM = 10,
		       GHVM_HYP_NORESOURCES = 11,
		       GHVM_HYP_ADDR_OVERFLOW = 20,
		       GHVM_HYP_ADDR_UNDERFLOW = 21,
		       GHVM_HYP_ADDR_INVALID = 22,
		       GHVM_HYP_DENIED = 30,
		       GHVM_HYP_BUSY = 31,
		       GHVM_HYP_IDLE = 32,
		       GHVM_HYP_OBJECT_STATE = 33,
		       GHVM_HYP_OBJECT_CONFIG = 34,
		       GHVM_HYP_OBJECT_CONFIGURED = 35,
		       GHVM_HYP_FAILURE = 36,
		       GHVM_HYP_VIRQ_BOUND = 40,
		       GHVM_HYP_VIRQ_NOT_BOUND = 41,
		       GHVM_HYP_CAP_NULL = 50,
		       GHVM_HYP_CAP_REVOKED = 51,
		       GHVM_HYP_WRONG_OBJECT_TYPE = 52,
		       GHVM_HYP_INSUFFICIENT_RIGHTS = 53,
		       GHVM_HYP_CSPACE_FULL = 54,
		       GHVM_HYP_MSGQUEUE_EMPTY = 60,
		       GHVM_HYP_MSGQUEUE_FULL = 61,
};

/**
 * struct ghvm_hyp_identity - results of hyp_identify (abi A.3)
 * @api_version: GHVM_HYP_API_VERSION is supported
 * @big_endian, @is_64bit: of the API
 * @variant: 0x48 Gunyah, 0x51 Qualcomm; informative
 * @flags: feature words
 */
struct ghvm_hyp_identity {
	unsigned int api_version;
	bool big_endian;
	bool is_64bit;
	uint8_t variant;
	uint64_t flags[3];
};

#define GHVM_HYP_API_VERSION 1
#define GHVM_HYP_FEATURE_DOORBELL 0x2
#define GHVM_HYP_FEATURE_MSGQUEUE 0x4
#define GHVM_HYP_FEATURE_VCPU 0x20
#define GHVM_HYP_FEATURE_VCPU_RUN 0x800

/* The four words of hyp_identify, e.g. from GHVM_INFO. Pure. */
void ghvm_hyp_identity_decode(const uint64_t words[4], struct ghvm_hyp_identity *ret);

/* @old: flags before */
struct ghvm_hvc_doorbell {
	int32_t status;
	uint64_t old;
};

int ghvm_hvc_doorbell_send(struct ghvm_host *host, struct ghvm_capid cap, uint64_t flags,
			   struct ghvm_hvc_doorbell *ret);
/* @clear: not 0 */
int ghvm_hvc_doorbell_receive(struct ghvm_host *host, struct ghvm_capid cap, uint64_t clear,
			      struct ghvm_hvc_doorbell *ret);
int ghvm_hvc_doorbell_mask(struct ghvm_host *host, struct ghvm_capid cap, uint64_t enable,
			   uint64_t ack, int32_t *ret_status);

#define GHVM_MSGQUEUE_BYTES 240 /* of one message on RM's queues, abi B.1 */

struct ghvm_hvc_msgqueue_send {
	int32_t status;
	bool not_full;
};

struct ghvm_hvc_msgqueue_receive {
	int32_t status;
	uint64_t size;
	bool not_empty;
};

/* @size: not 0; @push: raise the receiver's virq at once */
int ghvm_hvc_msgqueue_send(struct ghvm_host *host, struct ghvm_capid cap, const void *buf,
			   size_t size, bool push, struct ghvm_hvc_msgqueue_send *ret);
int ghvm_hvc_msgqueue_receive(struct ghvm_host *host, struct ghvm_capid cap, void *buf, size_t size,
			      struct ghvm_hvc_msgqueue_receive *ret);
