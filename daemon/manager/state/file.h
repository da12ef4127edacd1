/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a later manager must know of a running VM that the module's tags do not say: one
 * file a VM. Losing it costs a reboot in place and names of things, never a page.
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

#define STORE_DIGEST_SIZE 17

/**
 * struct store_file - which file it was; all zero: none
 * @mtime: of its contents, ns since the epoch
 */
struct store_file {
	uint64_t device;
	uint64_t inode;
	uint64_t size;
	uint64_t mtime;
};

/**
 * struct store_origin - what, beside the spec, a plan is made of
 * @kernel_header: of the kernel's file
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
 * @planned: @spec and @origin are known; else an older manager has written it
 * @spec: as it was started, whatever its descriptor says by now
 *
 * What it points to is the caller's when it is written, its own when it was read.
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
	struct ghvm_spec spec;
	struct store_origin origin;
};

void store_origin_done(struct store_origin *origin);
/* Of one that was read. */
void store_record_done(struct store_record *rec);

/* Return: 0; -ENOMEM; errno of open, write, rename. The old record stays on failure. */
int store_write(const char *dir, const struct store_record *rec);

/**
 * store_read() - the record of @name
 * @ret: owned by the caller, store_record_done(); untouched on failure
 *
 * Records of version 1, which have no plan, are read as well.
 * Return: 0; -ENOENT; -EBADMSG it is not a record of @name, or of a later version; -ENOMEM.
 */
int store_read(const char *dir, const char *name, struct store_record *ret);

/**
 * store_try() - about to use the record of @name
 *
 * What a record makes of us should be an error at worst. If it is our death all the same, the next
 * manager must not die of it again, and goes on without the record.
 *
 * Return: 0: store_tried() follows; -EEXIST: somebody began and did not come to an end; errno.
 */
int store_try(const char *dir, const char *name);
void store_tried(const char *dir, const char *name);

/* A record that is not there is fine. */
void store_remove(const char *dir, const char *name);

/* record.c: the text of a file. */
char *store_print(const struct store_record *rec);
/* @text: is changed; NUL-terminated. As store_read(). */
int store_parse(char *text, const char *name, struct store_record *ret);
