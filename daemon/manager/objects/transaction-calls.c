/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Methods of a transaction.
 *
 * File descriptors from callers are only queried for seals and size. That never blocks for a memfd, and
 * fails for other files.
 */
#include "daemon/manager/objects/transaction-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/manager/objects/job.h"
#include "daemon/manager/bus/property.h"
#include "daemon/manager/bus/path.h"
#include "daemon/manager/bus/error-names.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#define INTERFACE BUS_NAME ".Transaction"

/* The maximum bounds how long a stop of the VM or of the manager may have to wait. */
#define COMMIT_MS 10000
#define COMMIT_MAX_MS 20000

static const char *transaction_state_to_string(enum transaction_state s)
{
	static const char *const names[] = {
		[OPEN] = "open",	   [COMMITTING] = "committing",
		[COMMITTED] = "committed", [ROLLED_BACK] = "rolled-back",
		[FAILED] = "failed",
	};

	return names[s];
}

int transaction_read_ms(sd_bus_message *m, const char *key, unsigned int max, unsigned int *ret,
			sd_bus_error *error)
{
	uint32_t ms;
	int r;

	if (strcmp(key, "timeout"))
		return bus_unknown_option(key, error);
	r = sd_bus_message_read(m, "v", "u", &ms);
	if (r < 0)
		return r;
	if (!ms || ms > max)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "timeout %" PRIu32 " ms is out of range: 1 to %u", ms,
					 max);
	*ret = ms;
	return 0;
}

/* Check that the transaction belongs to the caller and is open. */
static int check_open(struct transaction *t, sd_bus_message *m, sd_bus_error *error)
{
	int r = bus_check_host(t->all->bus, error);

	if (r < 0)
		return r;
	if (strcmp(t->sender, sd_bus_message_get_sender(m)))
		return sd_bus_error_set(error, FAILURE_NOT_AUTHORIZED,
					"the transaction belongs to another client");
	if (t->expired)
		return sd_bus_error_set(error, FAILURE_EXPIRED, "the transaction has expired");
	if (t->state != OPEN)
		return sd_bus_error_setf(error, FAILURE_BAD_STATE, "the transaction is %s",
					 transaction_state_to_string(t->state));
	return 0;
}

/**
 * struct wish - options of a region to add
 * @has_label, @has_address, @has_size: the option was given
 */
struct wish {
	struct ghvm_transaction_add add;
	bool has_label;
	bool has_address;
	bool has_size;
};

static int add_option(sd_bus_message *m, const char *key, void *data, sd_bus_error *error)
{
	struct wish *w = data;
	int yes = 0, r;

	if (!strcmp(key, "label")) {
		w->has_label = true;
		return sd_bus_message_read(m, "v", "u", &w->add.label);
	}
	if (!strcmp(key, "address")) {
		w->has_address = true;
		return sd_bus_message_read(m, "v", "t", &w->add.ipa);
	}
	if (!strcmp(key, "size")) {
		w->has_size = true;
		return sd_bus_message_read(m, "v", "t", &w->add.size);
	}
	if (strcmp(key, "readonly"))
		return bus_unknown_option(key, error);
	r = sd_bus_message_read(m, "v", "b", &yes);
	w->add.readonly = yes;
	return r;
}

static int read_wish(sd_bus_message *m, struct wish *ret, sd_bus_error *error)
{
	const char *missing = NULL;
	int r = bus_read_known_options(m, add_option, ret, error);

	if (r < 0)
		return r;
	if (!ret->has_label)
		missing = "label";
	else if (!ret->has_address)
		missing = "address";
	else if (!ret->has_size)
		missing = "size";
	return missing ? sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					   "option '%s' is missing", missing)
		       : 0;
}

/* The error name: Misaligned only if address or size are in fact not aligned. */
static const char *name_of(const struct ghvm_error *err, const struct ghvm_transaction_add *a)
{
	if (err->code == -EINVAL && a->size && !((a->ipa | a->size) & (GHVM_PAGE - 1)))
		return FAILURE_INVALID_ARGS;
	return failure_name_of_region(err);
}

static int add_region(struct transaction *t, const struct ghvm_transaction_add *a,
		      sd_bus_error *error)
{
	struct ghvm_error err = {};
	int r;

	r = manager_allows(t->all->bus->manager, t->vm, a->size, vm_transaction_untouched(a), &err);
	if (r == 0)
		r = vm_transaction_add(t->vm, a, &err);
	return r < 0 ? sd_bus_error_set(error, name_of(&err, a), err.msg) : 0;
}

/* AddRegion(h memory, a{sv}) */
static int method_add(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct transaction *t = userdata;
	struct wish w = {};
	int r;

	r = check_open(t, m, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "h", &w.add.memfd); /* borrowed from @m */
	if (r >= 0)
		r = read_wish(m, &w, error);
	if (r >= 0)
		r = add_region(t, &w.add, error);
	return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int make_memory(uint64_t size)
{
	_cleanup_(closep) int fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int add_fresh(struct transaction *t, struct wish *w, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_(closep) int fd = -1;
	struct ghvm_error err = {};
	int r;

	if (manager_allows(t->all->bus->manager, t->vm, w->add.size, w->add.size, &err) < 0)
		return bus_fail(error, &err); /* before memory of this size is allocated */
	fd = make_memory(w->add.size);
	if (fd < 0)
		return fd;
	w->add.memfd = fd;
	r = add_region(t, &w->add, error);
	return r < 0 ? r : sd_bus_reply_method_return(m, "h", fd);
}

/* AddFreshRegion(a{sv}) -> h memory */
static int method_add_fresh(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct transaction *t = userdata;
	struct wish w = {};
	int r;

	r = check_open(t, m, error);
	if (r >= 0)
		r = read_wish(m, &w, error);
	return r < 0 ? r : add_fresh(t, &w, m, error);
}

/* RemoveRegion(u label, a{sv}) */
static int method_remove(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct transaction *t = userdata;
	struct ghvm_error err = {};
	uint32_t label;
	int r;

	r = check_open(t, m, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "u", &label);
	if (r >= 0)
		r = bus_read_options(m, error);
	if (r < 0)
		return r;
	if (vm_transaction_remove(t->vm, label, &err) < 0)
		return sd_bus_error_set(error, failure_name_of_region(&err), err.msg);
	return sd_bus_reply_method_return(m, NULL);
}

/* Plan(a{sv}) -> h: JSON in a sealed memfd */
static int method_plan(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(freep) char *json = NULL;
	struct transaction *t = userdata;
	int r;

	r = check_open(t, m, error);
	if (r >= 0)
		r = bus_read_options(m, error);
	if (r < 0)
		return r;
	json = vm_transaction_to_json(t->vm);
	return json ? bus_reply_text(m, json) : -ENOMEM;
}

static int commit_option(sd_bus_message *m, const char *key, void *data, sd_bus_error *error)
{
	return transaction_read_ms(m, key, COMMIT_MAX_MS, data, error);
}

/* Commit(a{sv}) -> o job */
static int method_commit(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct transaction *t = userdata;
	unsigned int ms = COMMIT_MS;
	int r;

	r = check_open(t, m, error);
	if (r >= 0)
		r = bus_read_known_options(m, commit_option, &ms, error);
	if (r < 0)
		return r;
	r = job_commit(t->all->bus->jobs, t->vm, ms, t->uid, m, error);
	if (t->vm->transaction.committing) /* even if the reply with the job cannot be sent */
		transaction_set_state(t, COMMITTING);
	return r;
}

/* Rollback(a{sv}) */
static int method_rollback(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct transaction *t = userdata;
	int r;

	r = check_open(t, m, error);
	if (r >= 0)
		r = bus_read_options(m, error);
	if (r < 0)
		return r;
	transaction_roll_back(t);
	return sd_bus_reply_method_return(m, NULL);
}

/* --- properties --- */

static int get_vm(sd_bus *bus, const char *path, const char *interface, const char *property,
		  sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct transaction *t = userdata;
	_cleanup_(freep) char *vm = bus_vm_path(t->vm);

	return vm ? sd_bus_message_append(reply, "o", vm) : -ENOMEM;
}

PROPERTY_GETTER(state, const struct transaction *t, text, transaction_state_to_string(t->state))
PROPERTY_GETTER(expires, const struct transaction *t, number, t->expires)

PROPERTY_TABLE(INTERFACE, BUS_TRANSACTION_PROPERTIES)

int transaction_tell(sd_bus *conn, const char *path)
{
	return property_tell_all(conn, path, &table);
}

const sd_bus_vtable transaction_vtable[] = {
	SD_BUS_VTABLE_START(0),
	BUS_TRANSACTION_PROPERTIES(PROPERTY_VTABLE, PROPERTY_VTABLE_OTHER)
		SD_BUS_METHOD_WITH_ARGS("AddRegion", SD_BUS_ARGS("h", memory, "a{sv}", options),
					SD_BUS_NO_RESULT, method_add, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("AddFreshRegion", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("h", memory), method_add_fresh,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RemoveRegion", SD_BUS_ARGS("u", label, "a{sv}", options),
				SD_BUS_NO_RESULT, method_remove, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Plan", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", plan),
				method_plan, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Commit", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job),
				method_commit, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Rollback", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
				method_rollback, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};
