// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that the host gives to this guest while it runs: each region is a device, /dev/gunyah-region-LABEL.
 *
 * The resource manager (RM) announces the memory; this module accepts it and maps it. The memory goes back when
 * the host wants it (MEM_RECALL), or "1" was written to /sys/class/misc/gunyah-region-LABEL/release, or the module
 * is unloaded; but not before the last file and mapping of the device are gone. Then it is unmapped first and
 * released afterwards. What the host says is not trusted: no address in this guest's RAM or in use is taken.
 *
 * All talk with RM is in one work item, under link.lock. The interrupt only starts that.
 */
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "link.h"

#define REGIONS_MAX 64

/* @users: open files. With @going set there come no more; when both say so, the region ends. */
struct region {
	struct list_head list;
	struct link *link;
	struct region_offer offer;
	bool offered; /* not accepted yet */
	void *at;
	spinlock_t lock; /* guards what follows */
	unsigned int users;
	bool going;
	struct miscdevice misc;
	char name[32];
};

/* the device of a region */

static int region_open(struct inode *inode, struct file *file)
{
	struct region *r = container_of(file->private_data, struct region, misc);
	int ret = 0;

	if (r->offer.readonly && (file->f_mode & FMODE_WRITE))
		return -EACCES;
	spin_lock(&r->lock);
	if (r->going)
		ret = -ENODEV;
	else
		r->users++;
	spin_unlock(&r->lock);
	file->private_data = r;
	return ret;
}

/* After the lock @r may be gone, but not the module, which this file holds. */
static int region_close(struct inode *inode, struct file *file)
{
	struct region *r = file->private_data;
	struct link *l = r->link;
	bool last;

	spin_lock(&r->lock);
	last = !--r->users && r->going;
	spin_unlock(&r->lock);
	if (last)
		schedule_work(&l->work);
	return 0;
}

static loff_t region_seek(struct file *file, loff_t to, int whence)
{
	struct region *r = file->private_data;

	return fixed_size_llseek(file, to, whence, r->offer.size);
}

static ssize_t region_read(struct file *file, char __user *to, size_t n, loff_t *at)
{
	struct region *r = file->private_data;

	return simple_read_from_buffer(to, n, at, r->at, r->offer.size);
}

static ssize_t region_write(struct file *file, const char __user *from, size_t n, loff_t *at)
{
	struct region *r = file->private_data;

	if (*at >= r->offer.size)
		return -ENOSPC;
	return simple_write_to_buffer(r->at, r->offer.size, at, from, n);
}

/* The mapping holds the file, so the region stays as long. */
static int region_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct region *r = file->private_data;

	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	return vm_iomap_memory(vma, r->offer.ipa, r->offer.size);
}

static const struct file_operations region_fops = {
	.owner = THIS_MODULE,
	.open = region_open,
	.release = region_close,
	.llseek = region_seek,
	.read = region_read,
	.write = region_write,
	.mmap = region_mmap,
};

static void region_go(struct region *r, bool going)
{
	spin_lock(&r->lock);
	r->going = going;
	spin_unlock(&r->lock);
}

static ssize_t release_store(struct device *dev, struct device_attribute *attr, const char *buf,
			     size_t n)
{
	struct miscdevice *misc = dev_get_drvdata(dev);
	struct region *r = container_of(misc, struct region, misc);
	bool yes;

	if (kstrtobool(buf, &yes) || !yes)
		return -EINVAL;
	region_go(r, true);
	schedule_work(&r->link->work);
	return n;
}
static DEVICE_ATTR_WO(release);

static struct attribute *region_attrs[] = { &dev_attr_release.attr, NULL };
ATTRIBUTE_GROUPS(region);

/* regions */

static struct region *find_region(struct link *l, u32 handle)
{
	struct region *r;

	list_for_each_entry(r, &l->regions, list)
		if (r->offer.handle == handle)
			return r;
	return NULL;
}

static bool label_in_use(struct link *l, u32 label)
{
	struct region *r;

	list_for_each_entry(r, &l->regions, list)
		if (r->offer.label == label)
			return true;
	return false;
}

static void region_forget(struct region *r)
{
	list_del(&r->list);
	r->link->n_regions--;
	kfree(r);
}

static int region_add(struct link *l, const struct region_offer *o)
{
	struct region *r;

	if (l->n_regions == REGIONS_MAX)
		return -ENOSPC;
	if (label_in_use(l, o->label))
		return -EEXIST;
	r = kzalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		return -ENOMEM;
	r->link = l;
	r->offer = *o;
	r->offered = true;
	spin_lock_init(&r->lock);
	snprintf(r->name, sizeof(r->name), "gunyah-region-%u", o->label);
	r->misc = (struct miscdevice){
		.minor = MISC_DYNAMIC_MINOR,
		.name = r->name,
		.fops = &region_fops,
		.parent = l->dev,
		.groups = region_groups,
		.mode = 0600,
	};
	list_add_tail(&r->list, &l->regions);
	l->n_regions++;
	return 0;
}

/* Announced again, a region stays: it ends a recall. */
static void on_shared(struct link *l)
{
	struct region_offer o;
	struct region *r;
	int ret = l->ending ? -ESHUTDOWN : region_offer_decode(l->in.buf, l->in.len, l->vmid, &o);

	if (!ret) {
		r = find_region(l, o.handle);
		if (r)
			region_go(r, false);
		else
			ret = region_add(l, &o);
	}
	if (ret)
		dev_warn_ratelimited(l->dev, "refused an offer of memory: %d\n", ret);
}

static void on_recall(struct link *l)
{
	struct region *r;
	u32 handle;

	if (region_recall_decode(l->in.buf, l->in.len, &handle)) {
		dev_warn_ratelimited(l->dev, "dropped a malformed recall\n");
		return;
	}
	r = find_region(l, handle);
	if (r)
		region_go(r, true);
}

static void on_notification(struct link *l)
{
	if (l->in.id == MEM_SHARED)
		on_shared(l);
	else if (l->in.id == MEM_RECALL)
		on_recall(l);
}

/* The host has chosen the address, so it is checked before RM is asked to map anything there. */
static int region_accept(struct region *r)
{
	const struct region_offer *o = &r->offer;
	struct link *l = r->link;
	int ret = -EBUSY;

	if (region_intersects(o->ipa, o->size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
		    REGION_DISJOINT ||
	    !request_mem_region(o->ipa, o->size, r->name))
		return -EBUSY;
	ret = link_accept(l, o);
	if (ret > 0)
		ret = -EREMOTEIO;
	if (ret && ret != -ETIMEDOUT && ret != -EPROTO)
		goto err_unrequest;
	if (!ret) {
		r->at = memremap(o->ipa, o->size, MEMREMAP_WB);
		ret = r->at ? 0 : -ENOMEM;
	}
	if (!ret)
		ret = misc_register(&r->misc);
	if (ret)
		goto err_release;
	link_notify(l, o, NOTIFY_ACCEPTED);
	dev_info(l->dev, "region %u: %llu bytes at %#llx\n", o->label, o->size, o->ipa);
	return 0;

err_release:
	if (r->at)
		memunmap(r->at);
	if (!link_release(l, o))
		link_notify(l, o, NOTIFY_RELEASED);
err_unrequest:
	release_mem_region(o->ipa, o->size);
	return ret;
}

/* No file is open, and none can be. RM refuses what it does not know, and then the guest has nothing of it. */
static void region_release(struct region *r)
{
	const struct region_offer *o = &r->offer;
	struct link *l = r->link;
	int ret;

	misc_deregister(&r->misc);
	memunmap(r->at);
	ret = link_release(l, o);
	if (!ret)
		link_notify(l, o, NOTIFY_RELEASED);
	dev_info(l->dev, "region %u: released: %d\n", o->label, ret);
	release_mem_region(o->ipa, o->size);
}

static bool region_unused(struct region *r)
{
	bool unused;

	spin_lock(&r->lock);
	unused = r->going && !r->users;
	spin_unlock(&r->lock);
	return unused;
}

/* One thing that is due. A call may change the list, so the caller begins anew afterwards. */
static bool serve_one(struct link *l)
{
	struct region *r;
	int ret;

	list_for_each_entry(r, &l->regions, list) {
		if (r->offered) {
			r->offered = false;
			ret = r->going ? -ECANCELED : region_accept(r);
			if (ret) {
				dev_warn(l->dev, "region %u: not accepted: %d\n", r->offer.label,
					 ret);
				region_forget(r);
			}
			return true;
		}
		if (region_unused(r)) {
			region_release(r);
			region_forget(r);
			return true;
		}
	}
	return false;
}

static void serve(struct work_struct *work)
{
	struct link *l = container_of(work, struct link, work);

	mutex_lock(&l->lock);
	do {
		while (link_receive(l))
			if (l->in.type == REGION_MSG_NOTIFICATION)
				on_notification(l);
	} while (serve_one(l));
	mutex_unlock(&l->lock);
}

/* the driver */

static irqreturn_t on_irq(int irq, void *data)
{
	struct link *l = data;

	WRITE_ONCE(l->has_news, true);
	wake_up(&l->news);
	schedule_work(&l->work);
	return IRQ_HANDLED;
}

/* At the end of the module: it has no users, so no region has any, and there are no interrupts any more. */
static void end_link(void *data)
{
	struct link *l = data;
	struct region *r;

	mutex_lock(&l->lock);
	l->ending = true;
	list_for_each_entry(r, &l->regions, list)
		region_go(r, true);
	mutex_unlock(&l->lock);
	serve(&l->work);
	cancel_work_sync(&l->work); /* one that a write to a "release" has begun */
}

/* Known before RM is asked anything, as memory may have been announced already. */
static int read_vmid(u16 *ret)
{
	struct device_node *node = of_find_compatible_node(NULL, NULL, "qcom,gunyah-vm-id");
	u32 vmid;
	int r = of_property_read_u32(node, "qcom,vmid", &vmid);

	of_node_put(node);
	if (!r)
		*ret = vmid;
	return r;
}

static int region_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct link *l;
	u64 caps[2];
	int irq, ret;

	if (of_property_read_u64_array(dev->of_node, "reg", caps, 2) || !link_is_gunyah())
		return -ENODEV;
	l = devm_kzalloc(dev, sizeof(*l), GFP_KERNEL);
	if (!l)
		return -ENOMEM;
	l->dev = dev;
	l->tx = caps[0];
	l->rx = caps[1];
	l->seq = get_random_u32();
	mutex_init(&l->lock);
	init_waitqueue_head(&l->news);
	l->on_notification = on_notification;
	INIT_WORK(&l->work, serve);
	INIT_LIST_HEAD(&l->regions);

	irq = platform_get_irq(pdev, 1); /* of the queue from RM */
	if (irq < 0)
		return irq;
	ret = read_vmid(&l->vmid);
	if (ret)
		return dev_err_probe(dev, ret, "no node qcom,gunyah-vm-id with qcom,vmid\n");
	ret = devm_add_action_or_reset(dev, end_link, l);
	if (!ret)
		ret = devm_request_irq(dev, irq, on_irq, 0, "gunyah_region", l);
	if (ret)
		return ret;
	schedule_work(&l->work);
	dev_info(dev, "VM %u\n", l->vmid);
	return 0;
}

static const struct of_device_id region_of_match[] = { { .compatible = "gunyah-resource-manager" },
						       { .compatible = "qcom,resource-manager" },
						       {} };
MODULE_DEVICE_TABLE(of, region_of_match);

static struct platform_driver region_driver = {
	.probe = region_probe,
	.driver = {
		.name = "gunyah_region",
		.of_match_table = region_of_match,
		.suppress_bind_attrs = true,
	},
};
module_platform_driver(region_driver);

MODULE_DESCRIPTION("Memory that a Gunyah guest gets while it runs");
MODULE_LICENSE("GPL");
