/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Definitions: descriptors that came over the bus, with the files that they name.
 *
 * DIR/vms/NAME.yaml is the descriptor, DIR/images/NAME.SERIAL.UID the folder of its files, made for the
 * user UID. Each change makes a new folder, then replaces the descriptor by a rename: whenever the manager
 * dies, there is the earlier definition or the new one. What no descriptor names any more is removed by
 * definition_clean(). These functions block; they use no data but their arguments.
 */
#pragma once

#include "ghvm/error.h"
#include "ghvm/spec.h"
#include "ghvm/types.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DEFINITION_DIR "/var/lib/gunyah"
#define DEFINITION_VMS "vms"

#define DEFINITION_FILES_MAX 16
#define DEFINITION_FILE_MAX (UINT64_C(1) << 30)	 /* bytes of one file */
#define DEFINITION_TOTAL_MAX (UINT64_C(2) << 30) /* bytes of all files of a definition */
#define DEFINITIONS_PER_UID 64

#define DEFINITION_FOLDER_SIZE (GHVM_NAME_SIZE + 32) /* NAME.SERIAL.UID */
#define DEFINITION_KEPT_SIZE (DEFINITION_FOLDER_SIZE + 32)

/**
 * struct definition_file - a file that a definition names
 * @key: of the descriptor, "kernel.image"; its name on disk, too
 * @fd: a sealed memfd, borrowed; -1: it is a file of the earlier definition
 * @size: bytes of it
 * @kept: if @fd is -1: FOLDER/KEY of that file
 */
struct definition_file {
	char key[32];
	int fd;
	uint64_t size;
	char kept[DEFINITION_KEPT_SIZE];
};

/**
 * struct definition - what definition_write() writes
 * @dir: borrowed
 * @uid: for which user; @limited: who may have only DEFINITIONS_PER_UID
 * @text: the descriptor, @len bytes, with paths as of definition_path(); owned
 * @cancelled: set by another thread: stop as soon as possible
 */
struct definition {
	const char *dir;
	char name[GHVM_NAME_SIZE];
	char folder[DEFINITION_FOLDER_SIZE];
	uid_t uid;
	bool limited;
	char *text;
	size_t len;
	struct definition_file files[DEFINITION_FILES_MAX];
	size_t n_files;
	_Atomic bool cancelled;
};

/* Choose the folder. @name: valid. Return: 0; an error of getrandom(). */
int definition_init(struct definition *d, const char *dir, const char *name, uid_t uid);
void definition_done(struct definition *d);

/* Where the file of @key will be: malloc'ed; NULL: out of memory. */
char *definition_path(const struct definition *d, const char *key);

/* Is @path a file of an earlier definition of the same name? @ret: for the member @kept. */
bool definition_keeps(const struct definition *d, const char *path, char ret[DEFINITION_KEPT_SIZE]);

/**
 * definition_write() - write the files and the descriptor, in place of the earlier definition
 *
 * Thread: any. Return: 0; -EDQUOT the user has too many definitions, or the disk has too little room;
 * -ENOSPC, -EFBIG while copying; -EBADF a kept file does not exist; -ECANCELED; another errno. On failure
 * the earlier definition is unchanged and nothing of the new one is left.
 */
int definition_write(struct definition *d, struct ghvm_error *err);

/* Remove the definition of @name. Thread: any. Return: 0; -ENOENT there is none; another errno. */
int definition_remove(const char *dir, const char *name, struct ghvm_error *err);

/* Make the folders below @dir, and remove what a manager that died has left. Return: 0; the errno. */
int definition_clean(const char *dir);

/* The owner of the folder of files that begins with NAME.SERIAL; true if the name has this form. */
bool definition_folder_of(const char *folder, char ret_name[GHVM_NAME_SIZE], uid_t *ret_uid);
