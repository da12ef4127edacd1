/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page ownership in secure firmware (Qualcomm, abi G). The firmware is told after the guard is
 * set and before RM hears of the pages; it takes them back after RECLAIM and before the guard is
 * cleared.
 *
 * Which pages are assigned is queried from the module, not remembered: a failed call may have
 * assigned some.
 */
#include "libghvm/hyp/host.h"
#include "libghvm/memory/parcel-internal.h"

#include <errno.h>
#include <string.h>

#define SCM_VMID_PRIMARY 3
#define SCM_VMID_LAST 0x3f
#define SCM_VMID_MANAGED 0x3a /* represents all dynamic VMIDs of RM */

static uint32_t scm_vmid(struct ghvm_vmid vmid)
{
	return vmid.id <= SCM_VMID_LAST ? vmid.id : SCM_VMID_MANAGED;
}

/* SCM permissions have the same values as RM's rights. */
static size_t new_owners(const struct ghvm_parcel *p, struct ghvm_assign_perm ret[2])
{
	ret[0] = (struct ghvm_assign_perm){ scm_vmid(p->vmid), p->config.rights };
	ret[1] = (struct ghvm_assign_perm){ SCM_VMID_PRIMARY, GHVM_MEM_RWX };
	return p->config.lend && !p->config.presplit ? 1 : 2;
}

static int assign_pages(struct ghvm_parcel *p, uint64_t source, const struct ghvm_assign_perm *dest,
			size_t n, bool take_pages_back)
{
	struct ghvm_assign arg = { .size = sizeof(arg),
				   .pin = p->pin,
				   .source = source,
				   .dest = (uintptr_t)dest,
				   .n_dest = (uint32_t)n,
				   .give_back = take_pages_back };

	return p->host->ops->assign(p->host, &arg);
}

/* Return: 1, some pages are assigned; 0, none; negative errno. */
static int query_assigned(struct ghvm_parcel *p)
{
	struct ghvm_pin_status st;
	int r = p->host->ops->pin_status(p->host, p->pin, &st);

	return r < 0 ? r : st.assigned != 0;
}

static int take_pages_back(struct ghvm_parcel *p)
{
	const struct ghvm_assign_perm primary = { SCM_VMID_PRIMARY, GHVM_MEM_RWX };
	struct ghvm_assign_perm owners[2];
	size_t n = new_owners(p, owners);
	uint64_t source = 0;

	for (size_t i = 0; i < n; i++)
		source |= 1ULL << owners[i].vmid;
	return assign_pages(p, source, &primary, 1, true);
}

int ghvm_parcel_assign(struct ghvm_parcel *p, struct ghvm_error *err)
{
	struct ghvm_assign_perm dest[2];
	size_t n = new_owners(p, dest);
	int r;

	if (!p->assigns)
		return 0;
	r = query_assigned(p);
	if (r == 0)
		r = assign_pages(p, 1ULL << SCM_VMID_PRIMARY, dest, n, false);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: the firmware refused to assign its pages: %s",
				      p->config.name, strerror(-r));
	return 0;
}

int ghvm_parcel_unassign(struct ghvm_parcel *p, struct ghvm_error *err)
{
	int r;

	if (!p->assigns)
		return 0;
	r = query_assigned(p);
	if (r > 0)
		r = take_pages_back(p);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: the firmware refused to give its pages back: %s",
				      p->config.name, strerror(-r));
	return 0;
}
