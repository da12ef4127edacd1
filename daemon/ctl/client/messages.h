/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the manager and the resource manager, for trace and why.
 */
#pragma once

#include "libghvm/base/json.h"

#include "ghvm/error.h"
#include "ghvm/trace.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* @m: valid only during the call */
typedef void (*messages_fn)(void *data, const struct ghvm_trace_message *m);

/**
 * messages_fetch() - fetch the messages that the manager has kept
 * @vm: only messages of this VM; NULL: of all VMs
 * @after: only messages with a higher number; 0: all
 * @no_start: do not start the manager
 * @fn: called for each message, in order
 *
 * Return: 0; -EBADMSG malformed reply; as client_call().
 */
int messages_fetch(sd_bus *bus, const char *vm, uint64_t after, bool no_start, messages_fn fn,
		   void *data, struct ghvm_error *err);

/* Print one line on standard output. @indent: its prefix; @named: print the name of the VM */
void messages_print(const struct ghvm_trace_message *m, const char *indent, bool named);

/* Print one JSON object, as a member of @list if that is not NULL. */
void messages_print_json(struct ghvm_json *list, const struct ghvm_trace_message *m);
