/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The helper's end of a start: give the manager what it needs, store what it returns.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/prepare/descriptor.h"
#include "daemon/prepare/room.h"
#include "daemon/prepare/store.h"
#include "ghvm/error.h"

/**
 * struct session - one start
 * @sock: connected to the manager, borrowed
 * @name: of the VM
 * @log_dir: FILES_LOG_DIR
 * @vms_dirs: of descriptors, as ghvm_spec_load()
 * @store: borrowed
 * @room: borrowed; where to ask for room; NULL: this machine
 * @heard, @descriptor: of session_run(): the manager has answered; the descriptor
 */
struct session {
	int sock;
	const char *name;
	const char *log_dir;
	const char *const *vms_dirs;
	struct store *store;
	const struct ghvm_room_sources *room;
	bool heard;
	struct descriptor descriptor;
};

#define SESSION_REFUSED 1

/**
 * session_run() - from HELLO to BUILT
 *
 * A failure is told on standard error.
 *
 * Return: 0 the VM is READY and all is stored; SESSION_REFUSED: trying again would end the
 * same way, err says why; negative errno: it may go better another time. Unless 0 is
 * returned, nothing stays in the store.
 */
int session_run(struct session *s, struct ghvm_error *err);
