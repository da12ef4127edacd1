/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest of bench-exits: it does one thing many times, and then the next. By stores to BEGIN and END, whose
 * value is the number of the series, the host knows when. Memory at 0x80000000, MMU off, interrupts masked.
 */
#include "tests/bench/machine/exits.h"

#define GICD 0x3fff0000
#define GICR 0x3fee0000
#define TIMER 27	/* interrupt of the virtual timer */

	.macro	begin series
	mov	x0, #\series
	str	x0, [x20, #EXITS_BEGIN]
	.endm

	.macro	end series
	mov	x0, #\series
	str	x0, [x20, #EXITS_END]
	.endm

	.arch armv8-a
	.text
	.globl	_start
_start:
	ldr	x20, =EXITS_DEVICE
	bl	gic_init
again:
	ldr	x1, =EXITS_ACCESSES
	begin	EXITS_WRITE
1:	str	w1, [x20]
	subs	x1, x1, #1
	b.ne	1b
	end	EXITS_WRITE

	ldr	x1, =EXITS_ACCESSES
	begin	EXITS_READ
1:	ldr	w2, [x20]
	subs	x1, x1, #1
	b.ne	1b
	end	EXITS_READ

	ldr	x1, =EXITS_WAITS
	ldr	x6, =EXITS_PAUSE
	mov	x5, #0			/* sum of how late it ran */
	begin	EXITS_TIMER
1:	mrs	x2, cntvct_el0
	add	x2, x2, x6
	msr	cntv_cval_el0, x2
	mov	x3, #1
	msr	cntv_ctl_el0, x3
	isb
2:	wfi
	mrs	x4, cntvct_el0
	cmp	x4, x2
	b.lo	2b
	sub	x4, x4, x2
	add	x5, x5, x4
	msr	cntv_ctl_el0, xzr
	isb
	mrs	x3, icc_iar1_el1
	msr	icc_eoir1_el1, x3
	isb
	subs	x1, x1, #1
	b.ne	1b
	str	x5, [x20, #EXITS_LATE]
	end	EXITS_TIMER
	b	again

/* As little of a GICv3 as the timer's interrupt needs to end a WFI. */
gic_init:
	ldr	x0, =GICR
	ldr	w1, [x0, #0x14]
	bic	w1, w1, #2
	str	w1, [x0, #0x14]		/* WAKER: not asleep */
	add	x0, x0, #0x10000
	mov	w1, #(1 << TIMER)
	str	w1, [x0, #0x80]		/* IGROUPR0 */
	str	w1, [x0, #0x100]	/* ISENABLER0 */
	ldr	x0, =GICD
	mov	w1, #0x12
	str	w1, [x0]		/* CTLR: affinity routing, group 1 */
	mov	x1, #7
	msr	icc_sre_el1, x1
	isb
	mov	x1, #0xff
	msr	icc_pmr_el1, x1
	mov	x1, #1
	msr	icc_igrpen1_el1, x1
	isb
	ret
	.ltorg
	.balign	4096
