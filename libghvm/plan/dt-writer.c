/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nodes and properties by libfdt.
 */
#include "libghvm/plan/dt-writer.h"

#include "libghvm/base/bits.h"

#include <libfdt.h>
#include <stdio.h>

#define IRQ_SPI 0
#define IRQ_EDGE 1

void dt_note_error(struct dt_writer *w, int r)
{
	if (r < 0 && !w->bad)
		w->bad = r;
}

void dt_begin_node(struct dt_writer *w, const char *name)
{
	dt_note_error(w, fdt_begin_node(w->fdt, name));
}

void dt_begin_node_at(struct dt_writer *w, const char *name, uint64_t address)
{
	char s[DT_NAME_SIZE];

	snprintf(s, sizeof(s), "%s@%llx", name, (unsigned long long)address);
	dt_begin_node(w, s);
}

void dt_end_node(struct dt_writer *w)
{
	dt_note_error(w, fdt_end_node(w->fdt));
}

void dt_put_empty(struct dt_writer *w, const char *name)
{
	dt_note_error(w, fdt_property(w->fdt, name, NULL, 0));
}

void dt_put_string(struct dt_writer *w, const char *name, const char *s)
{
	dt_note_error(w, fdt_property_string(w->fdt, name, s));
}

void dt_put_strings(struct dt_writer *w, const char *name, const char *list, size_t size)
{
	dt_note_error(w, fdt_property(w->fdt, name, list, (int)size));
}

void dt_put_cell(struct dt_writer *w, const char *name, uint32_t v)
{
	dt_note_error(w, fdt_property_u32(w->fdt, name, v));
}

void dt_put_cells(struct dt_writer *w, const char *name, const uint32_t *v, size_t n)
{
	void *p;

	dt_note_error(w, fdt_property_placeholder(w->fdt, name, (int)(n * sizeof(*v)), &p));
	for (size_t i = 0; !w->bad && i < n; i++)
		fdt32_st((uint8_t *)p + i * sizeof(*v), v[i]);
}

void dt_put_u64(struct dt_writer *w, const char *name, uint64_t v)
{
	dt_note_error(w, fdt_property_u64(w->fdt, name, v));
}

void dt_put_reg(struct dt_writer *w, uint64_t address, uint64_t size)
{
	const uint32_t v[] = {
		(uint32_t)(address >> 32),
		(uint32_t)address,
		(uint32_t)(size >> 32),
		(uint32_t)size,
	};

	dt_put_cells(w, "reg", v, ARRAY_SIZE(v));
}

void dt_put_two_cells(struct dt_writer *w)
{
	dt_put_cell(w, "#address-cells", 2);
	dt_put_cell(w, "#size-cells", 2);
}

void dt_put_doorbell_irq(struct dt_writer *w, uint32_t label)
{
	const uint32_t v[] = { IRQ_SPI, label, IRQ_EDGE };

	dt_put_cells(w, "interrupts", v, ARRAY_SIZE(v));
}
