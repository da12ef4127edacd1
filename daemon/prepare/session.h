/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The helper's end of a start: send the files that the manager needs, store the file descriptors that it
 * returns.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/prepare/descriptor.h"
#include "daemon/prepare/room.h"
#include "daemon/prepare/store.h"
#include "ghvm/error.h"

/**
 * struct session - a start
 * @sock: connected to the manager, borrowed
 * @name: of the VM
 * @log_dir: FILES_LOG_DIR
 * @disk_dir: DISK_DIR
 * @vms_dirs: descriptor folders, as for ghvm_spec_load()
 * @store: borrowed
 * @room: borrowed; sources of memory figures; NULL: this machine
 * @heard: private: the manager has replied
 * @sent_by: private: the user of the call that has brought the descriptor, if it is a sent one
 * @descriptor: private
 */
struct session {
	int sock;
	const char *name;
	const char *log_dir;
	const char *disk_dir;
	const char *const *vms_dirs;
	struct store *store;
	const struct ghvm_room_sources *room;
	bool heard;
	uint32_t sent_by;
	struct descriptor descriptor;
};

#define SESSION_REFUSED 1

/**
 * session_run() - from HELLO to BUILT
 *
 * Failures are logged on standard error.
 *
 * Return: 0 the VM is READY, and its file descriptors are stored; SESSION_REFUSED: a permanent failure;
 * negative errno: a failure that may be temporary. On failure the store is emptied.
 */
int session_run(struct session *s, struct ghvm_error *err);
