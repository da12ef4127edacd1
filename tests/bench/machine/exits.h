/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What bench-exits and its guest have agreed upon; for the assembler, too. */
#pragma once

#define EXITS_DEVICE 0x10000000 /* address of the only device */
#define EXITS_BEGIN 0x10	/* registers: a series begins, ends; see guest.S */
#define EXITS_END 0x18
#define EXITS_LATE 0x20 /* how late the guest ran after its timers, in ticks of its clock */

#define EXITS_WRITE 0
#define EXITS_READ 1
#define EXITS_TIMER 2
#define EXITS_SERIES 3

#define EXITS_ACCESSES 4000
#define EXITS_WAITS 200
#define EXITS_PAUSE 18750 /* ticks: 0.3 ms */
