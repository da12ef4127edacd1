/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that checks its hypervisor: every kind of access that exits, every kind that must
 * abort, registers kept over exits, timer and WFI, SGIs, PSCI. Any address, MMU off, one CPU.
 *
 * It talks by stores: GUEST_STEP gets the number of each step that passed, GUEST_FAIL that
 * of one that did not and GUEST_GOT what it saw. Loads from GUEST_PATTERN must give the
 * bytes of 0xfedcba9876543210, lowest first. A load from GUEST_HOW says how to end
 * (enum how). It is data of the program that runs it, selftest.c.
 */
#include "tests/model/el2/guest/selftest.h"

#define OUTSIDE 0x50000000 /* beyond the window of 1 GiB, not RAM either */

	.arch armv8-a
	.section .rodata.guest, "a"
	.balign	0x800			/* the vectors ask for it, at any address */
	.globl	guest_begin
guest_begin:
	ldr	x27, =GUEST_REPORT
	ldr	x28, [x27, #GUEST_HOW]
	ldr	x26, =GUEST_PATTERN
	ldr	x25, =GUEST_STORES
	mov	x24, #0			/* step */
	adr	x1, vectors
	msr	vbar_el1, x1
	mov	x1, #3 << 20
	msr	cpacr_el1, x1
	isb
	b	loads

	/* x0 is, x1 should be: report. x24 counts. */
check:
	add	x24, x24, #1
	cmp	x0, x1
	b.ne	1f
	str	x24, [x27, #GUEST_STEP]
	ret
1:	str	x0, [x27, #GUEST_GOT]
	str	x24, [x27, #GUEST_FAIL]
	ret

	.macro	expect insn value
	mov	x0, #-1
	\insn
	ldr	x1, =\value
	bl	check
	.endm

loads:
	expect	"ldrb w0, [x26, #7]", 0xfe
	expect	"ldrh w0, [x26, #6]", 0xfedc
	expect	"ldr w0, [x26, #4]", 0xfedcba98
	expect	"ldr x0, [x26]", 0xfedcba9876543210
	expect	"ldrsb w0, [x26, #7]", 0xfffffffe
	expect	"ldrsb x0, [x26, #7]", 0xfffffffffffffffe
	expect	"ldrsh w0, [x26, #6]", 0xfffffedc
	expect	"ldrsh x0, [x26, #6]", 0xfffffffffffffedc
	expect	"ldrsw x0, [x26, #4]", 0xfffffffffedcba98
	expect	"ldrsw x0, [x26]", 0x76543210
	ldr	xzr, [x26]
	ldr	x0, =0x1122334455667788
	strb	w0, [x25]
	strh	w0, [x25, #2]
	str	w0, [x25, #4]
	str	x0, [x25, #8]
	str	xzr, [x25, #16]

	/* Each aborts once; the handler leaves the syndrome in x23 and goes on. */
	.macro	aborts syndrome insn
	mov	x23, #0
	\insn
	mov	x0, x23
	ldr	x1, =\syndrome
	bl	check
	.endm
	ldr	x22, =OUTSIDE
	aborts	0x96000010, "ldp x2, x3, [x26]"
	aborts	0x96000050, "stp x2, x3, [x26]"
	aborts	0x96000010, "ldr x2, [x26], #8"
	ldr	x26, =GUEST_PATTERN
	aborts	0x96000010, "ldr q0, [x26]"
	aborts	0x96000010, "ldxr x2, [x26]"
	aborts	0x96000010, "ldr x2, [x22]"
	aborts	0x96000050, "str x2, [x22]"
	aborts	0x86000010, "blr x22"

	/* Vector and system registers survive an exit and a sleep. */
	mov	x0, #0x1234
	dup	v0.2d, x0
	dup	v31.2d, x27
	msr	tpidr_el0, x26
	msr	tpidr_el1, x27
	msr	fpcr, xzr
	str	x0, [x25, #24]
	bl	sleep
	umov	x0, v0.d[1]
	mov	x1, #0x1234
	bl	check
	umov	x0, v31.d[0]
	mov	x1, x27
	bl	check
	mrs	x0, tpidr_el0
	mov	x1, x26
	bl	check
	mrs	x0, tpidr_el1
	mov	x1, x27
	bl	check

	/* Six SGIs of itself at once: more than there are list registers, none may be lost. */
	mov	x0, #7
	msr	S3_0_C12_C12_5, x0		/* ICC_SRE_EL1 */
	isb
	mov	x0, #0xf0
	msr	S3_0_C4_C6_0, x0		/* ICC_PMR_EL1 */
	mov	x0, #1
	msr	S3_0_C12_C12_7, x0		/* ICC_IGRPEN1_EL1 */
	isb
	ldr	x2, =0x080b0100			/* ISENABLER0 */
	mov	w3, #0x7e
	str	w3, [x2]
	mov	x2, #1 << 24			/* INTID 1, target list: CPU 0 */
	mov	x3, x2
	add	x2, x2, #1
	mov	x4, #6
1:	msr	S3_0_C12_C11_5, x2		/* ICC_SGI1R_EL1 */
	add	x2, x2, x3
	subs	x4, x4, #1
	b.ne	1b
	isb
	mov	x5, #0				/* which came */
	mrs	x6, cntvct_el0
	mrs	x7, cntfrq_el0
	add	x6, x6, x7			/* for a second */
1:	mrs	x2, S3_0_C12_C12_0		/* ICC_IAR1_EL1 */
	cmp	x2, #1020
	b.hs	2f
	mov	x3, #1
	lsl	x3, x3, x2
	eor	x5, x5, x3
	msr	S3_0_C12_C12_1, x2		/* ICC_EOIR1_EL1 */
	isb
2:	mrs	x7, cntvct_el0
	cmp	x5, #0x7e
	b.eq	3f
	cmp	x7, x6
	b.lo	1b
3:	mov	x0, x5
	mov	x1, #0x7e
	bl	check
	mrs	x0, S3_0_C12_C12_0		/* nothing is left */
	mov	x1, #1023
	bl	check
	ldr	x2, =0x080b0300			/* ISACTIVER0: nothing stayed active */
	ldr	w0, [x2]
	mov	x1, #0
	bl	check

	/* PSCI: function, argument, result */
	.macro	psci fn arg value
	ldr	x0, =\fn
	ldr	x1, =\arg
	mov	x2, #0
	mov	x3, #0
	smc	#0
	sxtw	x0, w0
	ldr	x1, =\value
	bl	check
	.endm
	psci	0x84000000, 0, 0x10001
	psci	0x84000006, 0, 2
	psci	0xc4000003, 0, -4		/* CPU_ON of itself: already on */
	psci	0xc4000003, 77, -2		/* no such CPU */
	psci	0xc4000004, 0, 0
	psci	0xc4000004, 77, -2
	psci	0x8400000a, 0x84000009, 0
	psci	0x8400000a, 0x84000011, -1
	psci	0x84001234, 0, -1

	cmp	x28, #1
	b.eq	reset
	cmp	x28, #2
	b.eq	reset2
	cmp	x28, #3
	b.eq	loop
	cmp	x28, #4
	b.eq	for_ever
	ldr	x0, =0x84000008
	hvc	#0
reset:	ldr	x0, =0x84000009
	hvc	#0
reset2:	ldr	x0, =0xc4000012
	ldr	x1, =0x80000001
	ldr	x2, =0x123456789abcdef0
	hvc	#0
loop:	msr	vbar_el1, x22
	isb
	br	x22
for_ever:
	wfi
	b	for_ever

	/* 50 ms by the virtual timer, its interrupt masked here but enabled at the GIC. */
sleep:
	ldr	x2, =0x080b0100		/* ISENABLER0 of the first redistributor */
	mov	w3, #1 << 27
	str	w3, [x2]
	mrs	x2, cntfrq_el0
	mov	x3, #20
	udiv	x2, x2, x3
	mrs	x4, cntvct_el0
	add	x5, x4, x2
	msr	cntv_cval_el0, x5
	mov	x3, #1
	msr	cntv_ctl_el0, x3
	isb
1:	wfi
	mrs	x3, cntvct_el0
	cmp	x3, x5
	b.lo	1b
	msr	cntv_ctl_el0, xzr
	sub	x0, x3, x4		/* late by less than 4 times: a loaded machine */
	udiv	x0, x0, x2
	cmp	x0, #4
	csel	x0, xzr, x0, lo
	mov	x1, #0
	mov	x20, x30
	bl	check
	mov	x30, x20
	ret

	/* Aborts of this level: note, and go on behind the access or at the caller. */
	.balign	0x800
vectors:
	.balign	0x80
	b	.
	.balign	0x80
	b	.
	.balign	0x80
	b	.
	.balign	0x80
	b	.
	.balign	0x80
	mrs	x23, esr_el1
	mrs	x19, elr_el1
	add	x19, x19, #4
	lsr	x18, x23, #26
	cmp	x18, #0x21		/* fetch: return from the call */
	csel	x19, x30, x19, eq
	msr	elr_el1, x19
	eret
	.ltorg
	.globl	guest_end
guest_end:

	.section .note.GNU-stack, "", %progbits
