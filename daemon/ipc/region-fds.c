/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of file descriptors by label.
 */
#include "daemon/ipc/region-fds.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

bool ghvm_region_fd_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS;
}

static struct ghvm_region_fd *find_label(struct ghvm_region_fds *all, uint32_t label)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].label == label)
			return &all->v[i];
	return NULL;
}

void ghvm_region_fds_drop(struct ghvm_region_fds *all, uint32_t label)
{
	struct ghvm_region_fd *f = find_label(all, label);

	if (!f)
		return;
	closep(&f->fd);
	*f = all->v[--all->n];
}

int ghvm_region_fds_put(struct ghvm_region_fds *all, uint32_t label, int fd)
{
	int copy;

	ghvm_region_fds_drop(all, label);
	if (!ghvm_region_fd_sealed(fd))
		return -EBADF;
	if (all->n == ARRAY_SIZE(all->v))
		return -ENOSPC;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -errno;
	all->v[all->n++] = (struct ghvm_region_fd){ .label = label, .fd = copy };
	return 0;
}

int ghvm_region_fds_get(const struct ghvm_region_fds *all, uint32_t label)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].label == label)
			return all->v[i].fd;
	return -ENOENT;
}

void ghvm_region_fds_done(struct ghvm_region_fds *all)
{
	while (all->n)
		closep(&all->v[--all->n].fd);
}
