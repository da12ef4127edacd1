/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A user's overlay, checked before libfdt applies it.
 *
 * libfdt believes an overlay: it reads and writes wherever a number of __local_fixups__ says
 * (libfdt 1.6.1 to 1.8.1), and changes the overlay while it works. So all that it follows is
 * checked first, on a copy whose parts do not overlap, and nothing may be changed that was
 * checked: what is refused here as odd (a fix-up of a fix-up) would change a checked number.
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

#define DEPTH_MAX 32 /* Linux reads 64 levels; the target has some above */
#define PATH_SIZE 256
/* libfdt looks each up from the beginning: thousands would take seconds, in a manager's loop */
#define NODES_MAX 512
#define PROPERTIES_MAX 1024
#define VERSION 17 /* of the format; older ones have no sizes of their parts */

#define LOCAL_FIXUPS "__local_fixups__"
#define FIXUPS "__fixups__"
#define SYMBOLS "__symbols__"

static const char *const specials[] = { LOCAL_FIXUPS, FIXUPS, SYMBOLS };
static const char *const phandles[] = { "phandle", "linux,phandle" };

/**
 * struct check - one overlay
 * @fdt: the tree that it is for, as it was
 * @o: the overlay
 * @phandles: the greatest of @fdt, by which libfdt moves those of the overlay
 * @astray: the first fragment whose target is not in @fdt, but may be made by another; or -1
 */
struct check {
	const void *fdt;
	const void *o;
	uint32_t phandles;
	int astray;
	struct ghvm_error *err;
};

__attribute__((format(printf, 4, 5))) static int
complain(const struct check *c, int node, const char *property, const char *fmt, ...)
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

/* What the compiler takes for a name, which is more than the specification allows. */
static bool is_name(const char *s)
{
	const size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   ",._+*#?@-");

	return n && !s[n];
}

/* A string and its NUL, and nothing behind it, that is a path. */
static bool is_path(const char *value, int len)
{
	return len > 1 && *value == '/' && memchr(value, '\0', (size_t)len) == value + len - 1;
}

/* By this one name: libfdt would also take NAME@1. Return: a node or negative. */
static int find(const struct check *c, int parent, const char *name)
{
	int node = fdt_subnode_offset(c->o, parent, name);

	return node >= 0 && !strcmp(fdt_get_name(c->o, node, NULL), name) ? node
									  : -FDT_ERR_NOTFOUND;
}

/* ---- the tree as such ---- */

/**
 * struct walk - where in the overlay
 * @open: nodes that are not ended, @depth of them
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

static int enter(const struct check *c, struct walk *w, int node)
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

static int pass_property(const struct check *c, struct walk *w, int at)
{
	const int node = w->open[w->depth - 1];
	const char *name;
	int len;

	if (w->properties++ == PROPERTIES_MAX)
		return complain(c, 0, NULL, "more than %d properties", PROPERTIES_MAX);
	(void)fdt_getprop_by_offset(c->o, at, &name, &len); /* fdt_check_full() has */
	if (!is_name(name))
		return complain(c, node, NULL, "a property of it has a bad name");
	if (w->ended) /* libfdt would not see it */
		return complain(c, node, name, "stands behind a node");
	return 0;
}

static int check_order(const struct check *c)
{
	struct walk w = {};
	int at, next = 0, r = 0;

	if (!fdt_get_name(c->o, 0, NULL))
		return ghvm_error_set(c->err, -EINVAL, "device tree overlay: has no root node");
	while (r == 0) {
		at = next;
		switch (fdt_next_tag(c->o, at, &next)) {
		case FDT_BEGIN_NODE:
			r = enter(c, &w, at);
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

/* Of two of one name libfdt changes the first and lays both over the tree. */
static int check_unique(const struct check *c, int node)
{
	const char *name;
	const void *value;
	int at, len;

	fdt_for_each_property_offset(at, c->o, node)
	{
		value = fdt_getprop_by_offset(c->o, at, &name, &len);
		if (fdt_getprop(c->o, node, name, &len) != value)
			return complain(c, node, name, "is there twice");
	}
	fdt_for_each_subnode(at, c->o, node)
	{
		name = fdt_get_name(c->o, at, NULL);
		if (fdt_subnode_offset(c->o, node, name) != at)
			return complain(c, node, NULL,
					"%s is there twice, or behind one with a unit address",
					name);
	}
	return 0;
}

static int check_phandles(const struct check *c, int node)
{
	for (size_t i = 0; i < ARRAY_SIZE(phandles); i++) {
		int len;
		const void *value = fdt_getprop(c->o, node, phandles[i], &len);
		uint32_t v;

		if (!value)
			continue;
		v = len == sizeof(v) ? fdt32_ld(value) : 0;
		if (!v || v >= UINT32_MAX - c->phandles)
			return complain(c, node, phandles[i], "is no phandle");
	}
	return 0;
}

static int check_tree(const struct check *c)
{
	int r = check_order(c);

	for (int node = 0; r == 0 && node >= 0; node = fdt_next_node(c->o, node, NULL)) {
		r = check_unique(c, node);
		if (r == 0)
			r = check_phandles(c, node);
	}
	return r;
}

/* ---- what libfdt follows ---- */

static bool is_special(const struct check *c, int node)
{
	const char *name = fdt_get_name(c->o, node, NULL);

	return fdt_parent_offset(c->o, node) == 0 &&
	       is_one_of(name, specials, ARRAY_SIZE(specials));
}

/* The value of @name in @fixups lists where in the property @name of @node there are phandles. */
static int check_offsets(const struct check *c, int fixups, int node, int at)
{
	const char *name;
	int n, len;
	const uint8_t *cells = fdt_getprop_by_offset(c->o, at, &name, &n);

	if (is_phandle(name) || !strcmp(name, "target-path"))
		return complain(c, fixups, name, "is no property that refers to another node");
	if (!fdt_getprop(c->o, node, name, &len))
		return complain(c, fixups, name, "the node that it is for has no such property");
	if (n % 4)
		return complain(c, fixups, name, "%d bytes are no list of offsets", n);
	for (int i = 0; i < n; i += 4) {
		uint32_t offset = fdt32_ld((const fdt32_t *)(const void *)(cells + i));

		if (len < 4 || offset > (uint32_t)len - 4)
			return complain(c, fixups, name,
					"offset %u is outside of the property, which has %d bytes",
					offset, len);
	}
	return 0;
}

/* The node with the same path as @fixups, below @parent. Return: it, or negative errno. */
static int counterpart(const struct check *c, int fixups, int parent)
{
	int node = find(c, parent, fdt_get_name(c->o, fixups, NULL));

	if (node < 0)
		return complain(c, fixups, NULL, "the overlay has no such node");
	if (is_special(c, node))
		return complain(c, fixups, NULL, "is about fix-ups, not about nodes");
	return node;
}

static int check_local_fixups(const struct check *c)
{
	int nodes[DEPTH_MAX] = {}, depth = 0, at, r;

	for (int f = find(c, 0, LOCAL_FIXUPS); f >= 0 && depth >= 0;
	     f = fdt_next_node(c->o, f, &depth)) {
		if (depth)
			nodes[depth] = counterpart(c, f, nodes[depth - 1]);
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

/* They are of labels of the tree beneath. */
static int check_fixups(const struct check *c)
{
	int fixups = find(c, 0, FIXUPS), at = fdt_first_property_offset(c->o, fixups), len;
	const char *name;

	if (at < 0 || !fdt_getprop_by_offset(c->o, at, &name, &len))
		return 0;
	return complain(c, fixups, name,
			"refers to a label, and the tree of a virtual machine has none: name the "
			"node by its path (target-path)");
}

static int check_symbols(const struct check *c)
{
	int symbols = find(c, 0, SYMBOLS), at, len;
	const char *name, *value;

	fdt_for_each_property_offset(at, c->o, symbols)
	{
		value = fdt_getprop_by_offset(c->o, at, &name, &len);
		if (is_phandle(name) || !is_path(value, len))
			return complain(c, symbols, name, "is no path");
	}
	return 0;
}

static int check_specials(const struct check *c)
{
	int node, r;

	for (size_t i = 0; i < ARRAY_SIZE(specials); i++) {
		node = fdt_subnode_offset(c->o, 0, specials[i]);
		if (node != find(c, 0, specials[i]))
			return complain(c, node, NULL, "would be taken for %s", specials[i]);
	}
	r = check_local_fixups(c);
	if (r == 0)
		r = check_fixups(c);
	return r == 0 ? check_symbols(c) : r;
}

/* ---- fragments ---- */

/* Return: 1: it is in the tree already; 0; negative errno. */
static int check_target(const struct check *c, int fragment)
{
	int len;
	const void *target = fdt_getprop(c->o, fragment, "target", &len);
	const char *path;
	uint32_t v;

	if (target) {
		v = len == sizeof(v) ? fdt32_ld(target) : 0;
		if (!v || v == UINT32_MAX)
			return complain(c, fragment, "target", "is no phandle");
		return fdt_node_offset_by_phandle(c->fdt, v) >= 0;
	}
	path = fdt_getprop(c->o, fragment, "target-path", &len);
	if (!path)
		return complain(c, fragment, NULL, "has neither target-path nor target");
	if (!is_path(path, len))
		return complain(c, fragment, "target-path", "is no path");
	return fdt_path_offset(c->fdt, path) >= 0;
}

static int check_fragments(struct check *c)
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

/* ---- from here on it may be changed ---- */

/* libfdt does not say where it failed. */
static int refused(const struct check *c, int r)
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

/* libfdt damages both blobs if it fails. The copy that was checked is not the one it changes. */
static int apply(struct check *c, void *fdt, size_t room, const void *o)
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
	return r ? refused(c, r) : 0;
}

static int check(struct check *c)
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
 * Into @ret, aligned, its parts one after the other: where they overlap, to change a value would
 * change a name.
 */
static int open_overlay(const uint8_t *blob, size_t size, void *ret, size_t room,
			struct ghvm_error *err)
{
	_cleanup_(freep) void *aligned = NULL;
	int r;

	if (!size || size > room / 2)
		return ghvm_error_set(err, -EINVAL,
				      "device tree overlay: has %zu bytes, at most %zu are taken",
				      size, room / 2);
	aligned = malloc(size);
	if (!aligned)
		return -ENOMEM;
	memcpy(aligned, blob, size);
	r = check_blob(aligned, size, err);
	if (r < 0)
		return r;
	if (fdt_open_into(aligned, ret, (int)room) || fdt_pack(ret) || fdt_check_full(ret, room))
		return ghvm_error_set(err, -EINVAL,
				      "device tree overlay: its parts lie over each other");
	return 0;
}

int ghvm_dt_overlay_apply(void *fdt, size_t room, const uint8_t *blob, size_t size,
			  struct ghvm_error *err)
{
	_cleanup_(freep) void *o = malloc(room);
	struct check c = { .fdt = fdt, .o = o, .err = err };
	int r;

	if (!o)
		return -ENOMEM;
	r = open_overlay(blob, size, o, room, err);
	if (r == 0)
		r = check(&c);
	return r == 0 ? apply(&c, fdt, room, o) : r;
}
