/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Internals of the model: all structures, and the interfaces of its files.
 *
 * Everything is in one arena of fixed size. Allocations of RM are only counted (rm/heap.c), so that
 * the model runs out of memory when the real RM would (abi K.2).
 */
#pragma once

#include "libghvm/base/bits.h"
#include "libghvm/base/wire.h"
#include "tests/model/core/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_RM_VMID 255
#define MODEL_DYNAMIC_FIRST 0x80
#define MODEL_DYNAMIC_LAST 0xbe
#define MODEL_VMID_LAST 254 /* 255 is RM */
#define MODEL_STATIC_FIRST 4
#define MODEL_STATIC_LAST 31
#define MODEL_VM_RECORDS 92 /* the primary, 28 explicit ids, 63 dynamic ones */

#define MODEL_QUEUE_DEPTH 8
#define MODEL_QUEUE_BYTES 240
#define MODEL_CLIENTS (1 + MODEL_VMS_MAX)
#define MODEL_QUEUES (2 * MODEL_CLIENTS)

#define MODEL_PARCELS_MAX 64
#define MODEL_ACL_MAX 16
#define MODEL_LIST_MAX 512
#define MODEL_ENTRIES_MAX 12288 /* more than fit in RM's heap */
#define MODEL_VDEVS_MAX 72	/* of one guest; RM's heap ends before (abi K.7) */
#define MODEL_CAPS_MAX (2 + MODEL_VMS_MAX * (MODEL_VCPUS_MAX + 2 * MODEL_VDEVS_MAX))
#define MODEL_VIRQS_MAX 1024

#define MODEL_PAGE 4096ULL
#define MODEL_BLOCK GHVM_MIB(2)
#define MODEL_VMMIO_END GHVM_GIB(1)
#define MODEL_IPA_END (1ULL << 36)
#define MODEL_IPA_CHOSEN (1ULL << 34)  /* where RM puts parcels without a given address */
#define MODEL_IPA_INFO MODEL_VMMIO_END /* a page of RM, behind the devices (abi K.7) */
#define MODEL_DT_SCRATCH GHVM_KIB(256)
#define MODEL_GUEST_SPIS 96 /* INTIDs 32 to 127 */
#define MODEL_SPI_ANY UINT32_MAX
#define MODEL_GICD 0x3fff0000ULL /* where RM puts a GIC without "reg" */
#define MODEL_GICR 0x3ffb0000ULL
#define MODEL_BASE 0x28800000ULL /* and RAM without a base-address (abi D.5) */
#define MODEL_BASE_SIZE_MAX 0x07ffffffULL
#define MODEL_FIRMWARE_MAX 0x400000ULL

/* abi A.5 */
enum hyp_error {
	HYP_OK = 0,
	HYP_UNIMPLEMENTED = -1,
	HYP_ARGUMENT_INVALID = 1,
	HYP_CAP_NULL = 50,
	HYP_WRONG_TYPE = 52,
	HYP_RIGHTS = 53,
	HYP_MSGQUEUE_EMPTY = 60,
	HYP_MSGQUEUE_FULL = 61,
};

/* abi C.3 */
enum rm_status {
	RM_OK = 0,
	RM_NOMEM = 1,
	RM_NORESOURCE = 2,
	RM_DENIED = 3,
	RM_MSG_INVALID = 4,
	RM_BUSY = 5,
	RM_ARGUMENT_INVALID = 6,
	RM_HANDLE_INVALID = 7,
	RM_VALIDATE_FAILED = 8,
	RM_MAP_FAILED = 9,
	RM_MEM_INVALID = 0xa,
	RM_MEM_INUSE = 0xb,
	RM_MEM_RELEASED = 0xc,
	RM_VMID_INVALID = 0xd,
	RM_LOOKUP_FAILED = 0xe,
	RM_IRQ_INVALID = 0xf,
	RM_VM_STATE = 0x14,
	RM_UNIMPLEMENTED = 0xffffffff,
};

/* abi D.1 */
enum vm_state {
	VM_STATE_NONE = 0,
	VM_STATE_INIT = 1,
	VM_STATE_READY = 2,
	VM_STATE_RUNNING = 3,
	VM_STATE_PAUSED = 4,
	VM_STATE_LOAD = 5,
	VM_STATE_AUTH = 6,
	VM_STATE_INIT_FAILED = 8,
	VM_STATE_EXITED = 9,
	VM_STATE_RESETTING = 10,
	VM_STATE_RESET = 11,
};

#define VM_EXIT_STOP_FORCED 7

enum rights {
	RIGHTS_X = 1,
	RIGHTS_W = 2,
	RIGHTS_R = 4,
	RIGHTS_RW = 6,
	RIGHTS_RWX = 7,
};

/* ---- objects and capabilities (cspace.c) ---- */

enum cap_type {
	CAP_NONE,
	CAP_DOORBELL,
	CAP_MSGQUEUE,
	CAP_VCPU,
};

#define SPACE_PRIMARY (-1) /* else a slot */

#define RIGHT_SEND 1 /* doorbells and queues (abi A.4.2) */
#define RIGHT_RECEIVE 2
#define RIGHT_VCPU_POWER 0x1
#define RIGHT_VCPU_AFFINITY 0x2
#define RIGHT_VCPU_YIELD_TO 0x10
#define RIGHT_VCPU_STATE 0x40
#define RIGHT_VCPU_LIFECYCLE 0x80
#define RIGHT_VCPU_WRITE 0x100

struct cap {
	uint64_t id;
	enum cap_type type;
	uint32_t rights;
	int space;
	int slot; /* slot of the guest that owns the object, -1: RM */
	unsigned int index;
};

uint64_t cspace_add(struct model *m, int space, enum cap_type type, uint32_t rights, int slot,
		    unsigned int index);
/* HYP_OK and the capability, or the refusal. */
enum hyp_error cspace_find(const struct model *m, int space, uint64_t id, enum cap_type type,
			   uint32_t rights, const struct cap **ret);
/* Remove all capabilities to objects of a guest, and those in its space. */
void cspace_revoke_slot(struct model *m, int slot);

/* INTIDs of the primary; 0: exhausted. */
uint32_t virq_alloc(struct model *m);
void virq_free(struct model *m, uint32_t intid);

/* ---- message queues (msgqueue.c) ---- */

struct queue {
	bool used;
	unsigned int head;
	unsigned int count;
	unsigned int not_full; /* thresholds */
	unsigned int not_empty;
	uint32_t tx_virq; /* of the primary, 0: the sender is RM or a guest */
	uint32_t rx_virq;
	uint16_t tx_spi; /* of the guest in @slot, 0: none (SPI + 1) */
	uint16_t rx_spi;
	int slot;
	uint16_t len[MODEL_QUEUE_DEPTH];
	uint8_t data[MODEL_QUEUE_DEPTH][MODEL_QUEUE_BYTES];
};

void queue_init(struct queue *q);
bool queue_full(const struct queue *q);
/* For both ends; RM uses its own memory. False: full, or empty. */
bool queue_put(struct model *m, struct queue *q, const uint8_t *buf, size_t len, bool push);
bool queue_get(struct model *m, struct queue *q, uint8_t buf[MODEL_QUEUE_BYTES], size_t *ret_len);
void hyp_msgqueue_send(struct model *m, int space, uint64_t x[8]);
void hyp_msgqueue_receive(struct model *m, int space, uint64_t x[8]);
void hyp_msgqueue_flush(struct model *m, int space, uint64_t x[8]);
void hyp_msgqueue_configure(struct model *m, int space, bool send, uint64_t x[8]);

/* ---- doorbells (doorbell.c) ---- */

struct doorbell {
	bool used;
	uint64_t flags;
	uint64_t enable;
	uint64_t ack;
	int slot; /* slot of the guest with the SPI; -1: @virq of the primary */
	unsigned int spi;
	bool edge;
	uint32_t virq;
};

int doorbell_new(struct model *m);
void hyp_doorbell_send(struct model *m, int space, uint64_t x[8]);
void hyp_doorbell_receive(struct model *m, int space, uint64_t x[8]);
void hyp_doorbell_reset(struct model *m, int space, uint64_t x[8]);
void hyp_doorbell_mask(struct model *m, int space, uint64_t x[8]);

/* ---- RM's heap (rm/heap.c) ---- */

struct heap {
	uint64_t used;
	uint64_t limit;
	uint64_t config; /* of a VM that has an image */
};

#define HEAP_VM 256
#define HEAP_VCPU 128
#define HEAP_VDEV 256
#define HEAP_PARCEL 64
#define HEAP_ENTRY 16
#define HEAP_FAILED_START 384 /* leaks (abi K.2) */

void heap_init(struct heap *h, bool production);
bool heap_take(struct heap *h, uint64_t bytes);
void heap_give(struct heap *h, uint64_t bytes);
bool heap_fits_message(const struct heap *h, uint64_t bytes);
bool heap_fits_entries(const struct heap *h, uint64_t n);
bool heap_fits_init(const struct heap *h, unsigned int n_vdevs);

/* ---- RPC framing (rpc.c) ---- */

#define RPC_HEADER 8
#define RPC_CONTENT 232
#define RPC_FRAGMENTS_MAX 62
#define RPC_MESSAGE_MAX ((RPC_FRAGMENTS_MAX + 1) * RPC_CONTENT)
#define RPC_NOTIFICATIONS_MAX 256
#define RPC_NOTIFICATION_BYTES 24

enum rpc_type {
	RPC_CONTINUATION = 0,
	RPC_REQUEST = 1,
	RPC_REPLY = 2,
	RPC_NOTIFICATION = 3,
};

struct rpc_packet {
	enum rpc_type type;
	unsigned int fragments;
	uint16_t seq;
	uint32_t id;
};

struct rpc_message {
	bool busy;
	struct rpc_packet head;
	uint32_t len;
	uint32_t pos;
	uint8_t *buf; /* RPC_MESSAGE_MAX */
};

/* MEM_SHARED has lists, so it is encoded from the parcel when it is sent. */
struct rpc_notification {
	uint32_t id;
	uint32_t len;
	uint8_t payload[RPC_NOTIFICATION_BYTES];
};

struct rpc_client {
	bool used;
	uint16_t vmid;
	struct queue *from;
	struct queue *to;
	struct rpc_message in;
	unsigned int left; /* continuations still missing */
	struct rpc_message out;
	struct rpc_message pending; /* a reply waiting for @out */
	unsigned int first;
	unsigned int count;
	struct rpc_notification fifo[RPC_NOTIFICATIONS_MAX];
};

void rpc_client_init(struct rpc_client *c, uint16_t vmid, struct queue *from, struct queue *to);
struct rpc_client *rpc_client_find(struct model *m, uint16_t vmid);
void rpc_client_drop(struct model *m, struct rpc_client *c);
/* Read all queued packets; send those that fit. */
void rpc_service(struct model *m, struct rpc_client *c);
void rpc_pump(struct model *m, struct rpc_client *c);
void rpc_reply(struct model *m, struct rpc_client *c, const struct rpc_packet *to, size_t len);
void rpc_notify(struct model *m, uint16_t vmid, uint32_t id, const void *payload, size_t len);

/* ---- RM: messages (rm/rm.c, rm/rm-*.c) ---- */

/**
 * struct rm_call - a request being handled
 * @caller: the VM that sent it
 * @in: payload; @len: all of it
 * @out: reply, after the status word
 * @silent: send no reply (VM_EXIT, RM died)
 */
struct rm_call {
	struct model *m;
	struct rpc_client *client;
	uint32_t id;
	uint16_t caller;
	struct ghvm_get in;
	size_t len;
	struct ghvm_put out;
	bool silent;
};

typedef enum rm_status (*rm_handler)(struct rm_call *c);

struct rm_message {
	uint32_t id;
	rm_handler handle;
	uint32_t len; /* exact, or */
	bool at_least;
};

extern const struct rm_message rm_mem_messages[];
extern const size_t rm_mem_n_messages;
extern const struct rm_message rm_vm_messages[];
extern const size_t rm_vm_n_messages;
extern const struct rm_message rm_query_messages[];
extern const size_t rm_query_n_messages;

extern const struct rm_message rm_boot_context; /* rm-boot.c */
extern const struct rm_message rm_address_layout;
extern const struct rm_message rm_firmware_mem;

/* Handlers defined outside the file of their table. */
enum rm_status rm_config_image(struct rm_call *c);
enum rm_status rm_auth_image(struct rm_call *c);
enum rm_status rm_init(struct rm_call *c);
enum rm_status rm_set_time_base(struct rm_call *c);
enum rm_status rm_mem_accept(struct rm_call *c);
enum rm_status rm_mem_notify(struct rm_call *c);
/* Encode MEM_SHARED for a parcel. */
void rm_put_mem_shared(struct model *m, uint32_t handle, struct ghvm_put *w);

void rm_dispatch(struct model *m, struct rpc_client *c);
void rm_die(struct model *m, const char *why);
/* A fault armed for a message (0: any), after @skip others of its kind. */
struct rm_knob {
	bool armed;
	uint32_t message;
	uint32_t status;
	unsigned int skip;
	size_t offset;
	size_t len;
	uint8_t bytes[256];
};
bool rm_knob_acts(struct rm_knob *k, uint32_t message);

/* ---- VMs (vm.c) ---- */

enum auth {
	AUTH_NONE = 0,
	AUTH_PLATFORM = 1,
	AUTH_ANDROID = 2,
};

struct vm {
	bool used;
	uint16_t vmid;
	uint16_t owner;
	enum vm_state state;
	uint8_t os_status;
	uint16_t app_status;
	bool peer;	   /* the owner gets VM_STATUS */
	bool has_config;   /* RESET without it kills RM (abi K.6) */
	unsigned int auth; /* enum auth */
	uint32_t image;
	uint64_t image_off;
	uint64_t image_size;
	uint64_t dt_off;
	uint64_t dt_size;
	uint64_t ram_base; /* by VM_SET_ADDRESS_LAYOUT, if @ram_size is not 0 */
	uint64_t ram_size;
	uint64_t firmware_base; /* likewise, if @firmware_max is not 0 */
	uint64_t firmware_max;
	uint64_t firmware_off; /* by VM_SET_FIRMWARE_MEM, in the image; size 0: none */
	uint64_t firmware_size;
	int slot;
	uint64_t heap; /* charged to it */
	uint64_t exit_at;
	uint64_t reset_at;
	unsigned int exit_type;
	unsigned int n_reason;
	uint32_t reason[4];
	uint16_t crash_len;
	uint8_t crash[192];
};

struct vm *vm_find(struct model *m, uint16_t vmid);
struct vm *vm_allocate(struct model *m, uint16_t vmid);
void vm_set_state(struct model *m, struct vm *vm, enum vm_state state);
void vm_deallocate(struct model *m, struct vm *vm);
/* RUNNING to EXITED after a delay: vCPUs stop, VM_STATUS and VM_EXITED are sent. */
void vm_exit(struct model *m, struct vm *vm, unsigned int type, const uint32_t *reason,
	     unsigned int n_reason);
/* The same at once, because of a call to RM. */
void vm_exit_by_call(struct model *m, struct vm *vm, unsigned int type, uint32_t reason);
/* Charge bytes of RM's heap until the VM is deallocated, or reset. */
bool vm_charge(struct model *m, struct vm *vm, uint64_t bytes);
/* The start of a VM failed: @status for the reply. */
enum rm_status vm_fail(struct model *m, struct vm *vm, enum rm_status status);
void vm_reset_begin(struct model *m, struct vm *vm);
void vm_work(struct model *m);

/* ---- parcels (parcel.c) ---- */

enum parcel_trans {
	TRANS_DONATE = 0,
	TRANS_LEND = 1,
	TRANS_SHARE = 2,
};

enum parcel_state {
	PARCEL_INIT,
	PARCEL_SHARING,
	PARCEL_SHARED,
};

struct acl_entry {
	uint16_t vmid;
	uint8_t rights;
	bool accepted;
	uint64_t ipa; /* guest address, if accepted */
};

struct attr_entry {
	uint16_t attr;
	uint16_t vmid;
};

struct sgl_entry {
	uint32_t page; /* number of the first, from 0 */
	uint32_t n;
	uint32_t next; /* index + 1, 0: last */
};

struct parcel {
	bool used;
	uint32_t handle;
	uint16_t owner;
	uint8_t mem_type;
	enum parcel_trans trans;
	enum parcel_state state;
	uint32_t label;
	bool sanitised;
	bool sanitise_reclaim;
	bool tag_set;
	uint32_t tag;
	unsigned int n_acl;
	struct acl_entry acl[MODEL_ACL_MAX];
	unsigned int n_attr;
	struct attr_entry attr[MODEL_ACL_MAX];
	uint32_t first; /* index + 1 */
	uint32_t last;
	uint32_t n_entries;
	uint64_t size;
};

struct parcel *parcel_find(struct model *m, uint32_t handle);
/* A new parcel, or NULL: the owner has 64 already. */
struct parcel *parcel_new(struct model *m);
struct acl_entry *parcel_acl(struct parcel *p, uint16_t vmid);
/* Add @n entries of the cursor, all or none, and take the pages from the owner. */
enum rm_status parcel_append(struct model *m, struct parcel *p, struct ghvm_get *sgl,
			     unsigned int n);
/* @give_back: the primary gets the pages back; else they are donated. */
void parcel_delete(struct model *m, struct parcel *p, bool give_back);
void parcel_zero(struct model *m, const struct parcel *p);
struct sgl_entry *parcel_entries(const struct model *m, const struct parcel *p);
struct sgl_entry *parcel_next(const struct model *m, const struct sgl_entry *e);
/* Send MEM_RELEASED or MEM_ACCEPTED by @vm to the owner of the parcel. */
void parcel_notify_owner(struct model *m, const struct parcel *p, const struct vm *vm, uint32_t id);
enum rm_status parcel_accept(struct model *m, struct parcel *p, struct vm *vm, uint64_t ipa);
void parcel_release(struct model *m, struct parcel *p, struct vm *vm);
/* Release all parcels that the VM has accepted, with MEM_RELEASED to the owners. */
void parcel_release_all(struct model *m, struct vm *vm);
int parcel_copy_out(struct model *m, const struct parcel *p, uint64_t off, void *dst, uint64_t len);
int parcel_copy_in(struct model *m, const struct parcel *p, uint64_t off, const void *src,
		   uint64_t len);

/* ---- guests: their configuration, devices and memory (guest*.c) ---- */

enum vdev_type {
	VDEV_DOORBELL,	      /* the guest receives */
	VDEV_DOORBELL_SOURCE, /* the guest sends */
	VDEV_SHM,
	VDEV_RM_RPC,
};

struct vdev {
	enum vdev_type type;
	uint32_t label;
	char generate[72];
	char compatible[40]; /* push-compatible */
	bool source_can_clear;
	bool edge;
	bool has_irq;
	unsigned int spi; /* rm-rpc: TX; RX is @spi2 */
	unsigned int spi2;
	bool has_base;
	bool optional;
	uint64_t base;
	uint64_t host_cap;
	uint64_t guest_cap;
	uint64_t guest_cap2;
	uint32_t virq;
	int object;
};

struct guest {
	struct vm *vm; /* NULL: the slot is free */
	bool created;  /* created in the host */
	char name[80];
	char uri[80];
	bool has_guid;
	uint8_t guid[16];
	bool no_shutdown;
	bool no_reset;
	uint64_t base;
	uint64_t size_max;
	uint64_t firmware_base; /* abi D.4, D.7 */
	uint64_t firmware_max;
	uint64_t gicd;
	uint64_t gicr;
	bool proxy; /* vCPUs are scheduled by the owner */
	unsigned int n_vcpus;
	uint64_t vcpu_cap[MODEL_VCPUS_MAX];
	uint32_t vcpu_virq[MODEL_VCPUS_MAX];
	unsigned int n_vdevs;
	struct vdev vdevs[MODEL_VDEVS_MAX];
	uint64_t next_ipa;
	struct model_registers boot;
};

/* VM_INIT: read the tree, make the objects. */
enum rm_status guest_init(struct model *m, struct vm *vm);
/* VM_START: accept the parcels, patch the tree, power on. */
enum rm_status guest_start(struct model *m, struct vm *vm);
void guest_destroy(struct model *m, struct vm *vm);
struct guest *guest_of(struct model *m, const struct vm *vm);
struct vdev *guest_shm(struct guest *g, uint32_t label);
enum rm_status guest_make_devices(struct model *m, struct guest *g);
void guest_free_devices(struct model *m, struct guest *g);

/* The only files that use libfdt (guest-dt.c, guest-patch.c); the tree is in m->dt. */
enum rm_status guest_dt_load(struct model *m, struct vm *vm);
enum rm_status guest_dt_parse(struct model *m, struct guest *g);
enum rm_status guest_dt_patch(struct model *m, struct vm *vm, struct guest *g);
#define IPA_NONE UINT64_MAX /* RM's choice */
/* A /reserved-memory child with this qcom,label: 1 and where; 0 none; -1 malformed. */
int guest_dt_window(struct model *m, uint32_t label, uint64_t *ret_ipa, uint64_t *ret_size);
/* The label of the nth such child; -1: no more. */
int64_t guest_dt_window_label(struct model *m, unsigned int nth);

/* ---- the model ---- */

struct model {
	struct model_host host;
	struct model_config config;
	uint64_t seed;
	uint64_t next_cap;
	bool rm_dead;
	bool held;
	bool milestone;
	uint64_t calls;
	uint16_t seq; /* of notifications */
	uint32_t next_handle;
	uint64_t donated_pages;
	struct heap heap;
	struct rm_knob drop;
	struct rm_knob refuse;
	struct rm_knob mute;
	struct rm_knob reply;
	struct rm_knob drop_end;
	struct rm_knob lie;
	uint8_t virqs[MODEL_VIRQS_MAX / 8];
	struct cap caps[MODEL_CAPS_MAX];
	struct queue queues[MODEL_QUEUES];
	struct doorbell doorbells[MODEL_VMS_MAX * MODEL_VDEVS_MAX];
	struct rpc_client clients[MODEL_CLIENTS];
	struct vm vms[MODEL_VM_RECORDS];
	struct guest guests[MODEL_VMS_MAX];
	struct parcel parcels[MODEL_PARCELS_MAX];
	struct sgl_entry *entries; /* MODEL_ENTRIES_MAX */
	uint32_t free_entry;	   /* list, index + 1 */
	uint8_t *owner;		   /* per page of RAM: index of the parcel + 1 */
	uint8_t *split;		   /* per 2 MiB block: bit 0 its 1 GiB, bit 1 itself (abi K.3) */
	uint8_t *dt;		   /* MODEL_DT_SCRATCH */
	char line[160];
};

void model_log(struct model *m, const char *what, uint64_t a, uint64_t b);
uint64_t model_random(struct model *m);
bool model_is_ram(const struct model *m, uint64_t pa, uint64_t len);
/* Tell the host when model_work() is due. */
void model_schedule(struct model *m);
