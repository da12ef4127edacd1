/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Adoption. All orphans are adopted before any VM is torn down, so that the teardown of one VM does not
 * mistake the memory of another orphan for its own.
 */
#include "daemon/manager/recovery/adopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager/core/log.h"
#include "daemon/manager/state/file.h"
#include "daemon/manager/state/mark.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"
#include "ghvm/spec.h"
#include "libghvm/machine/orphans.h"

static uint64_t pages_of(const struct ghvm_orphan *o, size_t n)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < n; i++)
		pages += o[i].pages;
	return pages;
}

/* Tags have survived a crash, so their names are validated. */
static const char *name_of(const struct ghvm_orphan *o)
{
	return ghvm_name_valid(o->tag.name) ? o->tag.name : "";
}

/*
 * Leave the pages of an orphan in quarantine. They may belong to any VM that was found, so no VMID may be
 * freed: the ledger is distrusted before any VM is torn down.
 */
static void give_up(const struct adopt_target *t, const struct ghvm_orphan *o, size_t n,
		    const struct ghvm_error *why)
{
	int r;

	ghvm_ledger_distrust(t->host->ledger);
	ghvm_ledger_vmid_add(t->host->ledger, o->tag.vmid);
	ghvm_ledger_vmid_add(t->host->ledger, o->tag.with);
	r = quarantine_count(t->quarantine, name_of(o), o->tag.vmid, pages_of(o, n), why);
	if (r < 0)
		log_error(NULL, r, "Cannot list quarantined memory");
}

static void report_unreadable(const struct adopt_target *t, const struct ghvm_orphan *o)
{
	const struct log_about a = { .id = LOG_ID_BAD_TAG };
	struct ghvm_error why = {};

	(void)ghvm_error_set(&why, -EBADMSG, "pin %llu %s: its pages stay in quarantine",
			     (unsigned long long)o->id, o->flaw);
	log_error(&a, 0, "%s", why.msg);
	give_up(t, o, 1, &why);
}

/* Use the state file if it is of the incarnation in the tags. Return: true if it was used. */
static bool use_record(const struct adopt_target *t, struct guest *g)
{
	_cleanup_(store_record_done) struct store_record rec = {};
	const struct log_about a = { .vm = g->name };
	int r;

	r = store_read(t->state_dir, g->name, &rec);
	if (r < 0 && r != -ENOENT)
		log_warning(&a, r, "Cannot use the state file");
	if (r < 0 || rec.incarnation != g->incarnation)
		return false;
	g->lent_instead = mark_is_set(t->state_dir, MARK_LENDS_RAM);
	if (rec.planned)
		guest_recall(g, &rec);
	return true;
}

static bool recall(const struct adopt_target *t, struct guest *g)
{
	const struct log_about a = { .vm = g->name };
	bool used;
	int r;

	if (!*g->name)
		return false;
	r = store_try(t->state_dir, g->name);
	if (r == -EEXIST) {
		log_warning(&a, 0,
			    "Ignoring the state file: an earlier manager died while reading it");
		return false;
	}
	used = use_record(t, g);
	if (r == 0)
		store_tried(t->state_dir, g->name);
	return used;
}

static int adopt_group(const struct adopt_target *t, const struct ghvm_orphan *o, size_t n,
		       struct adopt_found *ret, struct ghvm_error *err)
{
	_cleanup_(guest_freep) struct guest *g = NULL;
	struct ghvm_machine *machine;
	int r;

	r = guest_new_adopted(t->host, name_of(o), o->tag.incarnation, &g);
	if (r < 0)
		return r;
	ret->recorded = recall(t, g);
	r = ghvm_machine_adopt(t->host->host, t->host->rm, t->host->ledger,
			       g->planned ? &g->plan : NULL, o, n, &machine, err);
	if (r < 0)
		return r;
	ghvm_machine_set_presplit(machine, ghvm_quirk(t->host->quirks, GHVM_QUIRK_PRESPLIT));
	guest_set_machine(g, machine);
	ret->guest = TAKE_PTR(g);
	return 0;
}

static size_t group_length(const struct ghvm_orphan *o, size_t n)
{
	size_t i = 1;

	while (i < n && o[i].readable && o[i].tag.vmid.id == o[0].tag.vmid.id)
		i++;
	return i;
}

static size_t adopt_groups(const struct adopt_target *t, const struct ghvm_orphan *o, size_t n,
			   struct adopt_found *ret)
{
	struct ghvm_error err;
	size_t found = 0, len;
	int r;

	for (; n; o += len, n -= len) {
		len = 1;
		if (!o->readable) {
			report_unreadable(t, o);
			continue;
		}
		len = group_length(o, n);
		err = (struct ghvm_error){};
		r = t->host->rm ? adopt_group(t, o, len, &ret[found], &err)
				: ghvm_error_set(&err, -EHOSTDOWN, "the resource manager is dead");
		found += r == 0;
		if (r < 0 && err.code == 0)
			(void)ghvm_error_set(&err, r, "cannot adopt the VM: %s", strerror(-r));
		if (r < 0)
			give_up(t, o, len, &err);
	}
	return found;
}

/* Query the state of a VM; "not running" leads to a teardown and must be reported twice. */
static int query_state(struct ghvm_machine *m, enum ghvm_vm_status *ret, struct ghvm_error *err)
{
	int r = ghvm_machine_status(m, ret, err);

	if (r == 0 && *ret != GHVM_VM_RUNNING)
		r = ghvm_machine_status(m, ret, err);
	return r;
}

/* Set @f->status; a running VM that cannot be taken over is torn down. */
static void check_state(struct adopt_found *f)
{
	struct ghvm_machine *m = guest_machine(f->guest);
	struct log_about a = { .vm = f->guest->name };
	struct ghvm_error err = {};

	f->status = GHVM_VM_NONE;
	if (query_state(m, &f->status, &err) < 0) {
		a.err = &err;
		log_error(&a, 0, "Cannot query the VM's state: %s", err.msg);
		return;
	}
	if (f->status != GHVM_VM_RUNNING)
		return;
	if (ghvm_machine_carry_on(m, &err) < 0) {
		a.err = &err;
		log_error(&a, 0, "Cannot take over the running VM: %s", err.msg);
		f->status = GHVM_VM_NONE;
	}
	guest_note_watchdog(f->guest);
}

void adopt_undo(const struct adopt_target *t, struct guest *g)
{
	struct ghvm_error why = {};
	int r;

	(void)ghvm_error_set(&why, -ESTALE, "left by an earlier manager");
	r = quarantine_add(t->quarantine, g->name, g, &why);
	if (r < 0)
		log_error(NULL, r, "Cannot list quarantined memory");
}

/* VMIDs that no search would ask about, but that RM has allocated to an earlier manager. */
static void note_vmids(const struct adopt_target *t)
{
	for (uint16_t id = 0; id < GHVM_VMIDS; id++)
		if (mark_vmid_is_set(t->state_dir, (struct ghvm_vmid){ id }))
			ghvm_ledger_vmid_note(t->host->ledger, (struct ghvm_vmid){ id });
}

/* What was noted, and is neither in a tag nor a stray any more, has been deallocated. */
static void forget_noted(const struct adopt_target *t)
{
	for (uint16_t id = 0; id < GHVM_VMIDS; id++) {
		const struct ghvm_vmid vmid = { id };

		if (ghvm_ledger_vmid_noted(t->host->ledger, vmid) &&
		    !ghvm_ledger_vmid_known(t->host->ledger, vmid))
			mark_vmid(t->state_dir, vmid, false);
	}
}

static void undo_stray(const struct adopt_target *t, struct ghvm_vmid vmid)
{
	const struct log_about a = { .vmid = vmid.id };
	_cleanup_(guest_freep) struct guest *g = NULL;
	struct ghvm_machine *machine;
	int r;

	log_warning(&a, 0, "VM without an owner: tearing it down");
	r = guest_new_adopted(t->host, "", 0,
			      &g); /* first, so that the machine always has an owner */
	if (r == 0)
		r = ghvm_machine_adopt_stray(t->host->host, t->host->rm, t->host->ledger, vmid,
					     &machine);
	if (r < 0) {
		log_error(&a, r, "Cannot tear down a VM without an owner");
		return;
	}
	guest_set_machine(g, machine);
	adopt_undo(t, TAKE_PTR(g));
}

/* A manager killed between ALLOCATE and the first guard leaves a VMID without pages and tags. */
static void undo_strays(const struct adopt_target *t)
{
	struct ghvm_vmid strays[GHVM_VMIDS];
	struct ghvm_error err = {};
	size_t n = 0;
	int r;

	note_vmids(t);
	r = ghvm_machine_strays(t->host->rm, t->host->ledger, strays, &n, &err);
	if (r < 0)
		log_error(NULL, 0, "Cannot look for VMs without an owner: %s", err.msg);
	for (size_t i = 0; i < n; i++)
		undo_stray(t, strays[i]);
	if (r == 0)
		forget_noted(t);
}

static int rank(const struct adopt_found *f)
{
	if (f->recorded)
		return 0;
	if (f->status == GHVM_VM_RUNNING)
		return 1;
	return f->status == GHVM_VM_EXITED ? 2 : 3;
}

/* Sort by name; of one name the newest incarnation is first, older ones are remains in quarantine. */
static int compare_found(const void *a, const void *b)
{
	int x = rank(a), y = rank(b);

	return x < y ? -1 : x > y;
}

int adopt_all(const struct adopt_target *t, struct adopt_found **ret, size_t *ret_n)
{
	_cleanup_(freep) struct ghvm_orphan *orphans = NULL;
	struct ghvm_error err = {};
	size_t n = 0;
	int r;

	*ret = NULL;
	*ret_n = 0;
	r = ghvm_orphans_list(t->host->host, &orphans, &n, &err);
	if (r < 0)
		return r;
	*ret = calloc(n + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	*ret_n = adopt_groups(t, orphans, n, *ret);
	for (size_t i = 0; i < *ret_n; i++)
		check_state(&(*ret)[i]);
	qsort(*ret, *ret_n, sizeof(**ret), compare_found);
	/* a VMID without an owner might belong to an unreadable tag */
	if (t->host->rm && !t->settled && !ghvm_ledger_distrusted(t->host->ledger))
		undo_strays(t);
	return 0;
}
