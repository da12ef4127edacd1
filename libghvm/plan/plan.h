/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library and the programs of this project need of a plan, besides ghvm/plan.h.
 */
#pragma once

#include "ghvm/plan.h"
#include "libghvm/base/json.h"
#include "libghvm/rm/quirks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Forecast @entries_best to @huge_worst from the size and the pages. */
void ghvm_plan_parcel_forecast(struct ghvm_plan_parcel *p, enum ghvm_hugepages pages);

/*
 * Record that a parcel is pinned, with @extents extents that cover @huge aligned 2 MiB blocks:
 * from here on the plan is exact (decision 14).
 */
void ghvm_plan_pinned(struct ghvm_plan *plan, size_t parcel, uint64_t extents, uint64_t huge);

/* RM has refused to share RAM: from here on the plan lends it. */
void ghvm_plan_lend_ram(struct ghvm_plan *plan);

/**
 * ghvm_plan_parcel_messages() - the messages that lend or share one parcel: @id, and MEM_APPENDs
 * for the entries that do not fit
 * @q: limits of the resource manager
 *
 * Return: number of messages in @ret, with a step of 0.
 */
size_t ghvm_plan_parcel_messages(const struct ghvm_quirks *q, uint32_t id,
				 const struct ghvm_plan_parcel *p, struct ghvm_plan_message ret[2]);

/* Write the member "messages" of a step; nothing if there are none. */
void ghvm_plan_messages_to_json(struct ghvm_json *j, const struct ghvm_plan_message *v, size_t n);

/**
 * struct plan_look - what the text is for
 * @columns: width of the map; each part of it has one character at least, so it may be wider
 * @utf8: shades of UTF-8 instead of ASCII
 */
struct plan_look {
	size_t columns;
	bool utf8;
};

/* As ghvm_plan_to_text(), which has ASCII and 80 columns. */
char *plan_to_text(const struct ghvm_plan *plan, const struct plan_look *look);
