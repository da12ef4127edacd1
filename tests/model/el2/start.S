/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry of each CPU, exception vectors, and instructions that C does not have.
 *
 * QEMU takes this for a Linux image (arm64 header) and so passes the device tree in x0.
 * Everything until the MMU is on must be assembler: without it all memory is Device, which
 * forbids the unaligned and exclusive accesses that a compiler makes.
 */
#define FRAME 272	/* struct frame */
#define STACK_SHIFT 14
#define CPUS 8

	.arch armv8-a
	.section .head, "ax"
	.globl _start
_start:
	b	1f
	nop
	.quad	0			/* offset: QEMU adds 2 MiB */
	.quad	_end - _start
	.quad	0xa			/* little-endian, 4K */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0
1:	mov	x19, x0
	mov	x20, #1
	adrp	x1, _bss		/* a reset of the machine does not clear RAM */
	add	x1, x1, :lo12:_bss
	adrp	x2, _end
	add	x2, x2, :lo12:_end
2:	stp	xzr, xzr, [x1], #16
	cmp	x1, x2
	b.lo	2b
	b	cpu_start

	/* PSCI CPU_ON lands here, x0 = struct cpu_slot of this CPU */
	.globl	secondary_entry
secondary_entry:
	mov	x19, x0
	mov	x20, #0

cpu_start:
	mrs	x4, mpidr_el1
	and	x4, x4, #0xff
	adrp	x9, stacks
	add	x9, x9, :lo12:stacks
	add	x10, x4, #1
	add	x9, x9, x10, lsl #STACK_SHIFT
	mov	sp, x9
	adr	x9, vectors
	msr	vbar_el2, x9
	mov	x9, #0x00ff		/* attribute 0: normal write-back, 1: device */
	msr	mair_el2, x9
	ldr	x9, =0x80823519		/* 4K, 39 bits, write-back inner shareable walks */
	msr	tcr_el2, x9
	adrp	x9, el2_table
	msr	ttbr0_el2, x9
	isb
	tlbi	alle2
	dsb	nsh
	isb
	ldr	x9, =0x30c51835		/* MMU, caches */
	msr	sctlr_el2, x9
	isb
	sub	sp, sp, #FRAME
	mov	x0, sp
	mov	x1, x19
	cbz	x20, 3f
	bl	boot_first		/* (frame, device tree) */
	b	restore
3:	bl	boot_secondary		/* (frame, slot) */

restore:
	ldp	x0, x1, [sp, #248]
	msr	elr_el2, x0
	msr	spsr_el2, x1
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x19, [sp, #144]
	ldp	x20, x21, [sp, #160]
	ldp	x22, x23, [sp, #176]
	ldp	x24, x25, [sp, #192]
	ldp	x26, x27, [sp, #208]
	ldp	x28, x29, [sp, #224]
	ldr	x30, [sp, #240]
	ldp	x0, x1, [sp], #FRAME
	eret

	.macro	vector kind fn
	.balign	0x80
	sub	sp, sp, #FRAME
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	str	x30, [sp, #240]
	mrs	x0, elr_el2
	mrs	x1, spsr_el2
	stp	x0, x1, [sp, #248]
	mov	x0, sp
	mov	x1, #\kind
	bl	\fn
	b	restore
	.endm

	.balign	0x800
vectors:
	vector	0, trap_own
	vector	1, trap_own
	vector	2, trap_own
	vector	3, trap_own
	vector	4, trap_own
	vector	5, trap_own
	vector	6, trap_own
	vector	7, trap_own
	vector	0, trap
	vector	1, trap
	vector	2, trap
	vector	3, trap
	vector	12, trap_own
	vector	13, trap_own
	vector	14, trap_own
	vector	15, trap_own

	.macro	fp_regs op
	\op	q0, q1, [x0], #32
	\op	q2, q3, [x0], #32
	\op	q4, q5, [x0], #32
	\op	q6, q7, [x0], #32
	\op	q8, q9, [x0], #32
	\op	q10, q11, [x0], #32
	\op	q12, q13, [x0], #32
	\op	q14, q15, [x0], #32
	\op	q16, q17, [x0], #32
	\op	q18, q19, [x0], #32
	\op	q20, q21, [x0], #32
	\op	q22, q23, [x0], #32
	\op	q24, q25, [x0], #32
	\op	q26, q27, [x0], #32
	\op	q28, q29, [x0], #32
	\op	q30, q31, [x0], #32
	.endm

	.globl	fp_save, fp_load
fp_save:
	fp_regs	stp
	mrs	x1, fpcr
	mrs	x2, fpsr
	stp	x1, x2, [x0]
	ret
fp_load:
	fp_regs	ldp
	ldp	x1, x2, [x0]
	msr	fpcr, x1
	msr	fpsr, x2
	ret

	/* x0 points to x0 to x3 of the call, results likewise; a call to the firmware */
	.globl	smc_call
smc_call:
	mov	x9, x0
	ldp	x0, x1, [x9]
	ldp	x2, x3, [x9, #16]
	stp	x9, x30, [sp, #-16]!
	smc	#0
	ldp	x9, x30, [sp], #16
	stp	x0, x1, [x9]
	stp	x2, x3, [x9, #16]
	ret

	/* EL2's own map: 1 GiB blocks, the first device memory */
	.data
	.balign	4096
el2_table:
	.quad	0x00000000 | 1 << 54 | 1 << 10 | 1 << 2 | 1
	.quad	0x40000000 | 3 << 8 | 1 << 10 | 1
	.quad	0x80000000 | 3 << 8 | 1 << 10 | 1
	.quad	0xc0000000 | 3 << 8 | 1 << 10 | 1
	.skip	4096 - 32

	.bss
	.balign	4096
stacks:	.skip	CPUS << STACK_SHIFT
