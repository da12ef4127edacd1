/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folder of a disk, DIR/VM.N: the root of its storage daemon, a tmpfs in which the image is mounted, that one file; the
 * options of the daemon, and the socket. Its unit adds programs and libraries to the root.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "daemon/prepare/disk/disk.h"
#include "ghvm/error.h"

#define PLACE_PATH PATH_MAX
#define PLACE_ROOT "root"
#define PLACE_IMAGE "root/image"
#define PLACE_OPTIONS "options" /* a systemd EnvironmentFile= */
#define PLACE_SOCKET "socket"

/* The path of a file in the folder; @file "": of the folder itself. */
void place_path(const char *dir, const char *vm, unsigned int nth, const char *file,
		char ret[PLACE_PATH]);

/* Open @dir, made if need be, and wait for its lock, which ends with the descriptor. Return: it; negative errno. */
int place_lock(const char *dir, struct ghvm_error *err);

bool place_exists(const char *dir, const char *vm, unsigned int nth);

/**
 * place_make() - make the folder, with the image that is open
 *
 * The mount is of the open file, whatever its path refers to by now. It has no owner of its own: a disk that is readonly
 * has a mount that is. Return: 0; negative errno with a message: call place_remove().
 */
int place_make(const struct disk *d, struct ghvm_error *err);

/* Unmount the image and remove the folder; what is missing is no error. */
void place_remove(const char *dir, const char *vm, unsigned int nth);
