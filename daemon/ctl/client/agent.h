/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Run pkttyagent, polkit's agent that asks for a password on the terminal.
 */
#pragma once

#include <sys/types.h>

/**
 * struct agent - a pkttyagent process; zero: none
 */
struct agent {
	pid_t pid;
};

/*
 * Start an agent before a call that needs authorization: not for root, and not without a terminal.
 * polkit prefers an agent of the desktop. If pkttyagent is not installed, the call's error says so.
 */
void agent_open(struct agent *a);
/* Stop the agent, if there is one. */
void agent_close(struct agent *a);
