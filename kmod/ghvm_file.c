// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all files of the module have: ioctls by a table, and how a file is handed out.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>

#include "ghvm_priv.h"

static const struct ghvm_op *op_find(const struct ghvm_op *ops, size_t n, unsigned int cmd)
{
	/* Ignore the size in the command: structures may grow. */
	for (size_t i = 0; i < n; i++)
		if (!((ops[i].cmd ^ cmd) & ~IOCSIZE_MASK))
			return &ops[i];
	return NULL;
}

long ghvm_ioctl(void *priv, const struct ghvm_op *ops, size_t n, unsigned int cmd, void __user *p)
{
	const struct ghvm_op *op = op_find(ops, n, cmd);
	u64 arg[GHVM_ARG_MAX / sizeof(u64)];
	u32 usize, ksize;
	long ret;

	if (!op)
		return -ENOTTY;
	ksize = _IOC_SIZE(op->cmd);
	if (get_user(usize, (u32 __user *)p))
		return -EFAULT;
	if (usize < op->min)
		return -EINVAL;
	if (usize > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(arg, ksize, p, usize);
	if (ret)
		return ret;
	ret = op->run(priv, arg);
	if (ret < 0 || !(op->cmd & IOC_OUT))
		return ret;
	return copy_to_user(p, arg, min(usize, ksize)) ? -EFAULT : ret;
}

int ghvm_file_new(const char *name, const struct file_operations *fops, void *priv,
		  struct file **ret)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = anon_inode_getfile(name, fops, priv, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	file->f_mode |= FMODE_PWRITE;
	*ret = file;
	return fd;
}
