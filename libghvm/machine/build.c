/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starting a machine: executes the steps of a plan in order.
 *
 * A failing step undoes nothing itself: the teardown asks RM for the VM's state and works from
 * every state (teardown.c).
 */
#include "libghvm/hyp/host.h"
#include "libghvm/machine/internal.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/boot-calls.h"
#include "libghvm/rm/rpc.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/**
 * struct build - one execution of a plan
 * @again: reboot in place: the pages are pinned already
 * @lends_now: RAM was shared before: its file is still open
 */
struct build {
	struct ghvm_machine *m;
	const struct ghvm_machine_files *files;
	bool again;
	bool lends_now;
};

typedef int (*step_fn)(struct build *b, unsigned int parcel, struct ghvm_error *err);

/*
 * Accept the VMID that RM has allocated. Outside of RM's usual range it may be that of a VM of others, if the
 * reply is wrong: RM has to say itself that it is a new one. Otherwise the number is kept: @m->vmid_odd.
 */
static int accept_vmid(struct ghvm_machine *m, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	enum ghvm_vm_status status;
	int r;

	if (!ghvm_ledger_vmid_usual(m->ledger, vmid)) {
		r = ghvm_machine_ask(m, vmid, &status, err);
		if (r == 0 && status != GHVM_VM_LOAD)
			r = ghvm_error_set_unanswered(
				err, GHVM_RM_VM_ALLOCATE, -EBADMSG,
				"the resource manager allocated VMID %u, but says that its state "
				"is %s, not load",
				vmid.id, ghvm_vm_status_to_string(status));
		if (r < 0) {
			m->vmid_odd = vmid;
			return r;
		}
	}
	if (ghvm_ledger_vmid_claim(m->ledger, vmid))
		return 0;
	return ghvm_error_set(err, -EBADMSG,
			      "the resource manager allocated VMID %u, which is in use", vmid.id);
}

typedef void (*vmid_fn)(struct ghvm_machine *m, struct ghvm_vmid vmid);

/* @use: what the VMID is for; called before another VMID can be allocated */
static int allocate_vmid(struct ghvm_machine *m, vmid_fn use, struct ghvm_error *err)
{
	struct ghvm_error e = {};
	struct ghvm_vmid vmid;
	int r;

	ghvm_ledger_numbering_begin(m->ledger);
	r = ghvm_rm_vm_allocate(m->rm, &vmid, &e);
	if (r == 0)
		r = accept_vmid(m, vmid, &e);
	if (r == 0)
		use(m, vmid);
	else if (r != -EHOSTDOWN && !ghvm_rm_made_nothing(e.rm_message, e.rm_code))
		m->vmid_lost = true;
	ghvm_ledger_numbering_end(m->ledger);
	if (r < 0 && err)
		*err = e;
	return r;
}

static void take_vmid(struct ghvm_machine *m, struct ghvm_vmid vmid)
{
	ghvm_machine_set_vmid(m, vmid);
	m->adopted = false; /* all its parcels are known */
}

static bool joins(const struct ghvm_machine *m)
{
	return m->pair.joins.id;
}

static int step_allocate(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	return joins(b->m) ? ghvm_machine_join(b->m, err) : allocate_vmid(b->m, take_vmid, err);
}

static int step_reserve(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	return joins(b->m) ? 0 : allocate_vmid(b->m, ghvm_machine_pair_parcels, err);
}

/* The other machine has made the parcel, with its VMID in it. */
static bool is_made(const struct ghvm_machine *m, unsigned int parcel)
{
	return joins(m) && m->plan->parcels[parcel].paired;
}

static int step_pin(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	struct ghvm_machine *m = b->m;

	if (b->again || is_made(m, parcel))
		return 0;
	return ghvm_parcel_pin(&m->parcels[parcel], b->files->memory[parcel],
			       m->plan->parcels[parcel].size, err);
}

/* The kernel copies from the file's own pages. If the file is cut meanwhile that is -EFAULT, and no SIGBUS. */
static int copy_mapped(struct build *b, const char *what, int fd, uint64_t offset, uint64_t size,
		       struct ghvm_error *err)
{
	void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	int r;

	if (p == MAP_FAILED)
		return ghvm_error_set(err, -errno, "%s: cannot map: %s", what, strerror(errno));
	r = ghvm_parcel_write(&b->m->parcels[0], offset, p, (size_t)size, err);
	(void)munmap(p, (size_t)size); /* only of what was mapped: cannot fail */
	if (r == -EFAULT)
		return ghvm_error_set(err, -EIO,
				      "%s: cannot read all of it: another process cuts it, or "
				      "its disk fails",
				      what);
	return r;
}

/* Copy @size bytes as planned: the file may have changed since. */
static int copy_file(struct build *b, const char *what, int fd, uint64_t offset, uint64_t size,
		     struct ghvm_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return ghvm_error_set(err, -errno, "%s: cannot read its size: %s", what,
				      strerror(errno));
	if ((uint64_t)st.st_size < size)
		return ghvm_error_set(err, -ENODATA,
				      "%s: ends after %" PRIu64 " of %" PRIu64 " bytes", what,
				      (uint64_t)st.st_size, size);
	return size ? copy_mapped(b, what, fd, offset, size, err) : 0;
}

static int step_kernel(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	const struct ghvm_plan *p = b->m->plan;

	return copy_file(b, "kernel", b->files->kernel, p->kernel_offset, p->kernel_size, err);
}

static int step_initrd(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	const struct ghvm_plan *p = b->m->plan;

	return copy_file(b, "initrd", b->files->initrd, p->initrd_offset, p->initrd_size, err);
}

static int step_dtb(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	const struct ghvm_plan *p = b->m->plan;

	return ghvm_parcel_write(&b->m->parcels[0], p->dtb_offset, p->dtb, p->dtb_size, err);
}

static int step_guard(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	struct ghvm_machine *m = b->m;

	if (is_made(m, parcel))
		return 0;
	return ghvm_parcel_guard(&m->parcels[parcel], ghvm_machine_vmid(m), m->incarnation, err);
}

/*
 * Give a parcel and confirm its handle, which RM has reported only once. That of RAM is confirmed
 * by MEM_APPEND, or at the latest by CONFIG_IMAGE; for others RM is asked.
 */
static int step_give(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	struct ghvm_parcel *p = &b->m->parcels[parcel];
	int r;

	if (is_made(b->m, parcel))
		return 0;
	r = ghvm_parcel_give(p, err);

	if (r == 0 && parcel > 0)
		r = ghvm_parcel_show(p, err);
	return r < 0 ? r : 0;
}

static int step_config_image(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	const struct ghvm_plan *p = b->m->plan;
	const struct ghvm_rm_image image = {
		.parcel = b->m->parcels[0].handle,
		.parcel_size = b->m->parcels[0].size,
		.auth = (enum ghvm_rm_auth)p->spec->auth, /* has the same numbers */
		.image_offset = p->kernel_offset,
		.image_size = p->kernel_size,
		.dt_offset = p->dtb_offset,
		.dt_size = p->dtb_room,
	};
	int r = ghvm_rm_vm_config_image(b->m->rm, ghvm_machine_vmid(b->m), &image, err);

	if (r == 0)
		ghvm_parcel_confirm(&b->m->parcels[0]);
	return r;
}

static int step_auth_image(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	return ghvm_rm_vm_auth_image(b->m->rm, ghvm_machine_vmid(b->m), b->m->plan->spec->pas_id,
				     err);
}

static int step_firmware_mem(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	const struct ghvm_plan *p = b->m->plan;

	return ghvm_rm_vm_set_firmware_mem(b->m->rm, ghvm_machine_vmid(b->m),
					   b->m->parcels[0].handle, p->firmware_offset,
					   p->firmware_size, err);
}

static int step_address_layout(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	const struct ghvm_plan *p = b->m->plan;
	const struct ghvm_plan_parcel *ram = &p->parcels[0];
	const struct ghvm_vmid vmid = ghvm_machine_vmid(b->m);
	int r = ghvm_rm_vm_set_address_layout(b->m->rm, vmid, GHVM_RM_RANGE_IMAGE, ram->ipa,
					      ram->size, err);

	if (r < 0 || !p->firmware_size)
		return r;
	return ghvm_rm_vm_set_address_layout(b->m->rm, vmid, GHVM_RM_RANGE_FIRMWARE, ram->ipa,
					     p->firmware_offset + p->firmware_size, err);
}

static int step_init(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	return ghvm_rm_vm_init(b->m->rm, ghvm_machine_vmid(b->m), err);
}

static int step_boot_context(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	const struct ghvm_plan *p = b->m->plan;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_registers; i++)
		r = ghvm_rm_vm_set_boot_context(b->m->rm, ghvm_machine_vmid(b->m),
						(enum ghvm_rm_register_set)p->registers[i].set,
						p->registers[i].index, p->registers[i].value, err);
	return r;
}

static int step_resources(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	return ghvm_machine_learn(b->m, err);
}

uint64_t ghvm_machine_grant_id(const struct ghvm_machine *m)
{
	return m->incarnation << 16 | ghvm_machine_vmid(m).id;
}

static int step_grant(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	struct ghvm_grant_call calls[GHVM_SPEC_CPUS_MAX + GHVM_DOORBELL_MAX] = {};
	uint32_t virqs[GHVM_SPEC_CPUS_MAX];
	struct ghvm_machine *m = b->m;
	uint32_t n = 0, n_virqs = 0;
	int r;

	for (size_t i = 0; i < m->n_vcpus; i++) {
		calls[n].call = GHVM_CALL_VCPU_RUN;
		calls[n++].capid = m->vcpus[i].cap.id;
		virqs[n_virqs++] = m->vcpus[i].virq.intid;
	}
	for (size_t i = 0; i < m->n_doorbells; i++) {
		calls[n].call = GHVM_CALL_DOORBELL_SEND;
		calls[n++].capid = m->doorbells[i].cap.id;
	}
	m->grant_id = ghvm_machine_grant_id(m); /* set first: a failed GRANT may have created it */
	r = m->host->ops->grant(m->host, m->grant_id, calls, n, virqs, n_virqs);
	if (r < 0)
		return ghvm_error_set(err, r, "cannot create a grant: %s", strerror(-r));
	m->grant = r;
	return 0;
}

static int step_start(struct build *b, unsigned int parcel, struct ghvm_error *err)
{
	struct ghvm_machine *m = b->m;

	(void)pthread_mutex_lock(&m->lock); /* VM_EXITED may arrive before RM's reply */
	m->started = true;
	(void)pthread_mutex_unlock(&m->lock);
	return ghvm_rm_vm_start(m->rm, ghvm_machine_vmid(m), err);
}

static const step_fn steps[GHVM_STEP_COUNT_] = {
	[GHVM_STEP_ALLOCATE] = step_allocate,
	[GHVM_STEP_RESERVE] = step_reserve,
	[GHVM_STEP_PIN] = step_pin,
	[GHVM_STEP_WRITE_KERNEL] = step_kernel,
	[GHVM_STEP_WRITE_INITRD] = step_initrd,
	[GHVM_STEP_WRITE_DTB] = step_dtb,
	[GHVM_STEP_GUARD] = step_guard,
	[GHVM_STEP_LEND] = step_give,
	[GHVM_STEP_SHARE] = step_give,
	[GHVM_STEP_CONFIG_IMAGE] = step_config_image,
	[GHVM_STEP_AUTH_IMAGE] = step_auth_image,
	[GHVM_STEP_FIRMWARE_MEM] = step_firmware_mem,
	[GHVM_STEP_ADDRESS_LAYOUT] = step_address_layout,
	[GHVM_STEP_INIT] = step_init,
	[GHVM_STEP_BOOT_CONTEXT] = step_boot_context,
	[GHVM_STEP_RESOURCES] = step_resources,
	[GHVM_STEP_GRANT] = step_grant,
	[GHVM_STEP_START] = step_start,
};

/* resources of the VM */

static int learn_vcpus(struct ghvm_machine *m, const struct ghvm_rm_resources *res,
		       struct ghvm_error *err)
{
	size_t n = m->plan ? m->plan->spec->cpus : GHVM_SPEC_CPUS_MAX;

	m->n_vcpus = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct ghvm_rm_resource *v =
			ghvm_rm_resources_find(res, GHVM_RM_RESOURCE_VCPU, i);

		if (!v && !m->plan && i)
			break; /* adopted: take all vCPUs that exist */
		if (!v || v->capid.id == GHVM_CAPID_NONE || !v->virq.intid)
			return ghvm_error_set(err, -EBADMSG, "vCPU %u is not among its resources",
					      i);
		m->vcpus[m->n_vcpus++] =
			(struct ghvm_machine_vcpu){ .cap = v->capid, .virq = v->virq };
	}
	return 0;
}

static int learn_planned_doorbells(struct ghvm_machine *m, const struct ghvm_rm_resources *res,
				   struct ghvm_error *err)
{
	for (size_t i = 0; i < m->plan->n_doorbells; i++) {
		uint32_t label = m->plan->doorbells[i];
		const struct ghvm_rm_resource *d =
			ghvm_rm_resources_find(res, GHVM_RM_RESOURCE_DOORBELL_TX, label);

		if (!d || d->capid.id == GHVM_CAPID_NONE)
			return ghvm_error_set(err, -EBADMSG,
					      "doorbell %u is not among its resources", label);
		m->doorbells[m->n_doorbells++] =
			(struct ghvm_machine_doorbell){ .label = label, .cap = d->capid };
	}
	return 0;
}

static void learn_all_doorbells(struct ghvm_machine *m, const struct ghvm_rm_resources *res)
{
	for (size_t i = 0; i < res->n && m->n_doorbells < GHVM_DOORBELL_MAX; i++)
		if (res->v[i].type == GHVM_RM_RESOURCE_DOORBELL_TX &&
		    res->v[i].capid.id != GHVM_CAPID_NONE)
			m->doorbells[m->n_doorbells++] =
				(struct ghvm_machine_doorbell){ .label = res->v[i].label,
								.cap = res->v[i].capid };
}

int ghvm_machine_learn(struct ghvm_machine *m, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_resources_done) struct ghvm_rm_resources res = {};
	int r = ghvm_rm_vm_get_hyp_resources(m->rm, ghvm_machine_vmid(m), &res, err);

	if (r < 0)
		return r;
	if (m->plan && m->plan->spec->rm_rpc) /* the tree has an RM node (dt-lint.c) */
		ghvm_rm_fact_set(m->rm, ghvm_machine_vmid(m), GHVM_RM_FACT_LINKED);
	m->watched = ghvm_rm_resources_find(&res, GHVM_RM_RESOURCE_WATCHDOG, 0);
	r = learn_vcpus(m, &res, err);
	if (r < 0)
		return r;
	m->n_doorbells = 0;
	if (m->plan)
		return learn_planned_doorbells(m, &res, err);
	learn_all_doorbells(m, &res);
	return 0;
}

/* executing the plan */

/* True for the first step after which lent memory must have no open file and no mapping. */
static bool ends_loading(const struct ghvm_plan *plan, size_t i)
{
	return plan->steps[i].kind == GHVM_STEP_GUARD &&
	       (i == 0 || plan->steps[i - 1].kind < GHVM_STEP_GUARD);
}

static int run_steps(struct build *b, const struct ghvm_machine_hooks *hooks,
		     struct ghvm_error *err)
{
	static const struct ghvm_machine_hooks no_hooks;
	const struct ghvm_plan *plan = b->m->plan;
	const struct ghvm_machine_hooks *h = hooks ? hooks : &no_hooks;

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct ghvm_plan_step *s = &plan->steps[i];
		int r;

		assert((size_t)s->kind < ARRAY_SIZE(steps) && s->parcel < plan->n_parcels);
		if (s->kind == GHVM_STEP_START)
			return 0;
		b->m->step = s->kind;
		if (ends_loading(plan, i) && (!b->again || b->lends_now) && h->on_pinned)
			h->on_pinned(h->data);
		if (h->on_step)
			h->on_step(h->data, plan, i);
		r = steps[s->kind](b, s->parcel, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Tear down after a failed step. The step's error is kept; failures of the teardown are appended.
 */
static int undo_build(struct ghvm_machine *m, int r, struct ghvm_error *err)
{
	struct ghvm_error e = {};
	char text[GHVM_ERROR_TEXT];

	if (ghvm_machine_teardown(m, &e) == 0 || !err)
		return r;
	memcpy(text, err->msg, sizeof(text));
	(void)snprintf(err->msg, sizeof(err->msg),
		       "%.300s; teardown failed, %" PRIu64 " pages stay guarded: %.150s", text,
		       ghvm_machine_quarantined(m), e.msg);
	return r;
}

/*
 * Is it a status with which RM refuses RAM that is shared (abi D.5, K.7)? It may have another cause, too: then
 * lending fails as well.
 */
static bool refuses_share(const struct ghvm_machine *m, int r, const struct ghvm_error *e)
{
	if (!e || !m->tries_share || m->plan->parcels[0].lend || !ghvm_machine_refused(r, e))
		return false;
	switch (e->rm_message) {
	case GHVM_RM_VM_CONFIG_IMAGE:
	case GHVM_RM_VM_INIT:
		return e->rm_code == GHVM_RM_VALIDATE_FAILED;
	case GHVM_RM_VM_START:
		return e->rm_code == GHVM_RM_NORESOURCE;
	}
	return false;
}

static int fail_build(struct ghvm_machine *m, int r, struct ghvm_error *err)
{
	m->share_refused = refuses_share(m, r, err);
	return m->share_refused ? r : undo_build(m, r, err);
}

int ghvm_machine_build(struct ghvm_machine *m, const struct ghvm_machine_files *files,
		       const struct ghvm_machine_hooks *hooks, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope scope = ghvm_rm_enter(m->rm, m->name);
	struct build b = { .m = m, .files = files };
	int r;

	if (!m->plan || ghvm_machine_vmid(m).id || m->vmid_lost)
		return ghvm_error_set(err, -EBUSY,
				      "the machine has a VM already, or remains of one");
	r = run_steps(&b, hooks, err);
	if (r == 0)
		r = ghvm_machine_map_fill(m, err);
	return r < 0 ? fail_build(m, r, err) : 0;
}

int ghvm_machine_start(struct ghvm_machine *m, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope scope = ghvm_rm_enter(m->rm, m->name);
	struct build b = { .m = m };
	int r;

	m->step = GHVM_STEP_START;
	r = step_start(&b, 0, err);
	return r < 0 ? fail_build(m, r, err) : 0;
}

static bool all_pinned(const struct ghvm_machine *m)
{
	for (size_t i = 0; i < m->n_parcels; i++)
		if (m->parcels[i].state == GHVM_PARCEL_UNPINNED)
			return false;
	return m->n_parcels > 0;
}

/* All is taken back; the plan may have changed. */
static void follow_plan(struct ghvm_machine *m)
{
	const struct ghvm_plan_parcel *ram = &m->plan->parcels[0];
	struct ghvm_parcel_config *c = &m->parcels[0].config;

	assert(m->parcels[0].state == GHVM_PARCEL_OURS);
	c->lend = ram->lend;
	c->rights = ghvm_parcel_rights(ram->label, ram->lend, ram->readonly);
}

int ghvm_machine_rebuild(struct ghvm_machine *m, const struct ghvm_machine_files *files,
			 const struct ghvm_machine_hooks *hooks, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_leave) struct ghvm_rm_scope scope = ghvm_rm_enter(m->rm, m->name);
	struct build b = { .m = m, .files = files, .again = true, .lends_now = m->share_refused };
	int r;

	m->share_refused = false;
	if (!m->plan)
		r = ghvm_error_set(err, -EOPNOTSUPP,
				   "cannot reboot in place: the machine has no plan");
	else if (!all_pinned(m))
		r = ghvm_error_set(err, -ESTALE, "cannot reboot in place: its memory is gone");
	else
		r = ghvm_machine_take_back(m, err);
	if (r == 0)
		follow_plan(m);
	if (r == 0)
		r = run_steps(&b, hooks, err);
	if (r == 0)
		r = ghvm_machine_map_fill(m, err);
	return r < 0 ? undo_build(m, r, err) : 0;
}
