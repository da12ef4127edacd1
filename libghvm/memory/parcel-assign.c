/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page ownership in secure firmware (Qualcomm, abi G). The firmware is told after the guard is
 * set and before RM hears of the pages; it takes them back after RECLAIM and before the guard is
 * cleared. So while a guest or RM may have a page, the firmware's view of it does not matter to
 * Linux, which gets it only after both have given it back.
 *
 * Each parcel that is created has its own assignment: for a SHARE the guests and the host own the
 * pages, for a LEND the guest alone. The SHARE before a LEND (presplit) is taken back in between.
 *
 * Which pages are assigned, and to which owners, is queried from the module, not remembered: a
 * failed call may have assigned some, and an earlier process others.
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

/* @n: number of @dest; 0: take the pages back. */
static int assign_pages(struct ghvm_parcel *p, const struct ghvm_assign_perm *dest, size_t n)
{
	struct ghvm_assign arg = {
		.size = sizeof(arg), .pin = p->pin, .dest = (uintptr_t)dest, .n_dest = (uint32_t)n
	};

	return p->host->ops->assign(p->host, &arg);
}

/* Return: 1, some pages are assigned; 0, none; negative errno. */
static int query_assigned(struct ghvm_parcel *p)
{
	struct ghvm_pin_status st;
	int r = p->host->ops->pin_status(p->host, p->pin, &st);

	return r < 0 ? r : st.assigned != 0;
}

/* Take back what is assigned, if anything is. */
static int take_pages_back(struct ghvm_parcel *p)
{
	int r = query_assigned(p);

	return r > 0 ? assign_pages(p, NULL, 0) : r;
}

/* Two guests may have the same number, and then all rights of both. */
static void add_owner(struct ghvm_assign_perm *dest, size_t *n, uint32_t vmid, uint8_t rights)
{
	for (size_t i = 0; i < *n; i++) {
		if (dest[i].vmid != vmid)
			continue;
		dest[i].perm |= rights; /* SCM permissions have the same values as RM's rights */
		return;
	}
	dest[(*n)++] = (struct ghvm_assign_perm){ vmid, rights };
}

int ghvm_parcel_assign(struct ghvm_parcel *p, enum ghvm_mem_trans trans, struct ghvm_error *err)
{
	struct ghvm_assign_perm dest[GHVM_PARCEL_ACL_MAX];
	size_t n = 0;
	int r;

	if (!p->assigns)
		return 0;
	add_owner(dest, &n, scm_vmid(p->vmid), p->config.rights);
	if (p->with.id)
		add_owner(dest, &n, scm_vmid(p->with), p->with_rights);
	if (trans == GHVM_MEM_SHARE)
		add_owner(dest, &n, SCM_VMID_PRIMARY, GHVM_MEM_RWX);
	r = take_pages_back(p); /* left by an attempt that failed half-way */
	if (r == 0)
		r = assign_pages(p, dest, n);
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
	r = take_pages_back(p);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: the firmware refused to give its pages back: %s",
				      p->config.name, strerror(-r));
	return 0;
}
