// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page assignment in Qualcomm's secure firmware, which tracks the owner of each page itself.
 *
 * On other platforms its calls are undefined or mean something else, so none is made before the
 * firmware has identified itself.
 *
 * This is in the kernel because only the kernel may make these calls, and because the owners of a
 * guarded pin must be known after the death of the process that has assigned it.
 */
#define pr_fmt(fmt) "ghvm: " fmt

#include <linux/file.h>

#include "ghvm_priv.h"

#define FN_QCOM_UID 0x86003f01
#define VMID_PRIMARY 3
#define VMID_LAST 63

static bool needed;

void ghvm_qcom_probe(void)
{
	needed = ghvm_smc_is_qualcomm(FN_QCOM_UID);
}

#if GHVM_SCM_USABLE
/**
 * struct ghvm_move - new owners
 * @dest: with their permissions
 * @n_dest: number of @dest; 0: back to the primary VM
 */
struct ghvm_move {
	struct qcom_scm_vmperm dest[GHVM_ASSIGN_MAX];
	u32 n_dest;
};

u32 ghvm_qcom_flags(void)
{
	if (!needed)
		return 0;
	return GHVM_INFO_ASSIGN_NEEDED | (qcom_scm_is_available() ? GHVM_INFO_ASSIGN : 0);
}

/* A status of the firmware that the kernel passes on as it is may be positive. */
static int move_extent(const struct ghvm_extent *x, u64 source, const struct ghvm_move *m)
{
	int ret = qcom_scm_assign_mem(x->pa, x->length, &source, m->dest, m->n_dest);

	return ret > 0 ? -EIO : ret;
}

/*
 * Return: 0, the firmware says that the primary VM alone owns the extent. An earlier call may have
 * moved it and reported a failure, so if @owners have it no longer, "from the primary to the
 * primary" shows that it is there.
 */
static int return_extent(const struct ghvm_extent *x, u64 owners)
{
	static const struct ghvm_move home = {
		.dest = { { VMID_PRIMARY, QCOM_SCM_PERM_RWX } },
		.n_dest = 1,
	};
	int ret = move_extent(x, owners, &home);

	if (!ret || !move_extent(x, BIT_ULL(VMID_PRIMARY), &home))
		return 0;
	return ret;
}

/* Last one first, so that a failed call can be repeated. */
static int take_extents(const struct ghvm_extents *e, struct ghvm_away *away)
{
	int ret;

	while (away->n) {
		ret = return_extent(&e->v[away->n - 1], away->owners);
		if (ret)
			return ret;
		away->n--;
		cond_resched();
	}
	return 0;
}

/*
 * A refused extent counts as assigned until the firmware has shown the contrary: the kernel turns
 * all statuses that it does not know into -EINVAL.
 */
static int give_extents(const struct ghvm_extents *e, struct ghvm_away *away,
			const struct ghvm_move *m)
{
	int ret = 0;
	u32 i;

	if (away->n)
		return -EBUSY;
	away->owners = 0;
	for (i = 0; i < m->n_dest; i++)
		away->owners |= BIT_ULL(m->dest[i].vmid);
	while (!ret && away->n < e->n) {
		ret = move_extent(&e->v[away->n], BIT_ULL(VMID_PRIMARY), m);
		away->n++;
		cond_resched();
	}
	if (ret && take_extents(e, away))
		pr_err("%llu extents stay assigned after a failed assignment\n", away->n);
	return ret;
}

int ghvm_qcom_move(const struct ghvm_extents *e, struct ghvm_away *away, const struct ghvm_move *m)
{
	return m->n_dest ? give_extents(e, away, m) : take_extents(e, away);
}

static int move_load(struct ghvm_move *m, const struct ghvm_assign *arg)
{
	const struct ghvm_assign_perm __user *from = u64_to_user_ptr(arg->dest);
	struct ghvm_assign_perm p;
	u32 i;

	for (i = 0; i < arg->n_dest; i++) {
		if (copy_from_user(&p, from + i, sizeof(p)))
			return -EFAULT;
		if (p.vmid > VMID_LAST || !p.perm || p.perm & ~QCOM_SCM_PERM_RWX)
			return -EINVAL;
		m->dest[i] = (struct qcom_scm_vmperm){ p.vmid, p.perm };
	}
	m->n_dest = arg->n_dest;
	return 0;
}

static long assign_pin(const struct ghvm_assign *arg)
{
	struct ghvm_move m = {};
	struct file *file;
	int ret;

	ret = move_load(&m, arg);
	if (ret)
		return ret;
	file = fget(arg->pin);
	if (!file)
		return -EBADF;
	ret = ghvm_pin_assign(file, &m);
	fput(file);
	return ret;
}
#else
u32 ghvm_qcom_flags(void)
{
	return needed ? GHVM_INFO_ASSIGN_NEEDED : 0;
}

int ghvm_qcom_move(const struct ghvm_extents *e, struct ghvm_away *away, const struct ghvm_move *m)
{
	return -EOPNOTSUPP;
}

static long assign_pin(const struct ghvm_assign *arg)
{
	return -EOPNOTSUPP;
}
#endif

long ghvm_assign(void *priv, void *p)
{
	const struct ghvm_assign *arg = p;

	if (arg->n_dest > GHVM_ASSIGN_MAX || arg->__reserved)
		return -EINVAL;
	if (!(ghvm_qcom_flags() & GHVM_INFO_ASSIGN))
		return -EOPNOTSUPP;
	return assign_pin(arg);
}
