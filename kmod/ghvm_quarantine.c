// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guarded pins: how many there are, and the quarantine of those with a closed file. The module cannot be
 * unloaded and the machine cannot hibernate while there are any. Only adoption takes a pin out of here.
 */
#define pr_fmt(fmt) "ghvm: " fmt

#include <linux/file.h>
#include <linux/suspend.h>

#include "ghvm_priv.h"

static DEFINE_MUTEX(ghvm_guard_lock);
/* guarded by ghvm_guard_lock: */
u64 ghvm_quarantined;
static LIST_HEAD(quarantine);
static u64 n_guarded;
static bool hibernating;

int ghvm_guard_begin(void)
{
	int ret = -EBUSY;

	mutex_lock(&ghvm_guard_lock);
	if (!hibernating) {
		ret = 0;
		n_guarded++;
		__module_get(THIS_MODULE); /* held already, by the pin's file */
	}
	mutex_unlock(&ghvm_guard_lock);
	return ret;
}

void ghvm_guard_end(void)
{
	mutex_lock(&ghvm_guard_lock);
	n_guarded--;
	mutex_unlock(&ghvm_guard_lock);
	module_put(THIS_MODULE);
}

/* The first pin with an id of at least @id, or NULL. */
static struct ghvm_pin_file *quarantine_find(u64 id)
{
	struct ghvm_pin_file *pin;

	list_for_each_entry(pin, &quarantine, node)
		if (pin->id >= id)
			return pin;
	return NULL;
}

/*
 * Cannot fail: it is called on release of a file. After the lock is dropped another process may
 * adopt, unguard and free @pin.
 */
void ghvm_quarantine_add(struct ghvm_pin_file *pin)
{
	u64 id = pin->id, npages = pin->length >> PAGE_SHIFT;
	struct ghvm_pin_file *after;

	mutex_lock(&ghvm_guard_lock);
	after = quarantine_find(id);
	list_add_tail(&pin->node, after ? &after->node : &quarantine);
	ghvm_quarantined += npages;
	mutex_unlock(&ghvm_guard_lock);
	pr_notice_ratelimited("pin %llu: quarantined %llu pages that a guest may own\n", id,
			      npages);
}

/* A pin in the quarantine has no other user, so the guard lock suffices. */
static bool quarantine_next(u64 after, struct ghvm_quarantine_entry *ret)
{
	struct ghvm_pin_file *pin;

	mutex_lock(&ghvm_guard_lock);
	pin = after < U64_MAX ? quarantine_find(after + 1) : NULL;
	if (pin) {
		*ret = (struct ghvm_quarantine_entry){
			.id = pin->id,
			.length = pin->length,
			.n_extents = pin->extents.n,
			.assigned = pin->away.n > 0,
		};
		memcpy(ret->tag, pin->tag, sizeof(ret->tag));
	}
	mutex_unlock(&ghvm_guard_lock);
	return pin;
}

long ghvm_quarantine_list(void *priv, void *p)
{
	struct ghvm_quarantine_list *arg = p;
	struct ghvm_quarantine_entry __user *to = u64_to_user_ptr(arg->entries);
	struct ghvm_quarantine_entry entry;
	u64 after = arg->after;
	u32 n;

	for (n = 0; n < arg->count && quarantine_next(after, &entry); n++) {
		if (copy_to_user(to + n, &entry, sizeof(entry)))
			return -EFAULT;
		after = entry.id;
	}
	arg->count = n;
	return 0;
}

long ghvm_quarantine_adopt(void *priv, void *p)
{
	const struct ghvm_quarantine_adopt *arg = p;
	struct ghvm_pin_file *pin;
	struct file *file;
	int fd = -ENOENT;

	if (arg->flags)
		return -EINVAL;
	mutex_lock(&ghvm_guard_lock);
	pin = quarantine_find(arg->id);
	if (pin && pin->id == arg->id)
		fd = ghvm_file_new("[ghvm-pin]", &ghvm_pin_fops, pin, &file);
	if (fd >= 0) {
		list_del(&pin->node);
		ghvm_quarantined -= pin->length >> PAGE_SHIFT;
	}
	mutex_unlock(&ghvm_guard_lock);
	if (fd >= 0) {
		ghvm_pin_move_vmpin(pin, current->mm); /* not visible to other processes yet */
		fd_install(fd, file);
	}
	return fd;
}

/* A hibernation image would read the guests' pages, and resuming would overwrite them. */
static int on_pm(struct notifier_block *nb, unsigned long action, void *data)
{
	bool begins = action == PM_HIBERNATION_PREPARE || action == PM_RESTORE_PREPARE;
	bool ends = action == PM_POST_HIBERNATION || action == PM_POST_RESTORE;
	int ret = NOTIFY_DONE;

	mutex_lock(&ghvm_guard_lock);
	if (begins && n_guarded) {
		pr_warn("no hibernation: guests own pages of %llu pins\n", n_guarded);
		ret = notifier_from_errno(-EBUSY);
	} else if (begins || ends) {
		hibernating = begins;
	}
	mutex_unlock(&ghvm_guard_lock);
	return ret;
}

static struct notifier_block pm_notifier = {
	.notifier_call = on_pm,
};

int ghvm_quarantine_init(void)
{
	return register_pm_notifier(&pm_notifier);
}

/* Only a forced unload finds guarded pins; their pages are leaked, and safe. */
void ghvm_quarantine_exit(void)
{
	unregister_pm_notifier(&pm_notifier);
	if (n_guarded)
		pr_emerg("unloaded by force: %llu pages stay pinned for ever\n", ghvm_quarantined);
}
