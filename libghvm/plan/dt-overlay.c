/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A user's overlay, checked before libfdt applies it.
 *
 * libfdt trusts an overlay: it reads and writes wherever a number in __local_fixups__ points
 * (libfdt 1.6.1 to 1.8.1), and changes the overlay meanwhile. So everything that libfdt follows
 * is checked first, on a copy with separate parts. Odd constructs such as a fix-up of a
 * fix-up are refused, as they would change a number that was checked.
 */
#include "libghvm/plan/dt-overlay.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32 /* Linux reads 64 levels; the target has some of its own */
#define PATH_SIZE 256
/* libfdt searches from the beginning each time: thousands would block the manager for seconds */
#define NODES_MAX 512
#define PROPERTIES_MAX 1024
#define VERSION 17 /* of the format; older versions have no sizes of their parts */

#define LOCAL_FIXUPS "__local_fixups__"
#define FIXUPS "__fixups__"
#define SYMBOLS "__symbols__"

static const char *const specials[] = { LOCAL_FIXUPS, FIXUPS, SYMBOLS };
static const char *const phandles[] = { "phandle", "linux,phandle" };

/**
 * struct check - one overlay
 * @fdt: the target tree, unchanged
 * @o: the overlay
 * @phandles: the largest phandle of @fdt, which libfdt adds to those of the overlay
 * @astray: the first fragment with a target not in @fdt, possibly created by another fragment; or
 *          -1
 */
struct check_overlay {
	const void *fdt;
	const void *o;
	uint32_t phandles;
	int astray;
	struct ghvm_error *err;
};

__attribute__((format(printf, 4, 5))) static int
complain(const struct check_overlay *c, int node, const char *property, const char *fmt, ...)
{
	char path[PATH_SIZE], text[GHVM_ERROR_TEXT / 2];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut if too long */
	va_end(args);
	if (fdt_get_path(c->o, node, path, sizeof(path)))
		strcpy(path, "(deep)");
	return ghvm_error_set(c->err, -EINVAL, "device tree overlay: %s: %s%s%s", path,
			      property ? property : "", property ? ": " : "", text);
}

static bool is_one_of(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(name, list[i]))
			return true;
	return false;
}

static bool is_phandle(const char *name)
{
	return is_one_of(name, phandles, ARRAY_SIZE(phandles));
}

/* Characters that the compiler accepts in a name, more than the specification allows. */
static bool is_name(const char *s)
{
	const size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   ",._+*#?@-");

	return n && !s[n];
}

/* True for a path with its NUL and nothing after it. */
static bool is_path(const char *value, int len)
{
	return len > 1 && *value == '/' && memchr(value, '\0', (size_t)len) == value + len - 1;
}

/* The child of exactly this name; libfdt would also find NAME@1. Return: a node or negative. */
static int find_child(const struct check_overlay *c, int parent, const char *name)
{
	int node = fdt_subnode_offset(c->o, parent, name);

	return node >= 0 && !strcmp(fdt_get_name(c->o, node, NULL), name) ? node
									  : -FDT_ERR_NOTFOUND;
}

/* structure of the tree */

/**
 * struct walk - position in the overlay
 * @open: open nodes, @depth of them
 * @nodes, @properties: so far
 * @ended: a node has just ended
 */
struct walk {
	int open[DEPTH_MAX];
	int depth;
	unsigned int nodes;
	unsigned int properties;
	bool ended;
};

static int enter_node(const struct check_overlay *c, struct walk *w, int node)
{
	if (w->nodes++ == NODES_MAX)
		return complain(c, 0, NULL, "more than %d nodes", NODES_MAX);
	if (w->depth == DEPTH_MAX)
		return complain(c, w->open[0], NULL, "more than %d levels of nodes", DEPTH_MAX);
	if (w->depth && !is_name(fdt_get_name(c->o, node, NULL)))
		return complain(c, w->open[w->depth - 1], NULL, "a node in it has a bad name");
	w->open[w->depth++] = node;
	w->ended = false;
	return 0;
}

static int pass_property(const struct check_overlay *c, struct walk *w, int at)
{
	const int node = w->open[w->depth - 1];
	const char *name;
	int len;

	if (w->properties++ == PROPERTIES_MAX)
		return complain(c, 0, NULL, "more than %d properties", PROPERTIES_MAX);
	(void)fdt_getprop_by_offset(c->o, at, &name, &len); /* checked by fdt_check_full() */
	if (!is_name(name))
		return complain(c, node, NULL, "a property of it has a bad name");
	if (w->ended) /* invisible to libfdt */
		return complain(c, node, name, "comes after a node");
	return 0;
}

static int check_order(const struct check_overlay *c)
{
	struct walk w = {};
	int at, next = 0, r = 0;

	if (!fdt_get_name(c->o, 0, NULL))
		return ghvm_error_set(c->err, -EINVAL, "device tree overlay: has no root node");
	while (r == 0) {
		at = next;
		switch (fdt_next_tag(c->o, at, &next)) {
		case FDT_BEGIN_NODE:
			r = enter_node(c, &w, at);
			break;
		case FDT_END_NODE:
			w.depth--;
			w.ended = true;
			break;
		case FDT_PROP:
			r = pass_property(c, &w, at);
			break;
		case FDT_END:
			return 0;
		}
	}
	return r;
}

/* Of two properties or nodes with the same name libfdt would change the first and apply both. */
static int check_unique(const struct check_overlay *c, int node)
{
	const char *name;
	const void *value;
	int at, len;

	fdt_for_each_property_offset(at, c->o, node)
	{
		value = fdt_getprop_by_offset(c->o, at, &name, &len);
		if (fdt_getprop(c->o, node, name, &len) != value)
			return complain(c, node, name, "occurs twice");
	}
	fdt_for_each_subnode(at, c->o, node)
	{
		name = fdt_get_name(c->o, at, NULL);
		if (fdt_subnode_offset(c->o, node, name) != at)
			return complain(c, node, NULL,
					"%s occurs twice, or after one with a unit address", name);
	}
	return 0;
}

static int check_phandles(const struct check_overlay *c, int node)
{
	for (size_t i = 0; i < ARRAY_SIZE(phandles); i++) {
		int len;
		const void *value = fdt_getprop(c->o, node, phandles[i], &len);
		uint32_t v;

		if (!value)
			continue;
		v = len == sizeof(v) ? fdt32_ld(value) : 0;
		if (!v || v >= UINT32_MAX - c->phandles)
			return complain(c, node, phandles[i], "is not a phandle");
	}
	return 0;
}

static int check_tree(const struct check_overlay *c)
{
	int r = check_order(c);

	for (int node = 0; r == 0 && node >= 0; node = fdt_next_node(c->o, node, NULL)) {
		r = check_unique(c, node);
		if (r == 0)
			r = check_phandles(c, node);
	}
	return r;
}

/* references that libfdt follows */

static bool is_special(const struct check_overlay *c, int node)
{
	const char *name = fdt_get_name(c->o, node, NULL);

	return fdt_parent_offset(c->o, node) == 0 &&
	       is_one_of(name, specials, ARRAY_SIZE(specials));
}

/* The property @name of @fixups lists offsets of phandles in the property @name of @node. */
static int check_offsets(const struct check_overlay *c, int fixups, int node, int at)
{
	const char *name;
	int n, len;
	const uint8_t *cells = fdt_getprop_by_offset(c->o, at, &name, &n);

	if (is_phandle(name) || !strcmp(name, "target-path"))
		return complain(c, fixups, name, "is not a property that refers to another node");
	if (!fdt_getprop(c->o, node, name, &len))
		return complain(c, fixups, name, "its node has no such property");
	if (n % 4)
		return complain(c, fixups, name, "%d bytes are not a list of offsets", n);
	for (int i = 0; i < n; i += 4) {
		uint32_t offset = fdt32_ld((const fdt32_t *)(const void *)(cells + i));

		if (len < 4 || offset > (uint32_t)len - 4)
			return complain(c, fixups, name,
					"offset %u is outside of the property, which has %d bytes",
					offset, len);
	}
	return 0;
}

/* The node below @parent with the same path as @fixups. Return: the node, or negative errno. */
static int find_counterpart(const struct check_overlay *c, int fixups, int parent)
{
	int node = find_child(c, parent, fdt_get_name(c->o, fixups, NULL));

	if (node < 0)
		return complain(c, fixups, NULL, "the overlay has no such node");
	if (is_special(c, node))
		return complain(c, fixups, NULL, "refers to fix-ups, not to nodes");
	return node;
}

static int check_local_fixups(const struct check_overlay *c)
{
	int nodes[DEPTH_MAX] = {}, depth = 0, at, r;

	for (int f = find_child(c, 0, LOCAL_FIXUPS); f >= 0 && depth >= 0;
	     f = fdt_next_node(c->o, f, &depth)) {
		if (depth)
			nodes[depth] = find_counterpart(c, f, nodes[depth - 1]);
		if (nodes[depth] < 0)
			return nodes[depth];
		fdt_for_each_property_offset(at, c->o, f)
		{
			r = check_offsets(c, f, nodes[depth], at);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* External fix-ups refer to labels of the target tree, which has none. */
static int check_fixups(const struct check_overlay *c)
{
	int fixups = find_child(c, 0, FIXUPS), at = fdt_first_property_offset(c->o, fixups), len;
	const char *name;

	if (at < 0 || !fdt_getprop_by_offset(c->o, at, &name, &len))
		return 0;
	return complain(c, fixups, name,
			"refers to a label, and the tree of a virtual machine has none: name the "
			"node by its path (target-path)");
}

static int check_symbols(const struct check_overlay *c)
{
	int symbols = find_child(c, 0, SYMBOLS), at, len;
	const char *name, *value;

	fdt_for_each_property_offset(at, c->o, symbols)
	{
		value = fdt_getprop_by_offset(c->o, at, &name, &len);
		if (is_phandle(name) || !is_path(value, len))
			return complain(c, symbols, name, "is not a path");
	}
	return 0;
}

static int check_specials(const struct check_overlay *c)
{
	int node, r;

	for (size_t i = 0; i < ARRAY_SIZE(specials); i++) {
		node = fdt_subnode_offset(c->o, 0, specials[i]);
		if (node != find_child(c, 0, specials[i]))
			return complain(c, node, NULL, "would be taken for %s", specials[i]);
	}
	r = check_local_fixups(c);
	if (r == 0)
		r = check_fixups(c);
	return r == 0 ? check_symbols(c) : r;
}

/* ---- fragments ---- */

/* Return: 1, the target is in the tree already; 0, not; negative errno. */
static int check_target(const struct check_overlay *c, int fragment)
{
	int len;
	const void *target = fdt_getprop(c->o, fragment, "target", &len);
	const char *path;
	uint32_t v;

	if (target) {
		v = len == sizeof(v) ? fdt32_ld(target) : 0;
		if (!v || v == UINT32_MAX)
			return complain(c, fragment, "target", "is not a phandle");
		return fdt_node_offset_by_phandle(c->fdt, v) >= 0;
	}
	path = fdt_getprop(c->o, fragment, "target-path", &len);
	if (!path)
		return complain(c, fragment, NULL, "has neither target-path nor target");
	if (!is_path(path, len))
		return complain(c, fragment, "target-path", "is not a path");
	return fdt_path_offset(c->fdt, path) >= 0;
}

static int check_fragments(struct check_overlay *c)
{
	bool any = false;
	int node, r;

	c->astray = -1;
	fdt_for_each_subnode(node, c->o, 0)
	{
		if (fdt_subnode_offset(c->o, node, "__overlay__") < 0)
			continue;
		r = check_target(c, node);
		if (r < 0)
			return r;
		if (r == 0 && c->astray < 0)
			c->astray = node;
		any = true;
	}
	return any ? 0
		   : complain(c, 0, NULL,
			      "no node in it has an __overlay__, so it would change "
			      "nothing");
}

/* applying */

/* Turns an error of libfdt, which has no place, into a message. */
static int explain_failure(const struct check_overlay *c, int r)
{
	const bool lost = r == -FDT_ERR_NOTFOUND || r == -FDT_ERR_BADPHANDLE;
	const char *name = "target-path";

	if (lost && c->astray >= 0) {
		if (fdt_getprop(c->o, c->astray, "target", NULL))
			name = "target";
		return complain(c, c->astray, name, "the tree has no such node");
	}
	return ghvm_error_set(c->err, -EINVAL, "device tree overlay: cannot be applied: %s",
			      r == -FDT_ERR_NOSPACE ? "the tree would be too large"
						    : fdt_strerror(r));
}

/* Apply the overlay. libfdt damages both blobs on failure, so it gets a copy of the checked one. */
static int apply_checked(struct check_overlay *c, void *fdt, size_t room, const void *o)
{
	const size_t size = fdt_totalsize(o);
	_cleanup_(freep) void *copy = malloc(size);
	int r;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, o, size);
	r = fdt_open_into(fdt, fdt, (int)room);
	if (!r)
		r = fdt_overlay_apply(fdt, copy);
	if (!r)
		r = fdt_check_full(fdt, room);
	return r ? explain_failure(c, r) : 0;
}

static int check_overlay(struct check_overlay *c)
{
	int r;

	if (fdt_find_max_phandle(c->fdt, &c->phandles))
		return ghvm_error_set(c->err, -EINVAL, "device tree: has bad phandles");
	r = check_tree(c);
	if (r == 0)
		r = check_specials(c);
	return r == 0 ? check_fragments(c) : r;
}

/* The version first: fdt_check_full() does not survive a tree of version 3. */
static int check_blob(const void *o, size_t size, struct ghvm_error *err)
{
	if (size < sizeof(struct fdt_header) || fdt_magic(o) != FDT_MAGIC)
		return ghvm_error_set(err, -EINVAL, "device tree overlay: not a flattened tree");
	if (fdt_version(o) < VERSION)
		return ghvm_error_set(err, -EINVAL,
				      "device tree overlay: is in version %u of the format; only "
				      "%u and later are read",
				      fdt_version(o), VERSION);
	if (fdt_check_full(o, size))
		return ghvm_error_set(err, -EINVAL, "device tree overlay: not a flattened tree");
	return 0;
}

/*
 * Copy the overlay into @ret, aligned and with separate parts: if they overlapped, changing a
 * value could change a name.
 */
static int open_overlay(const uint8_t *blob, size_t size, void *ret, size_t room,
			struct ghvm_error *err)
{
	_cleanup_(freep) void *aligned = NULL;
	int r;

	if (!size || size > room / 2)
		return ghvm_error_set(err, -EINVAL,
				      "device tree overlay: has %zu bytes, the limit is %zu", size,
				      room / 2);
	aligned = malloc(size);
	if (!aligned)
		return -ENOMEM;
	memcpy(aligned, blob, size);
	r = check_blob(aligned, size, err);
	if (r < 0)
		return r;
	if (fdt_open_into(aligned, ret, (int)room) || fdt_pack(ret) || fdt_check_full(ret, room))
		return ghvm_error_set(err, -EINVAL, "device tree overlay: its parts overlap");
	return 0;
}

int ghvm_dt_overlay_apply(void *fdt, size_t room, const uint8_t *blob, size_t size,
			  struct ghvm_error *err)
{
	_cleanup_(freep) void *o = malloc(room);
	struct check_overlay c = { .fdt = fdt, .o = o, .err = err };
	int r;

	if (!o)
		return -ENOMEM;
	r = open_overlay(blob, size, o, room, err);
	if (r == 0)
		r = check_overlay(&c);
	return r == 0 ? apply_checked(&c, fdt, room, o) : r;
}
