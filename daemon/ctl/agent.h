/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who asks for polkit's password on the terminal that ghvmctl was called from: pkttyagent of polkit.
 */
#pragma once

#include <sys/types.h>

/**
 * struct agent - a process; zero is none
 */
struct agent {
	pid_t pid;
};

/*
 * For a call that polkit may be asked about: none for root, nor without a terminal. An agent of the
 * desktop goes first. Without pkttyagent there is none, and the answer to the call says so.
 */
void agent_open(struct agent *a);
/* Right for none. */
void agent_close(struct agent *a);
