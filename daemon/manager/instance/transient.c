/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the call of a transient VM has brought.
 */
#include "daemon/manager/instance/transient.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/manager/instance/internal.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/spec/paths.h"
#include "libghvm/spec/print.h"

int transient_new(uid_t uid, struct transient **ret)
{
	struct transient *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->uid = uid;
	t->text = -1;
	for (size_t i = 0; i < GHVM_LINK_KINDS; i++)
		t->fds[i] = -1;
	*ret = t;
	return 0;
}

void transient_free(struct transient *t)
{
	if (!t)
		return;
	closep(&t->text);
	for (size_t i = 0; i < GHVM_LINK_KINDS; i++)
		closep(&t->fds[i]);
	free(t);
}

void transient_freep(struct transient **t)
{
	transient_free(*t);
}

static int keep_file(struct transient *t, int *slot, int fd, uint64_t max, struct ghvm_error *err)
{
	uint64_t size = 0;
	int r = ghvm_file_sealed(fd, max, &size, err);

	if (r < 0)
		return r;
	if (*slot >= 0)
		return ghvm_error_set(err, -EEXIST, "there is such a file already");
	*slot = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (*slot < 0)
		return ghvm_error_set(err, -errno, "cannot be kept: %s", strerror(errno));
	t->bytes += size; /* each at most TRANSIENT_FILE_MAX */
	return 0;
}

static bool is_same(int fd, const struct store_file *was)
{
	struct store_file now;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	guest_file_of(&st, &now);
	return !memcmp(&now, was, sizeof(now));
}

int transient_keep(struct transient *t, enum ghvm_link_kind kind, int fd, struct ghvm_error *err)
{
	if (t->recalled && !is_same(fd, &t->was[kind]))
		return ghvm_error_set(err, -ESTALE, "it is not the file of the start");
	return keep_file(t, &t->fds[kind], fd, TRANSIENT_FILE_MAX, err);
}

/* A copy, which cannot become longer: it is passed to clients. */
int transient_keep_text(struct transient *t, int fd, struct ghvm_error *err)
{
	_cleanup_(freep) char *text = NULL;
	uint64_t size = 0;
	size_t len;
	int r = ghvm_file_sealed(fd, GHVM_SPEC_FILE_MAX, &size, err);

	if (r < 0)
		return r;
	r = ghvm_file_read(fd, size, &text, &len);
	if (r == 0)
		r = t->text = ghvm_file_seal("descriptor", text, len);
	if (r < 0)
		return ghvm_error_set(err, r, "the descriptor cannot be kept: %s", strerror(-r));
	t->bytes += len;
	return 0;
}

int transient_open_text(const struct transient *t)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", t->text); /* fits */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int transient_spec(const struct transient *t, const char *name, struct ghvm_spec *ret,
		   struct ghvm_complaints *complaints, struct ghvm_error *err)
{
	_cleanup_(freep) char *text = NULL;
	char file[GHVM_NAME_SIZE + 8];
	size_t len;
	int r = ghvm_file_read(t->text, GHVM_SPEC_FILE_MAX, &text, &len);

	if (r < 0)
		return ghvm_error_set(err, r, "%s: cannot read its descriptor: %s", name,
				      strerror(-r));
	(void)snprintf(file, sizeof(file), "%s.yaml", name); /* fits */
	return spec_parse_sent(name, file, text, len, ret, complaints, err);
}

/* --- an earlier manager's --- */

static int recall_text(struct transient *t, const struct ghvm_spec *spec)
{
	_cleanup_(freep) char *text = spec_explain(spec); /* a key a line, for messages */

	t->text = text ? ghvm_file_seal("descriptor", text, strlen(text)) : -ENOMEM;
	return t->text < 0 ? t->text : 0;
}

static int recall_overlay(struct transient *t, const struct store_origin *o)
{
	int *slot = &t->fds[GHVM_LINK_OVERLAY];

	if (!o->overlay_size)
		return 0;
	*slot = ghvm_file_seal("overlay", o->overlay, o->overlay_size);
	t->bytes += o->overlay_size;
	return *slot < 0 ? *slot : 0;
}

int transient_recall(const struct store_record *rec, struct transient **ret)
{
	_cleanup_(transient_freep) struct transient *t = NULL;
	int r = transient_new(rec->transient_uid, &t);

	if (r < 0)
		return r;
	t->recalled = true;
	t->was[GHVM_LINK_KERNEL] = rec->origin.kernel;
	t->was[GHVM_LINK_INITRD] = rec->origin.initrd;
	r = recall_text(t, &rec->spec);
	if (r == 0 && rec->spec.dtb_overlay && spec_path_key(rec->spec.dtb_overlay))
		r = recall_overlay(t, &rec->origin);
	if (r == 0)
		*ret = TAKE_PTR(t);
	return r;
}

/* --- a guest --- */

static int give_file(const struct transient *t, struct guest *g, const struct ghvm_need *n,
		     struct ghvm_error *err)
{
	_cleanup_(closep) int fd = -1;
	int r;

	if (!n->path || !spec_path_key(n->path))
		return 0;
	if (t->fds[n->kind] < 0)
		return ghvm_error_set(err, -ENOENT,
				      "%s: '%s' was lost, because the manager and the runner have "
				      "both ended: run the VM again",
				      n->key, n->path);
	fd = fcntl(t->fds[n->kind], F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return ghvm_error_set(err, -errno, "%s: %s", n->key, strerror(errno));
	r = guest_give(g, n->kind, n->index, fd, err);
	if (r == 0)
		(void)TAKE_FD(fd);
	return r;
}

int transient_give(const struct transient *t, struct guest *g, struct ghvm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->n_needs; i++)
		r = give_file(t, g, &g->needs[i].is, err);
	return r;
}
