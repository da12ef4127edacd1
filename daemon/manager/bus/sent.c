/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files and descriptors that come with a call. No call here reaches a file system.
 */
#include "daemon/manager/bus/sent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/bus/peer.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/base/name.h"

#define RULE_TEXT 64

int sent_check_name(const char *name, sd_bus_error *error)
{
	if (ghvm_name_valid(name))
		return 0;
	return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
				"invalid name of a virtual machine: 1 to 27 of a-z, 0-9 and -, no "
				"dash first or last");
}

/* --- a{sh} --- */

struct sent_file *sent_find(struct sent_files *files, const char *key)
{
	for (size_t i = 0; i < files->n; i++)
		if (!strcmp(files->v[i].key, key))
			return &files->v[i];
	return NULL;
}

static int add_file(struct sent_files *files, const char *key, int fd, uint64_t max,
		    sd_bus_error *error)
{
	struct ghvm_error err = {};
	uint64_t size = 0;

	if (!spec_key_valid(key))
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"the key of a file has 1 to 32 letters, digits, '.', '_' "
					"and '-', of which the first is a letter or digit");
	if (sent_find(files, key))
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "two files have the key '%s'", key);
	if (files->n == SENT_FILES_MAX)
		return sd_bus_error_setf(error, FAILURE_QUOTA, "more than %d files",
					 SENT_FILES_MAX);
	if (ghvm_file_sealed(fd, max, &size, &err) < 0)
		return sd_bus_error_setf(error, failure_name(&err), "file '%s': %s", key, err.msg);
	files->v[files->n++] = (struct sent_file){ .key = key, .fd = fd, .size = size };
	return 0;
}

int sent_read_files(sd_bus_message *m, uint64_t max, struct sent_files *ret, sd_bus_error *error)
{
	int r = sd_bus_message_enter_container(m, 'a', "{sh}"), fd;
	const char *key;

	*ret = (struct sent_files){};
	while (r >= 0 && (r = sd_bus_message_read(m, "{sh}", &key, &fd)) > 0) {
		r = add_file(ret, key, fd, max, error);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

int sent_check_used(const struct sent_files *files, sd_bus_error *error)
{
	for (size_t i = 0; i < files->n; i++)
		if (!files->v[i].used)
			return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
						 "the descriptor does not name the file 'fd:%s'",
						 files->v[i].key);
	return 0;
}

/* --- descriptors --- */

int sent_read_text(int fd, char **ret, size_t *ret_len, sd_bus_error *error)
{
	struct ghvm_error err = {};
	uint64_t size = 0;
	int r;

	r = ghvm_file_sealed(fd, GHVM_SPEC_FILE_MAX, &size, &err);
	if (r < 0)
		return sd_bus_error_set(error, r == -EBADF ? FAILURE_INVALID_SPEC : FAILURE_QUOTA,
					err.msg);
	return ghvm_file_read(fd, size, ret, ret_len);
}

/* "demo.yaml:2:17: kernel.image: not an absolute path [path]" */
static size_t put_complaint(const struct ghvm_complaint *c, char *at)
{
	char text[GHVM_COMPLAINT_TEXT];

	return (size_t)sprintf(at, "%s [%.*s]", ghvm_complaint_text(c, text), RULE_TEXT - 4,
			       c->rule); /* fits */
}

int sent_fail(const struct ghvm_complaints *all, const struct ghvm_error *err, sd_bus_error *ret)
{
	_cleanup_(freep) char *text = calloc(all->n + 1, GHVM_COMPLAINT_TEXT + RULE_TEXT);
	size_t len = 0;

	for (size_t i = 0; text && i < all->n; i++) {
		if (all->v[i].severity != GHVM_SEVERITY_ERROR)
			continue;
		if (len)
			text[len++] = '\n';
		len += put_complaint(&all->v[i], text + len);
	}
	return sd_bus_error_set(ret, failure_name(err), len ? text : err->msg);
}

static int fail_key(const struct ghvm_spec *spec, const char *key, const char *rule,
		    const char *text, sd_bus_error *ret)
{
	struct ghvm_error err = {};

	(void)ghvm_error_set(&err, -EINVAL, "%s: %s [%s]", key, text, rule);
	ghvm_spec_locate(spec, &err);
	return sd_bus_error_set(ret, failure_name(&err), err.msg);
}

/* The platform's firmware acts on a peripheral of the host that the descriptor names by a number. */
int sent_check_auth(const struct ghvm_spec *spec, uid_t uid, sd_bus_error *error)
{
	if (spec->auth != GHVM_AUTH_PLATFORM || peer_trusted(uid))
		return 0;
	return fail_key(spec, "auth.type", "root-only",
			"only root may have a guest authenticated by the platform, because "
			"pas-id names a peripheral of the host",
			error);
}

int sent_fail_path(const struct ghvm_spec *spec, const struct ghvm_spec_path *p, const char *rule,
		   const char *text, sd_bus_error *ret)
{
	return fail_key(spec, p->key, rule, text, ret);
}
