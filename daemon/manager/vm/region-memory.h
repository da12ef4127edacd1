/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a VM's regions, for clients of the host. Thread: main.
 *
 * Only memory that the guest shares with the host has a file descriptor. Its runner keeps a
 * duplicate, which a later manager asks for.
 */
#pragma once

#include "ghvm/error.h"

#include <stddef.h>
#include <stdint.h>

struct vm;

/**
 * vm_region_memory() - a file descriptor of a region's memory
 *
 * The descriptor is borrowed until the next event; its size is that of the region and is sealed.
 *
 * Return: a file descriptor; -ENOENT no such region; -EXDEV the host has no access to it; -ESRCH the
 * guest does not run; -ESTALE it is being removed, or its file descriptor is lost; -EBUSY the runner
 * has not sent it yet.
 */
int vm_region_memory(const struct vm *vm, uint32_t label, struct ghvm_error *err);

/**
 * vm_region_memory_add() - keep the memory of regions that are about to be added, here and in the runner
 * @fds: @n memfds, borrowed; negative: there was no file descriptor left, and it cannot be opened
 *
 * Return: 0; -EBUSY the runner does not reply.
 */
int vm_region_memory_add(struct vm *vm, const uint32_t *labels, const int *fds, size_t n,
			 struct ghvm_error *err);
/* Forget the memory of regions that no longer exist, here and in the runner. No operation may run. */
void vm_region_memory_prune(struct vm *vm);
/* Ask the runner of an adopted guest for the memory of its regions. */
void vm_region_memory_ask(struct vm *vm);

/* For the connection to the runner. */
void vm_on_region_fd(void *data, uint32_t label, int fd);
void vm_on_pong(void *data, uint32_t serial);
