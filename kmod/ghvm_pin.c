// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pins: pinned pages, and the guard that keeps them from Linux.
 *
 * While a pin is guarded a guest may own its pages. The module does not access them then, and
 * closing the file moves the pin to the quarantine, which it leaves only by adoption.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/io.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "ghvm_priv.h"

#define CHUNK (512UL << PAGE_SHIFT) /* bytes cleaned between cond_resched()s */

void ghvm_pin_move_vmpin(struct ghvm_pin_file *pin, struct mm_struct *mm)
{
	s64 n = pin->length >> PAGE_SHIFT;

	if (mm) {
		mmgrab(mm);
		atomic64_add(n, &mm->pinned_vm);
	}
	if (pin->mm) {
		atomic64_sub(n, &pin->mm->pinned_vm);
		mmdrop(pin->mm);
	}
	pin->mm = mm;
}

/* Charge the user, as io_uring and iommufd do: after a fork the new mm has no pinned pages. */
static bool charge_user(struct ghvm_pin_file *pin)
{
	atomic_long_t *locked = &current_user()->locked_vm;
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	long n = pin->length >> PAGE_SHIFT, was = atomic_long_read(locked);

	if (!capable(CAP_IPC_LOCK)) {
		do {
			if (was + n > limit)
				return false;
		} while (!atomic_long_try_cmpxchg(locked, &was, was + n));
		pin->payer = get_current_cred();
	}
	ghvm_pin_move_vmpin(pin, current->mm);
	return true;
}

static void uncharge_user(struct ghvm_pin_file *pin)
{
	ghvm_pin_move_vmpin(pin, NULL);
	if (pin->payer)
		atomic_long_sub(pin->length >> PAGE_SHIFT, &pin->payer->user->locked_vm);
	put_cred(pin->payer);
}

/* The only function that gives pages back. */
static void pin_free(struct ghvm_pin_file *pin)
{
	if (WARN_ON(pin->state == GHVM_PIN_GUARDED))
		return;
	ghvm_pages_unpin(pin);
	uncharge_user(pin);
	mutex_destroy(&pin->lock);
	kfree(pin);
}

static struct ghvm_pin_file *pin_new(const struct ghvm_pin *arg)
{
	static atomic64_t last_id = ATOMIC64_INIT(0);
	struct ghvm_pin_file *pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);

	if (!pin)
		return ERR_PTR(-ENOMEM);
	pin->length = arg->length;
	pin->readonly = arg->flags & GHVM_PIN_READONLY;
	pin->state = GHVM_PIN_HELD;
	if (!charge_user(pin)) {
		kfree(pin);
		return ERR_PTR(-ENOMEM);
	}
	pin->id = atomic64_inc_return(&last_id);
	mutex_init(&pin->lock);
	return pin;
}

long ghvm_pin(void *priv, void *p)
{
	const struct ghvm_pin *arg = p;
	struct ghvm_pin_file *pin;
	struct file *file;
	int ret;

	if (arg->flags & ~GHVM_PIN_READONLY || arg->__reserved ||
	    !ghvm_range_valid(arg->start, arg->length, PAGE_SIZE))
		return -EINVAL;
	pin = pin_new(arg);
	if (IS_ERR(pin))
		return PTR_ERR(pin);
	ret = ghvm_pages_pin(pin, arg);
	if (!ret)
		ret = ghvm_file_new("[ghvm-pin]", &ghvm_pin_fops, pin, &file);
	if (ret < 0) {
		pin_free(pin);
		return ret;
	}
	fd_install(ret, file);
	return ret;
}

/*
 * A guest starts with its MMU off and bypasses the caches. So all data written to the pages, by
 * any mapping, must be cleaned from the caches, and no line may be written back later.
 */
static int pin_clean(const struct ghvm_pin_file *pin)
{
	const struct ghvm_extent *x = pin->extents.v;
	u64 i, done, n;

	for (i = 0; i < pin->extents.n; i++, x++) {
		for (done = 0; done < x->length; done += n) {
			n = min_t(u64, x->length - done, CHUNK);
			ghvm_clean_dcache(phys_to_virt(x->pa + done), n);
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	}
	return 0;
}

static int pin_guard(struct ghvm_pin_file *pin)
{
	int ret;

	if (pin->state == GHVM_PIN_GUARDED)
		return 0;
	if (pin->writers)
		return -EBUSY;
	ret = pin_clean(pin);
	if (!ret)
		ret = ghvm_guard_begin();
	if (!ret)
		pin->state = GHVM_PIN_GUARDED;
	return ret;
}

static int pin_unguard(struct ghvm_pin_file *pin)
{
	if (pin->state == GHVM_PIN_HELD)
		return 0;
	if (pin->away.n)
		return -EBUSY;
	pin->state = GHVM_PIN_HELD;
	ghvm_guard_end();
	return 0;
}

static long cmd_set(void *priv, void *p)
{
	struct ghvm_pin_file *pin = priv;
	struct ghvm_pin_set *arg = p;
	int ret;

	if (arg->state != GHVM_PIN_HELD && arg->state != GHVM_PIN_GUARDED)
		return -EINVAL;
	mutex_lock(&pin->lock);
	ret = arg->state == GHVM_PIN_GUARDED ? pin_guard(pin) : pin_unguard(pin);
	if (!ret)
		memcpy(pin->tag, arg->tag, sizeof(pin->tag));
	mutex_unlock(&pin->lock);
	return ret;
}

static long cmd_status(void *priv, void *p)
{
	struct ghvm_pin_file *pin = priv;
	struct ghvm_pin_status *arg = p;

	if (arg->__reserved)
		return -EINVAL;
	arg->id = pin->id;
	arg->length = pin->length;
	arg->n_extents = pin->extents.n;
	mutex_lock(&pin->lock);
	arg->state = pin->state;
	arg->assigned = pin->away.n > 0;
	memcpy(arg->tag, pin->tag, sizeof(arg->tag));
	mutex_unlock(&pin->lock);
	return 0;
}

static long cmd_extents(void *priv, void *p)
{
	struct ghvm_pin_file *pin = priv;
	struct ghvm_pin_extents *arg = p;
	const struct ghvm_extents *e = &pin->extents;
	u64 n = arg->first < e->n ? min_t(u64, arg->count, e->n - arg->first) : 0;

	if (n && copy_to_user(u64_to_user_ptr(arg->extents), e->v + arg->first, n * sizeof(*e->v)))
		return -EFAULT;
	arg->count = n;
	return 0;
}

static const struct ghvm_op pin_ops[] = {
	GHVM_OP(GHVM_PIN_STATUS, ghvm_pin_status, tag, cmd_status),
	GHVM_OP(GHVM_PIN_EXTENTS, ghvm_pin_extents, extents, cmd_extents),
	GHVM_OP(GHVM_PIN_SET, ghvm_pin_set, tag, cmd_set),
};

static long pin_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return ghvm_ioctl(file->private_data, pin_ops, ARRAY_SIZE(pin_ops), cmd,
			  (void __user *)arg);
}

static bool writers_add(struct ghvm_pin_file *pin, int n)
{
	bool held;

	mutex_lock(&pin->lock);
	held = pin->state == GHVM_PIN_HELD;
	if (held)
		pin->writers += n;
	mutex_unlock(&pin->lock);
	return held;
}

/* Copy page by page: an extent may contain several folios, and a copy must not cross them. */
static ssize_t pin_copy(struct ghvm_pin_file *pin, const char __user *buf, size_t len, u64 offset)
{
	const struct ghvm_extents *e = &pin->extents;
	struct ghvm_cursor at = ghvm_extents_find(e, offset);
	size_t done = 0, n, left = 0;
	u64 pa;

	while (done < len && !left && !fatal_signal_pending(current)) {
		pa = e->v[at.i].pa + at.within;
		n = min_t(size_t, len - done, PAGE_SIZE - offset_in_page(pa));
		left = copy_from_user(phys_to_virt(pa), buf + done, n);
		done += n - left;
		ghvm_cursor_advance(&at, e, n - left);
		cond_resched();
	}
	if (done || !len)
		return done;
	return left ? -EFAULT : -EINTR;
}

static ssize_t pin_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct ghvm_pin_file *pin = file->private_data;
	u64 offset = *pos;
	ssize_t ret;

	if (pin->readonly)
		return -EPERM;
	if (offset >= pin->length)
		return len ? -ENOSPC : 0;
	if (!writers_add(pin, 1))
		return -EBUSY;
	ret = pin_copy(pin, buf, min_t(u64, len, pin->length - offset), offset);
	writers_add(pin, -1);
	if (ret > 0)
		*pos += ret;
	return ret;
}

static int pin_release(struct inode *inode, struct file *file)
{
	struct ghvm_pin_file *pin = file->private_data;

	if (pin->state == GHVM_PIN_GUARDED)
		ghvm_quarantine_add(pin);
	else
		pin_free(pin);
	return 0;
}

const struct file_operations ghvm_pin_fops = {
	.owner = THIS_MODULE,
	.release = pin_release,
	.write = pin_write,
	.unlocked_ioctl = pin_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

int ghvm_pin_assign(struct file *file, const struct ghvm_move *m)
{
	struct ghvm_pin_file *pin = file->private_data;
	int ret = -EBUSY;

	if (file->f_op != &ghvm_pin_fops)
		return -EINVAL;
	mutex_lock(&pin->lock);
	if (pin->state == GHVM_PIN_GUARDED)
		ret = ghvm_qcom_move(&pin->extents, &pin->away, m);
	mutex_unlock(&pin->lock);
	return ret;
}
