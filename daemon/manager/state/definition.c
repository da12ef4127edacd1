/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Definitions on disk.
 *
 * The order of a change: folder, files, descriptor in the folder, all synced; rename; the earlier folder
 * is removed. The rename is the change.
 */
#include "daemon/manager/state/definition.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/base/name.h"
#include "libghvm/base/number.h"

#define IMAGES "images"
#define DESCRIPTOR "descriptor" /* in its folder, before the rename */
#define SERIAL_DIGITS 16
#define COPY_BYTES (256 * 1024)
#define ROOM_KEPT 16 /* one part in so many of the file system stays free */

/**
 * struct place - the folders, open
 * @vms: of descriptors; @images: of folders of files; -1: not open
 */
struct place {
	int vms;
	int images;
};

static void place_done(struct place *p)
{
	closep(&p->vms);
	closep(&p->images);
}

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d); /* only read from */
}

static int open_folder(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int place_open(struct place *p, const char *dir)
{
	_cleanup_(closep) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*p = (struct place){ .vms = -1, .images = -1 };
	if (fd < 0)
		return -errno;
	p->vms = open_folder(fd, DEFINITION_VMS);
	p->images = open_folder(fd, IMAGES);
	return p->vms < 0 ? p->vms : p->images < 0 ? p->images : 0;
}

static int fail_place(const char *dir, int r, struct ghvm_error *err)
{
	return ghvm_error_set(err, r, "%s: cannot open the folders of definitions: %s", dir,
			      strerror(-r));
}

/* --- names --- */

int definition_init(struct definition *d, const char *dir, const char *name, uid_t uid)
{
	uint64_t serial;

	if (getrandom(&serial, sizeof(serial), GRND_INSECURE) != sizeof(serial))
		return -errno;
	*d = (struct definition){ .dir = dir, .uid = uid };
	(void)snprintf(d->name, sizeof(d->name), "%s", name);
	(void)snprintf(d->folder, sizeof(d->folder), "%s.%016" PRIx64 ".%u", d->name, serial, uid);
	return 0;
}

void definition_done(struct definition *d)
{
	free(d->text);
	d->text = NULL;
}

bool definition_folder_of(const char *folder, char ret_name[GHVM_NAME_SIZE], uid_t *ret_uid)
{
	const size_t n = strcspn(folder, ".");
	const char *serial = folder + n + 1;
	uint64_t uid;

	if (!n || n >= GHVM_NAME_SIZE || !folder[n])
		return false;
	memcpy(ret_name, folder, n);
	ret_name[n] = '\0';
	if (!ghvm_name_valid(ret_name) || strspn(serial, "0123456789abcdef") != SERIAL_DIGITS ||
	    serial[SERIAL_DIGITS] != '.' || !ghvm_number_parse(serial + SERIAL_DIGITS + 1, &uid) ||
	    uid > UINT32_MAX)
		return false;
	*ret_uid = (uid_t)uid;
	return true;
}

static bool is_of(const char *folder, const char *name)
{
	char owner[GHVM_NAME_SIZE];
	uid_t uid;

	return definition_folder_of(folder, owner, &uid) && !strcmp(owner, name);
}

char *definition_path(const struct definition *d, const char *key)
{
	char *path = NULL;

	return asprintf(&path, "%s/" IMAGES "/%s/%s", d->dir, d->folder, key) < 0 ? NULL : path;
}

bool definition_keeps(const struct definition *d, const char *path, char ret[DEFINITION_KEPT_SIZE])
{
	const size_t n = strlen(d->dir);
	const char *rest, *file;
	char folder[DEFINITION_FOLDER_SIZE];

	if (strncmp(path, d->dir, n) != 0 || strncmp(path + n, "/" IMAGES "/", 8) != 0)
		return false;
	rest = path + n + 8;
	file = strchr(rest, '/');
	if (!file || (size_t)(file - rest) >= sizeof(folder) ||
	    strlen(rest) >= DEFINITION_KEPT_SIZE)
		return false;
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(file - rest), rest); /* fits */
	if (!is_of(folder, d->name) || file[1] == '.' || !file[1] || strchr(file + 1, '/'))
		return false;
	(void)snprintf(ret, DEFINITION_KEPT_SIZE, "%s", rest); /* fits */
	return true;
}

/* --- removing --- */

/* The folder has only files. What cannot be removed now is removed when the next manager starts. */
static void remove_folder(int images, const char *name)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	int fd = open_folder(images, name);
	const struct dirent *e;

	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return;
	}
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			(void)unlinkat(fd, e->d_name, 0);
	(void)unlinkat(images, name, AT_REMOVEDIR);
}

/* Call @fn with each folder of files. */
static int for_each(int images, void (*fn)(void *data, int images, const char *folder), void *data)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	int fd = open_folder(images, ".");
	const struct dirent *e;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		closep(&fd);
		return fd < 0 ? fd : -errno;
	}
	while ((e = readdir(dir)))
		fn(data, images, e->d_name);
	return 0;
}

/* The folders of a definition, except @kept. */
struct older {
	const char *name;
	const char *kept;
};

static void remove_older(void *data, int images, const char *folder)
{
	const struct older *o = data;

	if (is_of(folder, o->name) && (!o->kept || strcmp(folder, o->kept) != 0))
		remove_folder(images, folder);
}

static void descriptor_name(char ret[GHVM_NAME_SIZE + 8], const char *name)
{
	(void)snprintf(ret, GHVM_NAME_SIZE + 8, "%s.yaml", name); /* fits */
}

int definition_remove(const char *dir, const char *name, struct ghvm_error *err)
{
	_cleanup_(place_done) struct place p;
	struct older all = { .name = name };
	char file[GHVM_NAME_SIZE + 8];
	int r = place_open(&p, dir);

	if (r < 0)
		return fail_place(dir, r, err);
	descriptor_name(file, name);
	if (unlinkat(p.vms, file, 0) < 0 || fsync(p.vms) < 0)
		return ghvm_error_set(err, -errno, "%s/" DEFINITION_VMS "/%s: cannot remove: %s",
				      dir, file, strerror(errno));
	(void)for_each(p.images, remove_older, &all);
	return 0;
}

/* --- room --- */

struct count {
	const struct definition *d;
	unsigned int n;
};

static void count_folder(void *data, int images, const char *folder)
{
	struct count *c = data;
	char name[GHVM_NAME_SIZE];
	uid_t uid;

	if (definition_folder_of(folder, name, &uid) && uid == c->d->uid &&
	    strcmp(name, c->d->name) != 0)
		c->n++;
}

static int check_number(const struct definition *d, int images, struct ghvm_error *err)
{
	struct count c = { .d = d };
	int r = for_each(images, count_folder, &c);

	if (r < 0)
		return fail_place(d->dir, r, err);
	if (d->limited && c.n >= DEFINITIONS_PER_UID)
		return ghvm_error_set(err, -EDQUOT,
				      "the user %u has %d definitions already: remove one", d->uid,
				      DEFINITIONS_PER_UID);
	return 0;
}

/* Would @wanted bytes more leave the file system the room that it keeps? */
static int check_left(const struct definition *d, int fd, uint64_t wanted, struct ghvm_error *err)
{
	uint64_t left, kept;
	struct statvfs fs;

	if (fstatvfs(fd, &fs) < 0)
		return fail_place(d->dir, -errno, err);
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	kept = (uint64_t)fs.f_blocks / ROOM_KEPT * fs.f_frsize;
	if (wanted > left || left - wanted < kept)
		return ghvm_error_set(err, -EDQUOT,
				      "%s: %" PRIu64 " KiB are to be written, %" PRIu64
				      " KiB are free, of which %" PRIu64 " KiB must stay free",
				      d->dir, wanted >> 10, left >> 10, kept >> 10);
	return 0;
}

/* A disk that is full to the last byte would take the state of others with it. */
static int check_room(const struct definition *d, int images, struct ghvm_error *err)
{
	uint64_t wanted = d->len;

	for (size_t i = 0; i < d->n_files; i++)
		wanted += d->files[i].size;
	return check_left(d, images, wanted, err);
}

/* --- writing --- */

static int write_all(int fd, const char *buf, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = write(fd, buf + done, len - done);
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		done += (size_t)n;
	}
	return 0;
}

/*
 * Exactly @size bytes, which the seals keep. Others write meanwhile, so the room is looked at before each
 * part. Return: 0; -EDQUOT with @err set; another negative errno.
 */
static int copy_bytes(const struct definition *d, int from, int to, uint64_t size,
		      struct ghvm_error *err)
{
	_cleanup_(freep) char *buf = malloc(COPY_BYTES);
	uint64_t done = 0;
	ssize_t n;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	while (r == 0 && done < size) {
		if (atomic_load(&d->cancelled))
			return -ECANCELED;
		r = check_left(d, to, size - done, err);
		if (r < 0)
			return r;
		n = pread(from, buf, size - done < COPY_BYTES ? size - done : COPY_BYTES,
			  (off_t)done);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r = write_all(to, buf, (size_t)n);
		done += (uint64_t)n;
	}
	return r;
}

static int create_file(int folder, const char *name)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static int write_file(const struct definition *d, int folder, const struct definition_file *f,
		      struct ghvm_error *err)
{
	_cleanup_(closep) int fd = create_file(folder, f->key);
	int r;

	if (fd < 0)
		return fd;
	r = copy_bytes(d, f->fd, fd, f->size, err);
	return r == 0 && fsync(fd) < 0 ? -errno : r;
}

static int add_file(const struct definition *d, const struct place *p, int folder,
		    const struct definition_file *f, struct ghvm_error *err)
{
	int r;

	if (f->fd < 0) {
		if (linkat(p->images, f->kept, folder, f->key, 0) == 0)
			return 0;
		return ghvm_error_set(err, errno == ENOENT ? -EBADF : -errno,
				      "%s: cannot keep the file %s/" IMAGES "/%s: %s", f->key,
				      d->dir, f->kept, strerror(errno));
	}
	r = write_file(d, folder, f, err);
	if (r == -EDQUOT && err->code == r)
		return r; /* check_left() has said why */
	if (r == -ECANCELED)
		return ghvm_error_set(err, r, "%s: not copied to the end: the client has gone",
				      f->key);
	return r < 0 ? ghvm_error_set(err, r, "%s: cannot copy the file to %s: %s", f->key, d->dir,
				      strerror(-r))
		     : 0;
}

/* Everyone may read a descriptor, whatever the umask; the files are for the manager alone. */
static int write_descriptor(const struct definition *d, int folder)
{
	_cleanup_(closep) int fd = create_file(folder, DESCRIPTOR);
	int r;

	if (fd < 0)
		return fd;
	r = write_all(fd, d->text, d->len);
	return r == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0) ? -errno : r;
}

static int fill_folder(const struct definition *d, const struct place *p, int folder,
		       struct ghvm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->n_files; i++)
		r = add_file(d, p, folder, &d->files[i], err);
	if (r < 0)
		return r;
	r = write_descriptor(d, folder);
	if (r == 0 && (fsync(folder) < 0 || fsync(p->images) < 0))
		r = -errno;
	return r < 0 ? ghvm_error_set(err, r, "%s: cannot write the descriptor: %s", d->dir,
				      strerror(-r))
		     : 0;
}

/* Until the rename the earlier definition is there, after it the new one. */
static int publish(const struct definition *d, const struct place *p, int folder,
		   struct ghvm_error *err)
{
	char file[GHVM_NAME_SIZE + 8];

	if (atomic_load(&d->cancelled))
		return ghvm_error_set(err, -ECANCELED, "the client has gone");
	descriptor_name(file, d->name);
	if (renameat(folder, DESCRIPTOR, p->vms, file) < 0)
		return ghvm_error_set(err, -errno, "%s/" DEFINITION_VMS "/%s: cannot write: %s",
				      d->dir, file,
				      errno == EXDEV ? "it must be on the same file system as "
						       "the folder " IMAGES
						     : strerror(errno));
	(void)fsync(p->vms); /* the change is made, whatever this says */
	(void)fsync(folder);
	return 0;
}

static int make_folder(const struct definition *d, const struct place *p, struct ghvm_error *err)
{
	_cleanup_(closep) int folder = -1;
	int r;

	if (mkdirat(p->images, d->folder, 0700) < 0)
		return fail_place(d->dir, -errno, err);
	r = check_number(d, p->images, err); /* now that a call at the same time counts this one */
	if (r == 0)
		folder = open_folder(p->images, d->folder);
	if (r == 0)
		r = folder < 0 ? fail_place(d->dir, folder, err) : fill_folder(d, p, folder, err);
	if (r == 0)
		r = publish(d, p, folder, err);
	if (r < 0)
		remove_folder(p->images, d->folder);
	return r;
}

int definition_write(struct definition *d, struct ghvm_error *err)
{
	_cleanup_(place_done) struct place p;
	struct older older = { .name = d->name, .kept = d->folder };
	int r = place_open(&p, d->dir);

	if (r < 0)
		return fail_place(d->dir, r, err);
	r = check_room(d, p.images, err);
	if (r == 0)
		r = make_folder(d, &p, err);
	if (r == 0)
		(void)for_each(p.images, remove_older, &older);
	return r;
}

/* --- cleaning --- */

/* The descriptor NAME.yaml, with a NUL at its end; NULL: it cannot be read. "": there is none. */
static char *read_descriptor(int vms, const char *name)
{
	_cleanup_(closep) int fd = -1;
	char file[GHVM_NAME_SIZE + 8], *text = NULL;
	size_t len;

	descriptor_name(file, name);
	fd = openat(vms, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? strdup("") : NULL;
	return ghvm_file_read(fd, GHVM_SPEC_FILE_MAX, &text, &len) < 0 ? NULL : text;
}

static void clean_folder(void *data, int images, const char *folder)
{
	char name[GHVM_NAME_SIZE], named[NAME_MAX + 16];
	const int *vms = data;
	_cleanup_(freep) char *text = NULL;
	uid_t uid;

	if (!definition_folder_of(folder, name, &uid))
		return;
	text = read_descriptor(*vms, name);
	(void)snprintf(named, sizeof(named), "/" IMAGES "/%s/", folder); /* fits */
	if (text && !strstr(text, named))
		remove_folder(images, folder);
}

int definition_clean(const char *dir)
{
	_cleanup_(closep) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(place_done) struct place p = { .vms = -1, .images = -1 };
	int r;

	if (fd < 0)
		return -errno;
	if ((mkdirat(fd, DEFINITION_VMS, 0755) < 0 && errno != EEXIST) ||
	    (mkdirat(fd, IMAGES, 0700) < 0 && errno != EEXIST))
		return -errno;
	r = place_open(&p, dir);
	return r < 0 ? r : for_each(p.images, clean_folder, &p.vms);
}
