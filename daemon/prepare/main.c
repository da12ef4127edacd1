/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gunyah-vm-prepare: the start helper, the part of a VM's unit that runs as root before and after the
 * runner.
 *
 * The helper runs inside the unit, so that the unit's limits apply to the memory it populates.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/prepare/disk/serve.h"
#include "daemon/prepare/files.h"
#include "daemon/prepare/machined.h"
#include "daemon/prepare/release.h"
#include "daemon/prepare/session.h"
#include "libghvm/base/cleanup.h"
#include "daemon/ipc/protocol.h"
#include "libghvm/base/name.h"
#include "ghvm/spec.h"

#define EXIT_REFUSED 134 /* as of the runner, decision 19 */
#define MACHINED_SEC 15	 /* time limit for all calls to machined */
#define VMS_DIRS_MAX 8

static const char usage[] =
	"Usage: gunyah-vm-prepare [OPTION]... NAME\n"
	"\n"
	"Prepare the start of the virtual machine NAME, inside its unit.\n"
	"  --release        wait until the memory of the guest is returned\n"
	"  --register       register the VM with machined ($MAINPID is the leader)\n"
	"  --socket PATH    the manager's socket\n"
	"  --log-dir PATH   folder of console logs\n"
	"  --disk-dir DIR   folder of the disks that are served\n"
	"  --vms-dir DIR    read descriptors from DIR; may be repeated\n"
	"  --exec RUNNER    without systemd: execute RUNNER when all is prepared\n"
	"  --help           show this\n";

enum verb { VERB_PREPARE, VERB_RELEASE, VERB_REGISTER, VERB_HELP };

struct options {
	enum verb verb;
	const char *name;
	const char *socket;
	const char *log_dir;
	const char *disk_dir;
	const char *vms_dirs[VMS_DIRS_MAX + 1];
	size_t n_vms_dirs;
	const char *runner;
};

static int add_vms_dir(struct options *o, const char *dir)
{
	if (o->n_vms_dirs == VMS_DIRS_MAX)
		return -EINVAL;
	o->vms_dirs[o->n_vms_dirs++] = dir;
	return 0;
}

static int parse(int argc, char **argv, struct options *ret)
{
	static const struct option options[] = {
		{ "release", no_argument, NULL, 'r' },
		{ "register", no_argument, NULL, 'm' },
		{ "socket", required_argument, NULL, 's' },
		{ "log-dir", required_argument, NULL, 'l' },
		{ "disk-dir", required_argument, NULL, 'd' },
		{ "vms-dir", required_argument, NULL, 'v' },
		{ "exec", required_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	struct options o = {
		.socket = GHVM_LINK_PREPARE,
		.log_dir = FILES_LOG_DIR,
		.disk_dir = DISK_DIR,
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'r')
			o.verb = VERB_RELEASE;
		else if (c == 'm')
			o.verb = VERB_REGISTER;
		else if (c == 's')
			o.socket = optarg;
		else if (c == 'l')
			o.log_dir = optarg;
		else if (c == 'd')
			o.disk_dir = optarg;
		else if (c == 'e')
			o.runner = optarg;
		else if (c == 'v' && add_vms_dir(&o, optarg) == 0)
			continue;
		else if (c == 'h')
			o.verb = VERB_HELP;
		else
			return -EINVAL;
	}
	if (o.verb != VERB_HELP && argc - optind != 1)
		return -EINVAL;
	o.name = argv[optind];
	*ret = o;
	return 0;
}

/*
 * Put the refusal into the descriptor store for the runner. RestartPreventExitStatus= works for the exit
 * status of the runner, but not for that of ExecStartPre=.
 */
static int leave_refusal(struct store *store, const struct ghvm_error *why)
{
	struct ghvm_error err = {};
	int fd;

	if (store->keep)
		return EXIT_REFUSED;
	fd = memfd_create("refused", MFD_CLOEXEC);
	if (fd < 0 || write(fd, why->msg, strlen(why->msg)) < 0)
		fprintf(stderr, SD_ERR "Cannot create a memfd: %s\n", strerror(errno));
	if (fd < 0 || store_add(store, "refused", fd, &err) < 0 || store_sync(store, &err) < 0) {
		fprintf(stderr, SD_ERR "%s\n", err.msg);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* Refuse permanently: no descriptor can have such a name. */
static int refuse_name(const struct options *o)
{
	_cleanup_(store_done) struct store store;
	struct ghvm_error err = {};

	(void)ghvm_error_set(
		&err, -EINVAL,
		"'%.40s' is not a valid VM name: 1 to 27 characters of a-z, 0-9 and -, "
		"no dash first or last",
		o->name);
	fprintf(stderr, SD_ERR "%s\n", err.msg);
	store_init(&store, o->runner);
	return o->verb == VERB_PREPARE ? leave_refusal(&store, &err) : EXIT_FAILURE;
}

static int finish_start(const struct options *o, struct store *store)
{
	int r;

	if (!o->runner)
		return EXIT_SUCCESS;
	r = store_exec(store, o->runner, o->name);
	fprintf(stderr, SD_ERR "Cannot run %s: %s\n", o->runner, strerror(-r));
	return EXIT_FAILURE;
}

static int prepare(const struct options *o)
{
	struct ghvm_error err = {};
	_cleanup_(closep) int sock = release_dial(o->socket, &err);
	_cleanup_(store_done) struct store store;
	struct session session = {
		.sock = sock,
		.name = o->name,
		.log_dir = o->log_dir,
		.disk_dir = o->disk_dir,
		.vms_dirs = o->n_vms_dirs ? o->vms_dirs : NULL,
		.store = &store,
	};
	int r;

	store_init(&store, o->runner);
	if (sock < 0) {
		fprintf(stderr, SD_ERR "%s\n", err.msg);
		return EXIT_FAILURE;
	}
	r = session_run(&session, &err);
	if (r == 0)
		return finish_start(o, &store);
	return r == SESSION_REFUSED ? leave_refusal(&store, &err) : EXIT_FAILURE;
}

static int release_guest(const struct options *o)
{
	struct ghvm_error err = {};
	const char *result = getenv("SERVICE_RESULT"); /* set by systemd */
	char text[GHVM_ERROR_TEXT] = "";
	uint64_t pages = 0;
	int r;

	disk_stop_all(o->disk_dir, o->name); /* the runner has ended */
	r = release_run(o->socket, o->name, result && !strcmp(result, "success"),
			RELEASE_TIMEOUT_MS, &pages, text, &err);
	if (r < 0)
		fprintf(stderr, SD_ERR "Cannot wait for the return of the guest's memory: %s\n",
			err.msg);
	else if (pages)
		fprintf(stderr, SD_WARNING "%llu pages quarantined: %s\n",
			(unsigned long long)pages, text);
	(void)alarm(MACHINED_SEC);
	(void)machined_unregister(o->name); /* it may not be registered */
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int register_machine(const struct options *o)
{
	const char *pid = getenv("MAINPID");
	long leader = pid ? strtol(pid, NULL, 10) : 0;
	int r;

	if (leader <= 0) {
		fprintf(stderr, SD_NOTICE "Not registered with machined: MAINPID is not set\n");
		return EXIT_FAILURE;
	}
	(void)alarm(MACHINED_SEC);
	r = machined_register(o->name, (pid_t)leader);
	if (r < 0)
		fprintf(stderr, SD_INFO "Not registered with machined: %s\n", strerror(-r));
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options o;

	(void)signal(SIGPIPE, SIG_IGN); /* writes return EPIPE instead */
	if (parse(argc, argv, &o) < 0) {
		fputs(usage, stderr);
		return EXIT_FAILURE;
	}
	if (o.verb != VERB_HELP && !ghvm_name_valid(o.name))
		return refuse_name(&o);
	switch (o.verb) {
	case VERB_HELP:
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	case VERB_RELEASE:
		return release_guest(&o);
	case VERB_REGISTER:
		return register_machine(&o);
	case VERB_PREPARE:
		break;
	}
	return prepare(&o);
}
