/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest without a kernel that knows two shared regions, with the MMU off: WRITABLE, which the host
 * writes as well, and READABLE, which the host can only read.
 *
 * It writes "here" to READABLE. Each time the host has put "load" at the beginning of WRITABLE, it
 * writes "took" there and "dump" behind it. It never ends by itself.
 */
#define WRITABLE 0x50000000
#define READABLE 0x50010000

	.arch armv8-a
	.text
	.globl	_start
_start:
	b	begin			/* the header of an arm64 Image */
	.long	0
	.quad	0			/* text offset */
	.quad	end - _start		/* size of the image */
	.quad	0xa			/* 4K pages, placed anywhere, little-endian */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

begin:
	ldr	x0, =WRITABLE
	ldr	x1, =READABLE
	ldr	w2, here
	str	w2, [x1]
1:	ldr	w2, load
2:	ldr	w3, [x0]
	cmp	w3, w2
	b.ne	2b
	ldr	w3, dump
	str	w3, [x0, #4]
	dmb	sy
	ldr	w3, took
	str	w3, [x0]
	b	1b

here:	.ascii	"here"
load:	.ascii	"load"
took:	.ascii	"took"
dump:	.ascii	"dump"
	.ltorg
	.balign	4096
end:
