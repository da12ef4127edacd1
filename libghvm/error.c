/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors as sentences, and the names of the resource manager's messages and statuses.
 *
 * The text is made in a buffer of its own first, so that an argument may be the old text.
 */
#include "libghvm/error.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "libghvm/bits.h"
#include "libghvm/rm-abi.h"

struct rm_name {
	uint32_t number;
	const char *name;
	const char *hint;
};

static const struct rm_name messages[] = {
	{ GHVM_RM_MEM_LEND, "MEM_LEND", NULL },
	{ GHVM_RM_MEM_SHARE, "MEM_SHARE", NULL },
	{ GHVM_RM_MEM_RELEASE, "MEM_RELEASE", NULL },
	{ GHVM_RM_MEM_RECLAIM, "MEM_RECLAIM", NULL },
	{ GHVM_RM_MEM_NOTIFY, "MEM_NOTIFY", NULL },
	{ GHVM_RM_MEM_APPEND, "MEM_APPEND", NULL },
	{ GHVM_RM_MEM_LOOKUP_SGL, "MEM_LOOKUP_SGL", NULL },
	{ GHVM_RM_VM_ALLOCATE, "VM_ALLOCATE", NULL },
	{ GHVM_RM_VM_DEALLOCATE, "VM_DEALLOCATE", NULL },
	{ GHVM_RM_VM_START, "VM_START", NULL },
	{ GHVM_RM_VM_STOP, "VM_STOP", NULL },
	{ GHVM_RM_VM_RESET, "VM_RESET", NULL },
	{ GHVM_RM_VM_CONFIG_IMAGE, "VM_CONFIG_IMAGE", NULL },
	{ GHVM_RM_VM_INIT, "VM_INIT", NULL },
	{ GHVM_RM_VM_GET_STATE, "VM_GET_STATE", NULL },
	{ GHVM_RM_VM_GET_HYP_RESOURCES, "VM_GET_HYP_RESOURCES", NULL },
	{ GHVM_RM_VM_GET_VMID, "VM_GET_VMID", NULL },
	{ GHVM_RM_VM_SET_BOOT_CONTEXT, "VM_SET_BOOT_CONTEXT", NULL },
	{ GHVM_RM_VM_SET_ADDRESS_LAYOUT, "VM_SET_ADDRESS_LAYOUT", NULL },
	{ GHVM_RM_VM_HOST_GET_TYPE, "VM_HOST_GET_TYPE", NULL },
	{ GHVM_RM_NOTIFY_MEM_SHARED, "MEM_SHARED", NULL },
	{ GHVM_RM_NOTIFY_MEM_RELEASED, "MEM_RELEASED", NULL },
	{ GHVM_RM_NOTIFY_MEM_ACCEPTED, "MEM_ACCEPTED", NULL },
	{ GHVM_RM_NOTIFY_MEM_RECALL, "MEM_RECALL", NULL },
	{ GHVM_RM_NOTIFY_VM_EXITED, "VM_EXITED", NULL },
	{ GHVM_RM_NOTIFY_VM_SHUTDOWN, "VM_SHUTDOWN", NULL },
	{ GHVM_RM_NOTIFY_VM_STATUS, "VM_STATUS", NULL },
	{ GHVM_RM_NOTIFY_VM_IRQ_LENT, "VM_IRQ_LENT", NULL },
	{ GHVM_RM_NOTIFY_VM_IRQ_RELEASED, "VM_IRQ_RELEASED", NULL },
	{ GHVM_RM_NOTIFY_VM_IRQ_ACCEPTED, "VM_IRQ_ACCEPTED", NULL },
	{ GHVM_RM_NOTIFY_VM_CONSOLE_CHARS, "VM_CONSOLE_CHARS", NULL },
};

static const struct rm_name statuses[] = {
	{ GHVM_RM_OK, "OK", "" },
	{ GHVM_RM_UNIMPLEMENTED, "UNIMPLEMENTED", "this resource manager does not have it" },
	{ GHVM_RM_NOMEM, "NOMEM",
	  "its heap is full: use huge pages, or fewer and smaller VMs, to need fewer entries" },
	{ GHVM_RM_NORESOURCE, "NORESOURCE",
	  "nothing like that exists, or vCPUs, doorbells or windows ran out" },
	{ GHVM_RM_DENIED, "DENIED",
	  "not ours to ask for, 64 parcels exist already, or a second RAM parcel was lent" },
	{ GHVM_RM_MSG_INVALID, "MSG_INVALID", "the request's length is not what it expects" },
	{ GHVM_RM_BUSY, "BUSY", "it works on this already: try again" },
	{ GHVM_RM_ARGUMENT_INVALID, "ARGUMENT_INVALID",
	  "a value is out of range or does not exist" },
	{ GHVM_RM_HANDLE_INVALID, "HANDLE_INVALID", "there is no such parcel" },
	{ GHVM_RM_VALIDATE_FAILED, "VALIDATE_FAILED", "the parcel is not as it was announced" },
	{ GHVM_RM_MAP_FAILED, "MAP_FAILED", "the memory cannot be mapped" },
	{ GHVM_RM_MEM_INVALID, "MEM_INVALID",
	  "a page is already in another parcel, or the device tree cannot be read" },
	{ GHVM_RM_MEM_INUSE, "MEM_INUSE", "a VM still has it: it must be reset first" },
	{ GHVM_RM_MEM_RELEASED, "MEM_RELEASED", "it was not accepted, or is released already" },
	{ GHVM_RM_VMID_INVALID, "VMID_INVALID", "there is no such VM, or it is not ours" },
	{ GHVM_RM_LOOKUP_FAILED, "LOOKUP_FAILED", "no complete parcel of ours has these pages" },
	{ GHVM_RM_IRQ_INVALID, "IRQ_INVALID", "there is no such interrupt" },
	{ GHVM_RM_IRQ_INUSE, "IRQ_INUSE", "the interrupt is lent already" },
	{ GHVM_RM_IRQ_RELEASED, "IRQ_RELEASED", "the interrupt is released already" },
	{ GHVM_RM_IN_USE, "IN_USE", "it is in use" },
	{ GHVM_RM_IRQ_NOT_MAPPED, "IRQ_NOT_MAPPED", "the interrupt is not mapped" },
	{ GHVM_RM_VM_STATE, "VM_STATE", "the VM is in a state that does not allow it" },
};

static const struct rm_name unknown = { 0, "unknown", "a status that is not documented" };

static const struct rm_name *find(const struct rm_name *names, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].number == number)
			return &names[i];
	return &unknown;
}

const char *ghvm_rm_message_to_string(uint32_t message)
{
	return find(messages, ARRAY_SIZE(messages), message)->name;
}

const char *ghvm_rm_status_to_string(uint32_t status)
{
	return find(statuses, ARRAY_SIZE(statuses), status)->name;
}

const char *ghvm_rm_status_hint(uint32_t status)
{
	return find(statuses, ARRAY_SIZE(statuses), status)->hint;
}

int ghvm_error_set(struct ghvm_error *err, int code, const char *fmt, ...)
{
	char text[GHVM_ERROR_TEXT];
	va_list args;

	if (!err)
		return code;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut if too long */
	va_end(args);

	err->code = code;
	err->rm_message = 0;
	err->rm_code = 0;
	memcpy(err->msg, text, sizeof(text));
	return code;
}

int ghvm_error_set_rm(struct ghvm_error *err, uint32_t message, uint32_t status, const char *fmt,
		      ...)
{
	char text[GHVM_ERROR_TEXT / 2]; /* room for names and hint after it */
	va_list args;

	if (!err)
		return -EREMOTEIO;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut if too long */
	va_end(args);

	err->code = -EREMOTEIO;
	err->rm_message = message;
	err->rm_code = status;
	(void)snprintf(err->msg, sizeof(err->msg), "cannot %s: %s refused with %s (%d): %s", text,
		       ghvm_rm_message_to_string(message), ghvm_rm_status_to_string(status),
		       (int)status, ghvm_rm_status_hint(status));
	return -EREMOTEIO;
}
