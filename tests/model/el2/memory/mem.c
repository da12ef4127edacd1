// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The primary's memory as EL2 sees it, and the buffers of its hypercalls.
 *
 * Buffers are kernel virtual addresses, translated as the caller would: valid only inside
 * its own hypercall, before any world switch. A lent page reads as unmapped.
 */
#include <string.h>

#include "tests/model/el2/el2.h"

#define PAR_FAILED 1ul
#define PAR_ADDRESS 0xfffffffff000ul
#define KERNEL_HALF (1ul << 55)

/* RAM that can be lent; identity mapped at EL2. */
void *mem_ram(uint64_t pa, uint64_t len)
{
	if (pa < LINUX_ADDR || pa >= machine.ram_end || len > machine.ram_end - pa)
		return NULL;
	return (void *)pa;
}

/* Through both stages. User addresses are refused: the instruction ignores PAN. */
static void *translate(uint64_t va, bool write)
{
	uint64_t saved = sysreg_read(par_el1);
	uint64_t par;

	if (!(va & KERNEL_HALF))
		return NULL;
	if (write)
		__asm__ volatile("at s12e1w, %0\n\tisb" ::"r"(va) : "memory");
	else
		__asm__ volatile("at s12e1r, %0\n\tisb" ::"r"(va) : "memory");
	par = sysreg_read(par_el1);
	sysreg_write(par_el1, saved);
	return par & PAR_FAILED ? NULL : mem_ram((par & PAR_ADDRESS) | (va & (PAGE - 1)), 1);
}

static uint64_t to_page_end(uint64_t va, uint64_t len)
{
	uint64_t rest = PAGE - (va & (PAGE - 1));

	return len < rest ? len : rest;
}

int mem_copy_in(void *dst, uint64_t va, uint64_t len)
{
	uint64_t n;

	for (uint64_t done = 0; done < len; done += n) {
		const void *p = translate(va + done, false);

		n = to_page_end(va + done, len - done);
		if (!p)
			return -1;
		memcpy((char *)dst + done, p, n);
	}
	return 0;
}

int mem_copy_out(uint64_t va, const void *src, uint64_t len)
{
	uint64_t n;

	for (uint64_t done = 0; done < len; done += n) { /* all of it, before any is written */
		n = to_page_end(va + done, len - done);
		if (!translate(va + done, true))
			return -1;
	}
	for (uint64_t done = 0; done < len; done += n) {
		n = to_page_end(va + done, len - done);
		memcpy(translate(va + done, true), (const char *)src + done, n);
	}
	return 0;
}
