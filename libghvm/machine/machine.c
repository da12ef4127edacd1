/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One VM: its parts, its state according to RM, and how it ended.
 */
#include "libghvm/machine/internal.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/rm/rpc.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 10000
#define NS_PER_MS 1000000L
#define NS_PER_S 1000000000L

static void lock(const struct ghvm_machine *m)
{
	(void)pthread_mutex_lock((pthread_mutex_t *)&m->lock); /* cannot fail */
}

static void unlock(const struct ghvm_machine *m)
{
	(void)pthread_mutex_unlock((pthread_mutex_t *)&m->lock);
}

/* creation */

static void init_parcels(struct ghvm_machine *m)
{
	for (size_t i = 0; i < m->n_parcels; i++) {
		const struct ghvm_plan_parcel *pp = &m->plan->parcels[i];
		struct ghvm_parcel_config config = {
			.label = pp->label,
			.ipa = pp->ipa,
			.lend = pp->lend,
			.rights = ghvm_parcel_rights(pp->label, pp->lend, pp->readonly),
			.only_read = pp->readonly && !pp->paired,
			.presplit = m->presplit,
		};

		memcpy(config.name, pp->name, sizeof(config.name));
		memcpy(config.vm_name, m->plan->spec->name, sizeof(config.vm_name));
		ghvm_parcel_init(&m->parcels[i], m->host, m->rm, m->ledger, &config);
	}
}

static void init_lock(struct ghvm_machine *m)
{
	pthread_condattr_t attr;

	/* none of these fails on Linux with valid arguments */
	(void)pthread_mutex_init(&m->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&m->cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

int ghvm_machine_alloc(struct ghvm_host *host, struct ghvm_rm *rm, size_t n_parcels,
		       struct ghvm_machine **ret)
{
	struct ghvm_machine *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->parcels = calloc(n_parcels + GHVM_LEDGER_PARCELS, sizeof(*m->parcels));
	if (!m->parcels || ghvm_region_table_new(GHVM_IPA_END - 1, &m->map) < 0) {
		free(m->parcels);
		free(m);
		return -ENOMEM;
	}
	m->host = host;
	m->rm = rm;
	m->ledger = &m->own_ledger;
	m->presplit = true;
	m->patience_ms = PATIENCE_MS;
	m->grant = -1;
	ghvm_ledger_init(&m->own_ledger, ghvm_quirks_unknown());
	init_lock(m);
	*ret = m;
	return 0;
}

int ghvm_machine_new(struct ghvm_host *host, struct ghvm_rm *rm, const struct ghvm_plan *plan,
		     uint64_t incarnation, struct ghvm_machine **ret)
{
	struct ghvm_machine *m;
	int r;

	if (!incarnation)
		return -EINVAL;
	r = ghvm_machine_alloc(host, rm, plan->n_parcels, &m);
	if (r < 0)
		return r;
	m->plan = plan;
	m->incarnation = incarnation;
	memcpy(m->name, plan->spec->name, sizeof(m->name));
	m->n_parcels = plan->n_parcels;
	init_parcels(m);
	*ret = m;
	return 0;
}

void ghvm_machine_set_ledger(struct ghvm_machine *m, struct ghvm_ledger *ledger)
{
	m->ledger = ledger;
	init_parcels(m);
}

void ghvm_machine_set_presplit(struct ghvm_machine *m, bool presplit)
{
	m->presplit = presplit;
	for (size_t i = 0; i < m->n_parcels; i++) /* adopted parcels are not initialised again */
		m->parcels[i].config.presplit = presplit;
}

void ghvm_machine_try_share(struct ghvm_machine *m)
{
	m->tries_share = true;
}

bool ghvm_machine_share_refused(const struct ghvm_machine *m)
{
	return m->share_refused;
}

bool ghvm_machine_watched(const struct ghvm_machine *m)
{
	return m->watched;
}

void ghvm_machine_set_patience(struct ghvm_machine *m, unsigned int ms)
{
	m->patience_ms = ms;
}

void ghvm_machine_unpin(struct ghvm_machine *m)
{
	for (size_t i = 0; i < m->n_parcels; i++)
		ghvm_parcel_done(&m->parcels[i]);
}

void ghvm_machine_free(struct ghvm_machine *m)
{
	if (!m)
		return;
	ghvm_transaction_abort(m->transaction);
	closep(&m->grant);
	ghvm_machine_unpin(m);
	ghvm_machine_map_clear(m);
	ghvm_region_table_free(m->map);
	(void)pthread_cond_destroy(&m->cond); /* no waiters any more */
	(void)pthread_mutex_destroy(&m->lock);
	ghvm_ledger_done(&m->own_ledger);
	free(m->parcels);
	free(m);
}

void ghvm_machine_freep(struct ghvm_machine **m)
{
	ghvm_machine_free(*m);
}

/* RM's answers and notifications */

bool ghvm_machine_refused(int r, const struct ghvm_error *e)
{
	return r == -EREMOTEIO && e->rm_message && e->rm_code != GHVM_RM_OK;
}

/* The VM has ended; VM_EXITED, before or after this, tells how. */
static void note_exited(struct ghvm_machine *m, struct ghvm_vmid vmid)
{
	lock(m);
	if (m->vmid.id == vmid.id && !m->exited) {
		m->exited = true;
		m->exit_type = GHVM_EXIT_UNKNOWN;
	}
	unlock(m);
}

int ghvm_machine_ask(struct ghvm_machine *m, struct ghvm_vmid vmid, enum ghvm_vm_status *ret,
		     struct ghvm_error *err)
{
	struct ghvm_rm_vm_state s = {};
	struct ghvm_error e = {};
	int r = ghvm_rm_vm_get_state(m->rm, vmid, &s, &e);

	if (r < 0 && !ghvm_machine_refused(r, &e)) { /* no answer: ask again */
		e = (struct ghvm_error){};
		r = ghvm_rm_vm_get_state(m->rm, vmid, &s, &e);
	}
	if (ghvm_machine_refused(r, &e) && e.rm_code == GHVM_RM_NORESOURCE) {
		*ret = GHVM_VM_NONE;
		return 0;
	}
	if (r < 0) {
		if (err)
			*err = e;
		return r;
	}
	*ret = s.status;
	if (s.status == GHVM_VM_EXITED)
		note_exited(m, vmid);
	return 0;
}

void ghvm_machine_set_vmid(struct ghvm_machine *m, struct ghvm_vmid vmid)
{
	lock(m);
	m->vmid = vmid;
	m->started = false;
	m->settled = false;
	m->told = GHVM_VM_NONE;
	m->asked_crash = false;
	if (vmid.id) /* a new run; otherwise the exit type is kept */
		m->exited = false;
	unlock(m);
	if (vmid.id) /* a VMID that was deallocated may have a new owner already */
		ghvm_rm_name_vmid(m->rm, vmid, m->name);
}

bool ghvm_machine_take_crash_message(struct ghvm_machine *m, char ret[GHVM_CRASH_MESSAGE_SIZE])
{
	if (!m->crash[0])
		return false;
	memcpy(ret, m->crash, sizeof(m->crash));
	m->crash[0] = '\0';
	return true;
}

bool ghvm_machine_may_run(const struct ghvm_machine *m)
{
	struct ghvm_machine *w = (struct ghvm_machine *)m; /* only for its lock */
	bool may;

	lock(w);
	may = m->vmid.id && m->started && !m->exited && !m->settled;
	unlock(w);
	return may;
}

/* VMIDs are reused: VM_EXITED counts only while the VMID is this machine's and has been started. */
static bool handle_exited(struct ghvm_machine *m, const struct ghvm_rm_vm_exited *x)
{
	bool mine;

	lock(m);
	mine = m->vmid.id && m->vmid.id == x->vmid.id && m->started;
	if (mine) {
		m->exited = true;
		m->exit_type = x->type;
		m->news++;
		(void)pthread_cond_broadcast(&m->cond); /* cannot fail */
	}
	unlock(m);
	return mine;
}

/* Wakes waiters, which ask RM for the state unless RM has acted on a request that leads to this one. */
static bool handle_status(struct ghvm_machine *m, const struct ghvm_rm_vm_status *s)
{
	bool mine;

	lock(m);
	mine = m->vmid.id && m->vmid.id == s->vmid.id;
	if (mine) {
		m->told = s->state.status;
		m->news++;
		(void)pthread_cond_broadcast(&m->cond); /* cannot fail */
	}
	unlock(m);
	return mine;
}

void ghvm_machine_hear(struct ghvm_machine *m)
{
	lock(m);
	m->told = GHVM_VM_NONE;
	unlock(m);
}

bool ghvm_machine_told(struct ghvm_machine *m, enum ghvm_vm_status status)
{
	bool told;

	lock(m);
	told = m->vmid.id && m->told == status;
	unlock(m);
	if (told && status == GHVM_VM_EXITED)
		note_exited(m, ghvm_machine_vmid(m));
	return told;
}

bool ghvm_machine_on_notify(struct ghvm_machine *m, const struct ghvm_rm_notification *n)
{
	struct ghvm_rm_vm_exited x;
	struct ghvm_rm_vm_status s;

	if (ghvm_rm_vm_decode_exited(n, &x) == 0)
		return handle_exited(m, &x);
	if (ghvm_rm_vm_decode_status(n, &s) == 0)
		return handle_status(m, &s);
	return ghvm_machine_take_memory(m, n);
}

uint64_t ghvm_machine_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* always there */
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / NS_PER_MS;
}

static struct timespec after_ms(unsigned int ms)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* always there */
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * NS_PER_MS;
	if (t.tv_nsec >= NS_PER_S) {
		t.tv_sec++;
		t.tv_nsec -= NS_PER_S;
	}
	return t;
}

unsigned int ghvm_machine_news(const struct ghvm_machine *m)
{
	unsigned int news;

	lock(m);
	news = m->news;
	unlock(m);
	return news;
}

void ghvm_machine_wait(struct ghvm_machine *m, unsigned int seen, unsigned int ms)
{
	struct timespec until = after_ms(ms);
	int r = 0;

	if (ghvm_machine_news(m) != seen || ghvm_rm_listen(m->rm, ms))
		return;
	lock(m);
	while (r == 0 && m->news == seen)
		r = pthread_cond_timedwait(&m->cond, &m->lock, &until);
	unlock(m);
}

/* accessors */

int ghvm_machine_exited(const struct ghvm_machine *m, enum ghvm_exit_type *ret)
{
	bool exited;

	lock(m);
	exited = m->exited;
	if (exited)
		*ret = m->exit_type;
	unlock(m);
	return exited;
}

struct ghvm_vmid ghvm_machine_vmid(const struct ghvm_machine *m)
{
	struct ghvm_vmid vmid;

	lock(m);
	vmid = m->vmid;
	unlock(m);
	return vmid;
}

uint64_t ghvm_machine_incarnation(const struct ghvm_machine *m)
{
	return m->incarnation;
}

bool ghvm_machine_planned(const struct ghvm_machine *m)
{
	return m->plan;
}

enum ghvm_step_kind ghvm_machine_step(const struct ghvm_machine *m)
{
	return m->step;
}

const struct ghvm_machine_vcpu *ghvm_machine_vcpus(const struct ghvm_machine *m, size_t *ret_n)
{
	*ret_n = m->n_vcpus;
	return m->vcpus;
}

const struct ghvm_machine_doorbell *ghvm_machine_doorbells(const struct ghvm_machine *m,
							   size_t *ret_n)
{
	*ret_n = m->n_doorbells;
	return m->doorbells;
}

int ghvm_machine_grant(const struct ghvm_machine *m)
{
	return m->grant;
}

static uint64_t count_pages(const struct ghvm_machine *m, enum ghvm_parcel_state state)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->n_parcels; i++)
		if (m->parcels[i].state == state)
			n += ghvm_parcel_pages(&m->parcels[i]);
	return n;
}

uint64_t ghvm_machine_entries(const struct ghvm_machine *m, size_t parcel)
{
	return parcel < m->n_parcels ? m->parcels[parcel].n_extents : 0;
}

uint64_t ghvm_machine_huge(struct ghvm_machine *m, size_t parcel)
{
	return parcel < m->n_parcels ? ghvm_parcel_huge(&m->parcels[parcel]) : 0;
}

uint64_t ghvm_machine_pages_lent(const struct ghvm_machine *m)
{
	return count_pages(m, GHVM_PARCEL_LENT);
}

uint64_t ghvm_machine_pages_shared(const struct ghvm_machine *m)
{
	return count_pages(m, GHVM_PARCEL_SHARED);
}

uint64_t ghvm_machine_quarantined(const struct ghvm_machine *m)
{
	uint64_t n = 0;

	for (size_t i = 0; m->undo_failed && i < m->n_parcels; i++)
		if (ghvm_parcel_guarded(&m->parcels[i]))
			n += ghvm_parcel_pages(&m->parcels[i]);
	return n;
}

bool ghvm_machine_undo_failed(const struct ghvm_machine *m)
{
	return m->undo_failed;
}
