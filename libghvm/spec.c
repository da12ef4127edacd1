/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keys of a descriptor, and what must be true of several at once.
 *
 * configs/FORMAT.md has every key; a test holds it against the tables here.
 */
#include "libghvm/spec.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"
#include "libghvm/layout.h"
#include "libghvm/spec-file.h"
#include "libghvm/yaml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION 1
#define STOP_TIMEOUT_MS 30000
#define DEVICES_MAX 64

void ghvm_complaints_done(struct ghvm_complaints *c)
{
	free(c->v);
	*c = (struct ghvm_complaints){};
}

void ghvm_spec_done(struct ghvm_spec *spec)
{
	free(spec->kernel);
	free(spec->initrd);
	free(spec->cmdline);
	free(spec->dtb_overlay);
	*spec = (struct ghvm_spec){};
}

/* ---- keys ---- */

#define FIELD(key, member, parse, flags, arg)                                                      \
	{                                                                                          \
		key, parse, offsetof(struct ghvm_spec, member), flags, arg                         \
	}
#define SECTION(key, flags, map)                                                                   \
	{                                                                                          \
		key, yaml_parse_map, 0, flags, map                                                 \
	}
#define REGION_FIELD(key, member, parse, flags, arg)                                               \
	{                                                                                          \
		key, parse, offsetof(struct ghvm_spec_region, member), flags, arg                  \
	}

static const struct yaml_word protections[] = {
	{ "auto", GHVM_PROTECTION_PROTECTED },
	{ "protected", GHVM_PROTECTION_PROTECTED },
	{ "none", GHVM_PROTECTION_NONE },
	{},
};

static const struct yaml_word hugepages[] = {
	{ "auto", GHVM_HUGEPAGES_AUTO },
	{ "2M", GHVM_HUGEPAGES_2M },
	{ "1G", GHVM_HUGEPAGES_1G },
	{ "never", GHVM_HUGEPAGES_NEVER },
	{},
};

static const struct yaml_word on_end[] = {
	{ "stop", GHVM_ON_END_STOP },
	{ "restart", GHVM_ON_END_RESTART },
	{},
};

static const struct yaml_word region_kinds[] = { { "share", 0 }, {} };
static const struct yaml_limits version_limits = { FORMAT_VERSION, FORMAT_VERSION };
static const struct yaml_limits cpu_limits = { 1, GHVM_SPEC_CPUS_MAX };
static const struct yaml_limits label_limits = { 1, GHVM_LABEL_LAST };

/* Values that are checked and not kept. */
static void parse_version(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			  const struct yaml_field *f, void *dst)
{
	unsigned int v;

	yaml_parse_number(rd, n, path, f, &v);
}

static void parse_region_kind(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			      const struct yaml_field *f, void *dst)
{
	int v;

	yaml_parse_word(rd, n, path, f, &v);
}

static void parse_page_multiple(struct yaml_reader *rd, yaml_node_t *n, const char *path,
				const struct yaml_field *f, void *dst)
{
	uint64_t v = 0;

	yaml_parse_size(rd, n, path, f, &v);
	if (!ghvm_aligned(v, GHVM_PAGE))
		yaml_complain(rd, n, path, "size-align", "%" PRIu64 " is not a multiple of 4K", v);
	else
		*(uint64_t *)dst = v;
}

/* 0 would read as "choose one". */
static void parse_address(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			  const struct yaml_field *f, void *dst)
{
	const unsigned int before = rd->n_errors;
	uint64_t *at = dst;

	parse_page_multiple(rd, n, path, f, dst);
	if (rd->n_errors == before && !*at)
		yaml_complain(rd, n, path, "range", "must not be 0");
}

static const struct yaml_field region_fields[] = {
	REGION_FIELD("label", label, yaml_parse_number, YAML_REQUIRED, &label_limits),
	REGION_FIELD("kind", label, parse_region_kind, 0, region_kinds),
	REGION_FIELD("size", size, parse_page_multiple, YAML_REQUIRED, NULL),
	REGION_FIELD("address", address, parse_address, 0, NULL),
	REGION_FIELD("readonly", readonly, yaml_parse_bool, 0, NULL),
	{},
};
static const struct yaml_map region_map = { region_fields };

static void read_region(struct yaml_reader *rd, yaml_node_t *n, size_t nth, struct ghvm_spec *spec)
{
	struct ghvm_spec_region *r = &spec->regions[spec->n_regions];
	char path[32];

	snprintf(path, sizeof(path), "regions[%zu]", nth);
	*r = (struct ghvm_spec_region){ .line = (unsigned int)n->start_mark.line + 1 };
	yaml_read_map(rd, n, path, &region_map, r, true);
	if (yaml_find(rd, n, "size") && !r->size)
		yaml_complain(rd, yaml_find(rd, n, "size"), path, "size", "size must not be 0");
	for (size_t i = 0; i < spec->n_regions; i++)
		if (r->label && spec->regions[i].label == r->label)
			yaml_complain(rd, n, path, "label-in-use",
				      "label %u is that of line %u too", r->label,
				      spec->regions[i].line);
	spec->n_regions++;
}

static void parse_regions(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			  const struct yaml_field *f, void *dst)
{
	struct ghvm_spec *spec = dst;
	size_t nth = 0;

	if (n->type != YAML_SEQUENCE_NODE) {
		yaml_complain(rd, n, path, "type", "not a list");
		return;
	}
	spec->n_regions = 0;
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
	     i++) {
		yaml_node_t *item = yaml_document_get_node(&rd->doc, *i);

		if (spec->n_regions == GHVM_SPEC_REGIONS_MAX) {
			yaml_complain(rd, item, path, "range", "more than %d",
				      GHVM_SPEC_REGIONS_MAX);
			return;
		}
		read_region(rd, item, nth++, spec);
	}
}

/* A device of which there is one, unless it is switched off. */
#define ENABLED_FIELDS(name, member)                                                               \
	static const struct yaml_field name##_fields[] = {                                         \
		FIELD("enabled", member, yaml_parse_bool, 0, NULL),                                \
		{},                                                                                \
	};                                                                                         \
	static const struct yaml_map name##_map = { name##_fields }

ENABLED_FIELDS(console, console);
ENABLED_FIELDS(power_key, power_key);

static void parse_later(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			const struct yaml_field *f, void *dst)
{
	yaml_complain(rd, n, path, "unsupported", "this kind of device is not supported yet");
}

static const struct yaml_field device_fields[] = {
	SECTION("console", 0, &console_map),
	SECTION("power-key", 0, &power_key_map),
	{ "disk", parse_later, 0, 0, NULL },
	{ "net", parse_later, 0, 0, NULL },
	{ "share", parse_later, 0, 0, NULL },
	{ "vsock", parse_later, 0, 0, NULL },
	{},
};
static const struct yaml_map device_map = { device_fields };

/* Of each kind there is one; "console" twice would say two things of it. */
static bool listed_before(struct yaml_reader *rd, yaml_node_t *list, size_t nth, const char *kind)
{
	for (size_t i = 0; i < nth; i++)
		if (yaml_find(rd,
			      yaml_document_get_node(&rd->doc, list->data.sequence.items.start[i]),
			      kind))
			return true;
	return false;
}

static void read_device(struct yaml_reader *rd, yaml_node_t *list, size_t nth, yaml_node_t *n,
			struct ghvm_spec *spec)
{
	char path[32];

	snprintf(path, sizeof(path), "devices[%zu]", nth);
	yaml_read_map(rd, n, path, &device_map, spec, true);
	if (n->type != YAML_MAPPING_NODE)
		return;
	if (n->data.mapping.pairs.top - n->data.mapping.pairs.start != 1)
		yaml_complain(rd, n, path, "type", "not exactly one device");
	for (const struct yaml_field *f = device_fields; f->key; f++)
		if (yaml_find(rd, n, f->key) && listed_before(rd, list, nth, f->key))
			yaml_complain(rd, n, path, "repeated-key", "there is a %s already", f->key);
}

/* The list is all of them: what an earlier file said of devices is forgotten. */
static void parse_devices(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			  const struct yaml_field *f, void *dst)
{
	struct ghvm_spec *spec = dst;
	size_t nth = 0;

	if (n->type != YAML_SEQUENCE_NODE) {
		yaml_complain(rd, n, path, "type", "not a list");
		return;
	}
	spec->console = true;
	spec->power_key = true;
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
	     i++) {
		if (nth == DEVICES_MAX) {
			yaml_complain(rd, n, path, "range", "more than %d", DEVICES_MAX);
			return;
		}
		read_device(rd, n, nth++, yaml_document_get_node(&rd->doc, *i), spec);
	}
}

static const struct yaml_field kernel_fields[] = {
	FIELD("image", kernel, yaml_parse_path, YAML_REQUIRED, NULL),
	FIELD("initrd", initrd, yaml_parse_path, 0, NULL),
	FIELD("cmdline", cmdline, yaml_parse_string, 0, NULL),
	FIELD("dtb-overlay", dtb_overlay, yaml_parse_path, 0, NULL),
	{},
};
static const struct yaml_map kernel_map = { kernel_fields };

static const struct yaml_field memory_fields[] = {
	FIELD("size", memory, yaml_parse_size, YAML_REQUIRED, NULL),
	FIELD("protection", protection, yaml_parse_word, 0, protections),
	FIELD("hugepages", hugepages, yaml_parse_word, 0, hugepages),
	{},
};
static const struct yaml_map memory_map = { memory_fields };

static const struct yaml_field cpus_fields[] = {
	FIELD("count", cpus, yaml_parse_number, YAML_REQUIRED, &cpu_limits),
	{},
};
static const struct yaml_map cpus_map = { cpus_fields };

static const struct yaml_field lifecycle_fields[] = {
	FIELD("on-reboot", on_reboot, yaml_parse_word, 0, on_end),
	FIELD("on-crash", on_crash, yaml_parse_word, 0, on_end),
	FIELD("stop-timeout", stop_timeout_ms, yaml_parse_duration, 0, NULL),
	{},
};
static const struct yaml_map lifecycle_map = { lifecycle_fields };

static const struct yaml_field top_fields[] = {
	{ "version", parse_version, 0, YAML_REQUIRED, &version_limits },
	SECTION("kernel", YAML_REQUIRED, &kernel_map),
	SECTION("memory", YAML_REQUIRED, &memory_map),
	SECTION("cpus", 0, &cpus_map),
	{ "devices", parse_devices, 0, 0, NULL },
	{ "regions", parse_regions, 0, 0, NULL },
	SECTION("lifecycle", 0, &lifecycle_map),
	FIELD("rm-rpc", rm_rpc, yaml_parse_bool, 0, NULL),
	{},
};
static const struct yaml_map top_map = { top_fields };

/* ---- what depends on two keys ---- */

static void check_memory(struct yaml_reader *rd, yaml_node_t *root, const struct ghvm_spec *spec)
{
	const bool giant = spec->hugepages == GHVM_HUGEPAGES_1G;
	const uint64_t unit = giant ? GHVM_GIB(1) : GHVM_MIB(2);
	yaml_node_t *memory = yaml_find(rd, root, "memory");
	yaml_node_t *n = memory ? yaml_find(rd, memory, "size") : NULL;
	const uint64_t max = GHVM_IPA_END - GHVM_IPA_RAM;

	if (!n || (!spec->memory && rd->n_errors))
		return;
	if (!spec->memory)
		yaml_complain(rd, n, "memory.size", "size", "must not be 0");
	else if (!ghvm_aligned(spec->memory, GHVM_MIB(1)))
		yaml_complain(rd, n, "memory.size", "size-align",
			      "%" PRIu64 " is not a multiple of %s (huge pages)", spec->memory,
			      giant ? "1G" : "2M");
	else if (!ghvm_aligned(spec->memory, unit))
		yaml_complain(rd, n, "memory.size", "size-align",
			      "%" PRIu64 "M is not a multiple of %s (huge pages)",
			      spec->memory >> 20, giant ? "1G" : "2M");
	else if (spec->memory > max)
		yaml_complain(rd, n, "memory.size", "range", "more than %" PRIu64 "G", max >> 30);
	else if (spec->memory < GHVM_MIB(32))
		yaml_warn(rd, n, "memory.size", "small", "less than any Linux guest needs");
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a <= b ? b - a < a_size : a - b < b_size;
}

static void check_region(struct yaml_reader *rd, yaml_node_t *n, size_t nth,
			 const struct ghvm_spec *spec)
{
	const struct ghvm_spec_region *r = &spec->regions[nth];
	char path[32];

	snprintf(path, sizeof(path), "regions[%zu]", nth);
	if (!r->address || !r->size)
		return;
	if (r->address < GHVM_IPA_WINDOWS || r->address >= GHVM_IPA_END ||
	    r->size > GHVM_IPA_END - r->address)
		yaml_complain(rd, n, path, "range",
			      "0x%" PRIx64 " to its end is not in 0x%llx to 0x%llx", r->address,
			      GHVM_IPA_WINDOWS, GHVM_IPA_END);
	else if (overlap(r->address, r->size, GHVM_IPA_RAM, spec->memory))
		yaml_complain(rd, n, path, "overlap", "0x%" PRIx64 " overlaps the VM's RAM",
			      r->address);
	for (size_t i = 0; i < nth; i++)
		if (spec->regions[i].address &&
		    overlap(r->address, r->size, spec->regions[i].address, spec->regions[i].size))
			yaml_complain(rd, n, path, "overlap",
				      "0x%" PRIx64 " overlaps the region of line %u", r->address,
				      spec->regions[i].line);
}

static void check_regions(struct yaml_reader *rd, yaml_node_t *root, const struct ghvm_spec *spec)
{
	yaml_node_t *list = yaml_find(rd, root, "regions");

	if (!list || list->type != YAML_SEQUENCE_NODE)
		return;
	for (size_t i = 0; i < spec->n_regions; i++)
		check_region(rd,
			     yaml_document_get_node(&rd->doc, list->data.sequence.items.start[i]),
			     i, spec);
}

/* ---- files to specs ---- */

static int set_defaults(struct ghvm_spec *spec, const char *name)
{
	*spec = (struct ghvm_spec){
		.cmdline = strdup(""),
		.cpus = 1,
		.console = true,
		.power_key = true,
		.on_reboot = GHVM_ON_END_RESTART,
		.on_crash = GHVM_ON_END_STOP,
		.stop_timeout_ms = STOP_TIMEOUT_MS,
	};
	memcpy(spec->name, name, strlen(name) + 1);
	return spec->cmdline ? 0 : -ENOMEM;
}

/* One file into @spec; a drop-in (not @whole) may leave out what the main file has. */
static int read_file(struct ghvm_spec *spec, const char *file, const char *text, size_t len,
		     bool whole, struct ghvm_complaints *complaints, struct ghvm_error *err)
{
	struct yaml_reader rd = {
		.file = file, .complaints = complaints, .err = err, .whole = whole
	};
	yaml_node_t *root;
	int r;

	if (len > GHVM_SPEC_FILE_MAX)
		return ghvm_error_set(err, -E2BIG, "%s: larger than 1M", file);
	r = yaml_open(&rd, text, len, &root);
	if (r < 0)
		return r;
	yaml_read_map(&rd, root, "", &top_map, spec, whole);
	check_memory(&rd, root, spec);
	check_regions(&rd, root, spec);
	yaml_close(&rd);
	return rd.n_errors ? -EINVAL : 0;
}

int ghvm_spec_parse(const char *name, const char *file, const char *text, size_t len,
		    struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		    struct ghvm_error *err)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	int r;

	if (!ghvm_name_valid(name))
		return ghvm_error_set(err, -EINVAL,
				      "'%.40s' is not a VM's name: 1 to 27 of a-z, 0-9 and -, "
				      "no dash first or last",
				      name);
	r = set_defaults(&spec, name);
	if (r == 0)
		r = read_file(&spec, file, text, len, true, complaints, err);
	if (r == 0)
		*ret = TAKE_STRUCT(spec);
	return r;
}

int ghvm_spec_load(const char *name, const char *const *dirs, struct ghvm_spec *ret,
		   struct ghvm_complaints *complaints, struct ghvm_error *err)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	_cleanup_(ghvm_spec_files_done) struct ghvm_spec_files files = {};
	int r;

	if (!ghvm_name_valid(name))
		return ghvm_spec_parse(name, "", "", 0, ret, complaints, err);
	r = ghvm_spec_files_read(name, dirs, &files, err);
	if (r == 0)
		r = set_defaults(&spec, name);
	for (size_t i = 0; r == 0 && i < files.n; i++)
		r = read_file(&spec, files.v[i].name, files.v[i].text, files.v[i].len, i == 0,
			      complaints, err);
	if (r == 0)
		*ret = TAKE_STRUCT(spec);
	return r;
}
