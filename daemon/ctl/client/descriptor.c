/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors in files of the caller.
 *
 * The manager takes sealed memfds only, so the files are copied; a file that changes meanwhile is
 * noticed here by its size.
 */
#include "daemon/ctl/client/descriptor.h"

#include "daemon/ctl/client/client.h"
#include "daemon/ctl/ctl.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/base/name.h"
#include "libghvm/spec/files.h"
#include "libghvm/spec/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAY_AFTER_MS 1000
#define COPIES "/var/lib/gunyah/images/" /* of the files of definitions */
#define FILE_MAX (UINT64_C(1) << 30)	 /* bytes that DefineVM takes */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

bool descriptor_is_file(const char *arg)
{
	return strchr(arg, '/') || strchr(arg, '.');
}

int descriptor_name(const char *path, char ret[GHVM_NAME_SIZE])
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	const char *dot = strrchr(base, '.');
	size_t n = dot ? (size_t)(dot - base) : strlen(base);

	if (n >= GHVM_NAME_SIZE)
		return -EINVAL;
	memcpy(ret, base, n);
	ret[n] = '\0';
	return 0;
}

/* Open a file, or a pipe, for which a writer may have to be waited for: that is said. */
static int open_text(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return -errno;
	if (poll(&p, 1, SAY_AFTER_MS) == 0) {
		fprintf(stderr, "ghvmctl: %s: a pipe: waiting for a program that writes into it\n",
			path);
		(void)poll(&p, 1, -1);
	}
	return fcntl(fd, F_SETFL, 0) < 0 ? -errno : TAKE_FD(fd);
}

int descriptor_read(const char *path, char **ret, size_t *ret_len, struct ghvm_error *err)
{
	_cleanup_(closep) int fd = open_text(path);
	int r = fd < 0 ? fd : ghvm_file_read(fd, GHVM_SPEC_FILE_MAX, ret, ret_len);

	if (r == -EFBIG)
		return ghvm_error_set(err, r, "%s: larger than 1M", path);
	if (r == -ENOENT && !descriptor_is_file(path))
		return ghvm_error_set(err, r,
				      "%s: there is no such file; a VM that has a descriptor is "
				      "started by ghvmctl start %s",
				      path, path);
	return r < 0 ? ghvm_error_set(err, r, "%s: %s", path, strerror(-r)) : 0;
}

int descriptor_open(const char *key, const char *path, uint64_t *ret_size, struct ghvm_error *err)
{
	_cleanup_(closep) int fd = ghvm_file_open_root(path, O_RDONLY);
	struct stat st;

	if (fd == -EACCES && !strncmp(path, COPIES, strlen(COPIES)))
		return ghvm_error_set(err, fd,
				      "%s: %s: only root and the manager may read the files of a "
				      "definition: call as root, or check the descriptor alone "
				      "with ghvmctl validate --offline",
				      key, path);
	if (fd < 0)
		return ghvm_file_fail_key(key, path, -fd, err);
	if (fstat(fd, &st) < 0)
		return ghvm_file_fail_key(key, path, errno, err);
	*ret_size = (uint64_t)st.st_size;
	return TAKE_FD(fd);
}

/* --- memfds --- */

/* Has the file of @fd been written to, lengthened or shortened since @before? */
static bool has_changed(int fd, const struct stat *before)
{
	struct stat st;

	return fstat(fd, &st) < 0 || st.st_size != before->st_size ||
	       st.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	       st.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
}

/* Return: a memfd; -ESTALE the file has changed meanwhile; another errno. */
static int seal_file(int from)
{
	_cleanup_(closep) int fd = memfd_create("file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(from, &st) < 0)
		return -errno;
	for (off_t done = 0; done < st.st_size; done += n) {
		n = sendfile(fd, from, NULL, (size_t)(st.st_size - done));
		if (n <= 0)
			return n < 0 ? -errno : -ESTALE;
	}
	if (has_changed(from, &st))
		return -ESTALE;
	return fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? -errno : TAKE_FD(fd);
}

static int add_file(struct descriptor_sent *sent, const struct ghvm_spec_path *p,
		    struct ghvm_error *err)
{
	uint64_t size = 0;
	_cleanup_(closep) int from = descriptor_open(p->key, p->value, &size, err);
	int fd;

	if (from < 0)
		return from;
	if (size > FILE_MAX)
		return ghvm_error_set(err, -EFBIG, "%s: %s: larger than 1G", p->key, p->value);
	fd = seal_file(from);
	if (fd == -ESTALE)
		return ghvm_error_set(
			err, fd, "%s: %s: changed while it was read: try again when it is written",
			p->key, p->value);
	if (fd < 0)
		return ghvm_error_set(err, fd, "%s: %s: cannot be copied: %s", p->key, p->value,
				      strerror(-fd));
	(void)snprintf(sent->files[sent->n].key, sizeof(sent->files[sent->n].key), "file-%zu",
		       sent->n); /* keys of descriptors may have brackets */
	sent->files[sent->n++].fd = fd;
	return 0;
}

/* --- descriptors --- */

static bool is_kept(const char *path, const char *kept)
{
	return kept && !strncmp(path, kept, strlen(kept));
}

/* Send each file; @values: what its path becomes, NULL: it stays. */
static int send_files(const struct ghvm_spec *spec, const char *kept, struct descriptor_sent *ret,
		      char *values[DESCRIPTOR_FILES_MAX], struct ghvm_error *err)
{
	int r = 0;

	if (spec->n_paths > DESCRIPTOR_FILES_MAX)
		return ghvm_error_set(err, -E2BIG, "%s: more than %d files", spec->name,
				      DESCRIPTOR_FILES_MAX);
	for (size_t i = 0; r == 0 && i < spec->n_paths; i++) {
		const struct ghvm_spec_path *p = &spec->paths[i];

		if (is_kept(p->value, kept))
			continue;
		r = add_file(ret, p, err);
		if (r == 0 && asprintf(&values[i], SPEC_FD "%s", ret->files[ret->n - 1].key) < 0)
			r = -ENOMEM;
	}
	ghvm_spec_locate(spec, err);
	return r;
}

static int send_text(const struct ghvm_spec *spec, const char *text, size_t len,
		     char *values[DESCRIPTOR_FILES_MAX], struct descriptor_sent *ret,
		     struct ghvm_error *err)
{
	_cleanup_(freep) char *other =
		spec_replace_paths(spec, text, len, (const char *const *)values, &len);

	ret->spec = other ? ghvm_file_seal("descriptor", other, len) : -ENOMEM;
	return ret->spec < 0 ? ghvm_error_set(err, ret->spec, "%s: cannot make a memfd: %s",
					      spec->name, strerror(-ret->spec))
			     : 0;
}

int descriptor_send(const char *name, const char *file, const char *text, size_t len,
		    const char *kept, struct descriptor_sent *ret,
		    struct ghvm_complaints *complaints, struct ghvm_error *err)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	char *values[DESCRIPTOR_FILES_MAX] = {};
	int r;

	*ret = (struct descriptor_sent){ .spec = -1 };
	r = ghvm_spec_parse(name, file, text, len, &spec, complaints, err);
	if (r == 0)
		r = send_files(&spec, kept, ret, values, err);
	if (r == 0)
		r = send_text(&spec, text, len, values, ret, err);
	for (size_t i = 0; i < DESCRIPTOR_FILES_MAX; i++)
		free(values[i]);
	return r;
}

void descriptor_sent_done(struct descriptor_sent *sent)
{
	closep(&sent->spec);
	for (size_t i = 0; i < sent->n; i++)
		closep(&sent->files[i].fd);
	*sent = (struct descriptor_sent){ .spec = -1 };
}

/* The arguments of DefineVM and RunVM. */
struct definition_call {
	const char *name;
	const struct descriptor_sent *sent;
	int replace;
};

/* s name, h spec, a{sh} files, a{sv} options */
static int append_definition(sd_bus_message *m, const void *data)
{
	const struct definition_call *c = data;
	const struct descriptor_sent *sent = c->sent;
	int r;

	r = sd_bus_message_append(m, "sh", c->name, sent->spec);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "{sh}");
	for (size_t i = 0; r >= 0 && i < sent->n; i++)
		r = sd_bus_message_append(m, "{sh}", sent->files[i].key, sent->files[i].fd);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r < 0)
		return r;
	return c->replace ? sd_bus_message_append(m, "a{sv}", 1, "replace", "b", 1)
			  : sd_bus_message_append(m, "a{sv}", 0);
}

int descriptor_define(sd_bus *bus, const char *name, const struct descriptor_sent *sent,
		      bool replace, struct ghvm_error *err)
{
	const struct definition_call args = { .name = name, .sent = sent, .replace = replace };
	struct call c = client_verb(CLIENT_ROOT, CLIENT_MANAGER ".Manager", "DefineVM");

	c.waits_for = "the manager to copy the files; polkit may be asking for a password";
	return client_call_with(bus, &c, NULL, err, name, append_definition, &args);
}

int descriptor_run(sd_bus *bus, const char *name, const struct descriptor_sent *sent,
		   char **ret_job, struct ghvm_error *err)
{
	const struct definition_call args = { .name = name, .sent = sent };
	struct call c = client_verb(CLIENT_ROOT, CLIENT_MANAGER ".Manager", "RunVM");
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *job;
	int r = client_call_with(bus, &c, &reply, err, name, append_definition, &args);

	if (r < 0)
		return r;
	if (sd_bus_message_read(reply, "o", &job) < 0)
		return ghvm_error_set(err, -EBADMSG, "malformed reply from gunyah-vmd");
	*ret_job = strdup(job);
	return *ret_job ? 0 : ghvm_error_set(err, -ENOMEM, "out of memory");
}

/* --- a descriptor that the manager has --- */

void descriptor_told_done(struct descriptor_told *told)
{
	free(told->text);
	(void)sd_bus_message_unref(told->reply);
	*told = (struct descriptor_told){};
}

static int read_bytes(sd_bus_message *m, const uint8_t **ret, size_t *ret_n)
{
	const void *bytes;
	int r = sd_bus_message_enter_container(m, 'v', "ay");

	if (r >= 0)
		r = sd_bus_message_read_array(m, 'y', &bytes, ret_n);
	if (r < 0)
		return r;
	*ret = bytes;
	return sd_bus_message_exit_container(m);
}

static int read_detail(sd_bus_message *m, const char *key, struct descriptor_told *t,
		       const char **ret_origin)
{
	if (!strcmp(key, "origin"))
		return sd_bus_message_read(m, "v", "s", ret_origin);
	if (!strcmp(key, "kernel-size"))
		return sd_bus_message_read(m, "v", "t", &t->input.kernel_size);
	if (!strcmp(key, "initrd-size"))
		return sd_bus_message_read(m, "v", "t", &t->input.initrd_size);
	if (!strcmp(key, "kernel-header"))
		return read_bytes(m, &t->input.kernel_header, &t->input.kernel_header_size);
	if (!strcmp(key, "dtb-overlay"))
		return read_bytes(m, &t->input.overlay, &t->input.overlay_size);
	return sd_bus_message_skip(m, "v");
}

/* h, a{sv} */
static int read_told(struct descriptor_told *t, const char **ret_origin)
{
	sd_bus_message *m = t->reply;
	const char *key;
	int fd, r = sd_bus_message_read(m, "h", &fd);

	if (r >= 0)
		r = ghvm_file_read(fd, GHVM_SPEC_FILE_MAX, &t->text, &t->len);
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read_basic(m, 's', &key);
		if (r >= 0)
			r = read_detail(m, key, t, ret_origin);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r;
}

/* @path: object of the VM. @ret_origin: borrowed from @ret. Return: as client_call(). */
static int ask_manager(sd_bus *bus, const char *path, bool start, struct descriptor_told *ret,
		       const char **ret_origin, struct ghvm_error *err)
{
	struct call c = client_verb(path, CLIENT_MANAGER ".VM", "Describe");
	int r;

	c.no_start = !start;
	r = client_call(bus, &c, &ret->reply, err, "cannot read the descriptor", "a{sv}", 0);
	if (r < 0)
		return r;
	*ret_origin = "";
	r = read_told(ret, ret_origin);
	ret->sent = !strcmp(*ret_origin, "call");
	return r < 0 ? ghvm_error_set(err, r, "malformed reply from gunyah-vmd: %s", strerror(-r))
		     : 0;
}

static int ask_of_running(const char *name, struct descriptor_told *ret, struct ghvm_error *err)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *path = NULL;
	const char *origin;
	int r = client_open(&bus, err);

	if (r == 0)
		r = client_path(bus, name, &path, err);
	return r < 0 ? r : ask_manager(bus, path, true, ret, &origin, err);
}

/* Does the error mean that no transient VM is known? The manager may not run, or be of an earlier version. */
static bool knows_none(int r)
{
	return r == -EHOSTDOWN || r == -ECONNREFUSED || r == -ENODEV || r == -EBADR ||
	       r == -ENOENT || r == -ESRCH;
}

/* Return: 1 it is transient; 0 it is not, or not known; as client_call(). */
static int ask_of_transient(const char *name, struct descriptor_told *ret, struct ghvm_error *err)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *path = NULL;
	struct ghvm_error why = {};
	const char *origin;
	int r = client_open(&bus, &why);

	if (r == 0)
		r = sd_bus_path_encode(CLIENT_ROOT "/vm", name, &path);
	if (r >= 0)
		r = ask_manager(bus, path, false, ret, &origin, &why);
	if (knows_none(r) || (r == 0 && !strcmp(origin, "start")))
		return 0;
	if (r < 0)
		return ghvm_error_set(err, r, "%s", why.msg);
	return 1;
}

int descriptor_load(const struct ctl *ctl, const char *name, struct descriptor_told *ret_told,
		    struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		    struct ghvm_error *err)
{
	char file[GHVM_NAME_SIZE + sizeof(".yaml")];
	int r;

	if (ctl->running) {
		r = ask_of_running(name, ret_told, err);
	} else {
		r = ghvm_spec_load(name, ctl->dirs, ret, complaints, err);
		if (r != -ENOENT || !ghvm_name_valid(name))
			return r;
		r = ask_of_transient(name, ret_told, err);
		if (r == 0)
			return -ENOENT; /* as @err says */
	}
	if (r < 0)
		return r;
	(void)snprintf(file, sizeof(file), "%s.yaml", name); /* the manager knows it: fits */
	return spec_parse_sent(name, file, ret_told->text, ret_told->len, ret, complaints, err);
}
