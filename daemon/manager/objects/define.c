/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DefineVM and UndefineVM.
 *
 * The descriptor is stored as it was sent, except that each fd:KEY becomes the path of the copy.
 */
#include "daemon/manager/objects/define.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/bus/path.h"
#include "daemon/manager/bus/peer.h"
#include "daemon/manager/bus/polkit.h"
#include "daemon/manager/bus/sent.h"
#include "daemon/manager/core/log.h"
#include "daemon/manager/core/op.h"
#include "daemon/manager/state/definition.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/spec/files.h"

#define CHANGES_PER_UID 2
#define CHANGES_MAX 16 /* of users other than root */

/**
 * struct change - a definition that is being written or removed
 * @d: of a removal only the directory and the name
 * @request: the call; its files are in use until the end
 * @link: to the caller, who may leave
 */
struct change {
	struct definitions *all;
	struct change *next;
	struct definition d;
	bool removes;
	struct op op;
	sd_bus_message *request;
	uid_t uid;
	struct peer_link link;
};

struct definitions {
	struct bus *bus;
	struct change *first;
};

/**
 * struct wish - the arguments of DefineVM; borrowed from the message, except @text
 */
struct wish {
	const char *name;
	int spec;
	struct sent_files files;
	int replace;
	uid_t uid;
	char *text;
	size_t len;
};

static void wish_done(struct wish *w)
{
	free(w->text);
	(void)malloc_trim(0); /* return the memory used for parsing */
}

/* --- changes --- */

static struct change *find_change(const struct definitions *all, const char *name)
{
	struct change *c = all->first;

	while (c && strcmp(c->d.name, name) != 0)
		c = c->next;
	return c;
}

static void mark_vm(const struct change *c, bool changing)
{
	struct vm *vm = manager_known(c->all->bus->manager, c->d.name);

	if (vm)
		vm->changing = changing;
}

static void change_free(struct change *c)
{
	struct change **at = &c->all->first;

	while (*at && *at != c)
		at = &(*at)->next;
	if (*at)
		*at = c->next;
	mark_vm(c, false);
	peer_unlink(&c->link);
	op_done(&c->op);
	definition_done(&c->d);
	(void)sd_bus_message_unref(c->request);
	free(c);
}

static int run_change(void *data, struct ghvm_error *err)
{
	struct change *c = data;

	return c->removes ? definition_remove(c->d.dir, c->d.name, err)
			  : definition_write(&c->d, err);
}

static int reply_vm(struct bus *b, struct change *c)
{
	const struct vm *vm = manager_known(b->manager, c->d.name);
	_cleanup_(freep) char *path = vm ? bus_vm_path(vm) : NULL;

	return path ? sd_bus_reply_method_return(c->request, "o", path)
		    : sd_bus_reply_method_errno(c->request, ENOMEM, NULL);
}

static void on_changed(void *data, int result, const struct ghvm_error *err)
{
	struct change *c = data;
	struct bus *b = c->all->bus;
	const struct log_about a = { .vm = c->d.name };
	int r;

	mark_vm(c, false);
	if (result < 0) {
		r = sd_bus_reply_method_errorf(c->request, failure_name(err), "%s", err->msg);
	} else {
		log_info(&a, "%s over the bus for user %u", c->removes ? "Undefined" : "Defined",
			 c->uid);
		manager_reread(b->manager); /* announces the VM, or its end */
		r = c->removes ? sd_bus_reply_method_return(c->request, NULL) : reply_vm(b, c);
	}
	if (r < 0)
		log_warning(&a, r, "Cannot reply");
	change_free(c);
	bus_kick(b);
}

static const struct op_calls change_calls = { .run = run_change, .on_done = on_changed };

static void on_uid(void *data, uid_t uid)
{
}

static void on_gone(void *data)
{
	struct change *c = data;

	atomic_store(&c->d.cancelled, true);
}

/* Link @c, which is filled in, and start its thread. On failure it is freed. */
static int change_begin(struct change *c, struct definitions *all, sd_bus_message *m)
{
	uid_t uid;
	int r;

	c->all = all;
	c->request = sd_bus_message_ref(m);
	c->link = (struct peer_link){ .data = c, .on_uid = on_uid, .on_gone = on_gone };
	r = op_init(&c->op, all->bus->loop);
	if (r >= 0)
		r = peers_link(all->bus->peers, m, &c->link, &uid);
	if (r >= 0)
		r = peer_watch(&c->link);
	if (r >= 0)
		r = op_start(&c->op, &change_calls, c);
	if (r < 0) {
		change_free(c);
		return r;
	}
	c->next = all->first;
	all->first = c;
	mark_vm(c, true);
	return 1;
}

/* --- may it be changed now? --- */

/* The descriptor that a start of @name would use. Return: whether there is one. */
static bool find_descriptor(const struct manager *m, const char *name, char ret[PATH_MAX])
{
	const char *const *dirs = ghvm_spec_dirs(m->options->vms_dirs);
	struct stat st;

	for (; *dirs; dirs++) {
		(void)snprintf(ret, PATH_MAX, "%s/%s.yaml", *dirs, name); /* ours: fits */
		if (lstat(ret, &st) == 0)
			return true;
	}
	return false;
}

static bool is_definition(const struct manager *m, const char *name, const char *path)
{
	char own[PATH_MAX];

	(void)snprintf(own, sizeof(own), "%s/" DEFINITION_VMS "/%s.yaml",
		       m->options->definition_dir, name); /* ours: fits */
	return !strcmp(own, path);
}

static int check_quota(const struct definitions *all, uid_t uid, sd_bus_error *error)
{
	unsigned int own = 0, others = 0;

	if (peer_trusted(uid))
		return 0;
	for (const struct change *c = all->first; c; c = c->next) {
		own += c->uid == uid;
		others += !peer_trusted(c->uid);
	}
	if (own >= CHANGES_PER_UID || others >= CHANGES_MAX)
		return sd_bus_error_setf(
			error, FAILURE_QUOTA,
			"%u definitions of this user and %u of all users are being "
			"written: wait until one is done",
			own, others);
	return 0;
}

static int check_change(const struct definitions *all, const char *name, sd_bus_error *error)
{
	if (!find_change(all, name))
		return 0;
	return sd_bus_error_setf(error, FAILURE_BUSY,
				 "another call defines or undefines %s at this moment", name);
}

/* Nothing uses the files of the VM, and no other client changes it. */
static int check_rest(const struct definitions *all, const char *name, sd_bus_error *error)
{
	const struct vm *vm = manager_known(all->bus->manager, name);
	int r = check_change(all, name, error);

	if (r < 0)
		return r;
	if (vm && vm->transient)
		return sd_bus_error_setf(error, FAILURE_BUSY, "%s is a transient VM: stop it first",
					 name);
	if (vm && !vm_vacant(vm))
		return sd_bus_error_setf(error, FAILURE_BUSY, "%s is %s: stop it first", name,
					 vm_state_to_string(vm->state));
	return 0;
}

int definitions_check_new(const struct definitions *all, const char *name, sd_bus_error *error)
{
	char path[PATH_MAX];
	int r = check_change(all, name, error);

	if (r < 0 || !find_descriptor(all->bus->manager, name, path))
		return r;
	return sd_bus_error_setf(error, FAILURE_VM_EXISTS,
				 "%s is described by %s: start that VM, or use another name", name,
				 path);
}

static int check_new(const struct definitions *all, const struct wish *w, sd_bus_error *error)
{
	const struct manager *m = all->bus->manager;
	char path[PATH_MAX];

	if (!find_descriptor(m, w->name, path)) {
		if (m->n_vms < MANAGER_VMS_MAX)
			return 0;
		return sd_bus_error_setf(error, FAILURE_QUOTA, "there are %d VMs already",
					 MANAGER_VMS_MAX);
	}
	if (!is_definition(m, w->name, path))
		return sd_bus_error_setf(error, FAILURE_VM_EXISTS,
					 "%s is described by %s: change that file, or use another "
					 "name",
					 w->name, path);
	if (!w->replace)
		return sd_bus_error_setf(error, FAILURE_VM_EXISTS,
					 "%s is defined already: undefine it, or replace it with "
					 "the option 'replace' (ghvmctl define --force)",
					 w->name);
	return 0;
}

/* --- DefineVM --- */

static int read_option(sd_bus_message *m, const char *key, void *data, sd_bus_error *error)
{
	struct wish *w = data;

	return strcmp(key, "replace") ? bus_unknown_option(key, error)
				      : sd_bus_message_read(m, "v", "b", &w->replace);
}

/* Return: as auth_check(). */
static int read_wish(struct bus *b, sd_bus_message *m, struct wish *ret, sd_bus_error *error)
{
	int r = bus_check_hypervisor(b, error);

	if (r >= 0)
		r = sd_bus_message_read(m, "sh", &ret->name, &ret->spec);
	if (r >= 0)
		r = sent_check_name(ret->name, error);
	if (r >= 0)
		r = sent_read_files(m, DEFINITION_FILE_MAX, &ret->files, error);
	if (r >= 0)
		r = bus_read_known_options(m, read_option, ret, error);
	if (r < 0)
		return r;
	r = auth_check_vm(b->auth, m, "org.gunyah.vmm1.define", ret->name, &ret->uid, error);
	if (r <= 0)
		return r;
	r = sent_read_text(ret->spec, &ret->text, &ret->len, error);
	return r < 0 ? r : 1;
}

/* What the path @p of the descriptor becomes: a copy, a file that is kept, or, for root, itself. */
static int take_path(struct definition *d, struct wish *w, const struct ghvm_spec *spec,
		     const struct ghvm_spec_path *p, sd_bus_error *error)
{
	const char *key = spec_path_key(p->value);
	struct sent_file *sent = key ? sent_find(&w->files, key) : NULL;
	struct definition_file *f = &d->files[d->n_files];

	if (key && !sent)
		return sent_fail_path(spec, p, "no-such-file", "the call has no file of this key",
				      error);
	if (d->n_files == DEFINITION_FILES_MAX)
		return sent_fail_path(spec, p, "range", "too many files", error);
	*f = (struct definition_file){ .fd = -1 };
	memcpy(f->key, p->key, sizeof(f->key));
	if (sent) {
		sent->used = true;
		f->fd = sent->fd;
		f->size = sent->size;
	} else if (!definition_keeps(d, p->value, f->kept)) {
		return peer_trusted(w->uid)
			       ? 0
			       : sent_fail_path(spec, p, "host-path",
						"only root may name files of the host; "
						"send the file, and write fd:KEY",
						error);
	}
	d->n_files++;
	return 1;
}

static int check_files(const struct definition *d, const struct wish *w, sd_bus_error *error)
{
	uint64_t total = 0;

	int r = sent_check_used(&w->files, error);

	if (r < 0)
		return r;
	for (size_t i = 0; i < d->n_files; i++)
		total += d->files[i].size; /* each at most DEFINITION_FILE_MAX */
	if (total > DEFINITION_TOTAL_MAX)
		return sd_bus_error_setf(error, FAILURE_QUOTA,
					 "the files have more than %llu bytes together",
					 (unsigned long long)DEFINITION_TOTAL_MAX);
	return 0;
}

/* The descriptor with the paths of the copies; it must be one as well. */
static int make_text(struct definition *d, const struct wish *w, const struct ghvm_spec *spec,
		     const char *const *paths, sd_bus_error *error)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec again = {};
	struct ghvm_error err = {};

	d->text = spec_replace_paths(spec, w->text, w->len, paths, &d->len);
	if (!d->text)
		return -ENOMEM;
	if (ghvm_spec_parse(d->name, spec->files[0], d->text, d->len, &again, &all, &err) < 0)
		return sent_fail(&all, &err, error);
	return 0;
}

static int fill_definition(struct definition *d, struct wish *w, const struct ghvm_spec *spec,
			   sd_bus_error *error)
{
	char *paths[DEFINITION_FILES_MAX] = {};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < spec->n_paths; i++) {
		if (i == DEFINITION_FILES_MAX)
			r = sent_fail_path(spec, &spec->paths[i], "range", "too many files", error);
		else
			r = take_path(d, w, spec, &spec->paths[i], error);
		if (r > 0 && !(paths[i] = definition_path(d, spec->paths[i].key)))
			r = -ENOMEM;
	}
	if (r >= 0)
		r = check_files(d, w, error);
	if (r >= 0)
		r = make_text(d, w, spec, (const char *const *)paths, error);
	for (size_t i = 0; i < DEFINITION_FILES_MAX; i++)
		free(paths[i]);
	return r;
}

/* Parse the descriptor, and give each of its paths a file. */
static int make_definition(struct definition *d, struct wish *w, sd_bus_error *error)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	char file[GHVM_NAME_SIZE + 8];
	struct ghvm_error err = {};
	int r;

	(void)snprintf(file, sizeof(file), "%s.yaml", w->name); /* fits */
	if (spec_parse_sent(w->name, file, w->text, w->len, &spec, &all, &err) < 0)
		return sent_fail(&all, &err, error);
	r = sent_check_auth(&spec, w->uid, error);
	return r < 0 ? r : fill_definition(d, w, &spec, error);
}

int definitions_define(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(wish_done) struct wish w = {};
	struct bus *b = userdata;
	struct change *c;
	int r;

	r = read_wish(b, m, &w, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	r = check_quota(b->definitions, w.uid, error);
	if (r >= 0)
		r = check_rest(b->definitions, w.name, error);
	if (r >= 0)
		r = check_new(b->definitions, &w, error);
	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->uid = w.uid;
	r = definition_init(&c->d, b->manager->options->definition_dir, w.name, w.uid);
	c->d.limited = !peer_trusted(w.uid);
	if (r >= 0)
		r = make_definition(&c->d, &w, error);
	if (r >= 0)
		return change_begin(c, b->definitions, m);
	definition_done(&c->d);
	free(c);
	return r;
}

/* --- UndefineVM --- */

static int check_defined(struct bus *b, const char *name, sd_bus_error *error)
{
	struct ghvm_error err = {};
	char path[PATH_MAX];

	if (!find_descriptor(b->manager, name, path)) {
		(void)ghvm_spec_absent(name, b->manager->options->vms_dirs, &err);
		return bus_fail(error, &err);
	}
	if (!is_definition(b->manager, name, path))
		return sd_bus_error_setf(error, FAILURE_BAD_STATE,
					 "%s was not defined over the bus: it is described by %s",
					 name, path);
	return 0;
}

int definitions_undefine(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const char *name;
	struct change *c;
	uid_t uid;
	int r;

	r = bus_check_hypervisor(b, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &name);
	if (r >= 0)
		r = sent_check_name(name, error);
	if (r >= 0)
		r = bus_read_options(m, error);
	if (r < 0)
		return r;
	r = auth_check_vm(b->auth, m, "org.gunyah.vmm1.undefine", name, &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	r = check_quota(b->definitions, uid, error);
	if (r >= 0)
		r = check_rest(b->definitions, name, error);
	if (r >= 0)
		r = check_defined(b, name, error);
	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->uid = uid;
	c->removes = true;
	c->d.dir = b->manager->options->definition_dir;
	(void)snprintf(c->d.name, sizeof(c->d.name), "%s", name); /* valid: fits */
	return change_begin(c, b->definitions, m);
}

int definitions_new(struct bus *b, struct definitions **ret)
{
	struct definitions *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->bus = b;
	*ret = all;
	return 0;
}

void definitions_free(struct definitions *all)
{
	if (!all)
		return;
	for (struct change *c = all->first; c; c = c->next)
		atomic_store(&c->d.cancelled, true);
	while (all->first)
		change_free(all->first);
	free(all);
}
