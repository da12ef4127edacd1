/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest in a later manager.
 *
 * A later manager makes the plan again from the state file. For a reboot in place it also needs the
 * images, and opens them itself: the file descriptors of the first manager are gone, and keeping them in
 * systemd or in the runner would give further processes access to them. If a file may not be opened or has
 * been replaced, the unit is restarted instead. Files of a transient VM have no path; the runner has them,
 * and they are judged by the same identity.
 */
#include "daemon/manager/instance/internal.h"
#include "daemon/manager/instance/transient.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/spec/paths.h"

static int open_again(const struct guest_need *n, const struct transient *t)
{
	int fd;

	if (!spec_path_key(n->is.path))
		return ghvm_file_open_root(n->is.path, O_RDONLY);
	if (!t || t->fds[n->is.kind] < 0)
		return -ENOLINK;
	fd = fcntl(t->fds[n->is.kind], F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int reopen_file(struct guest *g, enum ghvm_link_kind kind, const struct transient *t,
		       const struct store_file *want, struct ghvm_error *err)
{
	struct guest_need *n = guest_find_need(g, kind, 0);
	_cleanup_(closep) int fd = -1;
	struct store_file file;
	struct stat st;

	if (!n || n->fd >= 0)
		return 0;
	fd = open_again(n, t);
	if (fd == -ENOLINK)
		return ghvm_error_set(err, fd, "%s: the runner has not sent this file", n->is.path);
	if (fd < 0)
		return ghvm_error_set(err, fd, "%s: cannot open the file again: %s", n->is.path,
				      strerror(-fd));
	if (fstat(fd, &st) < 0)
		return ghvm_error_set(err, -errno, "%s: %s", n->is.path, strerror(errno));
	guest_file_of(&st, &file);
	if (memcmp(&file, want, sizeof(file)) != 0)
		return ghvm_error_set(err, -ESTALE, "%s: the file has changed since the start",
				      n->is.path);
	n->fd = TAKE_FD(fd);
	return 0;
}

static void reopen_files(struct guest *g, const struct transient *t, struct ghvm_error *err)
{
	if (reopen_file(g, GHVM_LINK_KERNEL, t, &g->origin.kernel, err) == 0)
		(void)reopen_file(g, GHVM_LINK_INITRD, t, &g->origin.initrd, err);
}

void guest_recall(struct guest *g, struct store_record *rec)
{
	struct ghvm_plan_input in = { .kernel_header_size = GHVM_IMAGE_HEADER };
	struct ghvm_error *err = &g->no_rebuild;

	*err = (struct ghvm_error){};
	g->spec = TAKE_STRUCT(rec->spec);
	g->origin = TAKE_STRUCT(rec->origin);
	guest_find_needs(g);
	in.kernel_header = g->origin.kernel_header;
	if (guest_plan(g, &in, err) == 0)
		reopen_files(g, NULL, err);
}

void guest_recall_sent(struct guest *g, const struct transient *t)
{
	if (g->no_rebuild.code != -ENOLINK)
		return;
	g->no_rebuild = (struct ghvm_error){};
	reopen_files(g, t, &g->no_rebuild);
}

void guest_record(const struct guest *g, struct store_record *ret)
{
	ret->planned = g->planned;
	ret->spec = g->spec;
	ret->origin = g->origin;
}
