/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Operations of the kernel module: the library reaches the hypervisor only through them.
 *
 * Two real implementations: dev.c (ioctls on /dev/ghvm and on grant files) and sock.c (the same
 * over a socket to the user-space model); tests add tests/fakes/rm.c. Structures and meanings are
 * those of kmod/uapi/ghvm.h; the host fills in their sizes.
 */
#pragma once

#include "ghvm/host.h"
#include "kmod/uapi/ghvm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct ghvm_host_ops - implementation of a host
 *
 * Thread: any, concurrently. Return: 0 (or as noted) or a negative errno; outputs are untouched
 * on failure. A *pin* is an int that the host understands; in both real hosts it is a file
 * descriptor, closed by @pin_close only.
 *
 * @info: GHVM_INFO
 * @hcall: GHVM_HCALL; addresses in @call->args are the caller's own
 * @irq: GHVM_IRQ; @eventfd is borrowed for the call, -1 unbinds
 * @pin: populate and pin @length bytes of @memfd from @offset (mapped for the
 *       call only, if at all); returns a pin >= 0; @memfd stays the caller's to close
 *       @readonly: GHVM_PIN_READONLY
 * @pin_status: GHVM_PIN_STATUS
 * @pin_extents: GHVM_PIN_EXTENTS: up to @count from index @first; returns how many
 * @pin_set: GHVM_PIN_SET
 * @pin_write: write all of @length bytes into a HELD pin; -EBUSY if GUARDED
 * @pin_close: close; GUARDED pages go to the quarantine
 * @grant: GHVM_GRANT; returns a file descriptor to pass to another process, which opens it with
 *         ghvm_host_from_fd()
 * @revoke: GHVM_REVOKE
 * @quarantine_list: up to @count entries with ids above @after; returns how many
 * @quarantine_adopt: returns a pin
 * @assign: GHVM_ASSIGN; @pin belongs to this host
 * @close: release the host; pins and grants made by it live on
 * @charges_memlock: pinned pages count against RLIMIT_MEMLOCK of the caller
 */
struct ghvm_host_ops {
	int (*info)(struct ghvm_host *h, struct ghvm_info *ret);
	int (*hcall)(struct ghvm_host *h, struct ghvm_hcall *call);
	int (*irq)(struct ghvm_host *h, uint32_t kind, uint32_t virq, int eventfd);
	int (*pin)(struct ghvm_host *h, int memfd, uint64_t offset, uint64_t length, bool readonly);
	int (*pin_status)(struct ghvm_host *h, int pin, struct ghvm_pin_status *ret);
	int (*pin_extents)(struct ghvm_host *h, int pin, uint64_t first, struct ghvm_extent *ret,
			   uint32_t count);
	int (*pin_set)(struct ghvm_host *h, int pin, uint32_t state,
		       const uint8_t tag[GHVM_TAG_SIZE]);
	int (*pin_write)(struct ghvm_host *h, int pin, uint64_t offset, const void *buf,
			 size_t length);
	void (*pin_close)(struct ghvm_host *h, int pin);
	int (*grant)(struct ghvm_host *h, uint64_t id, const struct ghvm_grant_call *calls,
		     uint32_t n_calls, const uint32_t *virqs, uint32_t n_virqs);
	int (*revoke)(struct ghvm_host *h, uint64_t id);
	int (*quarantine_list)(struct ghvm_host *h, uint64_t after,
			       struct ghvm_quarantine_entry *ret, uint32_t count);
	int (*quarantine_adopt)(struct ghvm_host *h, uint64_t id);
	int (*assign)(struct ghvm_host *h, struct ghvm_assign *arg);
	void (*close)(struct ghvm_host *h);
	bool charges_memlock;
};

/**
 * struct ghvm_host - embedded first in each implementation
 * @ops: owned by the implementation, static
 */
struct ghvm_host {
	const struct ghvm_host_ops *ops;
};
