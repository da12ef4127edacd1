// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page assignment in Qualcomm's secure firmware, which tracks the owner of each page itself.
 *
 * On other platforms its calls are undefined or mean something else, so none is made before the
 * firmware has identified itself.
 */
#define pr_fmt(fmt) "ghvm: " fmt

#include <linux/file.h>
#include <linux/overflow.h>

#include "ghvm_priv.h"

#define FN_QCOM_UID 0x86003f01

static bool available;

void ghvm_qcom_probe(void)
{
	available = IS_REACHABLE(CONFIG_QCOM_SCM) && ghvm_smc_is_qualcomm(FN_QCOM_UID);
}

#if IS_REACHABLE(CONFIG_QCOM_SCM)
#define VMID_PRIMARY 3
#define SOURCE_MAX type_max(GHVM_SCM_SOURCE)

/**
 * struct ghvm_move - a change of ownership
 * @source: bit mask of VMIDs
 * @dest: the new owners
 * @n_dest: number of @dest
 */
struct ghvm_move {
	u64 source;
	struct qcom_scm_vmperm dest[GHVM_ASSIGN_MAX];
	u32 n_dest;
};

bool ghvm_qcom_available(void)
{
	return available && qcom_scm_is_available();
}

static int move_extent(const struct ghvm_extent *x, const struct ghvm_move *m)
{
	GHVM_SCM_SOURCE source = m->source; /* overwritten with the new owners */

	return qcom_scm_assign_mem(x->pa, x->length, &source, m->dest, m->n_dest);
}

/*
 * Assign all extents. On failure take back those already assigned, as far as the firmware
 * permits.
 */
static int give_extents(const struct ghvm_extents *e, u64 *away, const struct ghvm_move *m)
{
	struct ghvm_move back = {
		.dest = { { VMID_PRIMARY, QCOM_SCM_PERM_RWX } },
		.n_dest = 1,
	};
	u32 i;
	int ret;

	for (i = 0; i < m->n_dest; i++)
		back.source |= BIT_ULL(m->dest[i].vmid);
	if (back.source > SOURCE_MAX)
		return -EOPNOTSUPP;
	for (; *away < e->n; ++*away) {
		ret = move_extent(&e->v[*away], m);
		if (ret)
			goto err_back;
		cond_resched();
	}
	return 0;

err_back:
	while (*away && !move_extent(&e->v[*away - 1], &back))
		--*away;
	if (*away)
		pr_err("%llu extents stay assigned after a failed assignment\n", *away);
	return ret;
}

/* Take extents back, last one first, so that a failed call can be repeated. */
static int take_extents(const struct ghvm_extents *e, u64 *away, const struct ghvm_move *m)
{
	int ret;

	while (*away) {
		ret = move_extent(&e->v[*away - 1], m);
		if (ret)
			return ret;
		--*away;
		cond_resched();
	}
	return 0;
}

static int move_load(struct ghvm_move *m, const struct ghvm_assign *arg)
{
	const struct ghvm_assign_perm __user *from = u64_to_user_ptr(arg->dest);
	struct ghvm_assign_perm p;
	u32 i;

	for (i = 0; i < arg->n_dest; i++) {
		if (copy_from_user(&p, from + i, sizeof(p)))
			return -EFAULT;
		if (p.vmid > 63 || !p.perm || p.perm & ~QCOM_SCM_PERM_RWX)
			return -EINVAL;
		m->dest[i] = (struct qcom_scm_vmperm){ p.vmid, p.perm };
	}
	m->n_dest = arg->n_dest;
	m->source = arg->source;
	return m->source > SOURCE_MAX ? -EOPNOTSUPP : 0;
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
	ret = ghvm_pin_assign(file, arg->give_back ? take_extents : give_extents, &m);
	fput(file);
	return ret;
}
#else
bool ghvm_qcom_available(void)
{
	return false;
}

static long assign_pin(const struct ghvm_assign *arg)
{
	return -EOPNOTSUPP;
}
#endif

long ghvm_assign(void *priv, void *p)
{
	const struct ghvm_assign *arg = p;

	if (!arg->source || !arg->n_dest || arg->n_dest > GHVM_ASSIGN_MAX || arg->give_back > 1)
		return -EINVAL;
	if (!ghvm_qcom_available())
		return -EOPNOTSUPP;
	return assign_pin(arg);
}
