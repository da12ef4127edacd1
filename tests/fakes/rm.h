/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host in memory: struct ghvm_host_ops over the model hypervisor and its resource manager, for
 * unit tests.
 *
 * It is the strictest of all hosts. It aborts the test when a page is unpinned that a guest may
 * own, or written while lent; when lent memory is reclaimed without sanitising, or shared memory
 * with sanitising; and when a message has too many entries.
 */
#pragma once

#include "libghvm/hyp/host.h"
#include "tests/model/core/model.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_RM_RAM_BASE 0x80000000ULL
#define FAKE_RM_PINS_MAX 128
#define FAKE_RM_GRANTS_MAX 16
#define FAKE_RM_IRQS_MAX 64
#define FAKE_RM_SENT_MAX 4096
#define FAKE_RM_SCRIPT_MAX 64

/**
 * struct fake_rm_options - properties of the machine; default: all zero
 * @ram_size: bytes; 0: 64 MiB
 * @chunk_pages: most pages of an extent of a pin, with holes between extents; 0: one extent
 * @delay_ns, @late_stop, @presplit_quirk, @production, @first_vmid, @boot_context,
 *     @address_layout, @pas_id, @firmware: of the model
 * @assigns: pages must be assigned to their owner in the firmware, else the test is aborted
 */
struct fake_rm_options {
	uint64_t ram_size;
	unsigned int chunk_pages;
	uint64_t delay_ns;
	bool late_stop;
	bool presplit_quirk;
	bool production;
	uint16_t first_vmid;
	bool boot_context;
	bool address_layout;
	uint32_t pas_id;
	const void *firmware;
	size_t firmware_size;
	bool assigns;
};

/**
 * struct fake_pin - a pin, with or without a file
 * @assigned: the firmware has been told of other owners than the host alone
 * @guest_perm, @host_perm: what the firmware lets each do with the pages, if @assigned
 */
struct fake_pin {
	bool used;
	bool quarantined;
	uint64_t id;
	uint32_t state;
	bool assigned;
	uint8_t guest_perm;
	uint8_t host_perm;
	uint8_t tag[GHVM_TAG_SIZE];
	uint64_t length;
	struct ghvm_extent *extents;
	size_t n_extents;
};

struct fake_grant {
	bool used;
	uint64_t id;
};

struct fake_irq {
	uint32_t intid;
	int eventfd;
	bool pending;
};

/**
 * struct fake_rm_exit - the result of a vCPU's next run
 * @state, @data: abi F.1
 * @ends: the guest ends with @type (abi D.2) before this is answered
 */
struct fake_rm_exit {
	uint64_t state;
	uint64_t data[3];
	bool ends;
	unsigned int type;
};

/**
 * struct fake_rm - the host and the state that tests examine
 * @host: pass its address as the host
 * @model: for its knobs and counts, while no other thread runs
 * @calls: host calls so far; @fail_at: the one that fails with -EIO, 0: none
 * @kill_at: this call blocks its thread for ever before it does anything; then @killed is set and
 *           @on_kill signalled
 * @dead_from: the first of all further calls that fail with -ENODEV, as in a dead process; 0: none
 * @assigns_to_refuse: the ASSIGN so many from now fails; 0: none. @refused_stay: it moves the pages
 *                     nevertheless, as a module that cannot take them back
 * @on_leave, @on_leave_data: called with the lock at the end of each call, to let a guest act
 * meanwhile; may be NULL
 * @sent: ids of the messages to RM, in order; the first FAKE_RM_SENT_MAX
 * @on_answer, @on_answer_data: called with each reply of RM, as the client gets it; may be NULL
 * @script: results of vcpu_run; after the last one: EXPECTS_WAKEUP
 */
struct fake_rm {
	struct ghvm_host host;
	pthread_mutex_t lock; /* guards the following members */
	struct model *model;
	void *arena;
	uint8_t *ram;
	uint64_t ram_size;
	uint8_t *taken; /* one per page */
	uint8_t *dirty; /* one per page: may have been written */
	unsigned int chunk_pages;
	bool assigns;
	struct model_registers registers; /* of the last guest that was started */
	uint64_t due;
	unsigned long calls;
	unsigned long fail_at;
	unsigned long kill_at;
	unsigned long dead_from;
	bool killed;
	unsigned int assigns_to_refuse;
	bool refused_stay;
	pthread_cond_t on_kill;
	void (*on_leave)(void *data);
	void *on_leave_data;
	uint64_t next_pin;
	struct fake_pin pins[FAKE_RM_PINS_MAX];
	struct fake_grant grants[FAKE_RM_GRANTS_MAX];
	struct fake_irq irqs[FAKE_RM_IRQS_MAX];
	uint32_t sent[FAKE_RM_SENT_MAX];
	size_t n_sent;
	void (*on_answer)(void *data, uint32_t id, const uint8_t *payload, size_t len);
	void *on_answer_data;
	struct fake_rm_exit script[FAKE_RM_SCRIPT_MAX];
	size_t n_script;
	size_t script_at;
};

/* @options: NULL: plain */
struct fake_rm *fake_rm_new(const struct fake_rm_options *options);
void fake_rm_free(struct fake_rm *f);
void fake_rm_freep(struct fake_rm **f);

/*
 * Simulate the death of the process: its pins are closed (the guarded ones go to the quarantine),
 * its virqs unbound. Grants stay, as a runner may hold them.
 */
void fake_rm_crash(struct fake_rm *f);

/* Numbers of existing objects. */
struct model_counts fake_rm_counts(struct fake_rm *f);
unsigned int fake_rm_pins(struct fake_rm *f);	 /* with a file */
unsigned int fake_rm_guarded(struct fake_rm *f); /* of these and of the quarantine */
unsigned int fake_rm_quarantined(struct fake_rm *f);
unsigned int fake_rm_grants(struct fake_rm *f);
/* Total of VMIDs, parcels, pins, grants and quarantine entries; 0: everything is back. */
unsigned int fake_rm_leftovers(struct fake_rm *f);

/* The contents of a pin in the host's RAM. */
const uint8_t *fake_rm_ram(struct fake_rm *f, uint64_t pa);
