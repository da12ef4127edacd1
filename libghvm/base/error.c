/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Error messages, and the names of the resource manager's messages and statuses.
 */
#include "ghvm/error.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/hint.h"
#include "libghvm/base/printable.h"
#include "libghvm/base/rm-abi.h"

struct rm_name {
	uint32_t number;
	const char *name;
};

static const struct rm_name messages[] = {
	{ GHVM_RM_MEM_LEND, "MEM_LEND" },
	{ GHVM_RM_MEM_SHARE, "MEM_SHARE" },
	{ GHVM_RM_MEM_RELEASE, "MEM_RELEASE" },
	{ GHVM_RM_MEM_RECLAIM, "MEM_RECLAIM" },
	{ GHVM_RM_MEM_NOTIFY, "MEM_NOTIFY" },
	{ GHVM_RM_MEM_APPEND, "MEM_APPEND" },
	{ GHVM_RM_MEM_LOOKUP_SGL, "MEM_LOOKUP_SGL" },
	{ GHVM_RM_VM_ALLOCATE, "VM_ALLOCATE" },
	{ GHVM_RM_VM_DEALLOCATE, "VM_DEALLOCATE" },
	{ GHVM_RM_VM_START, "VM_START" },
	{ GHVM_RM_VM_STOP, "VM_STOP" },
	{ GHVM_RM_VM_RESET, "VM_RESET" },
	{ GHVM_RM_VM_CONFIG_IMAGE, "VM_CONFIG_IMAGE" },
	{ GHVM_RM_VM_INIT, "VM_INIT" },
	{ GHVM_RM_VM_GET_STATE, "VM_GET_STATE" },
	{ GHVM_RM_VM_GET_CRASH_MSG, "VM_GET_CRASH_MSG" },
	{ GHVM_RM_VM_GET_HYP_RESOURCES, "VM_GET_HYP_RESOURCES" },
	{ GHVM_RM_VM_GET_VMID, "VM_GET_VMID" },
	{ GHVM_RM_VM_SET_BOOT_CONTEXT, "VM_SET_BOOT_CONTEXT" },
	{ GHVM_RM_VM_SET_FIRMWARE_MEM, "VM_SET_FIRMWARE_MEM" },
	{ GHVM_RM_VM_AUTH_IMAGE, "VM_AUTH_IMAGE" },
	{ GHVM_RM_VM_SET_ADDRESS_LAYOUT, "VM_SET_ADDRESS_LAYOUT" },
	{ GHVM_RM_VM_HOST_GET_TYPE, "VM_HOST_GET_TYPE" },
	{ GHVM_RM_NOTIFY_MEM_SHARED, "MEM_SHARED" },
	{ GHVM_RM_NOTIFY_MEM_RELEASED, "MEM_RELEASED" },
	{ GHVM_RM_NOTIFY_MEM_ACCEPTED, "MEM_ACCEPTED" },
	{ GHVM_RM_NOTIFY_MEM_RECALL, "MEM_RECALL" },
	{ GHVM_RM_NOTIFY_VM_EXITED, "VM_EXITED" },
	{ GHVM_RM_NOTIFY_VM_SHUTDOWN, "VM_SHUTDOWN" },
	{ GHVM_RM_NOTIFY_VM_STATUS, "VM_STATUS" },
	{ GHVM_RM_NOTIFY_VM_IRQ_LENT, "VM_IRQ_LENT" },
	{ GHVM_RM_NOTIFY_VM_IRQ_RELEASED, "VM_IRQ_RELEASED" },
	{ GHVM_RM_NOTIFY_VM_IRQ_ACCEPTED, "VM_IRQ_ACCEPTED" },
	{ GHVM_RM_NOTIFY_VM_CONSOLE_CHARS, "VM_CONSOLE_CHARS" },
};

static const struct rm_name statuses[] = {
	{ GHVM_RM_OK, "OK" },
	{ GHVM_RM_UNIMPLEMENTED, "UNIMPLEMENTED" },
	{ GHVM_RM_NOMEM, "NOMEM" },
	{ GHVM_RM_NORESOURCE, "NORESOURCE" },
	{ GHVM_RM_DENIED, "DENIED" },
	{ GHVM_RM_MSG_INVALID, "MSG_INVALID" },
	{ GHVM_RM_BUSY, "BUSY" },
	{ GHVM_RM_ARGUMENT_INVALID, "ARGUMENT_INVALID" },
	{ GHVM_RM_HANDLE_INVALID, "HANDLE_INVALID" },
	{ GHVM_RM_VALIDATE_FAILED, "VALIDATE_FAILED" },
	{ GHVM_RM_MAP_FAILED, "MAP_FAILED" },
	{ GHVM_RM_MEM_INVALID, "MEM_INVALID" },
	{ GHVM_RM_MEM_INUSE, "MEM_INUSE" },
	{ GHVM_RM_MEM_RELEASED, "MEM_RELEASED" },
	{ GHVM_RM_VMID_INVALID, "VMID_INVALID" },
	{ GHVM_RM_LOOKUP_FAILED, "LOOKUP_FAILED" },
	{ GHVM_RM_IRQ_INVALID, "IRQ_INVALID" },
	{ GHVM_RM_IRQ_INUSE, "IRQ_INUSE" },
	{ GHVM_RM_IRQ_RELEASED, "IRQ_RELEASED" },
	{ GHVM_RM_IN_USE, "IN_USE" },
	{ GHVM_RM_IRQ_NOT_MAPPED, "IRQ_NOT_MAPPED" },
	{ GHVM_RM_VM_STATE, "VM_STATE" },
};

static const struct rm_name unknown = { 0, "unknown" };

static const struct rm_name *find_name(const struct rm_name *names, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].number == number)
			return &names[i];
	return &unknown;
}

const char *ghvm_rm_message_to_string(uint32_t message)
{
	return find_name(messages, ARRAY_SIZE(messages), message)->name;
}

const char *ghvm_rm_status_to_string(uint32_t status)
{
	return find_name(statuses, ARRAY_SIZE(statuses), status)->name;
}

static int vset_error(struct ghvm_error *err, int code, const char *fmt, va_list args)
{
	char text[GHVM_ERROR_TEXT];

	if (!err)
		return code;
	/* Formatted into a separate buffer, since @args may refer to err->msg. */
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut if too long */
	ghvm_make_printable(text);
	*err = (struct ghvm_error){ .code = code };
	memcpy(err->msg, text, sizeof(text));
	return code;
}

int ghvm_error_set(struct ghvm_error *err, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vset_error(err, code, fmt, args);
	va_end(args);
	return code;
}

int ghvm_error_set_unanswered(struct ghvm_error *err, uint32_t message, int code, const char *fmt,
			      ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vset_error(err, code, fmt, args);
	va_end(args);
	if (err)
		err->rm_message = message;
	return code;
}

int ghvm_error_set_rm(struct ghvm_error *err, uint32_t message, uint32_t status, const char *fmt,
		      ...)
{
	char text[GHVM_ERROR_TEXT / 2]; /* leaves space for names and hint */
	va_list args;

	if (!err)
		return -EREMOTEIO;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut if too long */
	va_end(args);
	ghvm_make_printable(text);

	err->code = -EREMOTEIO;
	err->rm_message = message;
	err->rm_code = status;
	(void)snprintf(err->msg, sizeof(err->msg), "cannot %s: %s refused with %s (%d): %s", text,
		       ghvm_rm_message_to_string(message), ghvm_rm_status_to_string(status),
		       (int)status, ghvm_hint_find(-EREMOTEIO, message, status)->means);
	return -EREMOTEIO;
}
