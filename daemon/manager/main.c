/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gunyah-vmd: the manager of a host's virtual machines.
 *
 * The manager may be killed, restarted or upgraded while guests run. Guests do not need it, and a new
 * manager finds them again.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <systemd/sd-daemon.h>

#include "daemon/manager/objects/objects.h"
#include "daemon/manager/core/log.h"
#include "daemon/manager/core/loop.h"
#include "daemon/manager/manager.h"
#include "daemon/manager/host/node.h"
#include "daemon/manager/start/helpers.h"
#include "daemon/manager/state/definition.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "daemon/ipc/protocol.h"

#define EXIT_NO_HOST 77 /* systemd does not restart the manager, decision 22 */
#define IDLE_MS 10000
#define READY_AGAIN_MS 100
#define VMS_DIRS_MAX 8

static const char usage[] =
	"Usage: gunyah-vmd [OPTION]...\n"
	"\n"
	"Manage virtual machines on the Gunyah hypervisor.\n"
	"  --hypervisor URI  the module's node (/dev/ghvm), or unix:PATH of a model\n"
	"  --bus ADDRESS     'system' (default), 'user', or a bus address\n"
	"  --run-dir DIR     keep state, sockets and definitions below DIR (tests)\n"
	"  --vms-dir DIR     read descriptors from DIR; may be repeated\n"
	"  --presplit WHEN   before each LEND a SHARE and a RECLAIM: on, off, or as the\n"
	"                    resource manager needs it: auto (default)\n"
	"  --debug           log more\n"
	"  --help            show this\n"
	"  --version         show the version\n";

/**
 * struct daemon - the program
 * @dir: --run-dir, or NULL
 * @node: watch on the module's node, while there is no hypervisor
 */
struct daemon {
	struct loop *loop;
	struct manager manager;
	struct bus bus;
	struct prepare prepare;
	struct loop_watch terminate;
	struct loop_watch interrupt;
	struct loop_watch reload;
	struct loop_watch watchdog;
	struct loop_watch ready;
	struct loop_watch idle;
	struct node node;
	uint64_t watchdog_ms;

	struct manager_options options;
	const char *bus_address;
	const char *dir;
	const char *vms_dirs[VMS_DIRS_MAX + 2]; /* one of definitions, and NULL */
	size_t n_vms_dirs;
	char state_dir[PATH_MAX];
	char control_dir[PATH_MAX];
	char definition_dir[PATH_MAX];
	char defined[PATH_MAX];
	char socket[PATH_MAX];
};

/* --- options --- */

/* Return: 1; -EINVAL. */
static int parse_presplit(const char *text, enum presplit_option *ret)
{
	static const char *const names[] = { "auto", "on", "off" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(text, names[i])) {
			*ret = (enum presplit_option)i;
			return 1;
		}
	}
	return -EINVAL;
}

/* Return: 1 continue; 0 exit successfully; -EINVAL. */
static int take_option(struct daemon *d, int option)
{
	switch (option) {
	case 'H':
		d->options.uri = optarg;
		return 1;
	case 'b':
		d->bus_address = optarg;
		return 1;
	case 'r':
		d->dir = optarg;
		return 1;
	case 'v':
		if (d->n_vms_dirs >= VMS_DIRS_MAX)
			return -EINVAL;
		d->vms_dirs[d->n_vms_dirs++] = optarg;
		return 1;
	case 'p':
		return parse_presplit(optarg, &d->options.presplit);
	case 'd':
		log_set_debug(true);
		return 1;
	case 'h':
		fputs(usage, stdout);
		return 0;
	case 'V':
		puts("gunyah-vmd " GHVM_VERSION);
		return 0;
	}
	return -EINVAL;
}

static int parse(struct daemon *d, int argc, char **argv)
{
	static const struct option options[] = {
		{ "hypervisor", required_argument, NULL, 'H' },
		{ "bus", required_argument, NULL, 'b' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "vms-dir", required_argument, NULL, 'v' },
		{ "presplit", required_argument, NULL, 'p' },
		{ "debug", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{},
	};
	int o, r = 1;

	while (r == 1 && (o = getopt_long(argc, argv, "", options, NULL)) != -1)
		r = take_option(d, o);
	if (r == 1 && optind != argc)
		r = -EINVAL;
	if (r < 0)
		fputs(usage, stderr);
	return r;
}

static int join(char *ret, const char *dir, const char *name)
{
	int n = snprintf(ret, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int make_dir(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Definitions of the tests are below --run-dir, and the last of the folders that --vms-dir names. */
static int choose_definition_dir(struct daemon *d)
{
	int r = join(d->definition_dir, d->dir, "lib");

	if (r == 0)
		r = join(d->defined, d->definition_dir, DEFINITION_VMS);
	if (r == 0)
		r = make_dir(d->definition_dir);
	if (r == 0 && d->n_vms_dirs)
		d->vms_dirs[d->n_vms_dirs] = d->defined;
	d->options.definition_dir = d->definition_dir;
	return r;
}

static int choose_dirs(struct daemon *d)
{
	int r;

	d->options.state_dir = "/run/gunyah-vmd";
	d->options.control_dir = GHVM_LINK_CONTROL_DIR;
	d->options.definition_dir = DEFINITION_DIR;
	d->options.vms_dirs = d->n_vms_dirs ? d->vms_dirs : NULL;
	if (!d->dir)
		return join(d->socket, "/run/gunyah", "prepare.sock");
	r = join(d->state_dir, d->dir, "state");
	if (r == 0)
		r = join(d->control_dir, d->dir, "ctl");
	if (r == 0)
		r = join(d->socket, d->dir, "prepare.sock");
	if (r == 0)
		r = make_dir(d->state_dir);
	if (r == 0)
		r = make_dir(d->control_dir);
	if (r == 0)
		r = choose_definition_dir(d);
	d->options.state_dir = d->state_dir;
	d->options.control_dir = d->control_dir;
	return r;
}

/* --- events --- */

static void on_terminate(void *data)
{
	struct daemon *d = data;

	(void)sd_notify(0, "STOPPING=1");
	loop_stop(d->loop, EXIT_SUCCESS);
}

/* Without this message systemd takes a start or a reload for hung, and ends the manager. */
static void tell_ready(void *data)
{
	struct daemon *d = data;
	int r = sd_notifyf(0, "READY=1\nSTATUS=%s", d->manager.host_error.msg);

	if (ghvm_link_try_later(r))
		(void)loop_timer_arm(&d->ready, READY_AGAIN_MS);
}

static void on_reload(void *data)
{
	struct daemon *d = data;
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)now.tv_sec * 1000000 +
				 (unsigned long long)now.tv_nsec / 1000);
	d->manager.scan_error = (struct ghvm_error){}; /* log the error again if it persists */
	manager_reread(&d->manager);
	tell_ready(d);
}

static void on_watchdog(void *data)
{
	struct daemon *d = data;

	(void)sd_notify(0, "WATCHDOG=1");
	(void)loop_timer_arm(&d->watchdog, d->watchdog_ms); /* on failure systemd restarts it */
}

static void on_bus_lost(void *data, int error)
{
	struct daemon *d = data;

	log_error(NULL, error, "Lost the connection to the bus");
	loop_stop(d->loop, EXIT_FAILURE);
}

/* Armed only while there is no hypervisor. */
static void on_idle(void *data)
{
	struct daemon *d = data;

	log_info(NULL, "Exiting: there is no hypervisor");
	loop_stop(d->loop, d->manager.host_error.code == -ENODEV ? EXIT_NO_HOST : EXIT_FAILURE);
}

static void on_activity(void *data)
{
	struct daemon *d = data;

	if (d->manager.host_state == MANAGER_HOST_UNAVAILABLE)
		(void)loop_timer_arm(&d->idle, IDLE_MS); /* on failure it exits early */
}

/*
 * The node has appeared. Exit and let systemd start a new process: the device cgroup of this process
 * was made without the node and denies it.
 */
static void on_node(void *data)
{
	struct daemon *d = data;

	if (d->manager.host_state != MANAGER_HOST_UNAVAILABLE)
		return;
	log_info(NULL, "%s has appeared or changed: restarting", d->node.path);
	loop_stop(d->loop, EXIT_SUCCESS);
}

/* --- start and stop --- */

static int take_socket(struct daemon *d)
{
	int n = sd_listen_fds(1);

	if (n < 0)
		return n;
	if (!n)
		return prepare_bind(d->socket);
	if (n > 1 || sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_SEQPACKET, 1) <= 0)
		return -EINVAL;
	return SD_LISTEN_FDS_START;
}

static int watch_signals(struct daemon *d)
{
	int r;

	(void)signal(SIGPIPE, SIG_IGN); /* writes return EPIPE instead */
	r = loop_watch_signal(d->loop, &d->terminate, SIGTERM, on_terminate, d);
	if (r == 0)
		r = loop_watch_signal(d->loop, &d->interrupt, SIGINT, on_terminate, d);
	if (r == 0)
		r = loop_watch_signal(d->loop, &d->reload, SIGHUP, on_reload, d);
	return r;
}

static int watch_time(struct daemon *d)
{
	uint64_t usec = 0;
	int r;

	r = loop_watch_timer(d->loop, &d->watchdog, on_watchdog, d);
	if (r == 0)
		r = loop_watch_timer(d->loop, &d->idle, on_idle, d);
	if (r == 0)
		r = loop_watch_timer(d->loop, &d->ready, tell_ready, d);
	if (r < 0)
		return r;
	on_activity(d);
	if (sd_watchdog_enabled(0, &usec) > 0 && usec) {
		d->watchdog_ms = usec / 2000;
		on_watchdog(d);
	}
	return 0;
}

static int start_daemon(struct daemon *d)
{
	int fd, r;

	r = loop_new(&d->loop);
	if (r == 0)
		r = watch_signals(d);
	if (r == 0)
		r = node_init(&d->node, d->loop, d->options.uri, on_node, d);
	if (r == 0)
		r = manager_init(&d->manager, d->loop, &d->options);
	if (r == 0 && d->manager.host_state != MANAGER_HOST_UNAVAILABLE)
		node_done(&d->node);
	if (r == 0) /* the bus must not show a running guest before its runner is connected */
		r = loop_run_until(d->loop, manager_settled, &d->manager);
	if (r < 0)
		return r;
	fd = take_socket(d);
	r = fd < 0 ? fd : prepare_init(&d->prepare, &d->manager, fd);
	if (r < 0)
		return r;
	d->prepare.on_activity = d->bus.on_activity = on_activity;
	d->prepare.data = d->bus.data = d;
	d->bus.on_lost = on_bus_lost;
	r = bus_objects_init(&d->bus, &d->manager, d->bus_address);
	return r < 0 ? r : watch_time(d);
}

static void stop_daemon(struct daemon *d)
{
	bus_objects_done(&d->bus);
	if (d->prepare.manager)
		prepare_done(&d->prepare);
	if (d->manager.loop)
		manager_done(&d->manager);
	loop_watch_done(&d->terminate);
	loop_watch_done(&d->interrupt);
	loop_watch_done(&d->reload);
	loop_watch_done(&d->watchdog);
	loop_watch_done(&d->ready);
	loop_watch_done(&d->idle);
	node_done(&d->node);
	loop_free(d->loop);
}

static int serve(struct daemon *d)
{
	int r;

	r = start_daemon(d);
	if (r == -ECANCELED) {
		r = EXIT_SUCCESS; /* SIGTERM before it was ready */
	} else if (r < 0) {
		log_error(NULL, r, "Cannot start");
		(void)sd_notifyf(0, "STATUS=Cannot start: %s", strerror(-r));
		r = EXIT_FAILURE;
	} else {
		tell_ready(d);
		r = loop_run(d->loop);
	}
	stop_daemon(d);
	return r < 0 ? EXIT_FAILURE : r;
}

int main(int argc, char **argv)
{
	struct daemon *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return EXIT_FAILURE;
	(void)mallopt(M_ARENA_MAX, 1); /* there are few, short threads: one heap saves memory */
	d->bus_address = "system";
	r = parse(d, argc, argv);
	if (r == 1) {
		r = choose_dirs(d);
		if (r < 0)
			log_error(NULL, r, "Cannot start: %s (--run-dir)", d->dir);
	}
	if (r == 0 && optind == argc && d->options.state_dir)
		r = serve(d);
	free(d);
	return r < 0 ? EXIT_FAILURE : r;
}
