/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table. Sources for refusals: abi C.3, C.5, C.6, D.5 to D.7, and a real image (K). An entry
 * for one message comes before those for any message.
 */
#include "libghvm/base/hint.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/rm-abi.h"

#include <errno.h>
#include <stddef.h>

#define ANY 0U

struct refusal {
	uint32_t message;
	uint32_t status;
	struct ghvm_hint hint;
};

#define FEWER_ENTRIES                                                                              \
	"it holds a few thousand pieces of memory for all VMs together: give hugepages "           \
	"(memory.hugepages: 2M), or run fewer or smaller VMs; ghvmctl plan NAME says how many "    \
	"entries it takes, ghvmctl host how many are left"
#define HEAP_FULL "its heap is full"
#define TAKEN_PAGE "a page is already in another parcel, or is not the host's to give"
#define RETRY_QUARANTINE                                                                           \
	"an earlier VM may still have it, see ghvmctl quarantine --retry; or another "             \
	"program of this host lends memory as well: stop that"
#define WITHOUT_OVERLAY "if it has a kernel.dtb-overlay, try it without"
#define STAYS "its pages stay in quarantine, where they are safe: ghvmctl quarantine --retry"
#define WRONG_STATE                                                                                \
	"something else changed it meanwhile: ghvmctl trace NAME shows what; if not, "             \
	"start it again"

static const struct refusal refusals[] = {
	{ GHVM_RM_VM_ALLOCATE,
	  GHVM_RM_NORESOURCE,
	  { "all its VMIDs are taken",
	    "stop another VM; VMIDs that ghvmctl host calls stuck come back with a reboot of the "
	    "host only" } },
	{ GHVM_RM_VM_ALLOCATE,
	  GHVM_RM_DENIED,
	  { "only the primary VM may ask for one",
	    "run it where the resource manager is reached from: this system is a guest itself" } },

	{ GHVM_RM_MEM_LEND, GHVM_RM_NOMEM, { HEAP_FULL, FEWER_ENTRIES } },
	{ GHVM_RM_MEM_LEND,
	  GHVM_RM_DENIED,
	  { "it has 64 parcels of ours already, or that VM may not be given memory",
	    "each VM takes a parcel, and one more for each region: stop one, or have "
	    "fewer regions; ghvmctl host counts them" } },
	{ GHVM_RM_MEM_LEND,
	  GHVM_RM_ARGUMENT_INVALID,
	  { "an address, a right or a VMID is out of range, or that VM is gone",
	    "start it again; ghvmctl trace NAME shows what was asked" } },
	{ GHVM_RM_MEM_LEND, GHVM_RM_MEM_INVALID, { TAKEN_PAGE, RETRY_QUARANTINE } },
	{ GHVM_RM_MEM_SHARE, GHVM_RM_NOMEM, { HEAP_FULL, FEWER_ENTRIES } },
	{ GHVM_RM_MEM_SHARE,
	  GHVM_RM_DENIED,
	  { "it has 64 parcels of ours already, or that VM may not be given memory",
	    "each VM takes a parcel, and one more for each region: stop one, or have "
	    "fewer regions; ghvmctl host counts them" } },
	{ GHVM_RM_MEM_SHARE, GHVM_RM_MEM_INVALID, { TAKEN_PAGE, RETRY_QUARANTINE } },
	{ GHVM_RM_MEM_SHARE,
	  GHVM_RM_MAP_FAILED,
	  { "the memory cannot be mapped for us again", FEWER_ENTRIES } },
	{ GHVM_RM_MEM_APPEND, GHVM_RM_NOMEM, { HEAP_FULL, FEWER_ENTRIES } },
	{ GHVM_RM_MEM_APPEND, GHVM_RM_MEM_INVALID, { TAKEN_PAGE, RETRY_QUARANTINE } },
	{ GHVM_RM_MEM_APPEND,
	  GHVM_RM_DENIED,
	  { "the parcel is complete already, or not ours", WRONG_STATE } },
	{ GHVM_RM_MEM_RECLAIM,
	  GHVM_RM_MEM_INUSE,
	  { "a VM still has it: it must be reset, or release it, first", STAYS } },
	{ GHVM_RM_MEM_RECLAIM, GHVM_RM_DENIED, { "it is not ours, or being worked on", STAYS } },
	{ GHVM_RM_MEM_NOTIFY,
	  GHVM_RM_ARGUMENT_INVALID,
	  { "another tag was told before, or that VM is not among those who may have it",
	    "add the region again, under another label" } },
	{ GHVM_RM_MEM_NOTIFY,
	  GHVM_RM_MEM_RELEASED,
	  { "the guest has not started, and its tree has no device for it",
	    "wait until the guest runs" } },
	{ GHVM_RM_MEM_LOOKUP_SGL,
	  GHVM_RM_LOOKUP_FAILED,
	  { "no complete parcel of ours has these pages", STAYS } },

	{ GHVM_RM_VM_CONFIG_IMAGE,
	  GHVM_RM_MEM_INVALID,
	  { "the image's parcel is not one that this VM was given", WRONG_STATE } },
	{ GHVM_RM_VM_CONFIG_IMAGE,
	  GHVM_RM_ARGUMENT_INVALID,
	  { "image or device tree are not inside of the parcel",
	    "its VMID is stuck until the host reboots; ghvmctl trace NAME shows where "
	    "they were said to be" } },
	{ GHVM_RM_VM_INIT, GHVM_RM_NOMEM, { HEAP_FULL, FEWER_ENTRIES } },
	{ GHVM_RM_VM_INIT,
	  GHVM_RM_NORESOURCE,
	  { "vCPUs, doorbells or other devices ran out",
	    "cpus.count must not be above the host's cores, and 64 doorbells are more than its "
	    "heap takes: fewer devices, see ghvmctl plan NAME" } },
	{ GHVM_RM_VM_INIT,
	  GHVM_RM_DENIED,
	  { "the device tree asks for what only trusted VMs may have", WITHOUT_OVERLAY } },
	{ GHVM_RM_VM_INIT,
	  GHVM_RM_ARGUMENT_INVALID,
	  { "the device tree has something that it does not take", WITHOUT_OVERLAY } },
	{ GHVM_RM_VM_INIT,
	  GHVM_RM_MEM_INVALID,
	  { "the device tree cannot be read, or its heap ran out over it",
	    WITHOUT_OVERLAY "; with thousands of entries in use (ghvmctl host) it is the heap, "
			    "and huge pages help" } },
	{ GHVM_RM_VM_SET_FIRMWARE_MEM,
	  GHVM_RM_DENIED,
	  { "it has no firmware for such guests",
	    "the host's boot loader must have given it some; without the section auth none is "
	    "needed" } },
	{ GHVM_RM_VM_SET_BOOT_CONTEXT,
	  GHVM_RM_DENIED,
	  { "an authenticated guest starts as its image says", "remove the section boot" } },
	{ GHVM_RM_VM_START,
	  GHVM_RM_NORESOURCE,
	  { "a region has no parcel of its size, or another thing is at its address, RAM is "
	    "shared and not lent, or the device tree cannot be patched",
	    "memory.protection: none is not for every resource manager; no memory.address and no "
	    "regions[].address at 0x40000000, where the open one has a page of its own; a "
	    "kernel.dtb-overlay must not "
	    "name regions that the descriptor has not, and keeps the tree below 16 KiB" } },
	{ GHVM_RM_VM_START,
	  GHVM_RM_DENIED,
	  { "a second parcel of RAM is the VM's",
	    "one that an earlier VM of that VMID has left: ghvmctl quarantine --retry, then start "
	    "it again" } },
	{ GHVM_RM_VM_START,
	  GHVM_RM_VALIDATE_FAILED,
	  { "RAM is not lent to this VM alone, with all rights", WRONG_STATE } },
	{ GHVM_RM_VM_START, GHVM_RM_VM_STATE, { "the VM is not ready", WRONG_STATE } },
	{ GHVM_RM_VM_STOP,
	  GHVM_RM_VM_STATE,
	  { "the VM does not run, or its device tree says that it may not be stopped",
	    WITHOUT_OVERLAY " (vm-attrs no-shutdown)" } },
	{ GHVM_RM_VM_RESET,
	  GHVM_RM_DENIED,
	  { "its device tree says that it may not be reset",
	    WITHOUT_OVERLAY " (vm-attrs no-reset); its memory comes back with a reboot of the host "
			    "only" } },
	{ GHVM_RM_VM_RESET, GHVM_RM_VM_STATE, { "the VM is in a state that is not reset", STAYS } },
	{ GHVM_RM_VM_DEALLOCATE,
	  GHVM_RM_VM_STATE,
	  { "the VM is neither new nor reset",
	    "its VMID is stuck until the host reboots; others are not disturbed" } },
	{ GHVM_RM_VM_GET_STATE, GHVM_RM_NORESOURCE, { "there is no such VM", "" } },
	{ GHVM_RM_VM_GET_HYP_RESOURCES,
	  GHVM_RM_NORESOURCE,
	  { "the VM has no configuration", WRONG_STATE } },
	{ GHVM_RM_VM_GET_HYP_RESOURCES,
	  GHVM_RM_ARGUMENT_INVALID,
	  { "there is no such VM", WRONG_STATE } },

	{ ANY, GHVM_RM_OK, { "", "" } },
	{ ANY,
	  GHVM_RM_UNIMPLEMENTED,
	  { "this resource manager does not have it",
	    "ghvmctl host says what it is taken for; the descriptor wants what only others do" } },
	{ ANY, GHVM_RM_NOMEM, { HEAP_FULL, FEWER_ENTRIES } },
	{ ANY,
	  GHVM_RM_NORESOURCE,
	  { "nothing like that exists, or vCPUs, doorbells or regions ran out",
	    "fewer devices, see ghvmctl plan NAME" } },
	{ ANY,
	  GHVM_RM_DENIED,
	  { "not ours to ask for", "ghvmctl trace NAME shows what was asked" } },
	{ ANY,
	  GHVM_RM_MSG_INVALID,
	  { "the request's length is not what it expects",
	    "ghvmctl host says what it is taken for, which may be wrong" } },
	{ ANY, GHVM_RM_BUSY, { "it works on this already", "try again" } },
	{ ANY,
	  GHVM_RM_ARGUMENT_INVALID,
	  { "a value is out of range or does not exist",
	    "ghvmctl trace NAME shows what was asked" } },
	{ ANY, GHVM_RM_HANDLE_INVALID, { "there is no such parcel", WRONG_STATE } },
	{ ANY, GHVM_RM_VALIDATE_FAILED, { "the parcel is not as it was announced", WRONG_STATE } },
	{ ANY, GHVM_RM_MAP_FAILED, { "the memory cannot be mapped", FEWER_ENTRIES } },
	{ ANY, GHVM_RM_MEM_INVALID, { TAKEN_PAGE, RETRY_QUARANTINE } },
	{ ANY, GHVM_RM_MEM_INUSE, { "a VM still has it", STAYS } },
	{ ANY,
	  GHVM_RM_MEM_RELEASED,
	  { "it was not accepted, or is released already", WRONG_STATE } },
	{ ANY, GHVM_RM_VMID_INVALID, { "there is no such VM, or it is not ours", WRONG_STATE } },
	{ ANY,
	  GHVM_RM_LOOKUP_FAILED,
	  { "it does not find that", "ghvmctl trace NAME shows what was asked" } },
	{ ANY, GHVM_RM_IRQ_INVALID, { "there is no such interrupt", WITHOUT_OVERLAY } },
	{ ANY, GHVM_RM_IRQ_INUSE, { "the interrupt is lent already", WITHOUT_OVERLAY } },
	{ ANY, GHVM_RM_IRQ_RELEASED, { "the interrupt is released already", WITHOUT_OVERLAY } },
	{ ANY, GHVM_RM_IN_USE, { "it is in use", "try again" } },
	{ ANY, GHVM_RM_IRQ_NOT_MAPPED, { "the interrupt is not mapped", WITHOUT_OVERLAY } },
	{ ANY, GHVM_RM_VM_STATE, { "the VM is in a state that does not allow it", WRONG_STATE } },
};

static const struct ghvm_hint unknown_status = {
	"a status that is not documented",
	"ghvmctl host says what the resource manager is taken for; ghvmctl trace NAME shows both "
	"messages"
};

struct failure {
	int code;
	uint32_t message;
	struct ghvm_hint hint;
};

#define SILENT                                                                                     \
	"ghvmctl host says whether the resource manager answers at all: if not, guests run on "    \
	"and can be stopped, but what they had stays in quarantine, and none can start, until "    \
	"the "                                                                                     \
	"host reboots"
#define SILENT_ON_MEMORY                                                                           \
	"a resource manager with a full heap may drop such a message: see ghvmctl "                \
	"host; if it still answers, use huge pages (memory.hugepages: 2M), or fewer VMs"
#define LOOK_AT_SPEC "ghvmctl validate NAME says where in the descriptor"
#define LOOK_AT_IMAGE                                                                              \
	"kernel.image is a flat arm64 Image, not compressed and not an ELF file: ghvmctl "         \
	"validate "                                                                                \
	"NAME"
#define LESS                                                                                       \
	"ghvmctl plan NAME says what it takes, ghvmctl host what is left: less memory, larger "    \
	"pages, or fewer VMs"

static const struct failure failures[] = {
	{ -ETIMEDOUT, GHVM_RM_MEM_LEND, { "", SILENT_ON_MEMORY } },
	{ -ETIMEDOUT, GHVM_RM_MEM_SHARE, { "", SILENT_ON_MEMORY } },
	{ -ETIMEDOUT, GHVM_RM_MEM_APPEND, { "", SILENT_ON_MEMORY } },
	{ -ETIMEDOUT, ANY, { "", SILENT } },
	{ -EHOSTDOWN, ANY, { "", SILENT } },
	{ -EBADMSG,
	  ANY,
	  { "", "ghvmctl trace NAME shows the answer, ghvmctl host what the resource manager is "
		"taken for" } },
	{ -EREMOTEIO,
	  ANY,
	  { "", "the hypervisor refused a call: the kernel's log, and ghvmctl host" } },
	{ -ENODEV,
	  ANY,
	  { "", "if the module is not there, load the module (modprobe ghvm), then start the VM; "
		"the manager need not be restarted. Else remove what the message names" } },
	{ -EPROTO, ANY, { "", "ghvm.ko and gunyah-vmd are of different versions: ghvmctl host" } },
	{ -EINVAL, ANY, { "", LOOK_AT_SPEC } },
	{ -ENOENT, ANY, { "", "a file is not there: ghvmctl validate NAME" } },
	{ -ENOEXEC, ANY, { "", LOOK_AT_IMAGE } },
	{ -EFBIG, ANY, { "", "a file is too large: ghvmctl validate NAME says which" } },
	{ -ENODATA, ANY, { "", "the file got shorter while it was read: start it again" } },
	{ -EOPNOTSUPP,
	  ANY,
	  { "", "this resource manager cannot do that, or it is untested: ghvmctl host" } },
	{ -E2BIG, ANY, { "", LESS } },
	{ -ENOSPC, ANY, { "", LESS } },
	{ -EDQUOT,
	  ANY,
	  { "",
	    "alone it is more than there can be: larger pages (memory.hugepages: 1G), less memory, "
	    "or the limit that the message names raised" } },
	{ -ENOMEM,
	  ANY,
	  { "",
	    "not enough memory, or it cannot be pinned: free some, lower memory.size, or raise "
	    "the limit that the message names: LimitMEMLOCK of gunyah-vmd.service, or one of the "
	    "unit's cgroup" } },
	{ -EAGAIN, ANY, { "", "something ran out for the moment: try again" } },
	{ -EFAULT,
	  ANY,
	  { "", "pages that cannot be pinned for long (CMA, movable): free some memory; or "
		"another process changed the file" } },
	{ -EBUSY, ANY, { "", "end what the message names, or try again when that has ended" } },
	{ -ENOTUNIQ, ANY, { "", STAYS } },
	{ -ESTALE, ANY, { "", "start it again" } },
	{ -EACCES, ANY, { "", "group gunyah may ask, and polkit has the last word" } },
	{ -EPERM, ANY, { "", "group gunyah may ask, and polkit has the last word" } },
	{ -ECONNABORTED,
	  ANY,
	  { "", "its last words are in /var/log/gunyah/NAME.log, or of a user's VM in "
		"users/UID.NAME.log there; lifecycle.on-crash: restart starts it again" } },
	{ -ECONNRESET, ANY, { "", "systemctl status gunyah-vm@NAME says what ended its process" } },
	{ -EPIPE, ANY, { "", "systemctl status gunyah-vm@NAME says what ended its process" } },
	{ -ECANCELED, ANY, { "", "" } },
};

static const struct ghvm_hint none = { "", "" };

const struct ghvm_hint *ghvm_hint_find(int code, uint32_t message, uint32_t status)
{
	if (code == -EREMOTEIO && message) {
		for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
			if (refusals[i].status == status &&
			    (refusals[i].message == message || refusals[i].message == ANY))
				return &refusals[i].hint;
		return &unknown_status;
	}
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++)
		if (failures[i].code == code &&
		    (failures[i].message == message || failures[i].message == ANY))
			return &failures[i].hint;
	return &none;
}
