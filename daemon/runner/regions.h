/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of the guest's regions, and the files of a transient VM, kept for the manager that comes next.
 * The runner maps those only that a device accesses (guest.c).
 * Thread: main.
 */
#pragma once

#include "daemon/ipc/protocol.h"
#include "daemon/runner/fds.h"
#include "daemon/runner/manager-link.h"

/*
 * REGION_FD: keep it; REGION_GONE: forget it; REGION_FDS, SENT_FDS: send what is kept. Others are
 * ignored.
 */
void regions_on_message(struct fds *fds, struct control *c, struct ghvm_link_message *m);
