/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest-physical map of a plan: drawn as a bar with a row for each part of it, and as JSON.
 *
 * The bar is to scale, but each part has at least one character: a page of registers would be none.
 */
#include "libghvm/plan/picture.h"

#include "ghvm/guest-map.h"
#include "libghvm/base/bits.h"
#include "libghvm/plan/devices.h"

#include <inttypes.h>
#include <string.h>

#define PLACES_MAX (7 + GHVM_PLAN_DEVICES_MAX + GHVM_PLAN_PARCELS_MAX)
#define PARTS_MAX (2 * PLACES_MAX)

enum shade { SHADE_HOLE, SHADE_REGISTERS, SHADE_REGION, SHADE_WINDOW, SHADE_RAM, SHADES };

static const struct {
	const char *plain;
	const char *utf8;
	const char *name;
} shades[SHADES] = {
	[SHADE_HOLE] = { ".", "\u00b7", "hole" },
	[SHADE_REGISTERS] = { "+", "\u2591", "registers" },
	[SHADE_REGION] = { "%", "\u2592", "region" },
	[SHADE_WINDOW] = { "~", "\u2593", "region of devices" },
	[SHADE_RAM] = { "#", "\u2588", "ram" },
};

/**
 * struct place - what the guest has at an address
 * @inside: part of RAM
 */
struct place {
	uint64_t ipa;
	uint64_t size;
	const char *what;
	enum shade shade;
	bool inside;
	bool readonly;
};

/**
 * struct part - a part of the bar
 * @size: of neighbours with registers it is the sum
 * @letter: in the bar, and of its rows; a hole has its shade instead
 */
struct part {
	uint64_t ipa;
	uint64_t size;
	enum shade shade;
	char letter;
	size_t width;
};

struct bar {
	struct part v[PARTS_MAX];
	size_t n;
};

/* ---- places ---- */

static void add_place(struct place *v, size_t *n, struct place p)
{
	if (p.size)
		v[(*n)++] = p;
}

static void find_ram(const struct ghvm_plan *p, struct place *v, size_t *n)
{
	const struct ghvm_plan_parcel *ram = &p->parcels[0];
	const struct place in_ram[] = {
		{ ram->ipa, ram->size, ram->name, SHADE_RAM, 0, 0 },
		{ ram->ipa + p->kernel_offset, p->kernel_size, "kernel", SHADE_RAM, 1, 0 },
		{ ram->ipa + p->dtb_offset, p->dtb_room, "device-tree", SHADE_RAM, 1, 0 },
		{ ram->ipa + p->initrd_offset, p->initrd_size, "initrd", SHADE_RAM, 1, 0 },
		{ ram->ipa + p->firmware_offset, p->firmware_size, "firmware", SHADE_RAM, 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(in_ram); i++)
		add_place(v, n, in_ram[i]);
}

static size_t find_places(const struct ghvm_plan *p, struct place ret[PLACES_MAX])
{
	const struct place gic[] = {
		{ GHVM_IPA_GICR, p->spec->cpus * GHVM_IPA_GICR_SIZE, "redistributors",
		  SHADE_REGISTERS, 0, 0 },
		{ GHVM_IPA_GICD, GHVM_IPA_GICD_SIZE, "distributor", SHADE_REGISTERS, 0, 0 },
	};
	size_t n = 0;

	for (size_t i = 0; i < p->n_devices; i++)
		add_place(ret, &n,
			  (struct place){ p->devices[i].ipa, GHVM_IPA_MMIO_PAGE, p->devices[i].name,
					  SHADE_REGISTERS, 0, 0 });
	for (size_t i = 0; i < ARRAY_SIZE(gic); i++)
		add_place(ret, &n, gic[i]);
	for (size_t i = 1; i < p->n_parcels; i++)
		add_place(ret, &n,
			  (struct place){ p->parcels[i].ipa, p->parcels[i].size, p->parcels[i].name,
					  ghvm_devices_access(p, i) ? SHADE_WINDOW : SHADE_REGION,
					  0, p->parcels[i].readonly });
	find_ram(p, ret, &n);
	return n;
}

/* By address; those at one address stay in their order: RAM before what is inside. */
static void sort_places(struct place *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const struct place p = v[i];
		size_t at = i;

		for (; at && v[at - 1].ipa > p.ipa; at--)
			v[at] = v[at - 1];
		v[at] = p;
	}
}

/* ---- the bar ---- */

static char next_letter(const struct bar *b)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->v[i].shade != SHADE_HOLE;
	return letters[n % (sizeof(letters) - 1)];
}

static void add_part(struct bar *b, uint64_t ipa, uint64_t size, enum shade shade)
{
	struct part *last = b->n ? &b->v[b->n - 1] : NULL;

	if (!size)
		return;
	if (last && last->shade == SHADE_REGISTERS && shade == SHADE_REGISTERS &&
	    last->ipa + last->size == ipa) {
		last->size += size;
		return;
	}
	b->v[b->n] = (struct part){ ipa, size, shade, next_letter(b), 1 };
	b->n++;
}

static void find_parts(const struct place *v, size_t n, struct bar *ret)
{
	uint64_t end = 0;

	ret->n = 0;
	for (size_t i = 0; i < n; i++) {
		if (v[i].inside)
			continue;
		add_part(ret, end, v[i].ipa - end, SHADE_HOLE);
		add_part(ret, v[i].ipa, v[i].size, v[i].shade);
		end = v[i].ipa + v[i].size;
	}
}

/* Each part has one character, and of those that are left its share; the largest gets what the shares leave. */
static void set_widths(struct bar *b, size_t width)
{
	const size_t spare = width > b->n ? width - b->n : 0;
	uint64_t total = 0;
	size_t used = 0, largest = 0;

	for (size_t i = 0; i < b->n; i++) {
		total += b->v[i].size;
		if (b->v[i].size > b->v[largest].size)
			largest = i;
	}
	for (size_t i = 0; i < b->n; i++) {
		const size_t share = (size_t)(spare * b->v[i].size / total);

		b->v[i].width += share;
		used += share;
	}
	b->v[largest].width += spare - used;
}

static const char *shade_text(enum shade shade, bool utf8)
{
	return utf8 ? shades[shade].utf8 : shades[shade].plain;
}

static void draw_part(FILE *f, const struct part *p, bool utf8)
{
	const bool hole = p->shade == SHADE_HOLE;

	if (!hole)
		fputc(p->letter, f);
	for (size_t i = !hole; i < p->width; i++)
		fputs(shade_text(p->shade, utf8), f);
}

static void draw_bar(FILE *f, const struct bar *b, bool utf8)
{
	const char *edge = utf8 ? "\u2502" : "|";

	fprintf(f, "  %s", edge);
	for (size_t i = 0; i < b->n; i++)
		draw_part(f, &b->v[i], utf8);
	fprintf(f, "%s\n", edge);
}

static bool has_shade(const struct bar *b, enum shade shade)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].shade == shade)
			return true;
	return false;
}

static void draw_key(FILE *f, const struct bar *b, bool utf8)
{
	const char *before = "  ";

	for (enum shade s = SHADES; s-- > 0;) {
		if (!has_shade(b, s))
			continue;
		fprintf(f, "%s%s %s", before, shade_text(s, utf8), shades[s].name);
		before = "   ";
	}
	fputc('\n', f);
}

/* ---- the rows ---- */

static void draw_row(FILE *f, const char *letter, const struct place *p)
{
	char size[PLAN_SIZE_TEXT];

	fprintf(f, "  %s 0x%09" PRIx64 "  %-8s %s%s%s\n", letter, p->ipa,
		plan_size_text(p->size, size), p->inside ? "  " : "", p->what,
		p->readonly ? ", read-only" : "");
}

static void draw_rows(FILE *f, const struct part *part, const struct place *v, size_t n, bool utf8)
{
	const struct place hole = { .ipa = part->ipa, .size = part->size, .what = "hole" };
	const char letter[] = { part->letter, '\0' };

	if (part->shade == SHADE_HOLE)
		draw_row(f, shade_text(SHADE_HOLE, utf8), &hole);
	for (size_t i = 0; i < n; i++)
		if (v[i].ipa >= part->ipa && v[i].ipa - part->ipa < part->size)
			draw_row(f, v[i].inside ? " " : letter, &v[i]);
}

void plan_draw_map(FILE *f, const struct ghvm_plan *p, const struct plan_look *look)
{
	struct place v[PLACES_MAX];
	struct bar b;
	size_t n = find_places(p, v);

	sort_places(v, n);
	find_parts(v, n, &b);
	set_widths(&b, look->columns > 4 ? look->columns - 4 : 0);
	fprintf(f, "guest-physical map\n");
	draw_bar(f, &b, look->utf8);
	draw_key(f, &b, look->utf8);
	for (size_t i = 0; i < b.n; i++)
		draw_rows(f, &b.v[i], v, n, look->utf8);
}

void plan_json_map(struct ghvm_json *j, const struct ghvm_plan *p)
{
	struct place v[PLACES_MAX];
	size_t n = find_places(p, v);

	ghvm_json_open(j, "map", '[');
	for (size_t i = 0; i < n; i++) {
		ghvm_json_open(j, NULL, '{');
		ghvm_json_number(j, "ipa", v[i].ipa);
		ghvm_json_number(j, "size", v[i].size);
		ghvm_json_text(j, "what", v[i].what);
		ghvm_json_close(j, '}');
	}
	ghvm_json_close(j, ']');
}
