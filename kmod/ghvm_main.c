// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/ghvm: the operations that a manager of virtual machines cannot do in user space.
 *
 * The module knows hypercalls, interrupts and pages. It does not know virtual machines or
 * messages. Where no guest can run it loads all the same: only it can tell why, by GHVM_INFO.
 */
#define pr_fmt(fmt) "ghvm: " fmt

#include <linux/miscdevice.h>
#include <linux/of_platform.h>
#include <linux/platform_device.h>

#include "ghvm_priv.h"

struct ghvm_hyp ghvm_hyp;

static const struct of_device_id ghvm_of_match[] = {
	{ .compatible = "gunyah-resource-manager" },
	{},
};
MODULE_DEVICE_TABLE(of, ghvm_of_match);

/*
 * A driver of the kernel that has the resource manager, as Android's gunyah_rsc_mgr: two readers of
 * one queue would take each other's replies. It may come and go at any time.
 */
static void info_driver(struct ghvm_info *info)
{
	struct platform_device *pdev;

	pdev = ghvm_hyp.node ? of_find_device_by_node(ghvm_hyp.node) : NULL;
	if (!pdev)
		return;
	device_lock(&pdev->dev);
	if (pdev->dev.driver) {
		strscpy(info->driver, pdev->dev.driver->name, sizeof(info->driver));
		strscpy(info->device, dev_name(&pdev->dev), sizeof(info->device));
	}
	device_unlock(&pdev->dev);
	put_device(&pdev->dev);
	if (info->driver[0] && !info->obstacle)
		info->obstacle = GHVM_OBSTACLE_DRIVER;
}

static long cmd_info(void *priv, void *p)
{
	struct ghvm_info *arg = p;

	*arg = (struct ghvm_info){ .size = arg->size };

	arg->flags = ghvm_qcom_flags();
	if (GHVM_PINS_FILES && !ghvm_hyp.obstacle)
		arg->flags |= GHVM_INFO_PIN_FILE;
	if (ghvm_hyp.rm_irq[GHVM_IRQ_RM_TX])
		arg->flags |= GHVM_INFO_RM_TX_VIRQ;
	if (ghvm_hyp.rm_irq[GHVM_IRQ_RM_RX])
		arg->flags |= GHVM_INFO_RM_RX_VIRQ;
	arg->abi = GHVM_ABI_LEVEL;
	arg->page_size = PAGE_SIZE;
	memcpy(arg->uid, ghvm_hyp.uid, sizeof(arg->uid));
	memcpy(arg->identify, ghvm_hyp.identify, sizeof(arg->identify));
	arg->rm_tx_capid = ghvm_hyp.rm_tx_capid;
	arg->rm_rx_capid = ghvm_hyp.rm_rx_capid;
	arg->quarantined_pages = READ_ONCE(ghvm_quarantined);
	arg->obstacle = ghvm_hyp.obstacle;
	info_driver(arg);
	return 0;
}

static long cmd_hcall(void *priv, void *p)
{
	struct ghvm_hcall *call = p;

	if (call->__reserved)
		return -EINVAL;
	switch (ghvm_call_kind(call->call)) {
	case GHVM_CALL_PLAIN:
		ghvm_hvc_plain(call);
		return 0;
	case GHVM_CALL_SEND:
	case GHVM_CALL_RECEIVE:
		return ghvm_hvc_queue(priv, call);
	default:
		return -EPERM;
	}
}

static const struct ghvm_op dev_ops[] = {
	GHVM_OP(GHVM_INFO, ghvm_info, device, cmd_info), /* first: see dev_ioctl() */
	GHVM_OP(GHVM_HCALL, ghvm_hcall, __reserved, cmd_hcall),
	GHVM_OP(GHVM_IRQ, ghvm_irq, eventfd, ghvm_irqs_set),
	GHVM_OP(GHVM_PIN, ghvm_pin, __reserved, ghvm_pin),
	GHVM_OP(GHVM_GRANT, ghvm_grant, n_virqs, ghvm_grant),
	GHVM_OP(GHVM_REVOKE, ghvm_revoke, id, ghvm_revoke),
	GHVM_OP(GHVM_QUARANTINE_LIST, ghvm_quarantine_list, entries, ghvm_quarantine_list),
	GHVM_OP(GHVM_QUARANTINE_ADOPT, ghvm_quarantine_adopt, id, ghvm_quarantine_adopt),
	GHVM_OP(GHVM_ASSIGN, ghvm_assign, __reserved, ghvm_assign),
};

static int dev_open(struct inode *inode, struct file *file)
{
	struct ghvm_irqs *irqs = kzalloc(sizeof(*irqs), GFP_KERNEL_ACCOUNT);

	if (!irqs)
		return -ENOMEM;
	INIT_LIST_HEAD(&irqs->list);
	file->private_data = irqs;
	return 0;
}

static int dev_release(struct inode *inode, struct file *file)
{
	ghvm_irqs_done(file->private_data);
	kfree(file->private_data);
	return 0;
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	size_t n = ghvm_hyp.obstacle ? 1 : ARRAY_SIZE(dev_ops);

	return ghvm_ioctl(file->private_data, dev_ops, n, cmd, (void __user *)arg);
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.open = dev_open,
	.release = dev_release,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ghvm",
	.fops = &dev_fops,
	.mode = 0600,
};

static const char *const obstacles[] = {
	[GHVM_OBSTACLE_EL2] = "this kernel runs at EL2, where Gunyah would: use KVM",
	[GHVM_OBSTACLE_NO_NODE] = "no gunyah-resource-manager in the device tree",
	[GHVM_OBSTACLE_NODE] = "the resource manager's node has no capabilities in reg",
	[GHVM_OBSTACLE_FOREIGN] = "the hypervisor is not Gunyah",
	[GHVM_OBSTACLE_API] = "the hypervisor's API is another one",
};

static int hyp_probe(struct ghvm_hyp *hyp)
{
	hyp->node = of_find_matching_node(NULL, ghvm_of_match);
	hyp->obstacle = ghvm_hvc_probe(hyp);
	if (!hyp->obstacle && (of_property_read_u64_index(hyp->node, "reg", 0, &hyp->rm_tx_capid) ||
			       of_property_read_u64_index(hyp->node, "reg", 1, &hyp->rm_rx_capid)))
		hyp->obstacle = GHVM_OBSTACLE_NODE;
	if (!hyp->obstacle)
		return ghvm_irq_probe(hyp);
	pr_warn("no guest can run: %s\n", obstacles[hyp->obstacle]);
	return 0;
}

static int __init ghvm_init(void)
{
	int ret;

	BUILD_BUG_ON(sizeof(struct ghvm_info) > GHVM_ARG_MAX);
	BUILD_BUG_ON(sizeof(struct ghvm_hcall) > GHVM_ARG_MAX);
	BUILD_BUG_ON(sizeof(struct ghvm_pin_status) > GHVM_ARG_MAX);

	ret = hyp_probe(&ghvm_hyp);
	if (ret)
		goto err_node;
	if (!ghvm_hyp.obstacle)
		ghvm_qcom_probe();
	ret = ghvm_quarantine_init();
	if (ret)
		goto err_hyp;
	ret = misc_register(&dev);
	if (!ret)
		return 0;

	ghvm_quarantine_exit();
err_hyp:
	ghvm_irq_done(&ghvm_hyp);
err_node:
	of_node_put(ghvm_hyp.node);
	return ret;
}
module_init(ghvm_init);

static void __exit ghvm_exit(void)
{
	misc_deregister(&dev);
	ghvm_quarantine_exit();
	ghvm_irq_done(&ghvm_hyp);
	of_node_put(ghvm_hyp.node);
}
module_exit(ghvm_exit);

MODULE_DESCRIPTION("Gunyah hypercalls, interrupts and page pins for user space");
MODULE_LICENSE("GPL");
