/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a start and a stop send to the resource manager, against the fewest messages that its
 * protocol allows:
 *
 *	start: ALLOCATE, LEND, an APPEND for each further 512 entries, CONFIG_IMAGE, INIT,
 *	       GET_HYP_RESOURCES, START
 *	stop:  STOP, RESET, RECLAIM, DEALLOCATE
 *
 * More is sent on purpose. RM answers when it is out of memory only if messages are small (64
 * entries, abi K.2); before each LEND the same pages are shared and reclaimed where LEND alone
 * would not unmap them (abi K.3), without which the second half of the table is; and a stop asks
 * first and in between where the VM stands (abi K.6).
 */
#include "tests/bench/bench-vm.h"

#include "libghvm/base/bits.h"
#include "libghvm/rm/mem-calls.h"

#include <stdio.h>
#include <string.h>

#define START_MIN 6
#define STOP_MIN 4
#define ENTRIES_MAX 512 /* of one message, abi K.2 */
#define IMAGE GHVM_KIB(256)
#define MEMORY GHVM_MIB(8)

static unsigned int ceil_div(uint64_t n, uint64_t by)
{
	return (unsigned int)((n + by - 1) / by);
}

static unsigned int start_min(uint64_t entries, uint64_t by)
{
	return START_MIN - 1 + ceil_div(entries, by);
}

static void print(const struct bench_vm_result *r)
{
	unsigned int least = start_min(r->entries, ENTRIES_MAX);

	printf("%7llu  %5u %7u %7u %11.2f %14.2f  %4u %7u %8.2f\n", (unsigned long long)r->entries,
	       r->sent_start.messages, r->sent_start.packets, least,
	       (double)r->sent_start.messages / least,
	       (double)r->sent_start.messages / start_min(r->entries, GHVM_RM_MEM_ENTRIES_MAX),
	       r->sent_stop.messages, STOP_MIN, (double)r->sent_stop.messages / STOP_MIN);
}

static void run(bool presplit, const unsigned int *fragments, size_t n)
{
	printf("%s\n", presplit ? "with SHARE and RECLAIM before the LEND:" : "with LEND alone:");
	for (size_t i = 0; i < n; i++) {
		const struct bench_vm_options options = {
			.memory = MEMORY,
			.hugepages = GHVM_HUGEPAGES_NEVER,
			.image = IMAGE,
			.fragment = fragments[i],
			.presplit = presplit,
		};
		struct bench_vm_result r;

		bench_vm_run(&options, &r);
		print(&r);
	}
}

int main(int argc, char **argv)
{
	static const unsigned int fragments[] = { 0, 32, 16, 4, 1 };
	bool smoke = argc > 2 && !strcmp(argv[2], "--smoke");
	size_t n = smoke ? 2 : ARRAY_SIZE(fragments);

	sock_bench_program(argc, argv);
	printf("entries  start: packets minimum  to minimum  at 64 a message  stop: minimum  to "
	       "minimum\n");
	run(true, fragments, n);
	run(false, fragments, n);
	return 0;
}
