/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All that a VM is made of while it exists: descriptor, files, plan, machine.
 *
 * The guest_run_* functions block and belong to an operation thread, which alone touches
 * the guest meanwhile, but for what is said to be for any thread.
 */
#pragma once

#include "daemon/manager/state/file.h"
#include "ghvm/error.h"
#include "libghvm/memory/ledger.h"
#include "daemon/ipc/protocol.h"
#include "ghvm/machine.h"
#include "daemon/ipc/needs.h"
#include "ghvm/spec.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct guest_host - where guests live; all borrowed
 * @quirks: of the resource manager
 */
struct guest_host {
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	struct ghvm_ledger *ledger;
	const struct ghvm_quirks *quirks;
};

/* What a start needs from the helper. */
#define GUEST_NEEDS_MAX GHVM_NEEDS_MAX

/**
 * struct guest_need - one file that the helper gives
 * @fd: given; owned, -1 not yet, or used up
 */
struct guest_need {
	struct ghvm_need is;
	int fd;
};

/**
 * struct guest_fd - a descriptor for the unit's store; owned
 */
struct guest_fd {
	char name[32];
	int fd;
};

#define GUEST_FDS_MAX (7 + GHVM_SPEC_CPUS_MAX + GHVM_SPEC_REGIONS_MAX + GHVM_SPEC_LOGS_MAX)

/**
 * struct guest - see above
 * @spec: owned; empty for one that was adopted without a record
 * @plan: owned, if @planned; @origin: what else it was made of, owned
 * @no_rebuild: why it cannot reboot in place, as far as is known without trying; code 0: it can
 * @machine: owned; set by the operation thread, then for ghvm_machine_on_notify() by main
 * @step: enum ghvm_step_kind of a build, any thread; -1 none
 * @on_step: called on the operation thread when @step changed
 */
struct guest {
	const struct guest_host *host;
	char name[GHVM_NAME_SIZE];
	struct ghvm_spec spec;
	struct ghvm_plan plan;
	bool planned;
	struct store_origin origin;
	struct ghvm_error no_rebuild;
	uint64_t incarnation;
	struct guest_need needs[GUEST_NEEDS_MAX];
	size_t n_needs;
	_Atomic(struct ghvm_machine *) machine;
	_Atomic int step;
	void (*on_step)(void *data);
	void *data;
};

/* Whether this host and its resource manager can have it, as far as no file is needed to say so. */
int guest_check(const struct guest_host *host, const struct ghvm_spec *spec,
		struct ghvm_error *err);

/**
 * guest_new() - of a descriptor
 * @spec: taken over on success
 * @ret: owned, guest_free()
 */
int guest_new(const struct guest_host *host, struct ghvm_spec *spec, struct guest **ret);

/* Of what an earlier manager has left: without a machine as yet. */
int guest_new_adopted(const struct guest_host *host, const char *name, uint64_t incarnation,
		      struct guest **ret);

/**
 * guest_recall() - make the plan again that an adopted guest was built from
 * @rec: planned, of this incarnation; its spec and origin are taken over
 *
 * The images are opened again, where we may and where they are still the same files; if
 * not, @no_rebuild says so.
 */
void guest_recall(struct guest *g, struct store_record *rec);

/* An adopted guest's machine, taken over. */
void guest_set_machine(struct guest *g, struct ghvm_machine *m);

/* For a state file; what it points to is borrowed from the guest. */
void guest_record(const struct guest *g, struct store_record *ret);

/* What is still guarded goes to the module's quarantine. Accepts NULL. */
void guest_free(struct guest *g);
void guest_freep(struct guest **g);

/**
 * guest_give() - one of the needs
 * @fd: taken over on success
 * Return: 0; -EBADMSG nobody asked for it, or it was given; -EINVAL it is not what was
 * asked for, see @err.
 */
int guest_give(struct guest *g, enum ghvm_link_kind kind, uint16_t index, int fd,
	       struct ghvm_error *err);
bool guest_given(const struct guest *g);

/* Thread: operation. As the functions of machine.h that they call. */
int guest_run_build(struct guest *g, struct ghvm_error *err);
int guest_run_start(struct guest *g, struct ghvm_error *err);
int guest_run_teardown(struct guest *g, struct ghvm_error *err);
int guest_run_rebuild(struct guest *g, struct ghvm_error *err);

/* After a build: what the runner gets. Filled up to @ret_n also on failure. */
int guest_take_fds(struct guest *g, struct guest_fd ret[GUEST_FDS_MAX], size_t *ret_n);
/* The sealed "machine" of now; owned by the caller. */
int guest_runinfo(const struct guest *g);

/* Is @plan that of its machine? Not if it was adopted, and nobody knows what it is made of. */
bool guest_planned(const struct guest *g);
bool guest_can_rebuild(const struct guest *g);
/* Any thread. */
struct ghvm_machine *guest_machine(const struct guest *g);
struct ghvm_vmid guest_vmid(const struct guest *g);
/* 64 bits over all that a descriptor says, in hexadecimal: to notice that it was edited. */
void guest_digest(const struct ghvm_spec *spec, char ret[17]);
