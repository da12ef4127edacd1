/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One run of a vCPU: resume word in, state and data out (abi F.1).
 *
 * A run that did not take place (-EAGAIN) changes nothing, so the next one passes the value of a
 * pending MMIO read.
 */
#include "ghvm/vcpu.h"

#include <errno.h>

#include "libghvm/base/bits.h"
#include "libghvm/hyp/hvc.h"

#define POWERED_OFF_FOR_GOOD GHVM_BITS(0, 0)
#define DOORBELL_FLAG 1 /* any flag: the guest's interrupt is edge-triggered (abi K.8) */

static int to_errno(int32_t status)
{
	switch (status) {
	case GHVM_HYP_OK:
		return 0;
	case GHVM_HYP_RETRY:
	case GHVM_HYP_BUSY:
		return -EAGAIN;
	case GHVM_HYP_CAP_NULL:
	case GHVM_HYP_CAP_REVOKED:
		return -ESTALE;
	default:
		return -EREMOTEIO;
	}
}

static void store_result(struct ghvm_vcpu *v, const struct ghvm_hvc_vcpu_run *run)
{
	v->state = run->state;
	v->ipa = 0;
	v->size = 0;
	v->value = 0;
	v->for_good = false;
	v->read = 0;

	switch (run->state) {
	case GHVM_VCPU_MMIO_READ:
		v->ipa = run->data[0];
		v->size = run->data[1];
		break;
	case GHVM_VCPU_MMIO_WRITE:
		v->ipa = run->data[0];
		v->size = run->data[1];
		v->value = run->data[2];
		break;
	case GHVM_VCPU_POWERED_OFF:
		v->for_good = ghvm_bits_get(POWERED_OFF_FOR_GOOD, run->data[0]);
		break;
	default:
		break;
	}
}

int ghvm_vcpu_run(struct ghvm_vcpu *v)
{
	uint64_t resume = v->state == GHVM_VCPU_MMIO_READ ? v->read : 0;
	struct ghvm_hvc_vcpu_run run;
	int r;

	r = ghvm_hvc_vcpu_run(v->host, v->cap, resume, &run);
	if (r < 0)
		return r;
	r = to_errno(run.status);
	if (r == -EREMOTEIO)
		v->value = (uint64_t)(int64_t)run.status;
	if (r < 0)
		return r;

	store_result(v, &run);
	return 0;
}

int ghvm_doorbell_ring(struct ghvm_host *host, struct ghvm_capid cap)
{
	struct ghvm_hvc_doorbell bell;
	int r;

	r = ghvm_hvc_doorbell_send(host, cap, DOORBELL_FLAG, &bell);
	return r < 0 ? r : to_errno(bell.status);
}
