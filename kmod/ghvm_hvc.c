// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hypercalls.
 *
 * Always arm_smccc_1_2_hvc(): vcpu_run has five result words, and the 1.1 macros do not know that
 * the fifth register changes.
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

static const u32 uid_gunyah[4] = { 0xcd8fd5c1, 0xdb5f53a4, 0x36ce6592, 0x145f3d67 };
static const u32 uid_qualcomm[4] = { 0xbd54bd19, 0x1b57370b, 0x9b606f94, 0xe69d5354 };

struct regs {
	u64 x[8];
};

#ifdef CONFIG_ARM64
#include <asm/virt.h>

static void smccc(struct regs *r, void (*conduit)(const struct arm_smccc_1_2_regs *args,
						  struct arm_smccc_1_2_regs *res))
{
	struct arm_smccc_1_2_regs in = {
		.a0 = r->x[0],
		.a1 = r->x[1],
		.a2 = r->x[2],
		.a3 = r->x[3],
		.a4 = r->x[4],
		.a5 = r->x[5],
		.a6 = r->x[6],
	};
	struct arm_smccc_1_2_regs out;

	conduit(&in, &out);
	*r = (struct regs){ { out.a0, out.a1, out.a2, out.a3, out.a4 } };
}

static void hvc(struct regs *r)
{
	smccc(r, arm_smccc_1_2_hvc);
}

/* Where no firmware takes SMCs they are undefined instructions. */
static bool smc(struct regs *r)
{
	if (arm_smccc_1_1_get_conduit() != SMCCC_CONDUIT_SMC)
		return false;
	smccc(r, arm_smccc_1_2_smc);
	return true;
}

/* A kernel at EL2 has no hypervisor; its HVC would come to itself. */
static bool hvc_possible(void)
{
	return !is_kernel_in_hyp_mode();
}
#else
static void hvc(struct regs *r)
{
	r->x[0] = U64_MAX;
}

static bool smc(struct regs *r)
{
	return false;
}

static bool hvc_possible(void)
{
	return false;
}
#endif

static void uid_from_regs(u32 uid[4], const struct regs *r)
{
	int i;

	for (i = 0; i < 4; i++)
		uid[i] = lower_32_bits(r->x[i]);
}

bool ghvm_uid_is_qualcomm(const u32 uid[4])
{
	return !memcmp(uid, uid_qualcomm, sizeof(uid_qualcomm));
}

bool ghvm_smc_uid(u32 fn, u32 uid[4])
{
	struct regs r = { { fn } };

	if (!smc(&r))
		return false;
	uid_from_regs(uid, &r);
	return true;
}

int ghvm_hvc_probe(struct ghvm_hyp *hyp)
{
	struct regs r = { { FN_UID } };
	u64 version;

	if (!hvc_possible())
		return -ENODEV;
	hvc(&r);
	uid_from_regs(hyp->uid, &r);
	if (memcmp(hyp->uid, uid_gunyah, sizeof(uid_gunyah)) && !ghvm_uid_is_qualcomm(hyp->uid)) {
		pr_err("the hypervisor is not Gunyah\n");
		return -ENODEV;
	}

	r = (struct regs){ { FN_CALL | GHVM_CALL_IDENTIFY } };
	hvc(&r);
	memcpy(hyp->identify, r.x, sizeof(hyp->identify));
	version = FIELD_GET(API_VERSION, hyp->identify[0]);
	if (version != API_OURS || hyp->identify[0] & API_BIG_ENDIAN) {
		pr_err("hypervisor API version %llu%s is not supported, only %u\n", version,
		       hyp->identify[0] & API_BIG_ENDIAN ? " (big endian)" : "", API_OURS);
		return -ENODEV;
	}
	return 0;
}

void ghvm_hvc_plain(struct ghvm_hcall *call)
{
	struct regs r = { { FN_CALL | call->call } };

	memcpy(&r.x[1], call->args, sizeof(call->args));
	hvc(&r);
	memcpy(call->results, r.x, sizeof(call->results));
}

/* The hypervisor reads and writes kernel addresses only; @buf is in the linear map. */
static void hvc_buffer(struct ghvm_hcall *call, unsigned int index, void *buf)
{
	u64 user = call->args[index];

	call->args[index] = (u64)(unsigned long)buf;
	ghvm_hvc_plain(call);
	call->args[index] = user;
}

/* What can fail of the copying, before the message leaves its queue for good. */
static long queue_prepare(const struct ghvm_hcall *call, bool send, u64 size, void *buf)
{
	if (send)
		return copy_from_user(buf, u64_to_user_ptr(call->args[2]), size) ? -EFAULT : 0;
	return fault_in_writeable(u64_to_user_ptr(call->args[1]), size) ? -EFAULT : 0;
}

static long queue_call(struct ghvm_irqs *irqs, struct ghvm_hcall *call, bool send, void *buf)
{
	long ret;

	ret = ghvm_irqs_rm_begin(irqs);
	if (ret)
		return ret;
	hvc_buffer(call, send ? 2 : 1, buf);
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

/* Only the resource manager's queues, and only for the file that gets its virq. */
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
