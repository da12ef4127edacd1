/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Witness processes, which may die: each is a child that loads a byte of a page that may be lent.
 *
 * A child has one mapping and one socket, and no other file: neither the module's node, so
 * that no pin lives longer than the manager, nor a page of anybody else. It dies with its
 * parent, and cannot leave a core dump, which would be the kernel reading a lent page (abi K.4).
 */
#pragma once

#include "libghvm/machine/presplit-probe.h"

#include <sys/types.h>

#define WITNESS_MS 5000

/**
 * struct witness - the children
 * @pid: 0: none; @fd: the other end of its socket, -1: none
 */
struct witness {
	pid_t pid[GHVM_PRESPLIT_PAGES];
	int fd[GHVM_PRESPLIT_PAGES];
};

/*
 * The functions of struct ghvm_presplit_witness, with a struct witness as its data. witness_open()
 * forks: no other thread may run. -ECHILD: a child did not get as far as to look.
 */
int witness_open(void *data, const int memfds[GHVM_PRESPLIT_PAGES]);
int witness_look(void *data, size_t i);
void witness_close(void *data);
