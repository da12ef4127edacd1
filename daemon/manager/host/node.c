/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager/host/node.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "daemon/manager/core/log.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/host.h"

#define PATIENCE_MS 10000 /* for udev to set the owner */
#define LOOK_MS 100

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void on_readable(void *data)
{
	struct node *n = data;
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t len = read(n->fd, buf, sizeof(buf));
	bool news = false;

	for (char *at = buf; len > 0 && at < buf + len;) {
		const struct inotify_event *e = (const struct inotify_event *)(void *)at;

		news |= e->len && !strcmp(e->name, name_of(n->path));
		at += sizeof(*e) + e->len;
	}
	if (news)
		n->on_news(n->data);
}

/* Watch the folder, because the node itself may not exist. */
static int watch_folder(struct node *n, struct loop *loop)
{
	char folder[PATH_MAX] = ".";
	const size_t len = (size_t)(name_of(n->path) - n->path);

	if (len >= sizeof(folder))
		return -ENAMETOOLONG;
	if (len) {
		memcpy(folder, n->path, len);
		folder[len] = '\0';
	}
	n->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (n->fd < 0 || inotify_add_watch(n->fd, folder, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) < 0)
		return -errno;
	return loop_watch_read(loop, &n->watch, n->fd, on_readable, n);
}

/* Wait while the node may not be opened. EPERM comes from the device cgroup and is permanent. */
static void wait_for_access(const char *path)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };

	for (int ms = 0; ms < PATIENCE_MS; ms += LOOK_MS) {
		if (access(path, R_OK | W_OK) == 0 || errno != EACCES)
			return;
		(void)nanosleep(&pause, NULL); /* a signal may shorten it */
	}
}

int node_init(struct node *n, struct loop *loop, const char *uri, void (*on_news)(void *data),
	      void *data)
{
	int r;

	*n = (struct node){
		.path = ghvm_host_path(uri),
		.fd = -1,
		.on_news = on_news,
		.data = data,
	};
	r = watch_folder(n, loop);
	if (r < 0)
		log_debug(NULL, "Cannot watch %s: %s", n->path, strerror(-r));
	wait_for_access(n->path);
	return 0;
}

void node_done(struct node *n)
{
	if (!n->path)
		return;
	loop_watch_done(&n->watch);
	closep(&n->fd);
	*n = (struct node){ .fd = -1 };
}
