/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Look up the manager's requests in the helper's own copy of the descriptor.
 */
#include "daemon/prepare/descriptor.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/ipc/protocol.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/base/number.h"
#include "libghvm/plan/devices.h"
#include "libghvm/spec/paths.h"

void descriptor_read(struct descriptor *d, const char *name, const char *const *dirs)
{
	*d = (struct descriptor){};
	d->result = ghvm_spec_load(name, dirs, &d->spec, &d->complaints, &d->err);
	if (d->result == 0)
		d->n = ghvm_needs_of(&d->spec, d->needs);
}

static int parse_sent(struct descriptor *d, const char *name, int fd)
{
	_cleanup_(freep) char *text = NULL;
	char file[GHVM_NAME_SIZE + 8];
	uint64_t size = 0;
	size_t len = 0;
	int r = ghvm_file_sealed(fd, GHVM_SPEC_FILE_MAX, &size, &d->err);

	if (r == 0)
		r = ghvm_file_read(fd, size, &text, &len);
	if (r < 0)
		return r;
	(void)snprintf(file, sizeof(file), "%s.yaml", name); /* fits: a valid name */
	return spec_parse_sent(name, file, text, len, &d->spec, &d->complaints, &d->err);
}

void descriptor_take(struct descriptor *d, const char *name, int fd,
		     const struct ghvm_spec_owner *from)
{
	if (d->result != -ENOENT) {
		if (d->result == 0)
			ghvm_spec_done(&d->spec);
		d->n = 0;
		d->result = ghvm_error_set(&d->err, -EINVAL,
					   "%s has a descriptor on disk now, so the transient VM "
					   "of that name is not started again",
					   name);
		return;
	}
	d->err = (struct ghvm_error){};
	d->result = parse_sent(d, name, fd);
	if (d->result < 0)
		return;
	d->spec.owners[0] = *from;
	d->sent = true;
	d->n = ghvm_needs_of(&d->spec, d->needs);
}

void descriptor_done(struct descriptor *d)
{
	if (d->result == 0)
		ghvm_spec_done(&d->spec);
	ghvm_complaints_done(&d->complaints);
	*d = (struct descriptor){};
}

/* Set @ret to DIR/images, if @spec is DIR/vms/NAME.yaml. */
static bool find_images(const struct ghvm_spec *spec, char ret[PATH_MAX])
{
	static const char folder[] = "/vms/";
	const char *slash = strrchr(spec->files[0], '/');
	size_t n;

	if (!slash || slash - spec->files[0] + 1 < (ptrdiff_t)strlen(folder))
		return false;
	n = (size_t)(slash - spec->files[0]) + 1 - strlen(folder);
	return !strncmp(spec->files[0] + n, folder, strlen(folder)) &&
	       snprintf(ret, PATH_MAX, "%.*s/images", (int)n, spec->files[0]) < PATH_MAX;
}

/* @path: IMAGES/NAME.SERIAL.UID/FILE */
static bool find_uid(const char *path, const char *images, const char *name, uint64_t *ret)
{
	char head[PATH_MAX], uid[sizeof("4294967295")];
	const int n = snprintf(head, sizeof(head), "%s/%s.", images, name);
	const char *dot = NULL;
	size_t digits;

	if (n < (int)sizeof(head) && !strncmp(path, head, (size_t)n))
		dot = strchr(path + n, '.');
	digits = dot ? strcspn(dot + 1, "/") : 0;
	if (!digits || digits >= sizeof(uid))
		return false;
	memcpy(uid, dot + 1, digits);
	uid[digits] = '\0';
	return ghvm_number_parse(uid, ret) && *ret <= UINT32_MAX;
}

bool descriptor_definer(const struct descriptor *d, const char *name, uint32_t *ret_uid)
{
	char images[PATH_MAX];
	struct stat st;
	uint64_t uid;

	if (d->result < 0 || !find_images(&d->spec, images) || stat(images, &st) < 0 ||
	    st.st_uid != d->spec.owners[0].uid)
		return false;
	for (size_t i = 0; i < d->spec.n_paths; i++) {
		if (!find_uid(d->spec.paths[i].value, images, name, &uid) || !uid)
			continue;
		*ret_uid = (uint32_t)uid;
		return true;
	}
	return false;
}

static bool is_same(const struct ghvm_need *a, const struct ghvm_need *b)
{
	return a->kind == b->kind && a->index == b->index && !strcmp(a->key, b->key);
}

int descriptor_find(struct descriptor *d, const struct ghvm_need *asked,
		    const struct ghvm_need **ret, struct ghvm_error *err)
{
	size_t i = 0;

	if (d->result < 0)
		return ghvm_error_set(err, d->result, "%s", d->err.msg);
	while (i < d->n && !is_same(&d->needs[i], asked))
		i++;
	if (i == d->n || d->asked[i])
		return ghvm_error_set(err, -EBADMSG,
				      "the manager requested '%s' (%u, %u), which the descriptor "
				      "does not name%s",
				      asked->key, asked->kind, asked->index,
				      i == d->n ? "" : " twice");
	if (d->needs[i].size != asked->size || d->needs[i].hugepages != asked->hugepages)
		return ghvm_error_set(err, -ESTALE,
				      "%s: the manager requested %llu bytes, the descriptor says "
				      "%llu: was the descriptor changed during the start?",
				      asked->key, (unsigned long long)asked->size,
				      (unsigned long long)d->needs[i].size);
	d->asked[i] = true;
	*ret = &d->needs[i];
	return 0;
}

/* RAM that is lent is for no other process, whatever the manager says. */
static bool shares_ram(const struct ghvm_spec *spec)
{
	return spec->protection == GHVM_PROTECTION_NONE && ghvm_devices_want_ram(spec);
}

bool descriptor_stores(const struct descriptor *d, const char *name)
{
	static const char *const names[] = { "grant", "control", "listen", "machine",
					     "console-log" };
	char s[32];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	for (unsigned int i = 0; i < d->spec.cpus; i++) {
		(void)snprintf(s, sizeof(s), "wake-%u", i);
		if (!strcmp(name, s))
			return true;
	}
	for (unsigned int i = 1; i < d->spec.log_count; i++) {
		(void)snprintf(s, sizeof(s), "console-log-%u", i);
		if (!strcmp(name, s))
			return true;
	}
	if (!strcmp(name, GHVM_LINK_RAM_NAME))
		return shares_ram(&d->spec);
	if (!strcmp(name, GHVM_LINK_VSOCK_NAME))
		return d->spec.vsock;
	for (size_t i = 0; i < ghvm_spec_count_vhost(&d->spec); i++) {
		(void)snprintf(s, sizeof(s), GHVM_LINK_SOCKET_NAME "%zu", i);
		if (!strcmp(name, s))
			return true;
	}
	for (size_t i = 0; i < ghvm_spec_count_disks(&d->spec); i++) {
		(void)snprintf(s, sizeof(s), GHVM_LINK_DISK_NAME "%zu", i);
		if (!strcmp(name, s))
			return true;
	}
	if (d->sent && !strncmp(name, GHVM_LINK_SENT_NAME, strlen(GHVM_LINK_SENT_NAME)))
		return ghvm_link_sent_kind(name + strlen(GHVM_LINK_SENT_NAME));
	for (size_t i = 0; i < d->spec.n_regions; i++) {
		(void)snprintf(s, sizeof(s), GHVM_LINK_REGION_NAME "%u", d->spec.regions[i].label);
		if (!strcmp(name, s))
			return true;
	}
	return false;
}
