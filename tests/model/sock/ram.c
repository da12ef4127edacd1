/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Simulated physical memory: an address space that pinned memfds fill in part.
 *
 * Each piece is mapped at the place of its physical address, so a page is found by arithmetic.
 */
#include "libghvm/hyp/host.h"
#include "tests/model/sock/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BLOCK_PAGES 512 /* a 2 MiB page */

static bool get_bit(const uint8_t *v, uint64_t i)
{
	return v[i / 8] >> i % 8 & 1;
}

static void set_bit(uint8_t *v, uint64_t i, bool on)
{
	if (on)
		v[i / 8] |= (uint8_t)(1 << i % 8);
	else
		v[i / 8] &= (uint8_t) ~(1 << i % 8);
}

static void *reserve(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int ram_init(struct ram *r, uint64_t base, uint64_t size, uint64_t fragment)
{
	uint64_t pages = size / SERVER_PAGE;

	*r = (struct ram){ .base = base, .size = size, .fragment = fragment };
	r->va = reserve(size);
	r->pinned = calloc(1, pages / 8);
	r->guarded = calloc(1, pages / 8);
	if (!r->va || !r->pinned || !r->guarded) {
		ram_done(r);
		return -ENOMEM;
	}
	return 0;
}

void ram_done(struct ram *r)
{
	if (r->va)
		munmap(r->va, r->size);
	free(r->pinned);
	free(r->guarded);
	*r = (struct ram){};
}

static uint64_t page_of(const struct ram *r, uint64_t pa)
{
	return (pa - r->base) / SERVER_PAGE;
}

static bool range_ok(const struct ram *r, uint64_t pa, uint64_t length)
{
	return pa >= r->base && pa - r->base < r->size && length <= r->size - (pa - r->base);
}

static bool all_set(const struct ram *r, const uint8_t *bits, uint64_t pa, uint64_t length)
{
	uint64_t last;

	if (!range_ok(r, pa, length) || !length)
		return false;
	last = page_of(r, pa + length - 1);
	for (uint64_t i = page_of(r, pa); i <= last; i++) {
		if (!get_bit(bits, i))
			return false;
	}
	return true;
}

static bool free_run(const struct ram *r, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++) {
		if (get_bit(r->pinned, i))
			return false;
	}
	return true;
}

/* Find @n contiguous free pages between @from and @end; false: none. */
static bool find_between(const struct ram *r, uint64_t from, uint64_t end, uint64_t n,
			 uint64_t step, uint64_t *ret)
{
	for (uint64_t i = (from + step - 1) / step * step; i < end && n <= end - i; i += step) {
		if (free_run(r, i, n)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool find_space(struct ram *r, uint64_t n, uint64_t step, uint64_t *ret)
{
	uint64_t pages = r->size / SERVER_PAGE;

	return find_between(r, r->next, pages, n, step, ret) ||
	       find_between(r, 0, pages, n, step, ret);
}

static void *va_of(const struct ram *r, uint64_t page)
{
	return r->va + page * SERVER_PAGE;
}

static void unmap_pages(struct ram *r, uint64_t page, uint64_t n)
{
	(void)mmap(va_of(r, page), n * SERVER_PAGE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	for (uint64_t i = page; i < page + n; i++) {
		set_bit(r->pinned, i, false);
		set_bit(r->guarded, i, false);
	}
}

/* With @fragment pieces are separated by a free page. */
static int pin_piece(struct ram *r, const struct ram_file *f, uint64_t offset, uint64_t n,
		     struct ghvm_extent *ret)
{
	uint64_t page, gap = r->fragment ? 1 : 0, step = n < BLOCK_PAGES || gap ? 1 : BLOCK_PAGES;
	void *p;

	if (!find_space(r, n + gap, step, &page))
		return -ENOMEM;
	p = mmap(va_of(r, page), n * SERVER_PAGE, PROT_READ | (f->readonly ? 0 : PROT_WRITE),
		 MAP_SHARED | MAP_FIXED, f->fd, (off_t)offset);
	if (p == MAP_FAILED)
		return -errno;
	for (uint64_t i = page; i < page + n; i++)
		set_bit(r->pinned, i, true);
	r->next = page + n + gap;
	*ret = (struct ghvm_extent){ r->base + page * SERVER_PAGE, n * SERVER_PAGE };
	if (madvise(p, n * SERVER_PAGE, f->readonly ? MADV_POPULATE_READ : MADV_POPULATE_WRITE) <
	    0) {
		int error = errno;

		unmap_pages(r, page, n);
		return error == EINVAL ? -ENOSYS : -error;
	}
	return 0;
}

static int pin_pieces(struct ram *r, const struct ram_file *f, uint64_t offset, uint64_t pages,
		      uint64_t piece, struct ghvm_extent *v, uint64_t *n)
{
	while (pages) {
		uint64_t some = pages < piece ? pages : piece;
		int error = pin_piece(r, f, offset, some, &v[*n]);

		if (error < 0)
			return error;
		++*n;
		offset += some * SERVER_PAGE;
		pages -= some;
	}
	return 0;
}

static int check_file(int fd, uint64_t offset, uint64_t length)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || offset > (uint64_t)st.st_size ||
	    length > (uint64_t)st.st_size - offset)
		return -EFAULT; /* as an access to the mapping would be */
	return 0;
}

int ram_pin(struct ram *r, const struct ram_file *f, uint64_t offset, uint64_t length,
	    struct ghvm_extent **ret, uint64_t *ret_n)
{
	uint64_t pages = length / SERVER_PAGE, piece = r->fragment ? r->fragment : pages, n = 0;
	struct ghvm_extent *v;
	int error;

	if (!length || length % SERVER_PAGE || offset % SERVER_PAGE)
		return -EINVAL;
	if (length > r->size)
		return -ENOMEM;
	error = check_file(f->fd, offset, length);
	if (error < 0)
		return error;
	v = calloc((pages + piece - 1) / piece, sizeof(*v));
	if (!v)
		return -ENOMEM;
	error = pin_pieces(r, f, offset, pages, piece, v, &n);
	if (error < 0) {
		ram_unpin(r, v, n);
		free(v);
		return error;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

void ram_unpin(struct ram *r, const struct ghvm_extent *v, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		unmap_pages(r, page_of(r, v[i].pa), v[i].length / SERVER_PAGE);
}

void *ram_at(const struct ram *r, uint64_t pa, uint64_t length)
{
	return all_set(r, r->pinned, pa, length) ? r->va + (pa - r->base) : NULL;
}

void ram_set_guarded(struct ram *r, const struct ghvm_extent *v, uint64_t n, bool guarded)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t page = page_of(r, v[i].pa);

		for (uint64_t j = 0; j < v[i].length / SERVER_PAGE; j++)
			set_bit(r->guarded, page + j, guarded);
	}
}

bool ram_is_guarded(const struct ram *r, uint64_t pa, uint64_t length)
{
	return all_set(r, r->guarded, pa, length);
}
