/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A handle on the hypervisor: the node of the kernel module, or a model that is a process.
 *
 * Thread: any. fork(2): the handle works in parent and child, and the module counts both as one
 * user; the child closes it without effect on the parent. What was pinned stays pinned while one of
 * them has it open.
 */
#pragma once

#include "ghvm/api.h"
#include "ghvm/error.h"
#include "ghvm/types.h"

GHVM_BEGIN_DECLS

struct ghvm_host;

/**
 * ghvm_host_open() - open the hypervisor that a URI names
 * @uri: "/dev/ghvm" or another path of the node; "unix:/path" of a model; NULL: /dev/ghvm
 * @ret: owned by the caller, ghvm_host_close()
 *
 * Checks the module's ABI level, the hypervisor's identity and its API version, and that nothing
 * else is in the way of guests.
 *
 * Return: 0; -ENODEV no node (the module is not loaded), or something is in the way, which @err
 * names with what to do; -EACCES; -EPROTO another ABI level or API version.
 */
int ghvm_host_open(const char *uri, struct ghvm_host **ret, struct ghvm_error *err);

/* The node or socket that @uri names; a part of @uri, or static. */
const char *ghvm_host_path(const char *uri);

/**
 * ghvm_host_from_fd() - a host on a grant file: only hcall and irq work
 * @fd: grant file; taken over on success
 */
int ghvm_host_from_fd(int fd, struct ghvm_host **ret, struct ghvm_error *err);

/* Accepts NULL. */
void ghvm_host_close(struct ghvm_host *h);
void ghvm_host_closep(struct ghvm_host **h);

/**
 * ghvm_host_bind_virq() - signal an eventfd when a virtual interrupt of this host comes
 * @virq: of a vCPU of a machine, ghvm_machine_vcpus()
 * @eventfd: borrowed for the call; -1 ends the binding
 *
 * Return: 0; -EBUSY it is bound; -EPERM the handle is a grant without this virq; other errno of
 * the module.
 */
int ghvm_host_bind_virq(struct ghvm_host *h, struct ghvm_virq virq, int eventfd);

GHVM_END_DECLS
