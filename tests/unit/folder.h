/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A temporary folder of a test.
 */
#pragma once

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER_SIZE 32 /* of its path */

/* Make one. @path: set to its path */
static inline void folder_make(char path[FOLDER_SIZE])
{
	strcpy(path, "/tmp/ghvm-test-XXXXXX");
	assert_non_null(mkdtemp(path));
}

/* Remove it with all that is in it. */
static inline void folder_remove(const char *path)
{
	char command[FOLDER_SIZE + 16];

	(void)snprintf(command, sizeof(command), "rm -r %s", path);
	assert_int_equal(system(command), 0);
}

/* Write a file. @file: relative, may name folders, which are made */
static inline void folder_put(const char *path, const char *file, const char *content)
{
	char full[256];
	FILE *f;

	(void)snprintf(full, sizeof(full), "%s/%s", path, file);
	for (char *p = strchr(full + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)mkdir(full, 0700); /* may exist */
		*p = '/';
	}
	f = fopen(full, "we");
	assert_non_null(f);
	assert_true(fputs(content, f) >= 0);
	assert_int_equal(fclose(f), 0);
}
