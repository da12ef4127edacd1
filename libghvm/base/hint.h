/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an error means and what to try: one table for all programs. Pure.
 */
#pragma once

#include <stdint.h>

/**
 * struct ghvm_hint - static texts
 * @means: meaning of the resource manager's status for this message; "": not a refusal, the error
 *         message says all
 * @advice: what to try, a sentence without full stop; the word NAME in it stands for the VM's
 *          name. "": none
 */
struct ghvm_hint {
	const char *means;
	const char *advice;
};

/**
 * ghvm_hint_find() - the best matching entry of the table
 * @code: negative errno, as in struct ghvm_error
 * @message: RM's message that was refused or not answered, 0: none
 * @status: of the refusal, if @code is -EREMOTEIO and there is a message
 *
 * Return: never NULL, static.
 */
const struct ghvm_hint *ghvm_hint_find(int code, uint32_t message, uint32_t status);
