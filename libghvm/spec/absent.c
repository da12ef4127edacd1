/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The error for a VM that does not exist: where its descriptor was searched, and which name is
 * similar.
 */
#include "libghvm/base/name.h"
#include "libghvm/base/near.h"
#include "libghvm/base/printable.h"
#include "libghvm/spec/files.h"
#include "ghvm/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN 40 /* bytes shown of an invalid name */

/* "/etc/gunyah/vms, /run/gunyah/vms or /usr/lib/gunyah/vms"; cut if that is too long. */
static void list_folders(const char *const *dirs, char *buf, size_t cap)
{
	size_t n = 0;

	*buf = '\0';
	for (size_t i = 0; dirs[i] && n < cap; i++)
		n += (size_t)snprintf(buf + n, cap - n, "%s%s",
				      !i	    ? ""
				      : dirs[i + 1] ? ", "
						    : " or ",
				      dirs[i]);
}

int ghvm_spec_absent(const char *name, const char *const *dirs, struct ghvm_error *err)
{
	struct ghvm_near near = ghvm_near_begin(name);
	char text[GHVM_NEAR_TEXT], folders[256], shown[SHOWN + 1];
	char **names = NULL;

	(void)ghvm_spec_list(dirs, &names, NULL); /* readable folders suffice for a suggestion */
	for (char **n = names; n && *n; n++)
		ghvm_near_offer(&near, *n);
	(void)ghvm_near_text(&near, text);
	for (char **n = names; n && *n; n++)
		free(*n);
	free(names);

	(void)snprintf(shown, sizeof(shown), "%s", name); /* cut */
	ghvm_make_printable(shown);
	if (!ghvm_name_valid(name))
		return ghvm_error_set(err, -ENOENT,
				      "'%s' cannot name a virtual machine: 1 to 27 of a-z, 0-9 "
				      "and -, no dash first or last%s",
				      shown, text);
	list_folders(ghvm_spec_dirs(dirs), folders, sizeof(folders));
	return ghvm_error_set(err, -ENOENT, "there is no virtual machine '%s': no %s.yaml in %s%s",
			      shown, shown, folders, text);
}
