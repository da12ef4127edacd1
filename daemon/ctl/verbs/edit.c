/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edit: change the descriptor of a VM in an editor.
 *
 * A copy is edited and checked, and then takes the place of the descriptor as a whole: by a rename, or for
 * a definition by DefineVM. If that fails the copy stays, so that no work is lost.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/client/descriptor.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/output/complaints.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"
#include "libghvm/spec/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/**
 * struct edit - a descriptor that is edited
 * @path: of the descriptor; @before: as it was read; @text: its contents, owned
 * @kept: of a definition: the folder of files that it has already; "": it is none
 * @folder, @copy: temporary
 * @now: the edited text, owned
 */
struct edit {
	const char *name;
	char path[PATH_MAX];
	struct stat before;
	char *text;
	size_t len;
	char kept[PATH_MAX];
	char folder[PATH_MAX];
	char copy[PATH_MAX + GHVM_NAME_SIZE + 8];
	char *now;
	size_t now_len;
};

static void edit_done(struct edit *e)
{
	free(e->text);
	free(e->now);
}

/* --- the descriptor --- */

/* A definition is in DIR/vms, beside DIR/images. */
static void find_kept(struct edit *e)
{
	const char *slash = strrchr(e->path, '/');
	const int len = (int)(slash - e->path) - (int)strlen("/vms");
	struct stat st;

	*e->kept = '\0';
	if (len <= 0 || strncmp(e->path + len, "/vms/", 5) != 0)
		return;
	(void)snprintf(e->kept, sizeof(e->kept), "%.*s/images/", len, e->path); /* or cut */
	if (stat(e->kept, &st) < 0 || !S_ISDIR(st.st_mode))
		*e->kept = '\0';
}

static int find_descriptor(const struct ctl *ctl, struct edit *e)
{
	const char *const *dirs = ghvm_spec_dirs(ctl->dirs);
	struct ghvm_error err = {};

	for (; ghvm_name_valid(e->name) && *dirs; dirs++) {
		(void)snprintf(e->path, sizeof(e->path), "%s/%s.yaml", *dirs, e->name);
		if (stat(e->path, &e->before) < 0)
			continue;
		if (!strncmp(e->path, "/usr/lib/", 9))
			return ctl_fail(CTL_FAILED,
					"%s is replaced when its package is upgraded: copy it to "
					"/etc/gunyah/vms and edit the copy",
					e->path);
		find_kept(e);
		if (descriptor_read(e->path, &e->text, &e->len, &err) < 0)
			return ctl_fail(CTL_FAILED, "%s", err.msg);
		return CTL_OK;
	}
	(void)ghvm_spec_absent(e->name, ctl->dirs, &err);
	return ctl_fail(CTL_NO_VM, "%s", err.msg);
}

/* Before the editor opens: a file is replaced in its folder. For a definition, polkit decides when it is sent. */
static int check_right(const struct edit *e)
{
	char folder[PATH_MAX];

	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(e->path, '/') - e->path),
		       e->path);
	if (*e->kept || faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0)
		return CTL_OK;
	return ctl_fail(CTL_FAILED, "%s: cannot write in %s: %s", e->path, folder, strerror(errno));
}

/* --- the editor --- */

static int write_file(int fd, const char *text, size_t len)
{
	size_t done = 0;
	ssize_t n;

	for (; done < len; done += (size_t)n) {
		n = write(fd, text + done, len - done);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static void remove_copy(const struct edit *e)
{
	(void)unlink(e->copy);
	(void)rmdir(e->folder); /* stays if the editor has left files in it */
}

static int make_copy(struct edit *e)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_(closep) int fd = -1;
	int r;

	if (snprintf(e->folder, sizeof(e->folder), "%s/ghvmctl-XXXXXX", tmp ? tmp : "/tmp") >=
	    (int)sizeof(e->folder))
		return ctl_fail(CTL_FAILED, "TMPDIR: the path is too long");
	if (!mkdtemp(e->folder))
		return ctl_fail(CTL_FAILED, "%s: %s", e->folder, strerror(errno));
	(void)snprintf(e->copy, sizeof(e->copy), "%s/%s.yaml", e->folder, e->name); /* fits */
	fd = open(e->copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : write_file(fd, e->text, e->len);
	if (r == 0)
		return CTL_OK;
	remove_copy(e);
	return ctl_fail(CTL_FAILED, "%s: %s", e->copy, strerror(-r));
}

static int run_editor(const char *path)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		(void)execl("/bin/sh", "sh", "-c", "exec ${VISUAL:-${EDITOR:-vi}} \"$1\"", "sh",
			    path, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return ctl_fail(CTL_FAILED, "cannot start an editor: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return ctl_fail(CTL_FAILED, "the editor failed; set VISUAL or EDITOR to another");
	return CTL_OK;
}

/* --- the change --- */

/* Return: whether the edited text is a descriptor; its errors are printed. */
static bool check_text(const struct edit *e)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error err = {};
	int r = ghvm_spec_parse(e->name, e->copy, e->now, e->now_len, &spec, &all, &err);

	complaints_print(&all, stderr);
	if (r < 0 && !all.n)
		(void)ctl_fail(0, "%s", err.msg);
	return r == 0;
}

static bool wants_again(void)
{
	char answer[16] = "";

	if (!isatty(STDIN_FILENO))
		return false;
	fputs("Edit again? [Y/n] ", stderr);
	return fgets(answer, sizeof(answer), stdin) && *answer != 'n' && *answer != 'N';
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A file of the host: with the owner and the mode that it had. */
static int replace_file(const struct edit *e)
{
	char other[PATH_MAX + 16];
	_cleanup_(closep) int fd = -1;
	int r;

	(void)snprintf(other, sizeof(other), "%.*s/.%s.XXXXXX",
		       (int)(strrchr(e->path, '/') - e->path), e->path, e->name);
	fd = mkostemp(other, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_file(fd, e->now, e->now_len);
	if (r == 0 && fchown(fd, e->before.st_uid, e->before.st_gid) < 0)
		r = -errno;
	if (r == 0 && (fchmod(fd, e->before.st_mode & 07777) < 0 || rename(other, e->path) < 0))
		r = -errno;
	if (r < 0)
		(void)unlink(other);
	return r;
}

static int replace_definition(const struct edit *e, struct ghvm_error *err)
{
	_cleanup_(descriptor_sent_done) struct descriptor_sent sent = { .spec = -1 };
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int r;

	r = descriptor_send(e->name, e->copy, e->now, e->now_len, e->kept, &sent, NULL, err);
	if (r == 0)
		r = client_open(&bus, err);
	return r < 0 ? r : descriptor_define(bus, e->name, &sent, true, err);
}

static int store(const struct edit *e)
{
	struct ghvm_error err = {};
	struct stat now;
	int r = 0;

	if (stat(e->path, &now) < 0 || !same_file(&e->before, &now))
		(void)ghvm_error_set(&err, r = -ESTALE, "%s was changed meanwhile", e->path);
	else if (*e->kept)
		r = replace_definition(e, &err);
	else if ((r = replace_file(e)) < 0)
		(void)ghvm_error_set(&err, r, "%s: %s", e->path, strerror(-r));
	if (r < 0)
		return ctl_fail(CTL_FAILED, "%s; the edited text is in %s", err.msg, e->copy);
	remove_copy(e);
	return CTL_OK;
}

static int read_copy(struct edit *e, struct ghvm_error *err)
{
	free(TAKE_PTR(e->now));
	return descriptor_read(e->copy, &e->now, &e->now_len, err);
}

static bool is_unchanged(const struct edit *e)
{
	return e->now_len == e->len && !memcmp(e->now, e->text, e->len);
}

/* The editor failed and has said why. */
static int give_up(struct edit *e)
{
	struct ghvm_error err = {};

	if (read_copy(e, &err) < 0 || !is_unchanged(e))
		return ctl_fail(CTL_FAILED, "%s is as it was; the edited text is in %s", e->name,
				e->copy);
	remove_copy(e);
	return CTL_FAILED;
}

static int edit_copy(struct edit *e)
{
	struct ghvm_error err = {};

	do {
		if (run_editor(e->copy) != CTL_OK)
			return give_up(e);
		if (read_copy(e, &err) < 0)
			return ctl_fail(CTL_FAILED, "%s", err.msg);
		if (is_unchanged(e)) {
			remove_copy(e);
			return ctl_fail(CTL_OK, "%s: unchanged", e->name);
		}
		if (check_text(e))
			return store(e);
	} while (wants_again());
	return ctl_fail(CTL_FAILED, "%s is as it was; the edited text is in %s", e->name, e->copy);
}

int verb_edit(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(edit_done) struct edit e = { .name = args[0] };
	int r = find_descriptor(ctl, &e);

	if (r == CTL_OK)
		r = check_right(&e);
	if (r == CTL_OK)
		r = make_copy(&e);
	return r == CTL_OK ? edit_copy(&e) : r;
}
