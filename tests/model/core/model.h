/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A model of Gunyah as the primary VM sees it, in freestanding C: hypercalls, message queues,
 * doorbells, the resource manager, parcels, VM states and all refusals of docs/gunyah-abi.md. It
 * runs at EL2 (tests/model/el2), behind a socket, and in unit tests.
 *
 * Not re-entrant: the host serialises all calls. It allocates only from the arena given to it;
 * "RM's heap" in it has the real one's limit of 196 KiB (abi K.2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MODEL_VMS_MAX
#define MODEL_VMS_MAX 4 /* guests at the same time */
#endif
#define MODEL_VCPUS_MAX 4 /* of one guest */
#define MODEL_PRIMARY_VMID 3

struct model;

/**
 * struct model_registers - of the boot vCPU when its guest starts
 * @sp: of EL0 and of EL1
 */
struct model_registers {
	uint64_t pc;
	uint64_t x[31];
	uint64_t sp[2];
};

/**
 * struct model_host - the machine below the core
 *
 * Addresses @pa are the primary's IPA, which is identity mapped. @slot is 0 to
 * MODEL_VMS_MAX - 1.
 *
 * @ram: @len bytes of RAM at @pa as memory, or NULL if not all of it is RAM
 * @copy_in, @copy_out: the caller's buffer (EL1 VA at EL2): 0, or -1 if unmapped
 * @primary_map, @primary_unmap: stage 2 of the primary; 0, or -1 out of tables.
 *     @rights as in parcels (X 1, W 2, R 4)
 * @guest_map, @guest_unmap: stage 2 of a guest
 * @flush: complete all unmaps before returning
 * @vm_create: a guest is created (VM_INIT): vCPUs exist, off. 0 or -1
 * @vm_start: power on vCPU 0
 * @vm_kill: stop all vCPUs; those in vcpu_run return, blocked ones are woken
 * @vm_destroy: the guest is gone
 * @guest_irq: @spi (SPI number, INTID - 32) of a guest; edge: pend once;
 *     level: @level until told otherwise
 * @virq: pend @intid in the primary; @virq_free: clear it
 * @now: nanoseconds, monotonic
 * @later: request a call of model_work() at @when (0: cancel)
 * @log: one line for developers, without a new line
 * @trace: each complete message to ('>') and from RM ('<' reply, '!' notification) of
 *     the primary, without its header; may be NULL
 * @panic: the real hypervisor or RM would have crashed. Does not return
 *
 * The core calls these from within its own functions only, and never calls vm_start,
 * vm_kill or vm_destroy of a slot before vm_create or after vm_destroy.
 */
struct model_host {
	void *ctx;
	void *(*ram)(void *ctx, uint64_t pa, uint64_t len);
	int (*copy_in)(void *ctx, void *dst, uint64_t va, uint64_t len);
	int (*copy_out)(void *ctx, uint64_t va, const void *src, uint64_t len);
	int (*primary_map)(void *ctx, uint64_t pa, uint64_t len, unsigned int rights);
	int (*primary_unmap)(void *ctx, uint64_t pa, uint64_t len);
	int (*guest_map)(void *ctx, unsigned int slot, uint64_t ipa, uint64_t pa, uint64_t len,
			 unsigned int rights);
	void (*guest_unmap)(void *ctx, unsigned int slot, uint64_t ipa, uint64_t len);
	void (*flush)(void *ctx);
	int (*vm_create)(void *ctx, unsigned int slot, uint16_t vmid, unsigned int n_vcpus,
			 uint64_t gicd, uint64_t gicr);
	void (*vm_start)(void *ctx, unsigned int slot, const struct model_registers *registers);
	void (*vm_kill)(void *ctx, unsigned int slot);
	void (*vm_destroy)(void *ctx, unsigned int slot);
	void (*guest_irq)(void *ctx, unsigned int slot, unsigned int spi, bool edge, bool level);
	void (*virq)(void *ctx, uint32_t intid);
	void (*virq_free)(void *ctx, uint32_t intid);
	uint64_t (*now)(void *ctx);
	void (*later)(void *ctx, uint64_t when);
	void (*log)(void *ctx, const char *line);
	void (*trace)(void *ctx, char dir, uint32_t id, uint16_t seq, const uint8_t *payload,
		      size_t len);
	void (*panic)(void *ctx, const char *why) __attribute__((noreturn));
};

/**
 * struct model_config - properties of the machine
 * @ram_base, @ram_size: the primary's RAM (lendable); one contiguous range
 * @first_virq, @last_virq: INTIDs for virqs of the primary; the first two are RM TX, RX
 * @cpus: CPUs of the host, the limit for vCPUs of a VM
 * @delay_ns: duration of a RESET, and delay from the end of a guest to EXITED (abi K.6: about 25
 *            ms); 0: within the call
 * @late_stop: a forced STOP is answered first and takes @delay_ns; else, as with the real RM (abi
 *             K.10), VM_STATUS and VM_EXITED come before the answer
 * @production: image parcel by LEND only (abi K.7), another heap size (abi K.2)
 * @presplit_quirk: LEND does not unmap pages of an unsplit block (abi K.3)
 * @boot_context: RM knows VM_SET_BOOT_CONTEXT (abi C.4: ACK, v17)
 * @address_layout: RM knows VM_SET_ADDRESS_LAYOUT (v17), and VM_SET_DEMAND_PAGING, which it
 *     refuses
 * @pas_id: an image that is signed for it is authentic; 0: this platform authenticates nothing
 * @firmware: what the boot loader has given to RM for guests of auth type 2, @firmware_size bytes;
 *     borrowed; NULL: nothing
 * @first_vmid: the first VMID that ALLOCATE gives out; 0: 0x80, as the open RM
 * @watchdog: guests have a watchdog, which RM lists (abi E)
 * @random: seed for capability ids and kaslr-seed; 0: capability ids are small numbers
 */
struct model_config {
	uint64_t ram_base;
	uint64_t ram_size;
	uint32_t first_virq;
	uint32_t last_virq;
	unsigned int cpus;
	uint64_t delay_ns;
	bool late_stop;
	bool production;
	bool presplit_quirk;
	bool boot_context;
	bool address_layout;
	uint32_t pas_id;
	const void *firmware;
	size_t firmware_size;
	uint16_t first_vmid;
	bool watchdog;
	uint64_t random;
};

/* Bytes of arena that a model needs for a configuration. */
size_t model_arena_size(const struct model_config *config);

/* @arena: zeroed, 16-byte aligned, at least model_arena_size(); the model lives in it. */
struct model *model_new(const struct model_host *host, const struct model_config *config,
			void *arena, size_t size);

/* Device tree facts for the primary's node (abi D.8). */
uint64_t model_rm_tx_cap(const struct model *m);
uint64_t model_rm_rx_cap(const struct model *m);
uint32_t model_rm_tx_virq(const struct model *m);
uint32_t model_rm_rx_virq(const struct model *m);

/* The SMCCC UID and revision calls (abi A.1). */
void model_uid(uint32_t ret[4]);

enum model_hypercall_result {
	MODEL_DONE,	/* results are in x[0] to x[4] */
	MODEL_RUN_VCPU, /* vcpu_run: the host runs vCPU @ret_vcpu of @ret_slot and sets the results */
};

/**
 * model_hypercall() - one hypercall of the primary
 * @call: number, abi A.4
 * @x: in: X1 to X6 in x[1] to x[6]; out: X0 to X4 in x[0] to x[4] (if MODEL_DONE)
 *
 * vcpu_run of an invalid capability, or of a VM that has ended or was reset, is answered by the
 * model as in abi K.8 (50; or OK, POWERED_OFF, 1).
 */
enum model_hypercall_result model_hypercall(struct model *m, uint32_t call, uint64_t x[8],
					    unsigned int *ret_slot, unsigned int *ret_vcpu);

/* Wake-up virq of a vCPU: the host raises it when a blocked vCPU becomes runnable. */
uint32_t model_vcpu_virq(const struct model *m, unsigned int slot, unsigned int vcpu);

/* The guest in @slot ended by itself: exit type as abi D.2, reason words. */
void model_guest_ended(struct model *m, unsigned int slot, unsigned int type,
		       const uint32_t *reason, unsigned int n_reason);

/* A hypercall of a guest (its own doorbells, RM queues); x as above. Unknown: x[0] = -1. */
void model_guest_hypercall(struct model *m, unsigned int slot, uint32_t call, uint64_t x[8]);

/**
 * struct model_link - a guest's RM node
 * @tx, @rx: capabilities to send and to receive
 * @tx_spi, @rx_spi: SPIs for "not full" and "not empty"
 */
struct model_link {
	uint64_t tx;
	uint64_t rx;
	unsigned int tx_spi;
	unsigned int rx_spi;
};

/* False: the guest has no RM node. */
bool model_guest_link(const struct model *m, unsigned int slot, struct model_link *ret);

/* Do delayed work (resets, exits); called at the time given to @later. */
void model_work(struct model *m);

/**
 * struct model_counts - existing objects; for tests and counters
 * @vms: guests with a VMID; @slots: those of them after VM_INIT
 * @virqs: INTIDs in use, without RM's two
 * @lent_pages: pages that the primary cannot access; @shared_pages: shared ones
 * @calls: hypercalls of the primary so far
 * @heap_used: bytes of RM's heap
 */
struct model_counts {
	unsigned int vms;
	unsigned int slots;
	unsigned int parcels;
	unsigned int entries;
	unsigned int virqs;
	unsigned int caps;
	uint64_t lent_pages;
	uint64_t shared_pages;
	uint64_t calls;
	bool rm_dead;
	uint64_t heap_used;
};
void model_counts(const struct model *m, struct model_counts *ret);

/* The owner of the page at @pa: 0 the primary, 1 lent or donated, 2 shared. */
unsigned int model_page_owner(const struct model *m, uint64_t pa);

/**
 * struct model_page_rights - what a parcel's VMs may do with its pages (X 1, W 2, R 4)
 * @guest: the VM that is not the primary
 * @primary: 0 if the page is lent
 */
struct model_page_rights {
	uint8_t guest;
	uint8_t primary;
};

/* False: the page at @pa is in no parcel. */
bool model_page_rights(struct model *m, uint64_t pa, struct model_page_rights *ret);

/* The slot of a VM, or -1: none, or not after VM_INIT. */
int model_slot(const struct model *m, uint16_t vmid);

/*
 * Knobs for tests; those with a message act once, on the first such message (0: of any kind)
 * after @skip others.
 * model_kill_rm: RM never answers again. There is no way back: real ones have none either
 *     before the whole machine restarts, and then nothing is left of guests and their memory
 * model_drop: the request gets lost: neither done nor answered
 * model_refuse: answer @status without doing it
 * model_mute: do it, but drop the reply
 * model_reply: do it, but the reply's payload is these bytes (status word included); at
 *     most 256
 * model_lie: do it, but these bytes of the reply's payload are others, where it is so long
 * model_drop_end: RM does not hear of an own end of a guest: the next after @skip others. The
 *     VM stays RUNNING, as it does when the real hypervisor loses the interrupt (abi K.10)
 * model_learn: RM knows these messages from now on, and no others of the config: another one, as
 *     for a client that asks again
 * model_hold_rm: while true, RM does not read its queue, so the client's fills up
 */
void model_kill_rm(struct model *m);
void model_drop(struct model *m, uint32_t message, unsigned int skip);
void model_refuse(struct model *m, uint32_t message, uint32_t status, unsigned int skip);
void model_mute(struct model *m, uint32_t message, unsigned int skip);
void model_reply(struct model *m, uint32_t message, const uint8_t *bytes, size_t n,
		 unsigned int skip);
void model_drop_end(struct model *m, unsigned int skip);
void model_lie(struct model *m, uint32_t message, size_t offset, const uint8_t *bytes, size_t n,
	       unsigned int skip);
/* True if one of drop, refuse, mute, reply and lie has not acted yet. */
bool model_lie_waits(const struct model *m);
void model_hold_rm(struct model *m, bool hold);
void model_learn(struct model *m, bool boot_context, bool address_layout);
