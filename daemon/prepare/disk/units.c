/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * systemctl(1) waits for the end of a job, and says on standard error, which is the unit's journal, why it failed.
 */
#include "daemon/prepare/disk/units.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ghvm/types.h"
#include "libghvm/plan/devices.h"

#define UNIT_SIZE (sizeof("gunyah-vm-disk4294967295@.service") + GHVM_NAME_SIZE)

static void set_names(const char *vm, unsigned int nth, char socket[UNIT_SIZE],
		      char service[UNIT_SIZE])
{
	(void)snprintf(socket, UNIT_SIZE, GHVM_DISK_UNIT ".socket", nth, vm); /* fits */
	(void)snprintf(service, UNIT_SIZE, GHVM_DISK_UNIT ".service", nth, vm);
}

static int run_systemctl(char *const argv[])
{
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		return -EIO;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -EIO;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int units_start(const struct disk *d, struct ghvm_error *err)
{
	char socket[UNIT_SIZE], service[UNIT_SIZE];
	char *argv[] = { "systemctl", "start", "--quiet", "--", socket, service, NULL };

	set_names(d->vm, d->nth, socket, service);
	if (run_systemctl(argv) < 0)
		return ghvm_error_set(err, -EIO,
				      "%s: %s: its storage daemon cannot be started: see "
				      "journalctl -u %s",
				      d->key, d->spec->image, service);
	return 0;
}

int units_stop(const char *vm, unsigned int nth)
{
	char socket[UNIT_SIZE], service[UNIT_SIZE];
	char *argv[] = { "systemctl", "stop", "--quiet", "--job-mode=ignore-dependencies",
			 "--",	      socket, service,	 NULL };

	set_names(vm, nth, socket, service);
	return run_systemctl(argv);
}
