/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Identify the resource manager, by messages that are known to be safe on all of them.
 *
 * One query changes nothing. Two further messages are sent without their payload: an RM that
 * knows them refuses their length before it looks at anything else; one that does not know them
 * answers UNIMPLEMENTED (abi C.2, J). No message of abi I.7, K.2, K.3 or K.6 is sent.
 */
#pragma once

#include "ghvm/error.h"
#include "libghvm/rm/quirks.h"
#include "libghvm/rm/rpc.h"

/**
 * ghvm_rm_probe() - collect the facts that RM tells about itself
 * @ret: all but rm_capid; @answered is false if a reply is missing or malformed
 *
 * Thread: any but the dispatcher's. Return: 0, all was answered; -EBADMSG; errors of
 * ghvm_rm_call() other than refusals, which are answers here.
 */
int ghvm_rm_probe(struct ghvm_rm *rm, struct ghvm_quirks_facts *ret, struct ghvm_error *err);
