/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Internals of the host in memory, for fakes/rm*.c only.
 */
#pragma once

#include "libghvm/hyp/host.h"
#include "tests/fakes/rm.h"

/* rm.c: called around each operation of the host. */
struct fake_rm *fake_rm_of(struct ghvm_host *h);
int fake_rm_enter(struct ghvm_host *h);
int fake_rm_leave(struct ghvm_host *h, int r);
void fake_rm_die(const char *why, uint64_t what) __attribute__((noreturn));

/* rm-below.c: the host of the model. */
struct model_host fake_rm_below(struct fake_rm *f);
uint64_t fake_rm_now(void);
uint64_t fake_rm_page(uint64_t pa);
/* Memory at @pa, NULL if not all of it is RAM; counts as written. */
void *fake_rm_bytes(void *fake, uint64_t pa, uint64_t len);
struct fake_irq *fake_rm_irq(struct fake_rm *f, uint32_t intid, bool make);
void fake_rm_signal(struct fake_irq *irq);

/* rm-watch.c: checks a request that RM is about to execute; aborts if no client may send it. */
void fake_rm_watch(struct fake_rm *f, uint32_t id, const uint8_t *payload, size_t len);

/* rm-pin.c: operations on pins and the quarantine. */
int fake_pin(struct ghvm_host *h, int memfd, uint64_t offset, uint64_t length, bool readonly);
int fake_pin_status(struct ghvm_host *h, int pin, struct ghvm_pin_status *ret);
int fake_pin_extents(struct ghvm_host *h, int pin, uint64_t first, struct ghvm_extent *ret,
		     uint32_t count);
int fake_pin_set(struct ghvm_host *h, int pin, uint32_t state, const uint8_t tag[GHVM_TAG_SIZE]);
int fake_pin_write(struct ghvm_host *h, int pin, uint64_t offset, const void *buf, size_t length);
void fake_pin_close(struct ghvm_host *h, int pin);
int fake_quarantine_list(struct ghvm_host *h, uint64_t after, struct ghvm_quarantine_entry *ret,
			 uint32_t count);
int fake_quarantine_adopt(struct ghvm_host *h, uint64_t id);
void fake_rm_close_pin(struct fake_rm *f, struct fake_pin *p);
int fake_assign(struct ghvm_host *h, struct ghvm_assign *arg);
/* Check that every page given away by RM was assigned before. */
void fake_rm_check_assigned(struct fake_rm *f);
