/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manager's log: journal entries with fields for the VM and for errors of RM.
 *
 * Without systemd, entries are lines on standard error.
 */
#pragma once

#include "ghvm/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

/* MESSAGE_IDs of important events; stable. */
#define LOG_ID_STARTED "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d01"
#define LOG_ID_STOPPED "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d02"
#define LOG_ID_START_FAILED "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d03"
#define LOG_ID_CRASHED "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d04"
#define LOG_ID_REBOOTED "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d05"
#define LOG_ID_RUNNER_DIED "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d06"
#define LOG_ID_QUARANTINED "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d07"
#define LOG_ID_RECLAIMED "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d08"
#define LOG_ID_RM_DEAD "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d09"
#define LOG_ID_ADOPTED "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d0a"
#define LOG_ID_BAD_TAG "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d0b"
#define LOG_ID_NO_HOST "6f2b3b0d6b2c4a0b9f4c8a8f1f0a1d0c"

/**
 * struct log_about - fields of an entry; borrowed for the call
 * @vm: name, or NULL
 * @vmid: 0: none
 * @step: of a start or stop, or NULL
 * @err: error; its RM message and status become fields; or NULL
 * @id: MESSAGE_ID, or NULL
 */
struct log_about {
	const char *vm;
	uint16_t vmid;
	const char *step;
	const struct ghvm_error *err;
	const char *id;
};

/**
 * log_write() - write an entry
 * @priority: LOG_ERR and so on
 * @about: may be NULL
 * @code: negative errno, appended as text; or 0
 *
 * Thread: any.
 */
void log_write(int priority, const struct log_about *about, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Enable debug entries. Call it before threads are started. */
void log_set_debug(bool debug);

#define log_error(about, code, ...) log_write(LOG_ERR, (about), (code), __VA_ARGS__)
#define log_warning(about, code, ...) log_write(LOG_WARNING, (about), (code), __VA_ARGS__)
#define log_info(about, ...) log_write(LOG_INFO, (about), 0, __VA_ARGS__)
#define log_debug(about, ...) log_write(LOG_DEBUG, (about), 0, __VA_ARGS__)
