/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of the guest's regions, kept for the manager that comes next. The runner never maps it.
 * Thread: main.
 */
#pragma once

#include "daemon/ipc/protocol.h"
#include "daemon/ipc/region-fds.h"
#include "daemon/runner/manager-link.h"

/* REGION_FD: keep it; REGION_GONE: forget it; REGION_FDS: send what is kept. Others are ignored. */
void regions_on_message(struct ghvm_region_fds *all, struct control *c,
			struct ghvm_link_message *m);
