/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gunyah-vm: the runner, which runs one virtual machine as an unprivileged user.
 *
 * The runner opens no files. It only has the file descriptors from its unit's store, or from --fd when it
 * runs without systemd.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "daemon/runner/runner.h"
#include "ghvm/host.h"
#include "libghvm/base/name.h"
#include "ghvm/spec.h"

static const char usage[] =
	"Usage: gunyah-vm [--fd NAME=NUMBER]... NAME\n"
	"\n"
	"Run the virtual machine NAME with the file descriptors of its unit's store.\n"
	"  --fd NAME=NUMBER  use this file descriptor instead of the descriptor store\n"
	"  --help            show this\n";

/* "grant=5" */
static int add_fd(struct fds *fds, char *arg)
{
	char *equals = strchr(arg, '='), *end;
	long fd;

	if (!equals || !equals[1])
		return -EINVAL;
	*equals = '\0';
	errno = 0;
	fd = strtol(equals + 1, &end, 10);
	if (errno || *end || fd < 0 || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0)
		return -EBADF;
	return fds_add(fds, arg, (int)fd);
}

/* Return: 1: run; 0: help was asked for; -EINVAL. */
static int parse(int argc, char **argv, struct fds *fds, bool *ret_by_option)
{
	static const struct option options[] = {
		{ "fd", required_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int o, r;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'h')
			return 0;
		if (o != 'f')
			return -EINVAL;
		r = add_fd(fds, optarg);
		if (r < 0) {
			fprintf(stderr, SD_ERR "--fd %s: %s\n", optarg, strerror(-r));
			return -EINVAL;
		}
		*ret_by_option = true;
	}
	return argc - optind == 1 && ghvm_name_valid(argv[optind]) ? 1 : -EINVAL;
}

static int run_vm(const char *name, struct fds *fds, bool by_option)
{
	const struct runner_config config = {
		.name = name,
		.fds = fds,
		.open_host = ghvm_host_from_fd,
		.orphan_ms = RUNNER_ORPHAN_MS,
		.halt_ms = RUNNER_HALT_MS,
		.quiet_ms = RUNNER_QUIET_MS,
	};
	struct ghvm_error err = {};

	if (!by_option && fds_take(fds, &err) < 0) {
		fprintf(stderr, SD_ERR "%s\n", err.msg);
		return RUNNER_EXIT_FAILED;
	}
	if (fds->refused >= 0)
		return RUNNER_EXIT_STOP; /* the start helper has logged the reason */
	if (fds_check(fds, &err) < 0) {
		fprintf(stderr, SD_ERR "%s\n", err.msg);
		return RUNNER_EXIT_FAILED;
	}
	return runner_run(&config);
}

int main(int argc, char **argv)
{
	bool by_option = false;
	struct fds fds;
	int r;

	fds_init(&fds);
	runner_block_signals();
	r = parse(argc, argv, &fds, &by_option);
	if (r <= 0) {
		fputs(usage, r < 0 ? stderr : stdout);
		r = r < 0 ? RUNNER_EXIT_STOP : RUNNER_EXIT_OK;
	} else {
		r = run_vm(argv[optind], &fds, by_option);
	}
	fds_done(&fds);
	return r;
}
