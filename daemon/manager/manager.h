/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host and all its VMs: one hypervisor, one resource manager connection.
 *
 * Without a hypervisor the manager still answers requests, with the reason. Thread: main.
 */
#pragma once

#include "daemon/manager/instance/memory-quota.h"
#include "daemon/manager/core/folders.h"
#include "daemon/manager/instance/instance.h"
#include "daemon/manager/core/loop.h"
#include "daemon/manager/host/rm-generation.h"
#include "daemon/manager/recovery/quarantine.h"
#include "daemon/manager/vm/vm.h"
#include "ghvm/error.h"
#include "libghvm/hyp/host.h"
#include "libghvm/memory/ledger.h"
#include "libghvm/rm/rpc.h"
#include "ghvm/trace.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * VMs with a descriptor, of which RM can run 63 at a time (abi K.2). This bounds what a folder full of files
 * costs: each VM is an object on the bus, and lists of VMs are searched from their start.
 */
#define MANAGER_VMS_MAX 1024

/**
 * struct manager_options - borrowed for the lifetime of the manager
 * @uri: of the hypervisor, NULL: the device node
 * @vms_dirs: NULL-terminated; NULL: the default folders
 * @definition_dir: of definitions that come over the bus
 * @presplit: whether a SHARE and a RECLAIM precede each LEND
 */
struct manager_options {
	const char *uri;
	const char *const *vms_dirs;
	const char *state_dir;
	const char *control_dir;
	const char *definition_dir;
	enum presplit_option presplit;
};

/**
 * struct manager_observer - callbacks of the bus; each is called with @data
 */
struct manager_observer {
	void (*on_vm_added)(void *data, struct vm *vm);
	void (*on_vm_removed)(void *data, struct vm *vm);
	void (*on_vm_changed)(void *data, struct vm *vm);
	void (*on_vm_state)(void *data, struct vm *vm, enum vm_state before);
	void (*on_host_changed)(void *data);
};

enum manager_host_state {
	MANAGER_HOST_OK,
	MANAGER_HOST_UNAVAILABLE, /* the module's node is missing or cannot be opened */
	MANAGER_HOST_RM_DEAD,
};

/**
 * struct manager - see above
 * @host_error: why @host_state is not MANAGER_HOST_OK
 * @info: of the module, zero without it
 * @scan_error: last logged error about a descriptor folder
 * @probe: which resource manager it is, known before the loop runs
 */
struct manager {
	struct loop *loop;
	const struct manager_options *options;
	const struct manager_observer *observer;
	void *observer_data;

	enum manager_host_state host_state;
	struct ghvm_error host_error;
	struct ghvm_info info;
	struct probe probe;
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	struct ghvm_ledger ledger;
	struct ghvm_trace *trace;
	struct guest_host guest_host;
	struct loop_watch rm_watch;
	struct allowance allowance;

	struct vm_env env;
	struct folders folders;
	struct ghvm_error scan_error;
	struct vm **vms;
	size_t n_vms;
	struct quarantine quarantine;
};

/**
 * manager_init() - open the hypervisor, and take over what an earlier manager left
 *
 * Blocks until RM has replied or a timeout. A host that cannot be used is not an error, see
 * @host_state.
 */
int manager_init(struct manager *m, struct loop *loop, const struct manager_options *options);
/*
 * For loop_run_until(): true when the runner of each adopted guest has replied, or its time limit of 2 s
 * is up.
 */
bool manager_settled(const void *manager);
/* Waits for running operations. Guests continue to run. */
void manager_done(struct manager *m);

void manager_observe(struct manager *m, const struct manager_observer *o, void *data);

/* Return: 0 if RM can be used; otherwise the reason. */
int manager_check_host(const struct manager *m, struct ghvm_error *err);
/* Return: 0 if there is a hypervisor, even with a dead RM: guests then run and can be stopped. */
int manager_check_hypervisor(const struct manager *m, struct ghvm_error *err);

/*
 * Read the descriptor folders, and add and remove VMs. No VM is removed while a folder cannot be
 * read.
 */
void manager_scan(struct manager *m);
/* The same after a change or a reload; also compares the descriptors of running VMs. */
void manager_reread(struct manager *m);
/* Find a VM; scans the folders if it is not known. Return: NULL if there is none. */
struct vm *manager_find(struct manager *m, const char *name);
/* Find a VM without a scan. */
struct vm *manager_known(const struct manager *m, const char *name);

/**
 * manager_add_transient() - add a VM that is described by a call
 * @name: valid, and of no VM
 * @t: taken over on success
 *
 * It stays until manager_end_transient(). Return: 0; -ENOSPC too many VMs; -ENOMEM.
 */
int manager_add_transient(struct manager *m, const char *name, struct transient *t,
			  struct vm **ret);
/* Forget its descriptor: the VM, which is vacant, is removed by the next scan. */
void manager_end_transient(struct manager *m, struct vm *vm);

/*
 * May @vm get @bytes more at run time, @untouched of which are still to be populated?
 * 0; -EDQUOT; -ENOSPC not now; with the figures.
 */
int manager_allows(const struct manager *m, const struct vm *vm, uint64_t bytes, uint64_t untouched,
		   struct ghvm_error *err);

/* As ghvm_spec_load(); @complaints may be NULL. -EINVAL also for files that may not be read. */
int manager_load_spec(const struct manager *m, const char *name, struct ghvm_spec *ret,
		      struct ghvm_complaints *complaints, struct ghvm_error *err);
