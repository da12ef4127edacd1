/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resource manager: life cycle of a VM. Codec and call, no policy (abi C.5, D, K.6).
 *
 * Messages that kill an RM are not sent: STOP is always forced; before DEALLOCATE the VMID and
 * before RESET the configuration is verified; an image outside its parcel, which would leave a
 * VMID stuck, is refused here.
 *
 * Thread: any but the dispatcher's. All return 0 or what ghvm_rm_call() returns, with the
 * sentence in @err; outputs are untouched on failure. -EINVAL, not sent: a VMID that no guest can
 * have (ghvm_vmid_is_guest()), or that of this host.
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/rpc.h"
#include "ghvm/types.h"

#include <stddef.h>
#include <stdint.h>

#define GHVM_RM_STOP_REASON 3 /* the value that Linux sends */

enum ghvm_rm_resource_type { /* abi E */
			     GHVM_RM_RESOURCE_DOORBELL_TX =
				     0, /* the host sends: "doorbell" of the guest */
			     GHVM_RM_RESOURCE_DOORBELL_RX =
				     1, /* the host receives: "doorbell-source" of the guest */
			     GHVM_RM_RESOURCE_MSGQ_TX = 2,
			     GHVM_RM_RESOURCE_MSGQ_RX = 3,
			     GHVM_RM_RESOURCE_VCPU = 4,
			     GHVM_RM_RESOURCE_VPM = 5,
			     GHVM_RM_RESOURCE_VIRTIO_MMIO = 6,
			     GHVM_RM_RESOURCE_WATCHDOG = 8, /* a capability, no virq */
};

/**
 * struct ghvm_rm_resource - one entry of GET_HYP_RESOURCES
 * @type: enum ghvm_rm_resource_type, or unknown
 * @partner: the VM at the other end
 * @label: doorbells: from the device tree; vCPUs: index
 * @capid: of this host; GHVM_CAPID_NONE: none
 * @virq: GIC INTID; 0: none
 * @base, @size: register page of a VIRTIO_MMIO
 */
struct ghvm_rm_resource {
	uint8_t type;
	struct ghvm_vmid partner;
	uint32_t label;
	struct ghvm_capid capid;
	struct ghvm_virq virq;
	uint64_t base;
	uint64_t size;
};

/* Owned array; ghvm_rm_resources_done() empties it. */
struct ghvm_rm_resources {
	struct ghvm_rm_resource *v;
	size_t n;
};

void ghvm_rm_resources_done(struct ghvm_rm_resources *r);

/* The first of @type with @label, or NULL. */
const struct ghvm_rm_resource *ghvm_rm_resources_find(const struct ghvm_rm_resources *r,
						      enum ghvm_rm_resource_type type,
						      uint32_t label);

/**
 * struct ghvm_rm_vm_state - reply to GET_STATE
 * @status: enum ghvm_vm_status, or unknown
 */
struct ghvm_rm_vm_state {
	uint8_t status;
	uint8_t os_status;
	uint16_t app_status;
};

/**
 * struct ghvm_rm_image - where image and device tree lie in the image parcel
 * @parcel: handle of the parcel, given to this VM
 * @parcel_size: bytes of it, for a check; not sent
 * @auth: how the image is authenticated
 * @image_offset, @image_size: may both be 0
 * @dt_offset, @dt_size: of the tree including its spare space for patches; size not 0
 */
struct ghvm_rm_image {
	struct ghvm_parcel_handle parcel;
	uint64_t parcel_size;
	enum ghvm_rm_auth auth;
	uint64_t image_offset;
	uint64_t image_size;
	uint64_t dt_offset;
	uint64_t dt_size;
};

/*
 * For codecs of messages about a VM: send request @w, which begins with @vmid; the reply must be
 * empty. @what: verb for error messages.
 */
int ghvm_rm_vm_tell(struct ghvm_rm *rm, uint32_t id, struct ghvm_vmid vmid, const char *what,
		    const struct ghvm_put *w, struct ghvm_error *err);

/* Allocate a VMID, which RM chooses; the VM is in LOAD. */
int ghvm_rm_vm_allocate(struct ghvm_rm *rm, struct ghvm_vmid *ret, struct ghvm_error *err);

/*
 * Deallocate the VMID; allowed in LOAD and RESET only, after *every* RECLAIM (abi K.6). -ENOENT:
 * RM does not know it (RM is asked first, unless @rm allocated it).
 */
int ghvm_rm_vm_deallocate(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err);

/* The VM is in INIT afterwards; with GHVM_RM_AUTH_PLATFORM in AUTH. -EINVAL: not sent, ranges outside the parcel, or an empty tree. */
int ghvm_rm_vm_config_image(struct ghvm_rm *rm, struct ghvm_vmid vmid,
			    const struct ghvm_rm_image *image, struct ghvm_error *err);

int ghvm_rm_vm_init(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err);
int ghvm_rm_vm_start(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err);

/* A forced stop. RM answers VM_STATE if the VM does not run. */
int ghvm_rm_vm_stop(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err);

/*
 * Begin a reset. It has ended when VM_STATUS or GET_STATE says RESET. -ENOENT: not sent, the VM
 * has no configuration (RM is asked first, unless @rm configured it), or it is RESETTING or RESET
 * already.
 */
int ghvm_rm_vm_reset(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err);

/* -EREMOTEIO with rm_code GHVM_RM_NORESOURCE: no such VM. */
int ghvm_rm_vm_get_state(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_rm_vm_state *ret,
			 struct ghvm_error *err);

/* @ret: owned by the caller, ghvm_rm_resources_done(). NORESOURCE: no configuration. */
int ghvm_rm_vm_get_hyp_resources(struct ghvm_rm *rm, struct ghvm_vmid vmid,
				 struct ghvm_rm_resources *ret, struct ghvm_error *err);

/*
 * The message that the guest has left for its owner, which RM keeps until RESET (abi C.5). @ret is
 * made printable; "": the guest has left none. -EBADMSG: its lengths do not agree.
 */
int ghvm_rm_vm_get_crash_msg(struct ghvm_rm *rm, struct ghvm_vmid vmid,
			     char ret[GHVM_CRASH_MESSAGE_SIZE], struct ghvm_error *err);

#define GHVM_RM_REASON_MAX 16

/**
 * struct ghvm_rm_vm_exited - notification VM_EXITED
 * @type: enum ghvm_exit_type, or unknown
 * @reason: the first @reason_size bytes of it, at most GHVM_RM_REASON_MAX
 */
struct ghvm_rm_vm_exited {
	struct ghvm_vmid vmid;
	uint16_t type;
	size_t reason_size;
	uint8_t reason[GHVM_RM_REASON_MAX];
};

/* struct ghvm_rm_vm_status - notification VM_STATUS */
struct ghvm_rm_vm_status {
	struct ghvm_vmid vmid;
	struct ghvm_rm_vm_state state;
};

/* Decoders. 0; -ENOMSG: another notification; -EBADMSG. Thread: any. */
int ghvm_rm_vm_decode_exited(const struct ghvm_rm_notification *n, struct ghvm_rm_vm_exited *ret);
int ghvm_rm_vm_decode_status(const struct ghvm_rm_notification *n, struct ghvm_rm_vm_status *ret);
