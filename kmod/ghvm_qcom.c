// SPDX-License-Identifier: GPL-2.0-only
/*
 * Qualcomm's secure firmware has its own view of who owns a page, and has to be told.
 *
 * Everywhere else its calls mean nothing or something else, so none is made before the firmware
 * has shown that it is this one.
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
 * struct ghvm_move - from whom to whom
 * @source: bit mask of VMIDs
 * @dest: the new owners
 * @n_dest: how many
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

static int move(const struct ghvm_extent *x, const struct ghvm_move *m)
{
	GHVM_SCM_SOURCE source = m->source; /* overwritten with the new owners */

	return qcom_scm_assign_mem(x->pa, x->length, &source, m->dest, m->n_dest);
}

/* Ends with either all extents away or, if the firmware lets us, none. */
static int give(const struct ghvm_extents *e, u64 *away, const struct ghvm_move *m)
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
		ret = move(&e->v[*away], m);
		if (ret)
			goto err_back;
		cond_resched();
	}
	return 0;

err_back:
	while (*away && !move(&e->v[*away - 1], &back))
		--*away;
	if (*away)
		pr_err("%llu extents stay assigned after a failed assignment\n", *away);
	return ret;
}

/* From the last to the first, so that a failure can be taken up again. */
static int take(const struct ghvm_extents *e, u64 *away, const struct ghvm_move *m)
{
	int ret;

	while (*away) {
		ret = move(&e->v[*away - 1], m);
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

static long assign(const struct ghvm_assign *arg)
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
	ret = ghvm_pin_assign(file, arg->give_back ? take : give, &m);
	fput(file);
	return ret;
}
#else
bool ghvm_qcom_available(void)
{
	return false;
}

static long assign(const struct ghvm_assign *arg)
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
	return assign(arg);
}
