/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes nodes and properties of a device tree, in order.
 *
 * The first error of libfdt is kept in the writer and checked once, at the end of the tree.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DT_NAME_SIZE 40 /* of a node with its address */

enum dt_phandle {
	DT_PHANDLE_GIC = 1,
	DT_PHANDLE_CLOCK, /* the APB clock, of devices with @clock in their row */
	DT_PHANDLE_GPIO,
	DT_PHANDLE_REGION = 0x100, /* and one more for each region after the first */
};

/**
 * struct dt_writer - a tree that is being written
 * @fdt: borrowed; @bad: first error of libfdt
 */
struct dt_writer {
	void *fdt;
	int bad;
};

void dt_note_error(struct dt_writer *w, int r);

void dt_begin_node(struct dt_writer *w, const char *name);
void dt_begin_node_at(struct dt_writer *w, const char *name, uint64_t address);
void dt_end_node(struct dt_writer *w);

void dt_put_empty(struct dt_writer *w, const char *name);
void dt_put_string(struct dt_writer *w, const char *name, const char *s);
/* @list: strings with their NULs, one after the other */
void dt_put_strings(struct dt_writer *w, const char *name, const char *list, size_t size);
void dt_put_cell(struct dt_writer *w, const char *name, uint32_t v);
void dt_put_cells(struct dt_writer *w, const char *name, const uint32_t *v, size_t n);
void dt_put_u64(struct dt_writer *w, const char *name, uint64_t v);

/* "reg" of one range, with two cells for each of both. */
void dt_put_reg(struct dt_writer *w, uint64_t address, uint64_t size);
/* Addresses and sizes of the children have two cells each. */
void dt_put_two_cells(struct dt_writer *w);
/* "interrupts": an edge of an SPI; its number is the label of the doorbell. */
void dt_put_doorbell_irq(struct dt_writer *w, uint32_t label);
