/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptors that the start helper left for us, by name.
 */
#pragma once

#include <stddef.h>

#include "ghvm/error.h"
#include "ghvm/spec.h"

/**
 * struct fds - owned descriptors, -1: not there
 * @grant: hypercalls and virqs of this VM
 * @control: the manager that built it
 * @listen: where a later manager dials
 * @machine: sealed memfd, what we run
 * @console_log: where the console is logged, and older logs, in order
 * @refused: the start was refused for good, nothing else is there
 * @wake: eventfd of each vCPU's wake-up virq
 */
struct fds {
	int grant;
	int control;
	int listen;
	int machine;
	int console_log[GHVM_SPEC_LOGS_MAX];
	int refused;
	int wake[GHVM_SPEC_CPUS_MAX];
};

void fds_init(struct fds *f);
void fds_done(struct fds *f);

/**
 * fds_add() - sort one in
 * @name: "grant", "control", "listen", "machine", "console-log", "console-log-N", "refused", "wake-N";
 *        "window-LABEL" is dropped
 * @fd: taken over, also on failure; close-on-exec from here on
 *
 * Return: 0; -ENOENT no such name; -EEXIST it is there already.
 */
int fds_add(struct fds *f, const char *name, int fd);

/**
 * fds_take() - all from the unit's store, which is empty afterwards
 *
 * Unknown names are dropped. Return: 0; -EEXIST a name came twice; another errno.
 */
int fds_take(struct fds *f, struct ghvm_error *err);

/* Return: 0; -ENOENT and which name is missing. */
int fds_check(const struct fds *f, struct ghvm_error *err);
