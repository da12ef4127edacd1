/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a later manager must know of a running VM that the module's tags do not say: one
 * small file a VM. Losing it costs a reboot in place and names of things, never a page.
 */
#pragma once

#include "libghvm/types.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_DIGEST_SIZE 17

/**
 * struct store_record - a VM that has guarded pages
 * @on_reboot, @on_crash: enum ghvm_on_end
 * @digest: of its descriptor, hexadecimal
 */
struct store_record {
	char name[GHVM_NAME_SIZE];
	uint16_t vmid;
	uint64_t incarnation;
	unsigned int on_reboot;
	unsigned int on_crash;
	unsigned int stop_timeout_ms;
	char digest[STORE_DIGEST_SIZE];
};

/* Return: 0; errno of open, write, rename. The old record stays on failure. */
int store_write(const char *dir, const struct store_record *rec);

/* Return: 0; -ENOENT; -EBADMSG it is not a record of @name. */
int store_read(const char *dir, const char *name, struct store_record *ret);

/* A record that is not there is fine. */
void store_remove(const char *dir, const char *name);
