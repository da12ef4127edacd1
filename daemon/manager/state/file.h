/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State files: information about a running VM for a later manager, in addition to the module's tags; one
 * file per VM. Without it the VM cannot reboot in place, but no page is lost.
 */
#pragma once

#include "libghvm/plan/dt.h"
#include "ghvm/error.h"
#include "libghvm/plan/image.h"
#include "ghvm/spec.h"
#include "ghvm/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STORE_DIGEST_SIZE 17

/**
 * struct store_file - identity of a file; all zero: none
 * @mtime: modification time, ns since the epoch
 */
struct store_file {
	uint64_t device;
	uint64_t inode;
	uint64_t size;
	uint64_t mtime;
};

/**
 * struct store_origin - input of a plan in addition to the spec
 * @kernel_header: first bytes of the kernel image
 * @overlay: owned, NULL: none
 */
struct store_origin {
	struct store_file kernel;
	struct store_file initrd;
	uint8_t kernel_header[GHVM_IMAGE_HEADER];
	uint8_t *overlay;
	size_t overlay_size;
};

/**
 * struct store_record - a VM that has guarded pages
 * @on_reboot, @on_crash: enum ghvm_on_end
 * @digest: of its descriptor, hexadecimal
 * @planned: @spec and @origin are set; false in files of an older manager
 * @spec: the descriptor at the start
 * @transient, @transient_uid: it is a transient VM, which that user runs
 *
 * Pointers are borrowed when a record is written, and owned when it was read.
 */
struct store_record {
	char name[GHVM_NAME_SIZE];
	uint16_t vmid;
	uint64_t incarnation;
	unsigned int on_reboot;
	unsigned int on_crash;
	unsigned int stop_timeout_ms;
	char digest[STORE_DIGEST_SIZE];
	bool planned;
	bool transient;
	uid_t transient_uid;
	struct ghvm_spec spec;
	struct store_origin origin;
};

void store_origin_done(struct store_origin *origin);
/* For a record that was read. */
void store_record_done(struct store_record *rec);

/* Return: 0; -ENOMEM; errno of open, write, rename. On failure the old file is kept. */
int store_write(const char *dir, const struct store_record *rec);

/**
 * store_read() - the record of @name
 * @ret: owned by the caller, store_record_done(); untouched on failure
 *
 * Also reads records of version 1, which have no plan.
 * Return: 0; -ENOENT; -EBADMSG malformed, of another VM, or of a later version; -ENOMEM.
 */
int store_read(const char *dir, const char *name, struct store_record *ret);

/**
 * store_try() - mark the record of @name as being read
 *
 * If reading a record crashes the manager, the next manager finds the mark and ignores the record.
 *
 * Return: 0: call store_tried() afterwards; -EEXIST: an earlier manager died while reading it; errno.
 */
int store_try(const char *dir, const char *name);
void store_tried(const char *dir, const char *name);

/* Remove the record, if there is one. */
void store_remove(const char *dir, const char *name);

/* record.c: format a record. Return: owned text, or NULL. */
char *store_print(const struct store_record *rec);
/* Parse a record. @text: NUL-terminated, modified. Return: as store_read(). */
int store_parse(char *text, const char *name, struct store_record *ret);
