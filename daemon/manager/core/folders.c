/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On any inotify event all folders are read again: single events can be lost, and there are none for
 * files in a folder that was just created.
 */
#include "daemon/manager/core/folders.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "daemon/manager/core/log.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/spec/files.h"

#define PAUSE_MS 100 /* limits the readings while a tool writes many descriptors */
#define COMES (IN_CREATE | IN_MOVED_TO)
#define GOES (IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF)
#define CHANGES (COMES | GOES | IN_CLOSE_WRITE | IN_ATTRIB)

static void on_pause_over(void *data)
{
	struct folders *f = data;

	f->pausing = false;
	f->fn(f->data);
}

static void on_events(void *data)
{
	struct folders *f = data;
	char buf[4096];

	while (read(f->fd, buf, sizeof(buf)) > 0)
		; /* the events do not matter: all folders are read again */
	folders_poke(f);
}

void folders_poke(struct folders *f)
{
	if (!f->pausing)
		f->pausing = loop_timer_arm(&f->pause, PAUSE_MS) == 0;
}

int folders_init(struct folders *f, struct loop *loop, const char *const *dirs, loop_fn fn,
		 void *data)
{
	int r;

	*f = (struct folders){ .dirs = ghvm_spec_dirs(dirs), .fd = -1, .fn = fn, .data = data };
	r = loop_watch_timer(loop, &f->pause, on_pause_over, f);
	if (r < 0)
		return r;
	f->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (f->fd < 0) {
		log_warning(NULL, -errno, "Cannot watch the descriptor folders");
		return 0;
	}
	return loop_watch_read(loop, &f->events, f->fd, on_events, f);
}

void folders_done(struct folders *f)
{
	loop_watch_done(&f->events);
	loop_watch_done(&f->pause);
	closep(&f->fd);
	f->fd = -1;
}

/* IN_MASK_ADD, because a folder may already be watched as the parent of another folder. */
static int add_watch(const struct folders *f, const char *path, uint32_t what)
{
	return inotify_add_watch(f->fd, path, what | IN_ONLYDIR | IN_MASK_ADD) < 0 ? -errno : 0;
}

/*
 * Watch the nearest existing parent folder, to notice that @dir is created or that a symbolic link is
 * changed.
 */
static void watch_above(const struct folders *f, const char *dir)
{
	char path[PATH_MAX], *slash;

	(void)snprintf(path, sizeof(path), "%s", dir);
	while ((slash = strrchr(path, '/')) && slash != path) {
		*slash = '\0';
		if (add_watch(f, path, COMES | GOES) == 0)
			return;
	}
	(void)add_watch(f, "/", COMES | GOES); /* parents of a relative path are not watched */
}

void folders_watch(struct folders *f)
{
	int r;

	for (const char *const *d = f->dirs; f->fd >= 0 && *d; d++) {
		r = add_watch(f, *d, CHANGES);
		if (r == -ENOSPC)
			log_warning(NULL, r,
				    "Cannot watch more folders: raise fs.inotify.max_user_watches");
		watch_above(f, *d);
	}
}

void folders_watch_drop_ins(struct folders *f, const char *name)
{
	char path[PATH_MAX];

	for (const char *const *d = f->dirs; f->fd >= 0 && *d; d++) {
		(void)snprintf(path, sizeof(path), "%s/%s.yaml.d", *d, name);
		(void)add_watch(f, path, CHANGES); /* most folders do not exist */
	}
}
