/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the manager and the resource manager, for trace and why.
 */
#pragma once

#include "daemon/ctl/json.h"

#include "libghvm/error.h"
#include "libghvm/trace.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* @m: of the call alone */
typedef void (*messages_fn)(void *data, const struct ghvm_trace_message *m);

/**
 * messages_fetch() - those that the manager has kept
 * @vm: of this one, NULL: of all
 * @after: only what came after the one of that number, 0: from the beginning
 * @no_start: do not have the manager started for it
 * @fn: called for each, in order
 *
 * Return: 0; -EBADMSG the answer makes no sense; as client_call().
 */
int messages_fetch(sd_bus *bus, const char *vm, uint64_t after, bool no_start, messages_fn fn,
		   void *data, struct ghvm_error *err);

/* One line on standard output. @indent: before it; @named: with the VM's name */
void messages_print(const struct ghvm_trace_message *m, const char *indent, bool named);

/* One object, a member of a list if @list is not NULL. */
void messages_print_json(struct json *list, const struct ghvm_trace_message *m);
