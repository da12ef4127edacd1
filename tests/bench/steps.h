/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts the instructions that a child executes in user space, by stepping it from one SIGSTOP that it
 * raises to the next.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* End the program with @what if @r is negative. */
void must(int r, const char *what);

/* In the child, first: the parent may step it. */
void steps_let_count(void);

/* Up to the second SIGSTOP. Return: the steps from the first, which are what raising one costs. */
uint64_t steps_first(pid_t pid);

/* Return: the steps to the next SIGSTOP. */
uint64_t steps_next(pid_t pid);

/* Kill the child. */
void steps_end(pid_t pid);
