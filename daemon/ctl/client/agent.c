/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/client/agent.h"

#include "libghvm/base/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_MS 5000

/* Become pkttyagent, which closes @notify when it is registered with polkit, or when it exits. */
static void become_agent(int notify)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%d", notify); /* fits */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && fcntl(notify, F_SETFD, 0) == 0)
		(void)execlp("pkttyagent", "pkttyagent", "--notify-fd", number, "--fallback", NULL);
	_exit(EXIT_FAILURE);
}

void agent_open(struct agent *a)
{
	_cleanup_(closep) int ready = -1;
	struct pollfd p = {};
	int ends[2];

	*a = (struct agent){};
	if (geteuid() == 0 || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO) ||
	    pipe2(ends, O_CLOEXEC) < 0)
		return;
	ready = ends[0];
	a->pid = fork();
	if (a->pid == 0)
		become_agent(ends[1]);
	(void)close(ends[1]);
	if (a->pid < 0)
		a->pid = 0;
	if (!a->pid)
		return;
	p.fd = ready;
	(void)poll(&p, 1, READY_MS); /* without an agent the call fails as if there were none */
}

void agent_close(struct agent *a)
{
	if (!a->pid)
		return;
	(void)kill(a->pid, SIGTERM); /* it may have ended */
	(void)kill(a->pid, SIGCONT); /* and the terminal may have stopped it */
	(void)waitpid(a->pid, NULL, 0);
	a->pid = 0;
}
