/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The ioctl ABI of ghvm.ko: raw hypercalls, virqs as eventfds, and page pins.
 *
 * Closing a pin file does not always free its pages. While it is GUARDED a guest may own them, so
 * they move to the quarantine, where a later holder of /dev/ghvm lists and adopts them.
 *
 * Every structure starts with its own size. A larger structure is accepted if its tail is zero. A
 * smaller one is accepted if it has all fields of the first version, else -EINVAL. Reserved
 * fields and unknown flags must be 0.
 */
#ifndef _UAPI_LINUX_GHVM_H
#define _UAPI_LINUX_GHVM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define GHVM_ABI_LEVEL 4

/* The module accepts both identities of abi A.2. */
#define GHVM_INFO_RM_TX_VIRQ 0x1 /* RM's device tree node has the TX virq */
#define GHVM_INFO_RM_RX_VIRQ 0x2
#define GHVM_INFO_ASSIGN 0x4 /* GHVM_ASSIGN works */
/*
 * The platform's secure firmware is Qualcomm's and tracks the owner of each page. Without
 * GHVM_INFO_ASSIGN as well, no memory must be given to a guest: the kernel is older than 6.3, or
 * has no driver qcom_scm.
 */
#define GHVM_INFO_ASSIGN_NEEDED 0x8
#define GHVM_INFO_PIN_FILE                                                                         \
	0x10 /* GHVM_PIN takes a file; without it an address: Linux before 6.12 */

/* The words of the two UIDs, initializers of @uid below */
#define GHVM_UID_GUNYAH                                                                            \
	{                                                                                          \
		0xcd8fd5c1, 0xdb5f53a4, 0x36ce6592, 0x145f3d67                                     \
	}
#define GHVM_UID_QUALCOMM                                                                          \
	{                                                                                          \
		0xbd54bd19, 0x1b57370b, 0x9b606f94, 0xe69d5354                                     \
	}

/*
 * Why no guest can run here. With one of the first five only GHVM_INFO works, other ioctls of
 * /dev/ghvm are unknown (-ENOTTY); reloading the module looks again.
 */
#define GHVM_OBSTACLE_EL2 1	/* the kernel runs at EL2, where Gunyah would */
#define GHVM_OBSTACLE_NO_NODE 2 /* no node of the resource manager in the device tree */
#define GHVM_OBSTACLE_NODE 3	/* it has no capabilities */
#define GHVM_OBSTACLE_FOREIGN 4 /* the hypervisor is another one: see @uid */
#define GHVM_OBSTACLE_API 5	/* its API is another one: see @identify */
#define GHVM_OBSTACLE_DRIVER 6	/* @driver has the resource manager; until it is unbound */

/**
 * struct ghvm_info - ioctl(GHVM_INFO), on /dev/ghvm
 * @size: sizeof(struct ghvm_info)
 * @flags: out: GHVM_INFO_*
 * @abi: out: GHVM_ABI_LEVEL
 * @page_size: out: bytes
 * @uid: out: the four words of the hypervisor's UID call (abi A.2)
 * @identify: out: the four result words of hyp_identify (abi A.3)
 * @rm_tx_capid: out: message queue to the resource manager
 * @rm_rx_capid: out: message queue from the resource manager
 * @quarantined_pages: out: pages of guarded pins without a file
 * @obstacle: out: 0, or GHVM_OBSTACLE_*
 * @__reserved: out: 0
 * @driver: out: name of the platform driver that has the resource manager's node, if any
 * @device: out: name of that node's platform device, if @driver
 */
struct ghvm_info {
	__u32 size;
	__u32 flags;
	__u32 abi;
	__u32 page_size;
	__u32 uid[4];
	__aligned_u64 identify[4];
	__aligned_u64 rm_tx_capid;
	__aligned_u64 rm_rx_capid;
	__aligned_u64 quarantined_pages;
	__u32 obstacle;
	__u32 __reserved;
	char driver[32];
	char device[64];
};

/* The Gunyah calls that the module makes for user space (abi A.4) */
#define GHVM_CALL_IDENTIFY 0x00
#define GHVM_CALL_DOORBELL_SEND 0x12
#define GHVM_CALL_DOORBELL_RECEIVE 0x13
#define GHVM_CALL_DOORBELL_RESET 0x14
#define GHVM_CALL_DOORBELL_MASK 0x15
#define GHVM_CALL_MSGQUEUE_SEND 0x1b
#define GHVM_CALL_MSGQUEUE_RECEIVE 0x1c
#define GHVM_CALL_VPM_GROUP_GET_STATE 0x45
#define GHVM_CALL_VCPU_RUN 0x65

/**
 * struct ghvm_hcall - ioctl(GHVM_HCALL), on /dev/ghvm and on grant files
 * @size: sizeof(struct ghvm_hcall)
 * @call: GHVM_CALL_*; any other call: -EPERM
 * @args: X1 to X6. Address arguments (msgqueue_send: args[2]; msgqueue_receive: args[1]) are user
 *        addresses; at most 1024 bytes are copied through a kernel buffer
 * @results: out: X0 to X4. X0 is the status (int32), which the module does not examine
 * @__reserved: Must be 0
 *
 * Return: 0 whenever the hypercall was made.
 */
struct ghvm_hcall {
	__u32 size;
	__u32 call;
	__aligned_u64 args[6];
	__aligned_u64 results[5];
	__aligned_u64 __reserved;
};

#define GHVM_IRQ_VIRQ 0	 /* virq of a resource, by its INTID */
#define GHVM_IRQ_RM_TX 1 /* the resource manager's virqs, by name */
#define GHVM_IRQ_RM_RX 2

/**
 * struct ghvm_irq - ioctl(GHVM_IRQ), on /dev/ghvm and on grant files
 * @size: sizeof(struct ghvm_irq)
 * @kind: GHVM_IRQ_VIRQ, or on /dev/ghvm only GHVM_IRQ_RM_TX and GHVM_IRQ_RM_RX
 * @virq: INTID (GHVM_IRQ_VIRQ), else 0
 * @eventfd: signalled once when bound and then at each virq; -1 unbinds
 *
 * The binding exists as long as the file it was made on. -EBUSY: already bound, by any file. Only
 * the file that has bound RM rx may send and receive on the resource manager's queues by HCALL
 * (others: -EPERM).
 */
struct ghvm_irq {
	__u32 size;
	__u32 kind;
	__u32 virq;
	__s32 eventfd;
};

#define GHVM_PIN_READONLY 0x1 /* the guest will only read: @memfd may be read-only or sealed */

/**
 * struct ghvm_pin - ioctl(GHVM_PIN), on /dev/ghvm
 * @size: sizeof(struct ghvm_pin)
 * @flags: GHVM_PIN_*
 * @start: offset in @memfd; without GHVM_INFO_PIN_FILE the address of a writable mapping
 * @length: bytes; it and @start are multiples of the page size
 * @memfd: file of tmpfs or hugetlbfs, a memfd in most cases; without GHVM_INFO_PIN_FILE -1, and @flags 0
 *         (-EOPNOTSUPP)
 * @__reserved: Must be 0
 *
 * The pages count against RLIMIT_MEMLOCK of the caller's user, together with all other locked
 * memory of that user (-ENOMEM), unless the caller has CAP_IPC_LOCK. -E2BIG: about 2^26 extents
 * or more, which the kernel cannot list; huge pages reduce their number.
 *
 * Errors of the file: -EINVAL another file system; -EACCES not open for reading and, unless
 * GHVM_PIN_READONLY, for writing; -EPERM sealed against writing; -EFAULT it ends before the range.
 * -ENODATA: some page is not populated (each page of hugetlbfs must be; on tmpfs a hole is filled,
 * but not what fallocate() has allocated and nothing has accessed). -EBUSY: another process is writing
 * to the file, changing its size or its seals; try again.
 *
 * Pages that another pin guards are not refused: the module cannot know what else has the pages of a
 * file, and a pin made before the guard has the same effect. The caller that guards a pin
 * must ensure that no other pin and no mapping has its pages. If another HELD pin has them,
 * writes through that pin go into a guest's memory; the pages stay pinned until all their pins
 * are unpinned, in any order.
 *
 * Return: a pin file (close-on-exec), in state GHVM_PIN_HELD.
 */
struct ghvm_pin {
	__u32 size;
	__u32 flags;
	__aligned_u64 start;
	__aligned_u64 length;
	__s32 memfd;
	__u32 __reserved;
};

/* No state is 0, the value of a forgotten field. */
#define GHVM_PIN_GUARDED 1 /* closing quarantines; pwrite(2) is -EBUSY */
#define GHVM_PIN_HELD 2	   /* closing unpins; pwrite(2) writes (GHVM_PIN_READONLY: -EPERM) */

#define GHVM_TAG_SIZE 64

/**
 * struct ghvm_pin_status - ioctl(GHVM_PIN_STATUS), on pin files
 * @size: sizeof(struct ghvm_pin_status)
 * @state: out: GHVM_PIN_HELD or GHVM_PIN_GUARDED
 * @id: out: identifies the pin while the module is loaded
 * @length: out: bytes
 * @n_extents: out: number of physically contiguous extents, see GHVM_PIN_EXTENTS
 * @assigned: out: 1 while the pages are assigned away by GHVM_ASSIGN
 * @__reserved: Must be 0
 * @tag: out: the last tag set, zeroes at first
 */
struct ghvm_pin_status {
	__u32 size;
	__u32 state;
	__aligned_u64 id;
	__aligned_u64 length;
	__aligned_u64 n_extents;
	__u32 assigned;
	__u32 __reserved;
	__u8 tag[GHVM_TAG_SIZE];
};

/**
 * struct ghvm_extent - a physically contiguous run of pinned bytes
 * @pa: physical address (the primary VM's IPA)
 * @length: bytes
 */
struct ghvm_extent {
	__aligned_u64 pa;
	__aligned_u64 length;
};

/**
 * struct ghvm_pin_extents - ioctl(GHVM_PIN_EXTENTS), on pin files
 * @size: sizeof(struct ghvm_pin_extents)
 * @count: in: capacity of @extents; out: number written (0: none from @first on)
 * @first: index of the first extent, in the order of the pinned range
 * @extents: user address of struct ghvm_extent[]
 */
struct ghvm_pin_extents {
	__u32 size;
	__u32 count;
	__aligned_u64 first;
	__aligned_u64 extents;
};

/**
 * struct ghvm_pin_set - ioctl(GHVM_PIN_SET), on pin files: set state and tag atomically
 * @size: sizeof(struct ghvm_pin_set)
 * @state: GHVM_PIN_HELD or GHVM_PIN_GUARDED
 * @tag: stored, not interpreted by the module
 *
 * -EBUSY: HELD while the pages are assigned, or GUARDED during a pwrite.
 */
struct ghvm_pin_set {
	__u32 size;
	__u32 state;
	__u8 tag[GHVM_TAG_SIZE];
};

/**
 * struct ghvm_grant_call - a call that a grant file permits
 * @call: Gunyah call number
 * @__reserved: Must be 0
 * @capid: required value of the call's first argument
 */
struct ghvm_grant_call {
	__u32 call;
	__u32 __reserved;
	__aligned_u64 capid;
};

#define GHVM_GRANT_MAX 256 /* calls, and virqs, of one grant */

/**
 * struct ghvm_grant - ioctl(GHVM_GRANT), on /dev/ghvm
 * @size: sizeof(struct ghvm_grant)
 * @flags: Must be 0
 * @id: identifies it to GHVM_REVOKE; not 0, not in use (-EEXIST)
 * @calls: user address of struct ghvm_grant_call[@n_calls]
 * @virqs: user address of __u32[@n_virqs]
 * @n_calls: at most GHVM_GRANT_MAX
 * @n_virqs: at most GHVM_GRANT_MAX
 *
 * Return: a grant file (close-on-exec), which supports only GHVM_HCALL and GHVM_IRQ, for the
 * listed calls and virqs (others: -EPERM). Calls with a buffer cannot be granted.
 */
struct ghvm_grant {
	__u32 size;
	__u32 flags;
	__aligned_u64 id;
	__aligned_u64 calls;
	__aligned_u64 virqs;
	__u32 n_calls;
	__u32 n_virqs;
};

/**
 * struct ghvm_revoke - ioctl(GHVM_REVOKE), on /dev/ghvm
 * @size: sizeof(struct ghvm_revoke)
 * @flags: Must be 0
 * @id: id of the grant (-ENOENT: there is none)
 *
 * Returns when no hypercall of the grant is in flight and its virqs are free. Later ioctls on any
 * copy of the grant file return -ESTALE.
 */
struct ghvm_revoke {
	__u32 size;
	__u32 flags;
	__aligned_u64 id;
};

/**
 * struct ghvm_quarantine_entry - a guarded pin without a file
 * @id: for GHVM_QUARANTINE_ADOPT
 * @length: bytes
 * @n_extents: physically contiguous runs
 * @assigned: 1 while GHVM_ASSIGN has given the pages away
 * @__reserved: 0
 * @tag: the last tag set
 */
struct ghvm_quarantine_entry {
	__aligned_u64 id;
	__aligned_u64 length;
	__aligned_u64 n_extents;
	__u32 assigned;
	__u32 __reserved;
	__u8 tag[GHVM_TAG_SIZE];
};

/**
 * struct ghvm_quarantine_list - ioctl(GHVM_QUARANTINE_LIST), on /dev/ghvm
 * @size: sizeof(struct ghvm_quarantine_list)
 * @count: in: capacity of @entries; out: number written
 * @after: only entries with a larger id, in rising order (0: all)
 * @entries: user address of struct ghvm_quarantine_entry[]
 */
struct ghvm_quarantine_list {
	__u32 size;
	__u32 count;
	__aligned_u64 after;
	__aligned_u64 entries;
};

/**
 * struct ghvm_quarantine_adopt - ioctl(GHVM_QUARANTINE_ADOPT), on /dev/ghvm
 * @size: sizeof(struct ghvm_quarantine_adopt)
 * @flags: Must be 0
 * @id: from GHVM_QUARANTINE_LIST (-ENOENT: no such pin)
 *
 * Return: a pin file, GUARDED, with its tag. VmPin of the caller then includes the pages; they
 * stay charged to the user that pinned them until they are unpinned.
 */
struct ghvm_quarantine_adopt {
	__u32 size;
	__u32 flags;
	__aligned_u64 id;
};

/**
 * struct ghvm_assign_perm - a new owner and its permissions
 * @vmid: Qualcomm VMID (policy and mapping are user space's, abi G)
 * @perm: QCOM_SCM_PERM_*
 */
struct ghvm_assign_perm {
	__u32 vmid;
	__u32 perm;
};

#define GHVM_ASSIGN_MAX 8

/**
 * struct ghvm_assign - ioctl(GHVM_ASSIGN), on /dev/ghvm
 * @size: sizeof(struct ghvm_assign)
 * @pin: a pin file, GUARDED
 * @dest: user address of struct ghvm_assign_perm[@n_dest]
 * @n_dest: 1 to GHVM_ASSIGN_MAX: assign the pages, which the primary VM alone owns, to @dest;
 *          0: take them back from the owners that they were assigned to
 * @__reserved: Must be 0
 *
 * The module remembers the owners, so that also another process can take the pages back. If the
 * firmware refuses to assign, what was assigned is taken back at once, as far as the firmware
 * permits: see @assigned of GHVM_PIN_STATUS.
 *
 * -EOPNOTSUPP: without GHVM_INFO_ASSIGN. -EBUSY: not GUARDED, or to assign what is assigned
 * already. Else errors of the firmware.
 */
struct ghvm_assign {
	__u32 size;
	__s32 pin;
	__aligned_u64 dest;
	__u32 n_dest;
	__u32 __reserved;
};

#define GHVM_IOC_TYPE 0xb7

#define GHVM_INFO _IOWR(GHVM_IOC_TYPE, 0x00, struct ghvm_info)
#define GHVM_HCALL _IOWR(GHVM_IOC_TYPE, 0x01, struct ghvm_hcall)
#define GHVM_IRQ _IOW(GHVM_IOC_TYPE, 0x02, struct ghvm_irq)
#define GHVM_PIN _IOW(GHVM_IOC_TYPE, 0x03, struct ghvm_pin)
#define GHVM_GRANT _IOW(GHVM_IOC_TYPE, 0x04, struct ghvm_grant)
#define GHVM_REVOKE _IOW(GHVM_IOC_TYPE, 0x05, struct ghvm_revoke)
#define GHVM_QUARANTINE_LIST _IOWR(GHVM_IOC_TYPE, 0x06, struct ghvm_quarantine_list)
#define GHVM_QUARANTINE_ADOPT _IOW(GHVM_IOC_TYPE, 0x07, struct ghvm_quarantine_adopt)
#define GHVM_ASSIGN _IOW(GHVM_IOC_TYPE, 0x08, struct ghvm_assign)
#define GHVM_PIN_STATUS _IOWR(GHVM_IOC_TYPE, 0x10, struct ghvm_pin_status)
#define GHVM_PIN_EXTENTS _IOWR(GHVM_IOC_TYPE, 0x11, struct ghvm_pin_extents)
#define GHVM_PIN_SET _IOW(GHVM_IOC_TYPE, 0x12, struct ghvm_pin_set)

#endif
