// SPDX-License-Identifier: GPL-2.0-only
/*
 * Grant files: handles that permit a few listed calls until they are revoked.
 *
 * A grant is passed to a process with no other privilege, and outlives the process that created
 * it.
 */
#define pr_fmt(fmt) "ghvm: " fmt

#include <linux/file.h>
#include <linux/kref.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <linux/sort.h>

#include "ghvm_priv.h"

#define GRANT_REVOKED INT_MIN /* the bit that makes a count of calls negative */

/**
 * struct ghvm_grant_file - a grant
 * @ref: held by its file, and by a revocation in progress
 * @node: in grants, until revoked or closed; guarded by grants_lock
 * @busy: number of ioctls in progress; GRANT_REVOKED is set once, and then none starts any more
 * @id: chosen by user space, for GHVM_REVOKE
 * @irqs: virqs bound through it
 * @calls: @n_calls permitted calls, owned
 * @virqs: @n_virqs permitted virqs, owned
 * @n_calls: at most GHVM_GRANT_MAX
 * @n_virqs: likewise
 */
struct ghvm_grant_file {
	struct kref ref;
	struct list_head node;
	atomic_t busy;
	u64 id;
	struct ghvm_irqs irqs;
	struct ghvm_grant_call *calls;
	u32 *virqs;
	u32 n_calls;
	u32 n_virqs;
};

static DEFINE_MUTEX(grants_lock);
static LIST_HEAD(grants);

static void grant_free(struct kref *ref)
{
	struct ghvm_grant_file *g = container_of(ref, struct ghvm_grant_file, ref);

	kfree(g->calls);
	kfree(g->virqs);
	kfree(g);
}

static struct ghvm_grant_file *grant_find(u64 id)
{
	struct ghvm_grant_file *g;

	list_for_each_entry(g, &grants, node)
		if (g->id == id)
			return g;
	return NULL;
}

static long grant_hcall(struct ghvm_grant_file *g, void *p)
{
	struct ghvm_hcall *call = p;

	if (call->__reserved)
		return -EINVAL;
	if (!ghvm_calls_have(g->calls, g->n_calls, call->call, call->args[0]))
		return -EPERM;
	ghvm_hvc_plain(call);
	return 0;
}

static long grant_irq(struct ghvm_grant_file *g, void *p)
{
	struct ghvm_irq *arg = p;

	if (arg->kind != GHVM_IRQ_VIRQ || !ghvm_virqs_have(g->virqs, g->n_virqs, arg->virq))
		return -EPERM;
	return ghvm_irqs_set(&g->irqs, arg);
}

/* One atomic variable has both, so either a call is counted before it is revoked, or it is refused. */
static bool grant_begin(struct ghvm_grant_file *g)
{
	return atomic_inc_unless_negative(&g->busy);
}

/* The hypercall is over for grant_drain(), which reads the count with acquire. */
static void grant_end(struct ghvm_grant_file *g)
{
	(void)atomic_dec_return_release(&g->busy);
}

/* Not held across copies from and to user space, which could block for long. */
static long run_counted(struct ghvm_grant_file *g,
			long (*run)(struct ghvm_grant_file *g, void *arg), void *arg)
{
	long ret;

	if (!grant_begin(g))
		return -ESTALE;
	ret = run(g, arg);
	grant_end(g);
	return ret;
}

static long cmd_hcall(void *priv, void *p)
{
	return run_counted(priv, grant_hcall, p);
}

static long cmd_irq(void *priv, void *p)
{
	return run_counted(priv, grant_irq, p);
}

static const struct ghvm_op grant_ops[] = {
	GHVM_OP(GHVM_HCALL, ghvm_hcall, __reserved, cmd_hcall),
	GHVM_OP(GHVM_IRQ, ghvm_irq, eventfd, cmd_irq),
};

static long grant_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ghvm_grant_file *g = file->private_data;

	if (atomic_read(&g->busy) < 0)
		return -ESTALE;
	return ghvm_ioctl(g, grant_ops, ARRAY_SIZE(grant_ops), cmd, (void __user *)arg);
}

static int grant_release(struct inode *inode, struct file *file)
{
	struct ghvm_grant_file *g = file->private_data;

	mutex_lock(&grants_lock);
	list_del_init(&g->node);
	mutex_unlock(&grants_lock);
	ghvm_irqs_done(&g->irqs);
	kref_put(&g->ref, grant_free);
	return 0;
}

static const struct file_operations grant_fops = {
	.owner = THIS_MODULE,
	.release = grant_release,
	.unlocked_ioctl = grant_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* Copy the lists to @g, which owns them also on failure. */
static int grant_load(struct ghvm_grant_file *g, const struct ghvm_grant *arg)
{
	void *p;

	p = memdup_user(u64_to_user_ptr(arg->calls), arg->n_calls * sizeof(*g->calls));
	if (IS_ERR(p))
		return PTR_ERR(p);
	g->calls = p;
	g->n_calls = arg->n_calls;
	p = memdup_user(u64_to_user_ptr(arg->virqs), arg->n_virqs * sizeof(*g->virqs));
	if (IS_ERR(p))
		return PTR_ERR(p);
	g->virqs = p;
	g->n_virqs = arg->n_virqs;
	sort(g->calls, g->n_calls, sizeof(*g->calls), ghvm_calls_compare, NULL);

	return ghvm_calls_check(g->calls, g->n_calls);
}

static struct ghvm_grant_file *grant_new(const struct ghvm_grant *arg)
{
	struct ghvm_grant_file *g = kzalloc(sizeof(*g), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!g)
		return ERR_PTR(-ENOMEM);
	kref_init(&g->ref);
	INIT_LIST_HEAD(&g->node);
	INIT_LIST_HEAD(&g->irqs.list);
	g->id = arg->id;
	ret = grant_load(g, arg);
	if (ret) {
		kref_put(&g->ref, grant_free);
		return ERR_PTR(ret);
	}
	return g;
}

static long grant_publish(struct ghvm_grant_file *g)
{
	struct file *file;
	int fd;

	mutex_lock(&grants_lock);
	fd = grant_find(g->id) ? -EEXIST : ghvm_file_new("[ghvm-grant]", &grant_fops, g, &file);
	if (fd >= 0)
		list_add(&g->node, &grants);
	mutex_unlock(&grants_lock);
	if (fd >= 0)
		fd_install(fd, file);
	return fd;
}

long ghvm_grant(void *priv, void *p)
{
	const struct ghvm_grant *arg = p;
	struct ghvm_grant_file *g;
	long ret;

	if (arg->flags || !arg->id)
		return -EINVAL;
	if (arg->n_calls > GHVM_GRANT_MAX || arg->n_virqs > GHVM_GRANT_MAX)
		return -EINVAL;
	g = grant_new(arg);
	if (IS_ERR(g))
		return PTR_ERR(g);
	ret = grant_publish(g);
	if (ret < 0)
		kref_put(&g->ref, grant_free);
	return ret;
}

/*
 * Wait until no ioctl of @g runs or can start. The interrupt ends a vcpu_run; the loop repeats it
 * for a vcpu_run that had not started yet.
 */
static int grant_drain(struct ghvm_grant_file *g)
{
	atomic_or(GRANT_REVOKED, &g->busy);
	for (;;) {
		kick_all_cpus_sync();
		if (atomic_read_acquire(&g->busy) == GRANT_REVOKED)
			return 0;
		schedule_timeout_killable(1);
		if (fatal_signal_pending(current))
			return -EINTR; /* still listed: can be revoked again */
	}
}

long ghvm_revoke(void *priv, void *p)
{
	const struct ghvm_revoke *arg = p;
	struct ghvm_grant_file *g;
	int ret;

	if (arg->flags)
		return -EINVAL;
	mutex_lock(&grants_lock);
	g = grant_find(arg->id);
	if (g)
		kref_get(&g->ref);
	mutex_unlock(&grants_lock);
	if (!g)
		return -ENOENT;

	ret = grant_drain(g);
	if (!ret) {
		ghvm_irqs_done(&g->irqs);
		mutex_lock(&grants_lock);
		list_del_init(&g->node);
		mutex_unlock(&grants_lock);
	}
	kref_put(&g->ref, grant_free);
	return ret;
}
