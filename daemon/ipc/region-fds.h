/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File descriptors of the memory of regions, by label: of memory that a guest shares with the host,
 * never of lent memory. The manager has them for its clients, the runner for a later manager.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More regions than a guest can have. */
#define GHVM_REGION_FDS_MAX 128

/**
 * struct ghvm_region_fd - the memory of one region
 * @fd: a memfd, owned
 */
struct ghvm_region_fd {
	uint32_t label;
	int fd;
};

/**
 * struct ghvm_region_fds - of all regions of a guest; all zero: empty
 */
struct ghvm_region_fds {
	struct ghvm_region_fd v[GHVM_REGION_FDS_MAX];
	size_t n;
};

/* Is @fd a memfd of which no process can change the size? Never blocks. */
bool ghvm_region_fd_sealed(int fd);

/**
 * ghvm_region_fds_put() - keep the memory of a region, instead of an earlier one of that label
 * @fd: borrowed; a duplicate is kept
 *
 * Return: 0; -EBADF not ghvm_region_fd_sealed(); -ENOSPC too many; errno of fcntl(). On failure the
 * earlier one is closed, too: it is not this region's memory.
 */
int ghvm_region_fds_put(struct ghvm_region_fds *all, uint32_t label, int fd);

/* Return: a file descriptor, borrowed until the next change; -ENOENT. */
int ghvm_region_fds_get(const struct ghvm_region_fds *all, uint32_t label);

void ghvm_region_fds_drop(struct ghvm_region_fds *all, uint32_t label);
void ghvm_region_fds_done(struct ghvm_region_fds *all);
