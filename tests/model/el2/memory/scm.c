// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Qualcomm's secure firmware: which VM owns each page of RAM, and what it may do with it (abi G).
 *
 * It answers the SMCs that Linux's driver qcom_scm makes. Owners are the primary and, as one, all
 * VMs that RM numbers itself. What an owner may not do here it cannot do, whatever RM has mapped:
 * stage 2 has what both allow.
 */
#include <string.h>

#include "tests/model/el2/el2.h"

#define FN_OEM_UID 0x86003f01u
#define FN_TYPE_MASK 0xc0000000u /* fast or not, 64 bit or not */
#define FN_OWNER_SIP 0x02000000u
#define FN_OWNER_MASK 0x3f000000u
#define CALL_IS_AVAILABLE 0x0601u
#define CALL_SET_DLOAD_MODE 0x0110u
#define CALL_MP_ASSIGN 0x0c16u

#define SCM_NOT_SUPPORTED (-4)
#define SCM_EINVAL_ADDR (-3)
#define SCM_EINVAL_ARG (-2)

#define OWNER_PRIMARY 3
#define OWNER_GUESTS 0x3a
#define OWNERS_MAX 2
#define RWX 7u
#define PRIMARY_SHIFT 0
#define GUESTS_SHIFT 3
#define HOME (RWX << PRIMARY_SHIFT)
#define PRIMARY_MASK (RWX << PRIMARY_SHIFT)
#define GUESTS_MASK (RWX << GUESTS_SHIFT)

/* Permissions of both owners, a byte a page; NULL: no such firmware. */
static uint8_t *pages;
static bool told; /* the firmware tells that it is Qualcomm's */
static struct {
	enum scm_refusal kind;
	unsigned int skip;
	int32_t status;
} refusal;

/* As in the arguments of the call; little-endian, as we are. */
struct region {
	uint64_t base;
	uint64_t size;
};

struct new_owner {
	uint32_t vmid;
	uint32_t perm;
	uint64_t context;
	uint32_t context_size;
	uint32_t unused;
};

/**
 * struct assignment - arguments of an assignment, not checked
 * @sources: bytes of @source; @owners: bytes of @dest
 */
struct assignment {
	const struct region *regions;
	uint64_t size;
	const uint32_t *source;
	uint64_t sources;
	const struct new_owner *dest;
	uint64_t owners;
};

void scm_init(uint64_t memory, uint64_t *ret_end)
{
	uint64_t n = (machine.ram_end - LINUX_ADDR) / PAGE;

	pages = (uint8_t *)memory;
	memset(pages, HOME, n);
	*ret_end = (memory + n + PAGE - 1) & ~(PAGE - 1);
}

void scm_tell(bool tell)
{
	told = tell && pages;
}

void scm_refuse(enum scm_refusal kind, int32_t status, unsigned int skip)
{
	refusal.kind = kind;
	refusal.status = status;
	refusal.skip = skip;
}

static uint8_t *page_of(uint64_t pa)
{
	return &pages[(pa - LINUX_ADDR) / PAGE];
}

unsigned int scm_allows(uint64_t pa, bool guest)
{
	if (!told)
		return RWX;
	return *page_of(pa) >> (guest ? GUESTS_SHIFT : PRIMARY_SHIFT) & RWX;
}

/* ---- assignments ---- */

/* The bits of an owner in a page's byte; 0: no owner that is known here. */
static uint8_t owner_mask(uint32_t vmid)
{
	if (vmid == OWNER_PRIMARY)
		return PRIMARY_MASK;
	return vmid == OWNER_GUESTS ? GUESTS_MASK : 0;
}

/* The permissions of all new owners; 0: an owner or permissions that do not exist. */
static uint8_t new_perms(const struct assignment *a)
{
	uint8_t perms = 0;

	for (uint64_t i = 0; i < a->owners / sizeof(*a->dest); i++) {
		const struct new_owner *o = &a->dest[i];
		uint8_t mask = owner_mask(o->vmid);

		if (!mask || perms & mask || !o->perm || o->perm > RWX)
			return 0;
		perms |=
			(uint8_t)(o->perm << (mask == PRIMARY_MASK ? PRIMARY_SHIFT : GUESTS_SHIFT));
	}
	return perms;
}

/* Whether the owners of a page are those of the list, no more and no fewer. */
static bool owned_by(uint8_t page, const struct assignment *a)
{
	uint8_t masks = 0;

	for (uint64_t i = 0; i < a->sources / sizeof(*a->source); i++) {
		uint8_t mask = owner_mask(a->source[i]);

		if (!mask || !(page & mask))
			return false;
		masks |= mask;
	}
	return !(page & ~masks);
}

static int32_t check_region(const struct region *r, const struct assignment *a)
{
	if ((r->base | r->size) & (PAGE - 1) || !r->size || !mem_ram(r->base, r->size))
		return SCM_EINVAL_ADDR;
	for (uint64_t pa = r->base; pa < r->base + r->size; pa += PAGE)
		if (!owned_by(*page_of(pa), a))
			return SCM_EINVAL_ARG;
	return 0;
}

/* The primary's stage 2: what RM and the firmware allow it. */
static void map_primary(uint64_t pa, uint64_t len, uint8_t perms)
{
	struct model_page_rights rights = { .primary = RWX };
	unsigned int allowed;

	(void)model_page_rights(model, pa, &rights); /* false: it is the primary's */
	allowed = rights.primary & perms >> PRIMARY_SHIFT;
	if (s2_set(s2_primary, pa, len, 0) < 0)
		panic("no table to take pages from the primary", NULL);
	s2_flush();
	if (allowed && s2_set(s2_primary, pa, len, pa | s2_rights(allowed)) < 0)
		panic("no table for what was mapped before", NULL);
}

/* RM must have none of the pages: what a guest uses is neither given nor taken. */
static void check_parcels(const struct region *r)
{
	struct model_page_rights rights;

	for (uint64_t pa = r->base; pa < r->base + r->size; pa += PAGE) {
		if (!model_page_rights(model, pa, &rights))
			continue;
		count(COUNTER_scm_violations);
		log_fmt("scm: page %lx of a parcel is assigned", pa);
		return;
	}
}

static void move_region(const struct region *r, uint8_t perms)
{
	check_parcels(r);
	for (uint64_t pa = r->base; pa < r->base + r->size; pa += PAGE) {
		uint8_t *page = page_of(pa);

		*counter(COUNTER_scm_assigned) += (perms != HOME) - (*page != HOME);
		*counter(COUNTER_scm_guest_only) +=
			!(perms & PRIMARY_MASK) - !(*page & PRIMARY_MASK);
		*page = perms;
	}
	map_primary(r->base, r->size, perms);
}

static int32_t assign(const struct assignment *a)
{
	uint8_t perms = new_perms(a);
	uint64_t n = a->size / sizeof(*a->regions);

	if (!perms || !n)
		return SCM_EINVAL_ARG;
	for (uint64_t i = 0; i < n; i++) {
		int32_t status = check_region(&a->regions[i], a);

		if (status)
			return status;
	}
	for (uint64_t i = 0; i < n; i++)
		move_region(&a->regions[i], perms);
	return 0;
}

/* A list of the caller: @len bytes of its RAM, whole elements, in one page. */
static const void *list(uint64_t pa, uint64_t len, uint64_t element)
{
	if (!len || len % element || len > PAGE || pa % sizeof(uint64_t))
		return NULL;
	return mem_ram(pa, len);
}

/* x2 to x4: regions, their size, sources; x5: a list with all that follows (SMCCC has no more). */
static int32_t load_and_assign(const uint64_t x[6])
{
	const uint64_t *more = list(x[5], 4 * sizeof(*more), sizeof(*more));
	struct assignment a = { .size = x[3] };

	if (!more)
		return SCM_EINVAL_ADDR;
	a.sources = more[0];
	a.owners = more[2];
	a.regions = list(x[2], a.size, sizeof(*a.regions));
	a.source = list(x[4], a.sources, sizeof(*a.source));
	a.dest = list(more[1], a.owners, sizeof(*a.dest));
	if (!a.regions || !a.source || !a.dest || a.owners > OWNERS_MAX * sizeof(*a.dest))
		return SCM_EINVAL_ADDR;
	return assign(&a);
}

/* True if this call is the one to be refused. */
static bool refuse_now(void)
{
	if (refusal.kind == SCM_REFUSE_NONE)
		return false;
	return !refusal.skip--;
}

/* A status of the firmware is negative in x0, or any in x1. */
static void answer(struct frame *f, int32_t status)
{
	f->x[0] = status < 0 ? (uint64_t)(int64_t)status : 0;
	f->x[1] = status > 0 ? (uint64_t)status : 0;
}

static void mp_assign(struct frame *f)
{
	enum scm_refusal kind = refuse_now() ? refusal.kind : SCM_REFUSE_NONE;
	int32_t status = kind == SCM_REFUSE_BEFORE ? 0 : load_and_assign(f->x);

	count(COUNTER_scm_calls);
	if (kind != SCM_REFUSE_NONE) {
		refusal.kind = SCM_REFUSE_NONE;
		status = refusal.status;
	}
	answer(f, status);
}

static void is_available(struct frame *f)
{
	uint32_t call = (uint32_t)f->x[2] & 0xffff;

	f->x[0] = 0;
	f->x[1] =
		call == CALL_IS_AVAILABLE || call == CALL_SET_DLOAD_MODE || call == CALL_MP_ASSIGN;
}

static void tell_uid(struct frame *f)
{
	static const uint32_t uid[4] = { 0xbd54bd19, 0x1b57370b, 0x9b606f94, 0xe69d5354 };

	for (unsigned int i = 0; i < 4; i++)
		f->x[i] = uid[i];
}

bool scm_primary(struct frame *f)
{
	uint32_t fn = (uint32_t)f->x[0];

	if (fn == FN_OEM_UID && told) {
		tell_uid(f);
		return true;
	}
	if (!pages || (fn & FN_OWNER_MASK) != FN_OWNER_SIP)
		return false;
	switch (fn & ~(FN_TYPE_MASK | FN_OWNER_MASK)) {
	case CALL_IS_AVAILABLE:
		is_available(f);
		break;
	case CALL_SET_DLOAD_MODE:
		answer(f, 0);
		break;
	case CALL_MP_ASSIGN:
		mp_assign(f);
		break;
	default:
		answer(f, SCM_NOT_SUPPORTED);
		break;
	}
	return true;
}
