/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine of single pages, lent and taken back.
 *
 * It has accounts of its own: whatever it leaves behind is found by who looks for orphans and
 * strays after it.
 */
#include "libghvm/machine/presplit-probe.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"
#include "libghvm/machine/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define BLOCK GHVM_MIB(2)
#define IPA(n) (GHVM_GIB(2) + (n)*BLOCK)

#define PAGE(n)                                                                                    \
	{                                                                                          \
		.name = "presplit", .label = 1 + (n), .lend = true, .ipa = IPA(n),                 \
		.size = GHVM_PAGE                                                                  \
	}
#define EACH(kind)                                                                                 \
	{ kind, 0 }, { kind, 1 }, { kind, 2 },                                                     \
	{                                                                                          \
		kind, 3                                                                            \
	}

static const struct ghvm_spec spec = { .name = "", .cpus = 1 };

static const struct ghvm_plan plan = {
	.spec = &spec,
	.parcels = { PAGE(0), PAGE(1), PAGE(2), PAGE(3) },
	.n_parcels = GHVM_PRESPLIT_PAGES,
	.steps = { EACH(GHVM_STEP_PIN),
		   { GHVM_STEP_ALLOCATE, 0 },
		   EACH(GHVM_STEP_GUARD),
		   EACH(GHVM_STEP_LEND) },
	.n_steps = 3 * GHVM_PRESPLIT_PAGES + 1,
};

struct pages {
	int memfd[GHVM_PRESPLIT_PAGES];
};

/* From then on only the witness has them. */
static void close_pages(void *data)
{
	struct pages *p = data;

	for (size_t i = 0; i < GHVM_PRESPLIT_PAGES; i++) {
		closep(&p->memfd[i]);
		p->memfd[i] = -1;
	}
}

static void close_pagesp(struct pages *p)
{
	close_pages(p);
}

static int write_page(int fd)
{
	static const uint8_t byte = 1;

	if (ftruncate(fd, GHVM_PAGE) < 0)
		return -errno;
	return pwrite(fd, &byte, 1, 0) == 1 ? 0 : -EIO;
}

/*
 * Populated one by one, with as much as a block in between that is populated and thrown away
 * later, so that they do not come from one block; where they do come from is looked at.
 */
static int make_pages(struct pages *p)
{
	void *between[GHVM_PRESPLIT_PAGES];
	int r = 0;

	for (size_t i = 0; i < GHVM_PRESPLIT_PAGES; i++) {
		p->memfd[i] = r < 0 ? -1 : memfd_create("ghvm-presplit", MFD_CLOEXEC);
		between[i] = MAP_FAILED;
		if (p->memfd[i] < 0) {
			r = r < 0 ? r : -errno;
			continue;
		}
		r = write_page(p->memfd[i]);
		between[i] = mmap(NULL, BLOCK + GHVM_PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (between[i] == MAP_FAILED)
			continue; /* only less likely to be of use */
		(void)madvise(between[i], BLOCK + GHVM_PAGE, MADV_NOHUGEPAGE);
		(void)madvise(between[i], BLOCK + GHVM_PAGE, MADV_POPULATE_WRITE);
	}
	for (size_t i = 0; i < GHVM_PRESPLIT_PAGES; i++)
		if (between[i] != MAP_FAILED)
			(void)munmap(between[i], BLOCK + GHVM_PAGE);
	return r;
}

/* May "none can be read" be believed for other memory as well? */
static bool is_telling(const struct ghvm_machine *m)
{
	uint64_t first = m->parcels[0].extents[0].pa / BLOCK;
	bool apart = false;

	for (size_t i = 0; i < GHVM_PRESPLIT_PAGES; i++) {
		const struct ghvm_parcel *p = &m->parcels[i];

		if (p->handle.id != i) /* there were parcels before ours (abi C.6) */
			return false;
		if (ghvm_aligned(p->extents[0].pa,
				 BLOCK)) /* the base of its block: K.3 spares it */
			return false;
		apart |= p->extents[0].pa / BLOCK != first;
	}
	return apart;
}

static int ask_witness(const struct ghvm_machine *m, const struct ghvm_presplit_witness *w,
		       struct ghvm_error *err)
{
	bool seen = false;

	for (size_t i = 0; i < GHVM_PRESPLIT_PAGES; i++) {
		int r = w->look(w->data, i);

		if (r < 0)
			return ghvm_error_set(err, r,
					      "cannot tell whether a lent page is unmapped: %s",
					      strerror(-r));
		seen |= r > 0;
	}
	if (seen)
		return 1;
	if (!is_telling(m))
		return ghvm_error_set(
			err, -ENODATA,
			"lent pages are unmapped, but parcels were made before, or the "
			"pages lie badly: it may not be so elsewhere");
	return 0;
}

static int lend_and_look(struct ghvm_machine *m, struct pages *p,
			 const struct ghvm_presplit_witness *w, struct ghvm_error *err)
{
	const struct ghvm_machine_hooks hooks = { .data = p, .on_pinned = close_pages };
	const struct ghvm_machine_files files = { .memory = p->memfd, .kernel = -1, .initrd = -1 };
	struct ghvm_error e = {};
	int r = ghvm_machine_build(m, &files, &hooks, err);
	int undone;

	if (r < 0)
		return r;
	r = ask_witness(m, w, err);
	undone = ghvm_machine_teardown(m, &e);
	if (undone < 0 && err)
		*err = e;
	return undone < 0 ? undone : r;
}

int ghvm_presplit_probe(struct ghvm_host *host, struct ghvm_rm *rm,
			const struct ghvm_presplit_witness *w, struct ghvm_error *err)
{
	_cleanup_(ghvm_machine_freep) struct ghvm_machine *m = NULL;
	_cleanup_(close_pagesp) struct pages pages = { { -1, -1, -1, -1 } };
	struct ghvm_info info;
	uint64_t incarnation;
	int r = host->ops->info(host, &info);

	if (r == 0 && (info.flags & GHVM_INFO_ASSIGN))
		return ghvm_error_set(err, -EOPNOTSUPP,
				      "the firmware watches over lent pages: not tried");
	if (r == 0 && getrandom(&incarnation, sizeof(incarnation), 0) != sizeof(incarnation))
		r = -EIO;
	if (r == 0)
		r = ghvm_machine_new(host, rm, &plan, incarnation | 1, &m);
	if (r == 0)
		r = make_pages(&pages);
	if (r < 0)
		return ghvm_error_set(err, r, "cannot try out a LEND: %s", strerror(-r));
	r = w->open(w->data, pages.memfd);
	if (r < 0)
		(void)ghvm_error_set(err, r, "no witness for lent pages: %s", strerror(-r));
	else
		r = lend_and_look(m, &pages, w, err);
	w->close(w->data);
	return r;
}
