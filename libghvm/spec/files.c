/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds and reads descriptors; and the error for a VM that has none.
 */
#include "libghvm/spec/files.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/base/name.h"
#include "libghvm/base/near.h"
#include "libghvm/base/printable.h"
#include "ghvm/spec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX ".yaml"
#define DROP_INS_MAX 64

static const char *const usual_dirs[] = {
	"/etc/gunyah/vms", "/run/gunyah/vms", GHVM_SPEC_DEFINED, "/usr/lib/gunyah/vms", NULL,
};

const char *const *ghvm_spec_dirs(const char *const *dirs)
{
	return dirs ? dirs : usual_dirs;
}

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d); /* only read from */
}

/* True for names ending in SUFFIX, and the length of the rest: 1 for "x.yaml". */
static bool is_yaml(const char *name, size_t *ret_stem)
{
	size_t n = strlen(name);

	if (n <= strlen(SUFFIX) || strcmp(name + n - strlen(SUFFIX), SUFFIX))
		return false;
	*ret_stem = n - strlen(SUFFIX);
	return true;
}

int ghvm_file_fail(const char *path, int error, struct ghvm_error *err)
{
	_cleanup_(freep) char *target = NULL;

	if (error == EINVAL)
		return ghvm_error_set(err, -EINVAL, "%s: not a regular file", path);
	if (error != ELOOP)
		return ghvm_error_set(err, -error, "%s: %s", path, strerror(error));
	target = realpath(path, NULL);
	if (!target)
		return ghvm_error_set(err, -ELOOP, "%s: is a symbolic link without a target: %s",
				      path, strerror(errno));
	return ghvm_error_set(err, -ELOOP, "%s: is a symbolic link; name the file itself: %s", path,
			      target);
}

/* A link that was not followed, though there is a file at its end. */
static int fail_link(const char *key, const char *path, struct ghvm_error *err)
{
	char part[PATH_MAX];
	struct stat st;

	if (stat(path, &st) < 0 || ghvm_file_follow(path, part) != -EPERM)
		return 0;
	return ghvm_error_set(err, -ELOOP,
			      "%s: %s: is a symbolic link, which is followed only where all of it "
			      "is root's and only root may write: %s is not; name the file itself",
			      key, path, part);
}

int ghvm_file_fail_key(const char *key, const char *path, int error, struct ghvm_error *err)
{
	struct ghvm_error why = {};
	int r = error == ELOOP ? fail_link(key, path, err) : 0;

	if (r < 0)
		return r;
	r = ghvm_file_fail(path, error, &why);
	return ghvm_error_set(err, r, "%s: %s", key, why.msg);
}

static int read_text(int fd, const char *path, struct ghvm_spec_file *ret, struct ghvm_error *err)
{
	int r = ghvm_file_read(fd, GHVM_SPEC_FILE_MAX, &ret->text, &ret->len);

	if (r == -EFBIG)
		return ghvm_error_set(err, r, "%s: larger than 1M", path);
	return r < 0 ? ghvm_error_set(err, r, "%s: %s", path, strerror(-r)) : 0;
}

/* Return: 1 read; 0 does not exist; negative errno. */
static int add_file(struct ghvm_spec_files *files, const char *path, struct ghvm_error *err)
{
	/* NONBLOCK: a FIFO would wait for a writer */
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct ghvm_spec_file f = {}, *v;
	struct stat st;
	int r;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return ghvm_file_fail(path, errno, err);
	if (!S_ISREG(st.st_mode))
		return ghvm_file_fail(path, EINVAL, err);
	f.owner = (struct ghvm_spec_owner){ .uid = st.st_uid, .gid = st.st_gid };

	v = reallocarray(files->v, files->n + 1, sizeof(*v));
	if (!v)
		return ghvm_error_set(err, -ENOMEM, "%s: out of memory", path);
	files->v = v;
	r = read_text(fd, path, &f, err);
	if (r < 0)
		return r;
	f.name = strdup(path);
	if (!f.name) {
		free(f.text);
		return ghvm_error_set(err, -ENOMEM, "%s: out of memory", path);
	}
	files->v[files->n++] = f;
	return 1;
}

void ghvm_spec_files_done(struct ghvm_spec_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->v[i].name);
		free(files->v[i].text);
	}
	free(files->v);
	*files = (struct ghvm_spec_files){};
}

static int add_main(const char *name, const char *const *dirs, struct ghvm_spec_files *files,
		    struct ghvm_error *err)
{
	char path[PATH_MAX], file[GHVM_NAME_SIZE + sizeof(SUFFIX)];

	snprintf(file, sizeof(file), "%s" SUFFIX, name);
	for (const char *const *d = dirs; *d; d++) {
		int r;

		snprintf(path, sizeof(path), "%s/%s", *d, file);
		r = add_file(files, path, err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return ghvm_spec_absent(name, dirs, err);
}

/* ---- lists of names ---- */

struct names {
	char **v; /* NULL-terminated unless empty */
	size_t n;
};

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
	*names = (struct names){};
}

static int names_add(struct names *names, const char *s, size_t len)
{
	char **v;

	for (size_t i = 0; i < names->n; i++)
		if (strlen(names->v[i]) == len && !strncmp(names->v[i], s, len))
			return 0;
	v = reallocarray(names->v, names->n + 2, sizeof(*v));
	if (!v)
		return -ENOMEM;
	names->v = v;
	v[names->n] = strndup(s, len);
	v[names->n + 1] = NULL;
	if (!v[names->n])
		return -ENOMEM;
	names->n++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * True only if @path does not exist at all. A dangling symbolic link exists: its target might
 * have changed who can access a guest's memory.
 */
static bool is_absent(const char *path, int error)
{
	struct stat st;

	return error == ENOENT && lstat(path, &st) < 0 && errno == ENOENT;
}

static int cannot_list(const char *dir, int error, struct ghvm_error *err)
{
	return ghvm_error_set(err, -error, "%s: cannot be read as a folder of descriptors: %s", dir,
			      strerror(error));
}

/* Add all *.yaml of a folder, with @stem without the suffix; a missing folder has none. */
static int names_of_dir(const char *dir, bool stem, struct names *names, struct ghvm_error *err)
{
	_cleanup_(closedirp) DIR *d = opendir(dir);
	struct dirent *e;
	size_t n;
	int r;

	if (!d)
		return is_absent(dir, errno) ? 0 : cannot_list(dir, errno, err);
	while (errno = 0, (e = readdir(d))) {
		if (e->d_name[0] == '.' || !is_yaml(e->d_name, &n))
			continue;
		r = names_add(names, e->d_name, stem ? n : strlen(e->d_name));
		if (r < 0)
			return ghvm_error_set(err, r, "%s: out of memory", dir);
	}
	return errno ? cannot_list(dir, errno, err) : 0;
}

/* A drop-in hides those of the same name in later folders. */
static int add_drop_in(const char *name, const char *const *dirs, const char *drop_in,
		       struct ghvm_spec_files *files, struct ghvm_error *err)
{
	char path[PATH_MAX];

	for (; *dirs; dirs++) {
		int r;

		snprintf(path, sizeof(path), "%s/%s" SUFFIX ".d/%s", *dirs, name, drop_in);
		r = add_file(files, path, err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return 0;
}

static int add_drop_ins(const char *name, const char *const *dirs, struct ghvm_spec_files *files,
			struct ghvm_error *err)
{
	_cleanup_(names_done) struct names names = {};
	char path[PATH_MAX];
	int r = 0;

	for (const char *const *d = dirs; *d && r == 0; d++) {
		snprintf(path, sizeof(path), "%s/%s" SUFFIX ".d", *d, name);
		r = names_of_dir(path, false, &names, err);
	}
	if (r < 0)
		return r;
	if (names.n > DROP_INS_MAX)
		return ghvm_error_set(err, -EINVAL, "%s: more than %d drop-ins", name,
				      DROP_INS_MAX);
	if (names.n)
		qsort(names.v, names.n, sizeof(*names.v), by_name);
	for (size_t i = 0; i < names.n && r == 0; i++)
		r = add_drop_in(name, dirs, names.v[i], files, err);
	return r;
}

int ghvm_spec_files_read(const char *name, const char *const *dirs, struct ghvm_spec_files *ret,
			 struct ghvm_error *err)
{
	int r;

	dirs = ghvm_spec_dirs(dirs);
	r = add_main(name, dirs, ret, err);
	if (r == 0)
		r = add_drop_ins(name, dirs, ret, err);
	return r;
}

/* The valid VM names, sorted. */
static int filter_valid(const struct names *all, struct names *ret)
{
	int r = 0;

	for (size_t i = 0; i < all->n && r == 0; i++)
		if (ghvm_name_valid(all->v[i]))
			r = names_add(ret, all->v[i], strlen(all->v[i]));
	if (r == 0 && !ret->v) {
		ret->v = calloc(1, sizeof(*ret->v));
		r = ret->v ? 0 : -ENOMEM;
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
	return r;
}

int ghvm_spec_list(const char *const *dirs, char ***ret, struct ghvm_error *err)
{
	_cleanup_(names_done) struct names all = {}, valid = {};
	int r = 0, r2;

	*ret = NULL;
	for (const char *const *d = ghvm_spec_dirs(dirs); *d; d++) {
		/* report the first error, but list the other folders */
		r2 = names_of_dir(*d, true, &all, r < 0 ? NULL : err);
		r = r < 0 ? r : r2;
	}
	r2 = filter_valid(&all, &valid);
	if (r2 < 0)
		return ghvm_error_set(err, r2, "out of memory");
	*ret = TAKE_PTR(valid.v);
	valid.n = 0;
	return r;
}

/* ---- a VM that does not exist ---- */

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

void spec_find_cid(const struct ghvm_spec *spec, const char *const *dirs, char ret[GHVM_NAME_SIZE])
{
	char **names = NULL;

	*ret = '\0';
	(void)ghvm_spec_list(dirs, &names, NULL); /* those in readable folders */
	for (char **n = names; n && *n; n++) {
		_cleanup_(ghvm_spec_done) struct ghvm_spec other = {};

		if (strcmp(*n, spec->name) != 0 &&
		    ghvm_spec_load(*n, dirs, &other, NULL, NULL) == 0 && other.vsock &&
		    ghvm_spec_cid(&other) == ghvm_spec_cid(spec))
			(void)snprintf(ret, GHVM_NAME_SIZE, "%s", *n); /* fits: a valid name */
		free(*n);
	}
	free(names);
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
