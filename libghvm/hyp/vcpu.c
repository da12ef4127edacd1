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
#include "libghvm/hyp/host.h"
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

static void store_exit(struct ghvm_vcpu *v, const __u64 results[5])
{
	v->state = results[1];
	v->ipa = 0;
	v->size = 0;
	v->value = 0;
	v->for_good = false;
	v->read = 0;

	switch (v->state) {
	case GHVM_VCPU_MMIO_WRITE:
		v->value = results[4];
		__attribute__((fallthrough));
	case GHVM_VCPU_MMIO_READ:
		v->ipa = results[2];
		v->size = results[3];
		break;
	case GHVM_VCPU_POWERED_OFF:
		v->for_good = ghvm_bits_get(POWERED_OFF_FOR_GOOD, results[2]);
		break;
	default:
		break;
	}
}

static int store_results(struct ghvm_vcpu *v, const __u64 results[5])
{
	int32_t status = (int32_t)(uint32_t)results[0];
	int r = to_errno(status);

	if (r == -EREMOTEIO)
		v->value = (uint64_t)(int64_t)status;
	if (r == 0)
		store_exit(v, results);
	return r;
}

/* What the next run passes on. */
static uint64_t resume_word(const struct ghvm_vcpu *v)
{
	return v->state == GHVM_VCPU_MMIO_READ ? v->read : 0;
}

int ghvm_vcpu_run(struct ghvm_vcpu *v)
{
	struct ghvm_hcall c = { .call = GHVM_CALL_VCPU_RUN, .args = { v->cap.id, resume_word(v) } };
	int r = v->host->ops->hcall(v->host, &c);

	return r < 0 ? r : store_results(v, c.results);
}

int ghvm_doorbell_ring(struct ghvm_host *host, struct ghvm_capid cap)
{
	struct ghvm_hvc_doorbell bell;
	int r;

	r = ghvm_hvc_doorbell_send(host, cap, DOORBELL_FLAG, &bell);
	return r < 0 ? r : to_errno(bell.status);
}
