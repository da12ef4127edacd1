/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables of text with aligned columns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_COLUMNS_MAX 8
#define TABLE_SIZE_TEXT 24

/**
 * struct table - rows of cells
 * @columns: number of columns
 * @cells: owned copies, row by row, the head first
 */
struct table {
	size_t columns;
	size_t n;
	char **cells;
};

/* Add one row of @t->columns cells. Return: 0; -ENOMEM. */
int table_row(struct table *t, const char *const *cells);

/* Print the table; the head in bold if @color. */
void table_print(const struct table *t, bool color);
void table_done(struct table *t);

#define TABLE_TIME_TEXT 48

/* "14:03:22, 12 s ago", or with the date if it is more than 12 hours ago. @usec: since 1970 */
const char *table_time(uint64_t usec, char buf[TABLE_TIME_TEXT]);

/* "512M", "1.5G", "0": with at most one decimal. */
const char *table_size(uint64_t bytes, char buf[TABLE_SIZE_TEXT]);
