/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest of a VM: descriptor, files, plan, machine.
 *
 * The guest_run_* functions block and run on an operation thread. During an operation only this thread
 * uses the guest, except for functions marked "any thread".
 */
#pragma once

#include "daemon/manager/state/file.h"
#include "ghvm/error.h"
#include "libghvm/memory/ledger.h"
#include "daemon/ipc/protocol.h"
#include "daemon/ipc/region-fds.h"
#include "ghvm/machine.h"
#include "libghvm/machine/pair.h"
#include "daemon/ipc/needs.h"
#include "ghvm/spec.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct guest_host - the host of all guests; borrowed
 * @quirks: of the resource manager
 */
struct guest_host {
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	struct ghvm_ledger *ledger;
	const struct ghvm_quirks *quirks;
};

/* Files that a start needs from the start helper. */
#define GUEST_NEEDS_MAX GHVM_NEEDS_MAX

/**
 * struct guest_need - a file that the start helper provides
 * @fd: owned; -1: not provided yet, or already used
 */
struct guest_need {
	struct ghvm_need is;
	int fd;
};

/**
 * struct guest_fd - a file descriptor for the unit's store; owned
 */
struct guest_fd {
	char name[32];
	int fd;
};

#define GUEST_FDS_MAX                                                                              \
	(11 + GHVM_SPEC_CPUS_MAX + GHVM_SPEC_REGIONS_MAX + GHVM_SPEC_LOGS_MAX +                    \
	 GHVM_SPEC_VHOST_MAX + GHVM_SPEC_DISKS_MAX)

/**
 * struct guest - see above
 * @spec: owned; empty for a guest adopted without a state file
 * @plan: owned, if @planned; @origin: other input of the plan, owned
 * @lent_instead: RM has refused shared RAM, of this guest or an earlier one: its RAM is lent, whatever the
 *     descriptor says, which the spec repeats; @refused_now: in this start, and it is not remembered yet
 * @no_rebuild: why the guest cannot reboot in place; code 0: it can, as far as known
 * @regions: the memory of its regions, for clients; never used by the operation thread
 * @pair: of a guest with regions that another guest has as well
 * @machine: owned; set by the operation thread, then used by main for ghvm_machine_on_notify()
 * @step: enum ghvm_step_kind of the current build, any thread; -1: none
 * @on_step: called on the operation thread when @step has changed
 */
struct guest {
	const struct guest_host *host;
	char name[GHVM_NAME_SIZE];
	struct ghvm_spec spec;
	struct ghvm_plan plan;
	bool planned;
	struct store_origin origin;
	bool lent_instead;
	bool refused_now;
	struct ghvm_error no_rebuild;
	uint64_t incarnation;
	struct guest_need needs[GUEST_NEEDS_MAX];
	size_t n_needs;
	struct ghvm_region_fds regions;
	struct ghvm_machine_pair pair;
	_Atomic(struct ghvm_machine *) machine;
	_Atomic int step;
	void (*on_step)(void *data);
	void *data;
};

/* Check, without any file, whether this host and its resource manager support the guest. */
int guest_check(const struct guest_host *host, const struct ghvm_spec *spec,
		struct ghvm_error *err);

/**
 * guest_new() - create a guest from a descriptor
 * @spec: taken over on success
 * @ret: owned, guest_free()
 */
int guest_new(const struct guest_host *host, struct ghvm_spec *spec, struct guest **ret);

/* Create a guest for adoption, without a machine. */
int guest_new_adopted(const struct guest_host *host, const char *name, uint64_t incarnation,
		      struct guest **ret);

/**
 * guest_recall() - make the plan of an adopted guest again
 * @rec: planned, of this incarnation; its spec and origin are taken over
 *
 * The images are opened again. If that is not allowed, or a file has been replaced, @no_rebuild is set.
 */
void guest_recall(struct guest *g, struct store_record *rec);

struct transient;
/* The files of a transient VM have arrived: those that guest_recall() could not open. */
void guest_recall_sent(struct guest *g, const struct transient *t);

/* Set the machine of an adopted guest. @m: taken over */
void guest_set_machine(struct guest *g, struct ghvm_machine *m);

/* Fill in a state file record; its pointers are borrowed from the guest. */
void guest_record(const struct guest *g, struct store_record *ret);

/* Pages that are still guarded stay in the module's quarantine. Accepts NULL. */
void guest_free(struct guest *g);
void guest_freep(struct guest **g);

/**
 * guest_give() - provide a needed file
 * @fd: taken over on success
 * Return: 0; -EBADMSG not needed, or already provided; -EINVAL wrong type of file; -EFAULT wrong memfd.
 */
int guest_give(struct guest *g, enum ghvm_link_kind kind, uint16_t index, int fd,
	       struct ghvm_error *err);
bool guest_given(const struct guest *g);

/* Before the build of a guest with regions that the VM of @other has as well: this guest makes them. */
void guest_make_regions(struct guest *g, const struct ghvm_spec *other);
/* The same, if @maker, which has been built, has made them. */
void guest_join_regions(struct guest *g, const struct guest *maker);

/* Thread: operation. Return: as the functions of machine.h that they call. */
int guest_run_build(struct guest *g, struct ghvm_error *err);
int guest_run_start(struct guest *g, struct ghvm_error *err);
int guest_run_teardown(struct guest *g, struct ghvm_error *err);
int guest_run_rebuild(struct guest *g, struct ghvm_error *err);

/* A build or start has failed and was not undone: guest_run_rebuild() lends RAM, or a teardown follows. */
bool guest_share_refused(const struct guest *g);
/* RM has told what it gives the guest: the plan says so. */
void guest_note_watchdog(struct guest *g);
/* Does the descriptor let the host only read that region? */
bool guest_host_readonly(const struct guest *g, uint32_t label);
/* The VM that the descriptor shares that region with, borrowed; "": none. */
const char *guest_region_peer(const struct guest *g, uint32_t label);
/* File descriptors for the runner, after a build. @ret has @ret_n entries also on failure. */
int guest_take_fds(struct guest *g, struct guest_fd ret[GUEST_FDS_MAX], size_t *ret_n);
/* Create the sealed memfd "machine" (runinfo); owned by the caller. */
int guest_runinfo(const struct guest *g);

/* Does @plan describe the machine? False for a guest adopted without a usable state file. */
bool guest_planned(const struct guest *g);
bool guest_can_rebuild(const struct guest *g);
/* Any thread. */
struct ghvm_machine *guest_machine(const struct guest *g);
struct ghvm_vmid guest_vmid(const struct guest *g);
