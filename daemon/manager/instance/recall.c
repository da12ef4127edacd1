/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest in a later manager.
 *
 * A later manager makes the plan again from the state file. For a reboot in place it also needs the
 * images, and opens them itself: the file descriptors of the first manager are gone, and keeping them in
 * systemd or in the runner would give further processes access to them. If a file may not be opened or has
 * been replaced, the unit is restarted instead.
 */
#include "daemon/manager/instance/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"

static int reopen_file(struct guest *g, enum ghvm_link_kind kind, const struct store_file *want,
		       struct ghvm_error *err)
{
	struct guest_need *n = guest_find_need(g, kind, 0);
	_cleanup_(closep) int fd = -1;
	struct store_file file;
	struct stat st;

	if (!n)
		return 0;
	fd = ghvm_file_open(AT_FDCWD, n->is.path);
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

void guest_recall(struct guest *g, struct store_record *rec)
{
	struct ghvm_plan_input in = { .kernel_header_size = GHVM_IMAGE_HEADER };
	struct ghvm_error *err = &g->no_rebuild;

	*err = (struct ghvm_error){};
	g->spec = TAKE_STRUCT(rec->spec);
	g->origin = TAKE_STRUCT(rec->origin);
	guest_find_needs(g);
	in.kernel_header = g->origin.kernel_header;
	if (guest_plan(g, &in, err) == 0 &&
	    reopen_file(g, GHVM_LINK_KERNEL, &g->origin.kernel, err) == 0)
		(void)reopen_file(g, GHVM_LINK_INITRD, &g->origin.initrd, err);
}

void guest_record(const struct guest *g, struct store_record *ret)
{
	ret->planned = g->planned;
	ret->spec = g->spec;
	ret->origin = g->origin;
}
