/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A second VM on the machine of a bench, in the middle of its start: it keeps its pages, whatever is done to the first.
 */
#pragma once

#include "libghvm/memory/parcel.h"
#include "tests/fixtures/machine.h"

/**
 * struct other - a VM that is being made
 * @lent: RM has shown its handle; @shared: RM has only said it
 */
struct other {
	struct ghvm_vmid vmid;
	struct ghvm_parcel lent, shared;
};

void other_begin(struct bench *b, struct other *o);
void other_assert_well(struct bench *b, const struct other *o);
void other_end(struct bench *b, struct other *o);
/* Its process dies; its pages go to the quarantine. */
void other_dies(struct other *o);
