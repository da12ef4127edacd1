/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory that devices can access, by guest address: what a guest shares with the host.
 *
 * Each address in a register or a ring is a guest's word, and is looked up here before it is used. Lent memory
 * is in no map: no process has a file of it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DMA_RANGES_MAX 2

/**
 * struct dma_range - memory without a gap, mapped
 * @ipa: guest address of its first byte
 * @at: @size bytes
 * @fd: its file, for a back-end in another process; owned; -1: not kept
 */
struct dma_range {
	uint64_t ipa;
	uint64_t size;
	uint8_t *at;
	int fd;
};

/**
 * struct dma_map - all of it; zeroed: none
 *
 * Thread: main while no vCPU runs; then it does not change, and any thread may look up.
 */
struct dma_map {
	struct dma_range ranges[DMA_RANGES_MAX];
	size_t n;
};

/**
 * dma_map_add() - map the memory at guest address @ipa
 * @m: the caller calls dma_map_done()
 * @size: whole pages, as @ipa
 * @fd: a memfd of at least @size bytes of which no process can change the size; borrowed
 *
 * Return: 0; -EINVAL not whole pages, or it wraps; -EEXIST overlaps other memory; -ENOSPC; -EBADF
 * another kind of file, or too small; errno of mmap().
 */
int dma_map_add(struct dma_map *m, uint64_t ipa, uint64_t size, int fd);
void dma_map_done(struct dma_map *m);

/* Keep a duplicate of the file of the range at @ipa. Return: 0; -ENOENT no such range; errno of fcntl(). */
int dma_map_keep(struct dma_map *m, uint64_t ipa, int fd);

/* Memory at @ipa; NULL if one of @size bytes is outside. @ipa and @size are not trusted. */
uint8_t *dma_map_find(const struct dma_map *m, uint64_t ipa, uint64_t size);
