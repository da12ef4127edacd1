/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which errors of a start another try cannot fix (decision 19). Pure.
 *
 * After a permanent error the unit fails; after any other one systemd starts it again. Both the manager and
 * its start helper judge their own errors. One table serves both, with a column for each, because the same
 * errno may have different causes there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum permanent_process {
	PERMANENT_MANAGER, /* gunyah-vmd: descriptors, the plan, the hypervisor and RM */
	PERMANENT_HELPER,  /* gunyah-vm-prepare: descriptors, the files they name, guest memory */
	PERMANENT_N_PROCESSES,
};

/**
 * struct permanent_error - a row: an error that is permanent in at least one process
 * @code: negative errno
 * @in: whether it is permanent, by process
 */
struct permanent_error {
	int code;
	bool in[PERMANENT_N_PROCESSES];
};

/* All rows, each code once. */
const struct permanent_error *permanent_errors(size_t *ret_n);

/* True if an error with @code of @process will come again. */
bool permanent_in(enum permanent_process process, int code);
