// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hypercalls.
 *
 * All use arm_smccc_1_2_hvc(): vcpu_run has five result words, and the 1.1 macros do not know
 * that the fifth register changes.
 */
#define pr_fmt(fmt) "ghvm: " fmt

#include <linux/bitfield.h>
#include <linux/pagemap.h>

#include "ghvm_priv.h"

#define FN_UID 0x8600ff01
#define FN_CALL 0xc6008000

#define API_VERSION GENMASK_ULL(13, 0)
#define API_BIG_ENDIAN BIT_ULL(14)
#define API_OURS 1

static const u32 uid_gunyah[4] = GHVM_UID_GUNYAH;
static const u32 uid_qualcomm[4] = GHVM_UID_QUALCOMM;

#ifdef CONFIG_ARM64
#include <asm/virt.h>

static bool kernel_at_el2(void)
{
	return is_kernel_in_hyp_mode();
}

/* Without a hypervisor an HVC is UNDEFINED; where it is the conduit there is one. */
static bool hvc_is_conduit(void)
{
	return arm_smccc_1_1_get_conduit() == SMCCC_CONDUIT_HVC;
}

/*
 * Make the call in @x, which gets the results. False if there is no callee: a kernel at EL2 has
 * no hypervisor, and without firmware an SMC is UNDEFINED.
 */
static bool smccc_call(u64 x[8], enum arm_smccc_conduit conduit)
{
	struct arm_smccc_1_2_regs in = { x[0], x[1], x[2], x[3], x[4], x[5], x[6] };
	struct arm_smccc_1_2_regs out;

	if (conduit == SMCCC_CONDUIT_HVC && !is_kernel_in_hyp_mode())
		arm_smccc_1_2_hvc(&in, &out);
	else if (conduit == SMCCC_CONDUIT_SMC && conduit == arm_smccc_1_1_get_conduit())
		arm_smccc_1_2_smc(&in, &out);
	else
		return false;
	memcpy(x, &out, 8 * sizeof(x[0]));
	return true;
}
#else
static bool kernel_at_el2(void)
{
	return false;
}

static bool hvc_is_conduit(void)
{
	return false;
}

static bool smccc_call(u64 x[8], enum arm_smccc_conduit conduit)
{
	return false;
}
#endif

static bool uid_get(u32 fn, enum arm_smccc_conduit conduit, u32 uid[4])
{
	u64 x[8] = { fn };
	int i;

	if (!smccc_call(x, conduit))
		return false;
	for (i = 0; i < 4; i++)
		uid[i] = lower_32_bits(x[i]);
	return true;
}

static bool uid_is(const u32 uid[4], const u32 wanted[4])
{
	return !memcmp(uid, wanted, 4 * sizeof(uid[0]));
}

bool ghvm_smc_is_qualcomm(u32 fn)
{
	u32 uid[4];

	return uid_get(fn, SMCCC_CONDUIT_SMC, uid) && uid_is(uid, uid_qualcomm);
}

u32 ghvm_hvc_probe(struct ghvm_hyp *hyp)
{
	struct ghvm_hcall identify = { .call = GHVM_CALL_IDENTIFY };

	if (kernel_at_el2())
		return GHVM_OBSTACLE_EL2;
	if (hyp->node || hvc_is_conduit())
		uid_get(FN_UID, SMCCC_CONDUIT_HVC, hyp->uid);
	if (!hyp->node)
		return GHVM_OBSTACLE_NO_NODE;
	if (!uid_is(hyp->uid, uid_gunyah) && !uid_is(hyp->uid, uid_qualcomm))
		return GHVM_OBSTACLE_FOREIGN;
	ghvm_hvc_plain(&identify);
	memcpy(hyp->identify, identify.results, sizeof(hyp->identify));
	if (FIELD_GET(API_VERSION, hyp->identify[0]) != API_OURS ||
	    hyp->identify[0] & API_BIG_ENDIAN)
		return GHVM_OBSTACLE_API;
	return 0;
}

void ghvm_hvc_plain(struct ghvm_hcall *call)
{
	u64 x[8] = { FN_CALL | call->call };

	memcpy(&x[1], call->args, sizeof(call->args));
	smccc_call(x, SMCCC_CONDUIT_HVC);
	memcpy(call->results, x, sizeof(call->results));
}

/* The copies that can fail, before the message irrevocably leaves its queue. */
static long queue_prepare(const struct ghvm_hcall *call, bool send, u64 size, void *buf)
{
	if (send)
		return copy_from_user(buf, u64_to_user_ptr(call->args[2]), size) ? -EFAULT : 0;
	return fault_in_writeable(u64_to_user_ptr(call->args[1]), size) ? -EFAULT : 0;
}

/* The hypervisor accesses kernel addresses only; @buf is in the linear map. */
static long queue_call(struct ghvm_irqs *irqs, struct ghvm_hcall *call, bool send, void *buf)
{
	u64 *at = &call->args[send ? 2 : 1];
	u64 user = *at;
	long ret;

	ret = ghvm_irqs_rm_begin(irqs);
	if (ret)
		return ret;
	*at = (u64)(unsigned long)buf;
	ghvm_hvc_plain(call);
	*at = user;
	ghvm_irqs_rm_end();
	return 0;
}

static long queue_finish(const struct ghvm_hcall *call, const void *buf)
{
	u64 size = min(call->results[1], call->args[2]);

	if ((s32)call->results[0])
		return 0;
	return copy_to_user(u64_to_user_ptr(call->args[1]), buf, size) ? -EFAULT : 0;
}

/* Only the resource manager's queues, and only for the file that has bound the RX virq. */
long ghvm_hvc_queue(struct ghvm_irqs *irqs, struct ghvm_hcall *call)
{
	bool send = ghvm_call_kind(call->call) == GHVM_CALL_SEND;
	u64 size = send ? call->args[1] : call->args[2];
	void *buf;
	long ret;

	if (call->args[0] != (send ? ghvm_hyp.rm_tx_capid : ghvm_hyp.rm_rx_capid))
		return -EPERM;
	if (!size || size > GHVM_BUFFER_MAX)
		return -EINVAL;
	buf = kzalloc(GHVM_BUFFER_MAX, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	ret = queue_prepare(call, send, size, buf);
	if (!ret)
		ret = queue_call(irqs, call, send, buf);
	if (!ret && !send)
		ret = queue_finish(call, buf);
	kfree(buf);
	return ret;
}
