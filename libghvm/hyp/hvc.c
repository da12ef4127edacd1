/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed hypercalls over a host.
 *
 * X0 is a status in its low 32 bits, except for hyp_identify.
 */
#include "libghvm/hyp/hvc.h"

#include "libghvm/base/bits.h"
#include "libghvm/hyp/host.h"

#define IDENTITY_VERSION GHVM_BITS(13, 0)
#define IDENTITY_BIG_ENDIAN GHVM_BITS(14, 14)
#define IDENTITY_64BIT GHVM_BITS(15, 15)
#define IDENTITY_VARIANT GHVM_BITS(63, 56)

#define MSGQUEUE_PUSH 0x1
#define MSGQUEUE_MORE 0x1 /* not_full, not_empty */

static int32_t status_of(const struct ghvm_hcall *c)
{
	return (int32_t)(uint32_t)c->results[0];
}

void ghvm_hyp_identity_decode(const uint64_t words[4], struct ghvm_hyp_identity *ret)
{
	*ret = (struct ghvm_hyp_identity){
		.api_version = (unsigned int)ghvm_bits_get(IDENTITY_VERSION, words[0]),
		.big_endian = ghvm_bits_get(IDENTITY_BIG_ENDIAN, words[0]),
		.is_64bit = ghvm_bits_get(IDENTITY_64BIT, words[0]),
		.variant = (uint8_t)ghvm_bits_get(IDENTITY_VARIANT, words[0]),
		.flags = { words[1], words[2], words[3] },
	};
}

static int doorbell_call(struct ghvm_host *host, uint32_t call, struct ghvm_capid cap,
			 uint64_t flags, struct ghvm_hvc_doorbell *ret)
{
	struct ghvm_hcall c = { .call = call, .args = { cap.id, flags } };
	int r;

	r = host->ops->hcall(host, &c);
	if (r < 0)
		return r;
	*ret = (struct ghvm_hvc_doorbell){ .status = status_of(&c) };
	if (ret->status == GHVM_HYP_OK)
		ret->old = c.results[1];
	return 0;
}

int ghvm_hvc_doorbell_send(struct ghvm_host *host, struct ghvm_capid cap, uint64_t flags,
			   struct ghvm_hvc_doorbell *ret)
{
	return doorbell_call(host, GHVM_CALL_DOORBELL_SEND, cap, flags, ret);
}

int ghvm_hvc_doorbell_receive(struct ghvm_host *host, struct ghvm_capid cap, uint64_t clear,
			      struct ghvm_hvc_doorbell *ret)
{
	return doorbell_call(host, GHVM_CALL_DOORBELL_RECEIVE, cap, clear, ret);
}

int ghvm_hvc_doorbell_mask(struct ghvm_host *host, struct ghvm_capid cap, uint64_t enable,
			   uint64_t ack, int32_t *ret_status)
{
	struct ghvm_hcall c = { .call = GHVM_CALL_DOORBELL_MASK, .args = { cap.id, enable, ack } };
	int r;

	r = host->ops->hcall(host, &c);
	if (r < 0)
		return r;
	*ret_status = status_of(&c);
	return 0;
}

int ghvm_hvc_msgqueue_send(struct ghvm_host *host, struct ghvm_capid cap, const void *buf,
			   size_t size, bool push, struct ghvm_hvc_msgqueue_send *ret)
{
	struct ghvm_hcall c = {
		.call = GHVM_CALL_MSGQUEUE_SEND,
		.args = { cap.id, size, (uintptr_t)buf, push ? MSGQUEUE_PUSH : 0 },
	};
	int r;

	r = host->ops->hcall(host, &c);
	if (r < 0)
		return r;
	*ret = (struct ghvm_hvc_msgqueue_send){ .status = status_of(&c) };
	if (ret->status == GHVM_HYP_OK)
		ret->not_full = c.results[1] & MSGQUEUE_MORE;
	return 0;
}

int ghvm_hvc_msgqueue_receive(struct ghvm_host *host, struct ghvm_capid cap, void *buf, size_t size,
			      struct ghvm_hvc_msgqueue_receive *ret)
{
	struct ghvm_hcall c = {
		.call = GHVM_CALL_MSGQUEUE_RECEIVE,
		.args = { cap.id, (uintptr_t)buf, size },
	};
	int r;

	r = host->ops->hcall(host, &c);
	if (r < 0)
		return r;
	*ret = (struct ghvm_hvc_msgqueue_receive){ .status = status_of(&c) };
	if (ret->status == GHVM_HYP_OK) {
		ret->size = c.results[1];
		ret->not_empty = c.results[2] & MSGQUEUE_MORE;
	}
	return 0;
}
