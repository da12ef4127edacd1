/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A child is stepped through what is counted: a load of the machine changes nothing. */
#include "tests/bench/steps.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	exit(1);
}

static bool stopped(pid_t pid, int signal)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		must(-ECHILD, "the child has ended");
	return WSTOPSIG(status) == signal;
}

static void trace(int request, pid_t pid)
{
	if (ptrace(request, pid, 0, 0) < 0)
		must(-errno, "ptrace");
}

uint64_t steps_next(pid_t pid)
{
	uint64_t n = 0;

	do {
		trace(PTRACE_SINGLESTEP, pid);
		n++;
	} while (stopped(pid, SIGTRAP));
	return n;
}

void steps_let_count(void)
{
	trace(PTRACE_TRACEME, 0);
}

uint64_t steps_first(pid_t pid)
{
	while (!stopped(pid, SIGSTOP))
		trace(PTRACE_CONT, pid);
	return steps_next(pid);
}

void steps_end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0); /* it was there */
}
