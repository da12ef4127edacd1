/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pieces of memory: counted before they are made, and after.
 */
#include "daemon/prepare/contiguity.h"

#include "daemon/prepare/backing.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES (CONTIGUITY_HUGE / GHVM_PAGE)

static void make_file(char *path, const char *content)
{
	int fd = mkstemp(path);

	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
}

static uint64_t free_after(const char *buddyinfo)
{
	char path[] = "/tmp/test-contiguity-XXXXXX";
	uint64_t n;

	make_file(path, buddyinfo);
	n = contiguity_free(path);
	unlink(path);
	return n;
}

static void counts_what_is_free(void **state)
{
	/* order 0 1 2 3 4 5 6 7 8 9 10 */
	assert_int_equal(free_after("Node 0, zone      DMA 9 9 9 9 9 9 9 9 9 1 3\n"), 7);
	assert_int_equal(free_after("Node 0, zone DMA 0 0 0 0 0 0 0 0 0 0 1\n"
				    "Node 1, zone Normal 5 0 0 0 0 0 0 0 0 4 0\n"),
			 6);
	/* arm64 with 4 KiB pages may have larger ones */
	assert_int_equal(free_after("Node 0, zone Normal 0 0 0 0 0 0 0 0 0 0 0 2\n"), 8);
	assert_int_equal(free_after("Node 0, zone Normal 7 7 7 7 7 7 7 7 7\n"), 0);
	assert_int_equal(free_after("nonsense\n"), 0);
	assert_int_equal(contiguity_free("/nonexistent"), UINT64_MAX);
}

static void sees_where_pages_are(void **state)
{
	struct backing_result res;
	_cleanup_(closep) int fd =
		backing_make("ram", CONTIGUITY_HUGE, GHVM_HUGEPAGES_AUTO, &res, NULL);
	uint8_t *at;
	uint64_t n;
	int r;

	assert_true(fd >= 0);
	if (geteuid() || !res.pieces || !res.huge)
		skip(); /* only root sees them, and only a huge page is known to be one piece */
	assert_int_equal(res.pieces, 1);

	/* the same page the other way round: its pieces are pages */
	at = mmap(NULL, CONTIGUITY_HUGE, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(at != MAP_FAILED);
	for (uint64_t i = 0; i < PAGES; i++) {
		void *p = mmap(at + i * GHVM_PAGE, GHVM_PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
			       (off_t)((PAGES - 1 - i) * GHVM_PAGE));

		assert_true(p != MAP_FAILED);
		(void)*(volatile uint8_t *)p;
	}
	r = contiguity_measure(at, CONTIGUITY_HUGE, GHVM_PAGE, &n);
	assert_int_equal(r, 0);
	assert_int_equal(n, PAGES);
	assert_int_equal(contiguity_measure(at, GHVM_PAGE, GHVM_PAGE, &n), 0);
	assert_int_equal(n, 1);
	munmap(at, CONTIGUITY_HUGE);
}

/* Huge pages in an order in which none follows its neighbour: asked for each page, or only for the first of each. */
static void huge_pages_are_asked_for_once(void **state)
{
	const uint64_t size = 4 * CONTIGUITY_HUGE;
	struct backing_result res;
	_cleanup_(closep) int fd = backing_make("ram", size, GHVM_HUGEPAGES_AUTO, &res, NULL);
	uint64_t by_page = 0, by_piece = 0;
	struct ghvm_mapping m = {};

	assert_true(fd >= 0);
	if (geteuid() || res.huge < 4)
		skip();
	assert_int_equal(ghvm_mapping_make(fd, 0, size, &m), 0);
	for (uint64_t i = 0; i < 4; i++)
		assert_true(mmap(m.at + i * CONTIGUITY_HUGE, CONTIGUITY_HUGE,
				 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
				 (off_t)((3 - i) * CONTIGUITY_HUGE)) != MAP_FAILED);
	assert_int_equal(ghvm_populate(m.at, size), 0);
	assert_int_equal(contiguity_measure(m.at, size, GHVM_PAGE, &by_page), 0);
	assert_int_equal(contiguity_measure(m.at, size, CONTIGUITY_HUGE, &by_piece), 0);
	assert_in_range(by_page, 1, 4);
	assert_int_equal(by_piece, by_page);
	ghvm_mapping_done(&m);
}

static void does_not_guess(void **state)
{
	uint64_t n = 77;
	void *at = mmap(NULL, 4 * GHVM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	assert_int_equal(contiguity_measure(at, 4 * GHVM_PAGE, GHVM_PAGE, &n), -ENODATA);
	assert_int_equal(n, 77);
	munmap(at, 4 * GHVM_PAGE);
}

static void asks_for_compaction_only_if_there_are_too_few(void **state)
{
	char buddyinfo[] = "/tmp/test-contiguity-XXXXXX", trigger[] = "/tmp/test-compact-XXXXXX";
	char asked[2] = "";
	FILE *f;

	make_file(buddyinfo, "Node 0, zone Normal 0 0 0 0 0 0 0 0 0 3 0\n");
	make_file(trigger, "");
	contiguity_compact(buddyinfo, trigger, 3);
	f = fopen(trigger, "r");
	assert_int_equal(fread(asked, 1, 1, f), 0);
	contiguity_compact(buddyinfo, trigger, 4);
	rewind(f);
	assert_int_equal(fread(asked, 1, 1, f), 1);
	assert_string_equal(asked, "1");
	fclose(f);
	unlink(trigger);
	contiguity_compact(buddyinfo, trigger, 4); /* who is not root has no such file */
	unlink(buddyinfo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_what_is_free),
		cmocka_unit_test(sees_where_pages_are),
		cmocka_unit_test(huge_pages_are_asked_for_once),
		cmocka_unit_test(does_not_guess),
		cmocka_unit_test(asks_for_compaction_only_if_there_are_too_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
