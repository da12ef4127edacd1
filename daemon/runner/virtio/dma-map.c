/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A list of ranges: a guest has one or two.
 */
#include "daemon/runner/virtio/dma-map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/ipc/region-fds.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

static bool overlaps(const struct dma_map *m, uint64_t ipa, uint64_t size)
{
	for (size_t i = 0; i < m->n; i++)
		if (ipa < m->ranges[i].ipa + m->ranges[i].size && m->ranges[i].ipa < ipa + size)
			return true;
	return false;
}

/* A file that cannot shrink: an access to the mapping never ends in a SIGBUS. */
static bool is_memory(int fd, uint64_t size)
{
	struct stat st;

	return ghvm_region_fd_sealed(fd) && fstat(fd, &st) == 0 && (uint64_t)st.st_size >= size;
}

int dma_map_add(struct dma_map *m, uint64_t ipa, uint64_t size, int fd)
{
	void *at;

	if (!size || !ghvm_aligned(ipa, GHVM_PAGE) || !ghvm_aligned(size, GHVM_PAGE) ||
	    size > UINT64_MAX - ipa)
		return -EINVAL;
	if (overlaps(m, ipa, size))
		return -EEXIST;
	if (m->n == DMA_RANGES_MAX)
		return -ENOSPC;
	if (!is_memory(fd, size))
		return -EBADF;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	m->ranges[m->n++] = (struct dma_range){ .ipa = ipa, .size = size, .at = at, .fd = -1 };
	return 0;
}

void dma_map_done(struct dma_map *m)
{
	while (m->n) {
		m->n--;
		(void)munmap(m->ranges[m->n].at, m->ranges[m->n].size); /* a mapping of ours */
		closep(&m->ranges[m->n].fd);
	}
}

int dma_map_keep(struct dma_map *m, uint64_t ipa, int fd)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->ranges[i].ipa != ipa)
			continue;
		closep(&m->ranges[i].fd);
		m->ranges[i].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return m->ranges[i].fd < 0 ? -errno : 0;
	}
	return -ENOENT;
}

uint8_t *dma_map_find(const struct dma_map *m, uint64_t ipa, uint64_t size)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct dma_range *r = &m->ranges[i];

		if (ipa >= r->ipa && ipa - r->ipa < r->size && size <= r->size - (ipa - r->ipa))
			return r->at + (ipa - r->ipa);
	}
	return NULL;
}
