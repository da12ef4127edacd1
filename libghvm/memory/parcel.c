/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory parcels: how pages go to a guest and come back.
 *
 * A parcel is RM's word for pages that one VM lets another use. LEND takes them away from the
 * host; SHARE gives the guest access and leaves the host's. RM gives each parcel a handle,
 * counted from 0. A struct ghvm_parcel has one run of pinned memory on its way to one VM:
 *
 *	             state         may the guest own the pages?   a closed pin
 *	  pin        OURS          no                             frees them
 *	  guard      GUARDED       RM has not heard of them       keeps them (quarantine)
 *	  create     LOST          perhaps; handle unknown        keeps them
 *	  reply      PARTIAL       some of them                   keeps them
 *	  appends    LENT, SHARED  yes                            keeps them
 *	  reclaim    GUARDED       RM has given them back         keeps them
 *	  unguard    OURS          no                             frees them
 *
 * Three rules make it safe for this process to die, or for RM to be wrong, at any point:
 *
 * 1. The guard is set before RM hears of the pages. It is a state of the pin in the kernel
 *    module, so it outlives this process: the pages stay pinned, with a tag (tag.h) that says
 *    which VM they were for and, once it is known, the parcel's handle.
 *
 * 2. The state is changed to the worse one before a request is sent, and back to a better one
 *    only by what RM answers. A parcel is LOST while its create is in flight: if no reply comes,
 *    RM may have made it. The tag names the handle before APPENDs follow.
 *
 * 3. One reply proves nothing; two have to agree (decision 33). A handle is "sure" once RM has
 *    acted on it. Only of a sure handle does HANDLE_INVALID, twice, mean that the parcel is gone.
 *
 * What an adopter does with a tag is the same code as an undo: reclaim if there is a handle
 * (parcel-reclaim.c), search if there is none (parcel-lost.c), and guard for ever what neither
 * can settle. Lending and sharing is in parcel-give.c; this file pins, guards and adopts.
 */
#include "libghvm/memory/parcel.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"
#include "libghvm/memory/parcel-internal.h"
#include "libghvm/rm/mem-calls.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define HUGE GHVM_MIB(2)

static_assert(GHVM_TAG_BYTES == GHVM_TAG_SIZE, "a tag is what the module keeps");

uint64_t ghvm_parcel_pages(const struct ghvm_parcel *p)
{
	return p->size / GHVM_PAGE;
}

bool ghvm_parcel_guarded(const struct ghvm_parcel *p)
{
	return p->state > GHVM_PARCEL_OURS;
}

uint8_t ghvm_parcel_rights(uint32_t label, bool lend, bool readonly)
{
	if (readonly)
		return GHVM_MEM_R;
	return lend || label == 0 ? GHVM_MEM_RWX : GHVM_MEM_RW;
}

void ghvm_parcel_init(struct ghvm_parcel *p, struct ghvm_host *host, struct ghvm_rm *rm,
		      struct ghvm_ledger *ledger, const struct ghvm_parcel_config *config)
{
	*p = (struct ghvm_parcel){
		.host = host,
		.rm = rm,
		.ledger = ledger,
		.config = *config,
		.pin = -1,
		.handle = { GHVM_PARCEL_NONE },
	};
}

void ghvm_parcel_done(struct ghvm_parcel *p)
{
	struct ghvm_parcel_config config = p->config;

	if (p->state != GHVM_PARCEL_UNPINNED) {
		if (ghvm_parcel_guarded(p))
			ghvm_ledger_abandon(p->ledger, p->entry);
		else
			ghvm_ledger_give(p->ledger, p->entry);
		p->host->ops->pin_close(p->host, p->pin);
	}
	free(TAKE_PTR(p->extents));
	ghvm_parcel_drop_probe(p);
	ghvm_parcel_init(p, p->host, p->rm, p->ledger, &config);
}

/* ---- pinning ---- */

/*@
  predicate whole_pages(struct ghvm_extent *e) =
    e->length > 0 && e->pa % 4096 == 0 && e->length % 4096 == 0;
*/
/*@ requires \valid_read(e); assigns \nothing; ensures \result <==> whole_pages(e); */
static bool is_whole_pages(const struct ghvm_extent *e)
{
	return e->length && ghvm_aligned(e->pa, GHVM_PAGE) && ghvm_aligned(e->length, GHVM_PAGE);
}

/* Return: the bytes of all of @v; 0, some are not whole pages, or they are more than @size. */
/*@
  requires \valid_read(v + (0 .. n - 1));
  assigns \nothing;
  ensures \result <= size;
*/
static uint64_t sum_extents(const struct ghvm_extent *v, size_t n, uint64_t size)
{
	uint64_t bytes = 0;

	/*@
	  loop invariant 0 <= i <= n && bytes <= size;
	  loop assigns i, bytes;
	  loop variant n - i;
	*/
	for (size_t i = 0; i < n; i++) {
		if (!is_whole_pages(&v[i]) || v[i].length > size - bytes)
			return 0;
		/*@ assert whole_pages(v + i); */
		bytes += v[i].length;
	}
	return bytes;
}

int ghvm_parcel_read_extents(struct ghvm_parcel *p, struct ghvm_error *err)
{
	_cleanup_(freep) struct ghvm_extent *v = calloc(p->n_extents, sizeof(*v));
	size_t n = 0;

	if (!v)
		return ghvm_error_set(err, -ENOMEM, "%s: out of memory", p->config.name);
	while (n < p->n_extents) {
		uint32_t want = (uint32_t)(p->n_extents - n);
		int r = p->host->ops->pin_extents(p->host, p->pin, n, v + n, want);

		if (r <= 0 || (uint32_t)r > want)
			return ghvm_error_set(err, r < 0 ? r : -EBADMSG,
					      "%s: cannot read the extents of its pin",
					      p->config.name);
		n += (size_t)r;
	}
	if (sum_extents(v, n, p->size) != p->size)
		return ghvm_error_set(
			err, -EBADMSG,
			"%s: the extents of its pin are not whole pages, or not %" PRIu64
			" bytes together",
			p->config.name, p->size);
	free(p->extents);
	p->extents = TAKE_PTR(v);
	return 0;
}

static int query_platform(struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_info info;
	int r = p->host->ops->info(p->host, &info);

	if (r < 0)
		return ghvm_error_set(err, r, "%s: cannot query the host: %s", p->config.name,
				      strerror(-r));
	p->assigns = info.flags & GHVM_INFO_ASSIGN;
	return 0;
}

static int pin_status(struct ghvm_parcel *p, struct ghvm_pin_status *ret, struct ghvm_error *err)
{
	int r = p->host->ops->pin_status(p->host, p->pin, ret);

	if (r < 0)
		return ghvm_error_set(err, r, "%s: cannot query its pin: %s", p->config.name,
				      strerror(-r));
	if (!ret->length || !ghvm_aligned(ret->length, GHVM_PAGE) || !ret->n_extents ||
	    ret->n_extents > ret->length / GHVM_PAGE)
		return ghvm_error_set(err, -EBADMSG, "%s: the status of its pin is malformed",
				      p->config.name);
	return 0;
}

/* A probe parcel may exceed the budget by its one entry: without it a lost parcel stays lost. */
static int charge_entries(struct ghvm_parcel *p, uint64_t entries, struct ghvm_error *err)
{
	const struct ghvm_ledger_parcel account = { .label = p->config.label,
						    .handle = { GHVM_PARCEL_NONE },
						    .entries = entries };

	if (p->depth)
		return ghvm_ledger_adopt(p->ledger, &account, p->config.name, &p->entry, err);
	return ghvm_ledger_take(p->ledger, &account, p->config.name, &p->entry, err);
}

/* Check the new pin against the request, and charge its entries. */
static int check_pin(struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_pin_status st;
	int r = pin_status(p, &st, err);

	if (r < 0)
		return r;
	if (st.length != p->size)
		return ghvm_error_set(err, -EBADMSG,
				      "%s: %" PRIu64 " bytes are pinned, not %" PRIu64,
				      p->config.name, (uint64_t)st.length, p->size);
	r = charge_entries(p, st.n_extents, err);
	if (r < 0)
		return r;

	p->n_extents = st.n_extents;
	r = ghvm_parcel_read_extents(p, err);
	if (r < 0)
		ghvm_ledger_give(p->ledger, p->entry);
	return r;
}

/* Errors of the memory become -EFAULT; other errors are the host's. */
static int explain_pin(const struct ghvm_parcel *p, uint64_t size, int r, struct ghvm_error *err)
{
	switch (r) {
	case -ENOMEM:
		return ghvm_error_set(err, r,
				      "%s: cannot pin %" PRIu64 " KiB: no memory, or over "
				      "RLIMIT_MEMLOCK: raise LimitMEMLOCK= of gunyah-vmd.service",
				      p->config.name, size >> 10);
	case -E2BIG:
		return ghvm_error_set(
			err, r,
			"%s: cannot pin %" PRIu64 " KiB: it lies in more pieces than "
			"the kernel can list; huge pages make fewer: memory.hugepages",
			p->config.name, size >> 10);
	case -EBUSY:
		return ghvm_error_set(err, r,
				      "%s: cannot pin %" PRIu64 " KiB: another process writes to "
				      "the file, or changes its size or seals: try again later",
				      p->config.name, size >> 10);
	case -EFAULT:
	case -EINVAL:
	case -EACCES:
	case -EPERM:
	case -EBADF:
	case -ENODEV:
	case -EOPNOTSUPP:
		return ghvm_error_set(err, -EFAULT,
				      "%s: cannot pin %" PRIu64 " KiB: %s: it must be a memfd that "
				      "is as long, or on tmpfs or hugetlbfs",
				      p->config.name, size >> 10, strerror(-r));
	}
	return ghvm_error_set(err, r, "%s: cannot pin %" PRIu64 " KiB: %s", p->config.name,
			      size >> 10, strerror(-r));
}

int ghvm_parcel_pin(struct ghvm_parcel *p, int memfd, uint64_t size, struct ghvm_error *err)
{
	int r;

	assert(p->state == GHVM_PARCEL_UNPINNED);
	assert(!p->config.only_read || p->config.rights == GHVM_MEM_R);
	if (!size || !ghvm_aligned(size, GHVM_PAGE))
		return ghvm_error_set(err, -EINVAL, "%s: size 0x%" PRIx64 " is not whole pages",
				      p->config.name, size);
	r = query_platform(p, err);
	if (r < 0)
		return r;
	r = p->host->ops->pin(p->host, memfd, 0, size, p->config.only_read);
	if (r < 0)
		return explain_pin(p, size, r, err);
	p->pin = r;
	p->size = size;

	r = check_pin(p, err);
	if (r < 0) {
		p->host->ops->pin_close(p->host, TAKE_FD(p->pin));
		return r;
	}
	p->state = GHVM_PARCEL_OURS;
	return 0;
}

/* Aligned blocks in an extent */
/*@
  requires \valid_read(e);
  assigns \nothing;
  ensures \result * 0x200000 <= e->length;
*/
static uint64_t count_huge(const struct ghvm_extent *e)
{
	uint64_t first;

	if (!ghvm_align_up(e->pa, HUGE, &first) || first - e->pa >= e->length)
		return 0;
	return (e->length - (first - e->pa)) / HUGE;
}

uint64_t ghvm_parcel_huge(struct ghvm_parcel *p)
{
	uint64_t n = 0;

	if (!p->n_extents || (!p->extents && ghvm_parcel_read_extents(p, NULL) < 0))
		return 0;
	for (size_t i = 0; i < p->n_extents; i++)
		n += count_huge(&p->extents[i]);
	return n;
}

/*@ assigns \nothing; ensures \result <==> offset + len <= size; */
static bool is_inside(uint64_t size, uint64_t offset, size_t len)
{
	return len <= size && offset <= size - len;
}

int ghvm_parcel_write(struct ghvm_parcel *p, uint64_t offset, const void *buf, size_t len,
		      struct ghvm_error *err)
{
	int r;

	assert(p->state == GHVM_PARCEL_OURS);
	if (!is_inside(p->size, offset, len))
		return ghvm_error_set(err, -ERANGE,
				      "%s: %zu bytes at 0x%" PRIx64 " are outside its memory",
				      p->config.name, len, offset);
	r = p->host->ops->pin_write(p->host, p->pin, offset, buf, len);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: cannot write at 0x%" PRIx64 ": %s",
				      p->config.name, offset, strerror(-r));
	return 0;
}

/* ---- the guard ---- */

/* Set the guard with a tag of what is known. */
static int set_guard(struct ghvm_parcel *p)
{
	struct ghvm_tag tag = {
		.vmid = p->vmid,
		.kind = p->config.lend ? GHVM_TAG_LENT : GHVM_TAG_SHARED,
		.flags = p->change,
		.label = p->config.label,
		.handle = p->handle,
		.after = { p->after_known ? p->after.id : GHVM_PARCEL_NONE },
		.incarnation = p->incarnation,
		.ipa = p->config.ipa,
		.with = p->with,
	};
	uint8_t bytes[GHVM_TAG_SIZE];
	int r;

	memcpy(tag.name, p->config.vm_name, sizeof(tag.name));
	if (p->sure)
		tag.flags |= GHVM_TAG_SURE;
	if (p->config.rights == GHVM_MEM_R)
		tag.flags |= GHVM_TAG_READONLY;
	if (p->with.id && p->with_rights == GHVM_MEM_R)
		tag.flags |= GHVM_TAG_WITH_READONLY;
	ghvm_tag_encode(&tag, bytes);
	r = p->host->ops->pin_set(p->host, p->pin, GHVM_PIN_GUARDED, bytes);
	if (r == 0)
		p->tag_named = p->handle.id != GHVM_PARCEL_NONE;
	return r;
}

int ghvm_parcel_note(struct ghvm_parcel *p, struct ghvm_error *err)
{
	int r = set_guard(p);

	if (r < 0)
		return ghvm_error_set(err, r, "%s: cannot write its handle into its tag: %s",
				      p->config.name, strerror(-r));
	return 0;
}

void ghvm_parcel_pair(struct ghvm_parcel *p, struct ghvm_vmid with, uint8_t rights)
{
	assert(p->state == GHVM_PARCEL_OURS && !p->config.lend && !p->config.only_read);
	p->with = with;
	p->with_rights = rights;
	ghvm_ledger_pair(p->ledger, p->entry, with);
}

int ghvm_parcel_guard(struct ghvm_parcel *p, struct ghvm_vmid vmid, uint64_t incarnation,
		      struct ghvm_error *err)
{
	int r;

	assert(p->state == GHVM_PARCEL_OURS);
	p->vmid = vmid;
	p->incarnation = incarnation;
	p->handle.id = GHVM_PARCEL_NONE;
	p->sure = p->refused = p->unproven = false;
	p->after_known = ghvm_ledger_last(p->ledger, &p->after) > 0;
	ghvm_ledger_promise(p->ledger, p->entry, vmid, incarnation);

	r = set_guard(p);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: cannot guard its pages: %s", p->config.name,
				      strerror(-r));
	p->state = GHVM_PARCEL_GUARDED;
	return 0;
}

int ghvm_parcel_unguard(struct ghvm_parcel *p, struct ghvm_error *err)
{
	static const uint8_t blank[GHVM_TAG_SIZE];
	int r;

	if (p->state <= GHVM_PARCEL_OURS)
		return 0;
	assert(p->state == GHVM_PARCEL_GUARDED); /* RM has confirmed that it has none of them */
	r = ghvm_parcel_unassign(p, err);
	if (r < 0)
		return r;
	r = p->host->ops->pin_set(p->host, p->pin, GHVM_PIN_HELD, blank);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: cannot clear the guard of its pages: %s",
				      p->config.name, strerror(-r));
	p->state = GHVM_PARCEL_OURS;
	p->change = 0; /* the tag is blank */
	return 0;
}

int ghvm_parcel_mark(struct ghvm_parcel *p, uint8_t change, struct ghvm_error *err)
{
	const uint8_t before = p->change;
	int r = 0;

	p->change = change;
	if (p->state ==
	    GHVM_PARCEL_GUARDED) /* RM has no handle for it: a later one will be newer */
		p->after_known = ghvm_ledger_last(p->ledger, &p->after) > 0;
	if (change != before && ghvm_parcel_guarded(p))
		r = set_guard(p);
	if (r == 0)
		return 0;
	p->change = before;
	return ghvm_error_set(err, r, "%s: cannot write the transaction into its tag: %s",
			      p->config.name, strerror(-r));
}

/* ---- adoption ---- */

/* Take the configuration and state from the tag. */
static void apply_tag(struct ghvm_parcel *p, const struct ghvm_tag *tag)
{
	p->vmid = tag->vmid;
	p->incarnation = tag->incarnation;
	p->config.label = tag->label;
	p->config.ipa = tag->ipa;
	p->config.lend = tag->kind == GHVM_TAG_LENT;
	p->config.rights =
		ghvm_parcel_rights(tag->label, p->config.lend, tag->flags & GHVM_TAG_READONLY);
	memcpy(p->config.vm_name, tag->name, sizeof(p->config.vm_name));
	p->change = tag->flags & GHVM_TAG_CHANGE;
	p->with = tag->with;
	p->with_rights = ghvm_parcel_rights(tag->label, false, tag->flags & GHVM_TAG_WITH_READONLY);
	p->tag_named = tag->handle.id != GHVM_PARCEL_NONE;
	p->after = tag->after;
	p->after_known = tag->after.id != GHVM_PARCEL_NONE;
	p->refused = p->unproven = false;
	p->state = p->config.lend ? GHVM_PARCEL_LENT : GHVM_PARCEL_SHARED;
	if (p->handle.id == GHVM_PARCEL_NONE)
		p->state = GHVM_PARCEL_LOST;
}

int ghvm_parcel_adopt(struct ghvm_parcel *p, int pin, const struct ghvm_tag *tag,
		      struct ghvm_error *err)
{
	struct ghvm_ledger_parcel account = { .vmid = tag->vmid,
					      .incarnation = tag->incarnation,
					      .label = tag->label,
					      .handle = tag->handle,
					      .with = tag->with };
	struct ghvm_pin_status st;
	int r;

	assert(p->state == GHVM_PARCEL_UNPINNED);
	account.sure = tag->flags & GHVM_TAG_SURE && account.handle.id != GHVM_PARCEL_NONE;
	if (!account.sure && ghvm_ledger_naming(p->ledger, account.handle) != GHVM_LEDGER_FREE)
		account.handle.id =
			GHVM_PARCEL_NONE; /* another entry has it: one of the two is wrong */
	p->pin = pin;
	r = query_platform(p, err);
	if (r == 0)
		r = pin_status(p, &st, err);
	if (r == 0) {
		account.entries = st.n_extents;
		r = ghvm_ledger_adopt(p->ledger, &account, p->config.name, &p->entry, err);
	}
	if (r < 0) {
		p->pin = -1;
		return r;
	}
	p->size = st.length;
	p->n_extents = st.n_extents;
	p->handle = account.handle;
	p->sure = account.sure;
	apply_tag(p, tag);
	return 0;
}
