/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the self-testing guest and its runner agree on; for the assembler as well. */
#define GUEST_PATTERN 0x1c002000
#define GUEST_STORES 0x1c003000
#define GUEST_REPORT 0x1c001000
#define GUEST_STEP 0x00
#define GUEST_FAIL 0x08
#define GUEST_GOT 0x10
#define GUEST_HOW 0x18
