/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.gunyah.vmm1.Transaction.
 *
 * The object keeps its client, its time limit and its state; the changes are kept in the VM.
 */
#include "daemon/manager/objects/transaction.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "daemon/manager/bus/polkit.h"
#include "daemon/manager/objects/job.h"
#include "daemon/manager/objects/transaction-internal.h"
#include "daemon/manager/bus/path.h"
#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/core/log.h"
#include "libghvm/base/cleanup.h"

#define INTERFACE BUS_NAME ".Transaction"
#define KEPT 64 /* ended transactions of a user */
#define TIMEOUT_MS 30000
#define TIMEOUT_MAX_MS 600000
#define FIRST_ID_MAX 0x3fffffffU

static bool over(const struct transaction *t)
{
	return t->state != OPEN && t->state != COMMITTING;
}

static char *path_of(const struct transaction *t)
{
	_cleanup_(freep) char *base = bus_vm_path(t->vm);
	char *path = NULL;

	if (!base || asprintf(&path, "%s" BUS_TRANSACTION "%" PRIu32, base, t->id) < 0)
		return NULL;
	return path;
}

/* --- life cycle --- */

static void stop_watching(struct transaction *t)
{
	loop_timer_disarm(&t->timer);
	peer_unlink(&t->link);
}

static void free_transaction(struct transaction *t)
{
	struct transaction **at = &t->all->first;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	stop_watching(t);
	loop_watch_done(&t->timer);
	quota_release(&t->claim);
	free(t->sender);
	free(t);
}

/* Announce the removal while the object is still visible, then free it. */
static void discard_transaction(struct transaction *t)
{
	_cleanup_(freep) char *path = path_of(t);
	const struct log_about a = { .vm = t->vm->name };

	if (!path || sd_bus_emit_object_removed(t->all->bus->conn, path) < 0)
		log_warning(&a, 0, "Cannot announce the end of a transaction on the bus");
	bus_defer(t->all->bus);
	free_transaction(t);
}

static void forget_old(struct transactions *ts, uid_t uid)
{
	struct transaction *oldest = NULL;
	unsigned int n = 0;

	for (struct transaction *t = ts->first; t; t = t->next) {
		if (!over(t) || t->uid != uid)
			continue;
		if (!oldest)
			oldest = t;
		n++;
	}
	if (n > KEPT)
		discard_transaction(oldest);
}

void transaction_set_state(struct transaction *t, enum transaction_state state)
{
	_cleanup_(freep) char *path = path_of(t);
	const struct log_about a = { .vm = t->vm->name };

	t->state = state;
	if (!path || transaction_tell(t->all->bus->conn, path) < 0)
		log_warning(&a, 0, "Cannot announce the state of a transaction on the bus");
	bus_defer(t->all->bus);
	if (state == OPEN)
		return;
	stop_watching(t);
	quota_release(&t->claim);
}

void transaction_roll_back(struct transaction *t)
{
	vm_transaction_rollback(t->vm);
	transaction_set_state(t, ROLLED_BACK);
	forget_old(t->all, t->uid);
}

static void on_expiry(void *data)
{
	struct transaction *t = data;

	t->expired = true;
	transaction_roll_back(t);
}

/* The VM has ended the transaction. */
static void on_end(void *data, enum vm_transaction_end end, const struct ghvm_error *err)
{
	static const enum transaction_state states[] = {
		[VM_TRANSACTION_COMMITTED] = COMMITTED,
		[VM_TRANSACTION_FAILED] = FAILED,
		[VM_TRANSACTION_ROLLED_BACK] = ROLLED_BACK,
	};
	struct transaction *t = data;
	struct transactions *ts = t->all;

	jobs_on_commit(ts->bus->jobs, t->vm, end == VM_TRANSACTION_COMMITTED ? NULL : err);
	transaction_set_state(t, states[end]);
	if (t->vm->state != VM_RUNNING)
		discard_transaction(t);
	else
		forget_old(ts, t->uid);
}

void transactions_on_vm_state(struct transactions *ts, const struct vm *vm)
{
	struct transaction *next;

	if (vm->state == VM_RUNNING)
		return;
	for (struct transaction *t = ts->first; t; t = next) {
		next = t->next;
		if (t->vm == vm && over(t))
			discard_transaction(t);
	}
}

/* --- client leaves --- */

static void on_gone(void *data)
{
	struct transaction *t = data;

	if (t->state == OPEN)
		transaction_roll_back(t);
}

/* Unused: the client was authorized before, so its uid is known. */
static void on_uid(void *data, uid_t uid)
{
}

static int watch_sender(struct transaction *t, sd_bus_message *m)
{
	uid_t uid;
	int r;

	t->link = (struct peer_link){ .data = t, .on_uid = on_uid, .on_gone = on_gone };
	r = peers_link(t->all->bus->peers, m, &t->link, &uid);
	return r < 0 ? r : peer_watch(&t->link);
}

/* --- beginning --- */

static int begin_option(sd_bus_message *m, const char *key, void *data, sd_bus_error *error)
{
	return transaction_read_ms(m, key, TIMEOUT_MAX_MS, data, error);
}

static int new_transaction(struct transactions *ts, struct vm *vm, const char *sender, uid_t uid,
			   struct transaction **ret)
{
	struct transaction *t = calloc(1, sizeof(*t)), **end = &ts->first;

	if (!t)
		return -ENOMEM;
	t->sender = strdup(sender);
	if (!t->sender) {
		free(t);
		return -ENOMEM;
	}
	t->all = ts;
	t->vm = vm;
	t->uid = uid;
	quota_claim(&ts->bus->quota, uid, &t->claim);
	t->id = ++ts->last_id;
	while (*end)
		end = &(*end)->next;
	*end = t;
	*ret = t;
	return 0;
}

static int start_watching(struct transaction *t, unsigned int ms, sd_bus_message *m)
{
	struct timespec now;
	int r;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	t->expires =
		(uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 + (uint64_t)ms * 1000;
	r = loop_watch_timer(t->all->bus->loop, &t->timer, on_expiry, t);
	if (r >= 0)
		r = loop_timer_arm(&t->timer, ms);
	return r < 0 ? r : watch_sender(t, m);
}

/* Make the transaction visible on the bus, then reply with its path. */
static int publish_transaction(struct transaction *t, unsigned int ms, sd_bus_message *m)
{
	_cleanup_(freep) char *path = path_of(t);
	int r = path ? start_watching(t, ms, m) : -ENOMEM;

	if (r >= 0)
		r = sd_bus_emit_object_added(t->all->bus->conn, path);
	return r < 0 ? r : sd_bus_reply_method_return(m, "o", path);
}

int transaction_begin(struct transactions *ts, struct vm *vm, sd_bus_message *m,
		      sd_bus_error *error)
{
	struct vm_transaction_owner owner = { .on_end = on_end };
	unsigned int ms = TIMEOUT_MS;
	struct ghvm_error err = {};
	struct transaction *t;
	uid_t uid;
	int r;

	r = bus_read_known_options(m, begin_option, &ms, error);
	if (r < 0)
		return r;
	r = auth_check(ts->bus->auth, m, "org.gunyah.vmm1.memory", &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	r = quota_check(&ts->bus->quota, ts->bus->conn, uid, error);
	if (r >= 0)
		r = new_transaction(ts, vm, sd_bus_message_get_sender(m), uid, &t);
	if (r < 0)
		return r;
	owner.data = t;
	r = vm_transaction_begin(vm, &owner, &err);
	if (r < 0) {
		free_transaction(t);
		return sd_bus_error_set(error, failure_name_of_region(&err), err.msg);
	}
	r = publish_transaction(t, ms, m);
	if (r < 0) {
		vm_transaction_rollback(vm);
		discard_transaction(t);
	}
	return r < 0 ? r : 1;
}

/* --- objects --- */

/* For an unknown number the error is NoSuchTransaction, not that the method does not exist. */
static int find_transaction(sd_bus *bus, const char *path, const char *interface, void *userdata,
			    void **ret_found, sd_bus_error *error)
{
	struct transactions *ts = userdata;
	const struct vm *vm;
	uint32_t id = 0;

	if (!strstr(path, BUS_TRANSACTION))
		return 0;
	vm = bus_vm_below(ts->bus, path, BUS_TRANSACTION, &id);
	for (struct transaction *t = ts->first; vm && t; t = t->next) {
		if (t->vm != vm || t->id != id)
			continue;
		*ret_found = t;
		return 1;
	}
	return sd_bus_error_set(error, FAILURE_NO_SUCH_TRANSACTION, "no such transaction");
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
		     sd_bus_error *error)
{
	struct transactions *ts = userdata;
	size_t n = 0, at = 0;
	char **nodes;

	for (struct transaction *t = ts->first; t; t = t->next)
		n++;
	nodes = calloc(n + 1, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	for (struct transaction *t = ts->first; t; t = t->next) {
		nodes[at] = path_of(t);
		at += !!nodes[at]; /* not listed if out of memory */
	}
	*ret_nodes = nodes;
	return 1;
}

int transactions_new(struct bus *b, struct transactions **ret)
{
	struct transactions *ts = calloc(1, sizeof(*ts));
	int r;

	if (!ts)
		return -ENOMEM;
	ts->bus = b;
	*ret = ts;
	if (getrandom(&ts->last_id, sizeof(ts->last_id), GRND_INSECURE) != sizeof(ts->last_id))
		return -errno;
	ts->last_id &= FIRST_ID_MAX;
	r = sd_bus_add_fallback_vtable(b->conn, NULL, BUS_VM_PREFIX, INTERFACE, transaction_vtable,
				       find_transaction, ts);
	return r < 0 ? r : sd_bus_add_node_enumerator(b->conn, NULL, BUS_VM_PREFIX, enumerate, ts);
}

void transactions_free(struct transactions *ts)
{
	if (!ts)
		return;
	while (ts->first) {
		if (!over(ts->first))
			vm_transaction_rollback(ts->first->vm);
		free_transaction(ts->first);
	}
	free(ts);
}
