/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which resource manager is this? Asked with what none is known to die of.
 *
 * One query that changes nothing, and two messages without their payload: who knows them
 * refuses their length before it looks at anything, who does not answers UNIMPLEMENTED
 * (abi C.2, J). Nothing of abi I.7, K.2, K.3 or K.6 is among them, and no other message can
 * be sent from here.
 */
#pragma once

#include "libghvm/error.h"
#include "libghvm/quirks.h"
#include "libghvm/rm.h"

/**
 * ghvm_rm_probe() - the facts that RM itself has to tell
 * @ret: all but rm_capid; @answered is false if an answer is missing or makes no sense
 *
 * Thread: any but the dispatcher's. Return: 0, all was answered; -EBADMSG; what
 * ghvm_rm_call() returns but for refusals, which are answers.
 */
int ghvm_rm_probe(struct ghvm_rm *rm, struct ghvm_quirks_facts *ret, struct ghvm_error *err);
