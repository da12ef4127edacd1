/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The error object: a code, and a sentence for people.
 *
 * Written once, by the innermost function that knows what failed; callers only return the code.
 * Errors of the resource manager keep their status.
 */
#pragma once

#include "ghvm/api.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

GHVM_BEGIN_DECLS

#define GHVM_ERROR_TEXT 512

/**
 * struct ghvm_error - one failure
 * @code: negative errno; 0: nothing failed yet. -EREMOTEIO: RM or the hypervisor refused
 * @rm_message: RM message id that was refused; with another @code, that was not answered; or 0
 * @rm_code: RM's status (abi C.3) of a refusal
 * @msg: sentence without full stop, starts in lower case, names what and where
 */
struct ghvm_error {
	int code;
	uint32_t rm_message;
	uint32_t rm_code;
	char msg[GHVM_ERROR_TEXT];
};

/**
 * ghvm_error_set() - write an error
 * @err: may be NULL; a text already there is replaced
 * @code: negative errno
 * @fmt: the sentence; it may quote untrusted text, which is made printable
 *
 * Return: @code.
 */
/*@ assigns *err; ensures \result == code; */
int ghvm_error_set(struct ghvm_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * ghvm_error_set_unanswered() - as ghvm_error_set(), for a request to the resource manager
 * @message: RM message id that was not sent, not answered, or answered with a malformed reply
 * @code: negative errno, not -EREMOTEIO
 *
 * Return: @code.
 */
int ghvm_error_set_unanswered(struct ghvm_error *err, uint32_t message, int code, const char *fmt,
			      ...) __attribute__((format(printf, 4, 5)));

/**
 * ghvm_error_set_rm() - write a refusal by the resource manager
 * @err: may be NULL
 * @message: RM message id
 * @status: RM's status, not OK
 * @fmt: what was asked for, e.g. "lend memory \"ram\" (512 MiB, 3 entries)"; the names of message
 *       and status, and the meaning of the status (hint.h), are appended
 *
 * Return: -EREMOTEIO.
 */
int ghvm_error_set_rm(struct ghvm_error *err, uint32_t message, uint32_t status, const char *fmt,
		      ...) __attribute__((format(printf, 4, 5)));

/* "MEM_LEND", "MEM_INVALID"; never NULL, "unknown" for what is in no list. */
const char *ghvm_rm_message_to_string(uint32_t message);
const char *ghvm_rm_status_to_string(uint32_t status);

GHVM_END_DECLS
