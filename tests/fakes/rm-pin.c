/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pins of the host in memory.
 *
 * A pin takes pages of the host's RAM and copies the memfd's bytes there. Afterwards the two are
 * different memory, which no client of struct ghvm_host_ops may notice.
 */
#include "libghvm/hyp/host.h"
#include "tests/fakes/rm-internal.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PIN_BASE 0x10000 /* pins are not descriptors here: close(2) must fail */

static struct fake_pin *find_pin(struct fake_rm *f, int pin)
{
	size_t i = (size_t)pin - PIN_BASE;

	if (i >= FAKE_RM_PINS_MAX || !f->pins[i].used || f->pins[i].quarantined)
		fake_rm_die("no such pin", (uint64_t)pin);
	return &f->pins[i];
}

static uint8_t *page_of(struct fake_rm *f, uint64_t pa)
{
	return &f->taken[fake_rm_page(pa)];
}

/* Give the pages back to Linux, which is the main check of this host. */
static void unpin_pages(struct fake_rm *f, struct fake_pin *p)
{
	for (size_t i = 0; i < p->n_extents; i++) {
		const struct ghvm_extent *e = &p->extents[i];

		for (uint64_t pa = e->pa; pa < e->pa + e->length; pa += GHVM_PAGE) {
			if (model_page_owner(f->model, pa) != 0)
				fake_rm_die("a page that a guest may own goes back to Linux", pa);
			*page_of(f, pa) = 0;
		}
	}
	free(p->extents);
	*p = (struct fake_pin){};
}

void fake_rm_close_pin(struct fake_rm *f, struct fake_pin *p)
{
	if (p->state == GHVM_PIN_GUARDED)
		p->quarantined = true;
	else
		unpin_pages(f, p);
}

/* Find at most @want contiguous free pages at or after @pa. Return: their number. */
static uint64_t find_run(struct fake_rm *f, uint64_t *pa, uint64_t want)
{
	uint64_t end = FAKE_RM_RAM_BASE + f->ram_size, n = 0;

	while (*pa < end && *page_of(f, *pa))
		*pa += GHVM_PAGE;
	while (n < want && *pa + n * GHVM_PAGE < end && !*page_of(f, *pa + n * GHVM_PAGE))
		n++;
	return n;
}

static int take_pages(struct fake_rm *f, struct fake_pin *p, uint64_t length)
{
	uint64_t pa = FAKE_RM_RAM_BASE, left = length / GHVM_PAGE;

	if (length > f->ram_size)
		return -ENOMEM;
	p->extents = calloc(left, sizeof(*p->extents));
	if (!p->extents)
		return -ENOMEM;
	while (left) {
		uint64_t most = f->chunk_pages && left > f->chunk_pages ? f->chunk_pages : left;
		uint64_t n = find_run(f, &pa, most);

		if (!n)
			return -ENOMEM;
		p->extents[p->n_extents++] = (struct ghvm_extent){ pa, n * GHVM_PAGE };
		memset(page_of(f, pa), 1, n);
		pa += (n + 1) * GHVM_PAGE; /* leave a hole, to separate the extents */
		left -= n;
	}
	p->length = length;
	return 0;
}

/* Copy @buf into a pin. */
static int copy_in(struct fake_rm *f, const struct fake_pin *p, uint64_t offset, const uint8_t *buf,
		   size_t length)
{
	for (size_t i = 0; i < p->n_extents && length; i++) {
		const struct ghvm_extent *e = &p->extents[i];
		uint64_t n = e->length;

		if (offset >= n) {
			offset -= n;
			continue;
		}
		n = n - offset < length ? n - offset : length;
		for (uint64_t pa = e->pa + offset; pa < e->pa + offset + n; pa += GHVM_PAGE)
			if (model_page_owner(f->model, pa) == 1)
				fake_rm_die("Linux touches a page that is lent", pa);
		memcpy(fake_rm_bytes(f, e->pa + offset, n), buf, n);
		buf += n;
		length -= n;
		offset = 0;
	}
	return length ? -EINVAL : 0;
}

/* Zero the pages as in an empty memfd; only pages that were written need it. */
static void clear_pages(struct fake_rm *f, const struct fake_pin *p)
{
	for (size_t i = 0; i < p->n_extents; i++) {
		const struct ghvm_extent *e = &p->extents[i];

		for (uint64_t pa = e->pa; pa < e->pa + e->length; pa += GHVM_PAGE)
			if (f->dirty[fake_rm_page(pa)])
				memset(fake_rm_bytes(f, pa, GHVM_PAGE), 0, GHVM_PAGE);
	}
}

static int fill_pages(struct fake_rm *f, struct fake_pin *p, int memfd, uint64_t offset)
{
	uint8_t *from;
	struct stat st;
	int r;

	if (fstat(memfd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size < offset || (uint64_t)st.st_size - offset < p->length)
		return -EFAULT; /* beyond its end */
	if (!st.st_blocks) {
		clear_pages(f, p);
		return 0;
	}
	from = mmap(NULL, p->length, PROT_READ, MAP_SHARED, memfd, (off_t)offset);
	if (from == MAP_FAILED)
		return -errno;
	r = copy_in(f, p, 0, from, p->length);
	(void)munmap(from, p->length); /* cannot fail */
	return r;
}

static int make_pin(struct fake_rm *f, int memfd, uint64_t offset, uint64_t length)
{
	int r;

	for (int i = 0; i < FAKE_RM_PINS_MAX; i++) {
		struct fake_pin *p = &f->pins[i];

		if (p->used)
			continue;
		p->used = true;
		p->state = GHVM_PIN_HELD;
		p->id = ++f->next_pin;
		r = take_pages(f, p, length);
		if (r == 0)
			r = fill_pages(f, p, memfd, offset);
		if (r < 0)
			unpin_pages(f, p);
		return r < 0 ? r : PIN_BASE + i;
	}
	return -ENFILE;
}

/* As the module does it. */
static int check_rights(int memfd, bool readonly)
{
	const int flags = fcntl(memfd, F_GETFL), seals = fcntl(memfd, F_GET_SEALS);

	if (flags < 0)
		return -EBADF;
	if ((flags & O_ACCMODE) != O_RDWR && !(readonly && (flags & O_ACCMODE) == O_RDONLY))
		return -EACCES;
	if (!readonly && seals > 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	return 0;
}

int fake_pin(struct ghvm_host *h, int memfd, uint64_t offset, uint64_t length, bool readonly)
{
	int r = fake_rm_enter(h);

	if (r == 0 && (!length || !ghvm_aligned(length | offset, GHVM_PAGE)))
		r = -EINVAL;
	if (r == 0)
		r = check_rights(memfd, readonly);
	if (r == 0)
		r = make_pin(fake_rm_of(h), memfd, offset, length);
	return fake_rm_leave(h, r);
}

int fake_pin_status(struct ghvm_host *h, int pin, struct ghvm_pin_status *ret)
{
	const struct fake_pin *p;
	int r = fake_rm_enter(h);

	if (r < 0)
		return fake_rm_leave(h, r);
	p = find_pin(fake_rm_of(h), pin);
	*ret = (struct ghvm_pin_status){ .size = sizeof(*ret),
					 .state = p->state,
					 .id = p->id,
					 .length = p->length,
					 .n_extents = p->n_extents,
					 .assigned = p->assigned };
	memcpy(ret->tag, p->tag, sizeof(ret->tag));
	return fake_rm_leave(h, 0);
}

int fake_pin_extents(struct ghvm_host *h, int pin, uint64_t first, struct ghvm_extent *ret,
		     uint32_t count)
{
	const struct fake_pin *p;
	uint64_t n;
	int r = fake_rm_enter(h);

	if (r < 0)
		return fake_rm_leave(h, r);
	p = find_pin(fake_rm_of(h), pin);
	n = first < p->n_extents ? p->n_extents - first : 0;
	if (n > count)
		n = count;
	if (n > 100)
		n = 100; /* callers must handle partial lists */
	memcpy(ret, p->extents + first, n * sizeof(*ret));
	return fake_rm_leave(h, (int)n);
}

int fake_pin_set(struct ghvm_host *h, int pin, uint32_t state, const uint8_t tag[GHVM_TAG_SIZE])
{
	struct fake_pin *p;
	int r = fake_rm_enter(h);

	if (r < 0)
		return fake_rm_leave(h, r);
	p = find_pin(fake_rm_of(h), pin);
	if (state != GHVM_PIN_HELD && state != GHVM_PIN_GUARDED)
		return fake_rm_leave(h, -EINVAL);
	if (p->assigned && state == GHVM_PIN_HELD)
		return fake_rm_leave(h, -EBUSY);
	p->state = state;
	memcpy(p->tag, tag, sizeof(p->tag));
	return fake_rm_leave(h, 0);
}

int fake_pin_write(struct ghvm_host *h, int pin, uint64_t offset, const void *buf, size_t length)
{
	const struct fake_pin *p;
	int r = fake_rm_enter(h);

	if (r < 0)
		return fake_rm_leave(h, r);
	p = find_pin(fake_rm_of(h), pin);
	r = p->state == GHVM_PIN_GUARDED ? -EBUSY : copy_in(fake_rm_of(h), p, offset, buf, length);
	return fake_rm_leave(h, r);
}

void fake_pin_close(struct ghvm_host *h, int pin)
{
	struct fake_rm *f = fake_rm_of(h);

	(void)pthread_mutex_lock(&f->lock);
	fake_rm_close_pin(f, find_pin(f, pin));
	(void)pthread_mutex_unlock(&f->lock);
}

int fake_quarantine_list(struct ghvm_host *h, uint64_t after, struct ghvm_quarantine_entry *ret,
			 uint32_t count)
{
	struct fake_rm *f = fake_rm_of(h);
	uint32_t n = 0;
	int r = fake_rm_enter(h);

	if (r < 0)
		return fake_rm_leave(h, r);
	for (uint64_t id = after + 1; id <= f->next_pin && n < count; id++) {
		for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++) {
			const struct fake_pin *p = &f->pins[i];

			if (!p->quarantined || p->id != id)
				continue;
			ret[n] = (struct ghvm_quarantine_entry){ .id = id,
								 .length = p->length,
								 .n_extents = p->n_extents,
								 .assigned = p->assigned };
			memcpy(ret[n++].tag, p->tag, sizeof(p->tag));
		}
	}
	return fake_rm_leave(h, (int)n);
}

int fake_quarantine_adopt(struct ghvm_host *h, uint64_t id)
{
	struct fake_rm *f = fake_rm_of(h);
	int r = fake_rm_enter(h);

	if (r < 0)
		return fake_rm_leave(h, r);
	for (int i = 0; i < FAKE_RM_PINS_MAX; i++) {
		if (!f->pins[i].quarantined || f->pins[i].id != id)
			continue;
		f->pins[i].quarantined = false;
		return fake_rm_leave(h, PIN_BASE + i);
	}
	return fake_rm_leave(h, -ENOENT);
}

/* Owners in the firmware. All VMs that RM numbers itself are one (abi G). */
#define SCM_PRIMARY 3
#define SCM_GUESTS 0x3a

/* Pages must be assigned before RM has them, and taken back afterwards. */
static void check_assign(struct fake_rm *f, const struct fake_pin *p, const struct ghvm_assign *arg)
{
	if (p->state != GHVM_PIN_GUARDED)
		fake_rm_die("pages are assigned without a guard", p->id);
	if (p->assigned != !arg->n_dest)
		fake_rm_die("pages are assigned twice, or back twice", p->id);
	if (model_page_owner(f->model, p->extents[0].pa) != 0)
		fake_rm_die("pages are assigned while RM has them", p->extents[0].pa);
}

static void set_owners(struct fake_pin *p, const struct ghvm_assign *arg)
{
	const struct ghvm_assign_perm *dest = (const struct ghvm_assign_perm *)(uintptr_t)arg->dest;

	p->assigned = arg->n_dest;
	p->guest_perm = p->host_perm = 0;
	for (uint32_t i = 0; i < arg->n_dest; i++) {
		if (dest[i].vmid != SCM_GUESTS && dest[i].vmid != SCM_PRIMARY)
			fake_rm_die("pages are assigned to no guest's number", dest[i].vmid);
		if (dest[i].vmid == SCM_GUESTS)
			p->guest_perm = (uint8_t)dest[i].perm;
		else
			p->host_perm = (uint8_t)dest[i].perm;
	}
}

int fake_assign(struct ghvm_host *h, struct ghvm_assign *arg)
{
	struct fake_rm *f = fake_rm_of(h);
	struct fake_pin *p;
	int r = fake_rm_enter(h);

	if (r == 0 && !f->assigns)
		r = -EOPNOTSUPP;
	if (r < 0)
		return fake_rm_leave(h, r);
	p = find_pin(f, arg->pin);
	check_assign(f, p, arg);
	if (f->assigns_to_refuse && !--f->assigns_to_refuse)
		r = -EIO;
	if (r == 0 || f->refused_stay)
		set_owners(p, arg);
	return fake_rm_leave(h, r);
}

/* What the guest has of a page must be what the firmware lets it have, and the host likewise. */
static void check_owners(const struct fake_pin *p, const struct model_page_rights *rights)
{
	const uint64_t pa = p->extents[0].pa;

	if (!p->assigned)
		fake_rm_die("the guest's pages are not assigned to it", pa);
	if (p->guest_perm != rights->guest)
		fake_rm_die("the firmware gives the guest other rights than RM", pa);
	if (p->host_perm != rights->primary)
		fake_rm_die("the firmware gives the host other rights than RM", pa);
}

void fake_rm_check_assigned(struct fake_rm *f)
{
	for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++) {
		const struct fake_pin *p = &f->pins[i];
		struct model_page_rights rights;

		if (p->used && model_page_rights(f->model, p->extents[0].pa, &rights))
			check_owners(p, &rights);
	}
}
