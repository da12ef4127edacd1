/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keys of a descriptor, and checks across keys.
 *
 * configs/FORMAT.md has every key; a test compares it with the tables here.
 */
#include "ghvm/spec.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/guest-map.h"
#include "libghvm/base/name.h"
#include "libghvm/spec/complain.h"
#include "libghvm/spec/files.h"
#include "libghvm/spec/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION 1
#define STOP_TIMEOUT_MS 30000
#define DEVICES_MAX 64
#define REGION_KEY_SIZE 48 /* "regions[N].address" with any N */

void ghvm_spec_done(struct ghvm_spec *spec)
{
	free(spec->kernel);
	free(spec->initrd);
	free(spec->cmdline);
	free(spec->dtb_overlay);
	for (char **f = spec->files; f && *f; f++)
		free(*f);
	free(spec->files);
	free(spec->places);
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

/* Values that are checked but not stored. */
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

static void parse_pages(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			const struct yaml_field *f, void *dst)
{
	uint64_t v = 0;

	yaml_parse_size(rd, n, path, f, &v);
	if (!ghvm_aligned(v, GHVM_PAGE))
		yaml_complain(rd, n, path, "size-align", "%" PRIu64 " is not a multiple of 4K", v);
	else
		*(uint64_t *)dst = v;
}

static const struct yaml_field region_fields[] = {
	REGION_FIELD("label", label, yaml_parse_number, YAML_REQUIRED, &label_limits),
	REGION_FIELD("kind", label, parse_region_kind, 0, region_kinds),
	REGION_FIELD("size", size, parse_pages, YAML_REQUIRED, NULL),
	REGION_FIELD("address", address, parse_pages, 0, NULL),
	REGION_FIELD("readonly", readonly, yaml_parse_bool, 0, NULL),
	{},
};
static const struct yaml_map region_map = { region_fields };

static void read_region(struct yaml_reader *rd, yaml_node_t *n, size_t nth, struct ghvm_spec *spec)
{
	struct ghvm_spec_region *r = &spec->regions[spec->n_regions++];
	char path[32];

	snprintf(path, sizeof(path), "regions[%zu]", nth);
	*r = (struct ghvm_spec_region){};
	yaml_read_map(rd, n, path, &region_map, r, true);
	yaml_note(rd, n, path);
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
	spec_forget_places(spec, "regions[");
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

/* A device that exists once unless it is disabled. */
#define ENABLED_FIELDS(name, member)                                                               \
	static const struct yaml_field name##_fields[] = {                                         \
		FIELD("enabled", member, yaml_parse_bool, 0, NULL),                                \
		{},                                                                                \
	};                                                                                         \
	static const struct yaml_map name##_map = { name##_fields }

ENABLED_FIELDS(power_key, power_key);

static const struct yaml_word loggings[] = {
	{ "file", GHVM_LOGGING_FILE },
	{ "journal", GHVM_LOGGING_JOURNAL },
	{ "none", GHVM_LOGGING_NONE },
	{},
};
static const struct yaml_limits log_counts = { 1, GHVM_SPEC_LOGS_MAX };

static void parse_log_size(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			   const struct yaml_field *f, void *dst)
{
	uint64_t v = GHVM_LOG_SIZE;

	yaml_parse_size(rd, n, path, f, &v);
	if (!ghvm_aligned(v, GHVM_LOG_UNIT))
		yaml_complain(rd, n, path, "size-align", "%" PRIu64 " is not a multiple of 64K", v);
	else if (v > GHVM_LOG_SIZE_MAX)
		yaml_complain(rd, n, path, "range", "not from 64K to 64M");
	else
		*(uint64_t *)dst = v;
}

static const struct yaml_field console_fields[] = {
	FIELD("enabled", console, yaml_parse_bool, 0, NULL),
	FIELD("logging", logging, yaml_parse_word, 0, loggings),
	FIELD("log-size", log_size, parse_log_size, 0, NULL),
	FIELD("log-count", log_count, yaml_parse_number, 0, &log_counts),
	{},
};
static const struct yaml_map console_map = { console_fields };

static void parse_later(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			const struct yaml_field *f, void *dst)
{
	yaml_complain(rd, n, path, "unsupported", "this kind of device is not supported yet");
}

static const struct yaml_field device_fields[] = {
	SECTION("console", 0, &console_map),
	SECTION("power-key", 0, &power_key_map),
	{ "disk", parse_later, 0, YAML_NULL, NULL },
	{ "net", parse_later, 0, YAML_NULL, NULL },
	{ "share", parse_later, 0, YAML_NULL, NULL },
	{ "vsock", parse_later, 0, YAML_NULL, NULL },
	{},
};
static const struct yaml_map device_map = { device_fields };

/* Each kind of device may be listed once. */
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
			yaml_complain(rd, n, path, "repeated-key", "the list has a %s already",
				      f->key);
}

static void set_default_devices(struct ghvm_spec *spec)
{
	spec->console = true;
	spec->logging = GHVM_LOGGING_FILE;
	spec->log_size = GHVM_LOG_SIZE;
	spec->log_count = GHVM_LOG_COUNT;
	spec->power_key = true;
}

/* The list replaces the devices of an earlier file. */
static void parse_devices(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			  const struct yaml_field *f, void *dst)
{
	struct ghvm_spec *spec = dst;
	size_t nth = 0;

	if (n->type != YAML_SEQUENCE_NODE) {
		yaml_complain(rd, n, path, "type", "not a list");
		return;
	}
	set_default_devices(spec);
	spec_forget_places(spec, "devices[");
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
	FIELD("cmdline", cmdline, yaml_parse_line, 0, NULL),
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

bool spec_has_section(const char *name, size_t len)
{
	for (const struct yaml_field *f = top_fields; f->key; f++)
		if (strlen(f->key) == len && !strncmp(f->key, name, len))
			return true;
	return false;
}

/* checks across keys, after all files are read */

static void complain(struct spec_report *report, const struct ghvm_spec *spec, const char *key,
		     enum ghvm_severity severity, const char *rule, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

static void complain(struct spec_report *report, const struct ghvm_spec *spec, const char *key,
		     enum ghvm_severity severity, const char *rule, const char *fmt, ...)
{
	const struct ghvm_spec_place at = spec_find_place(spec, key);
	va_list ap;

	va_start(ap, fmt);
	spec_complain(report, severity, &at, key, rule, fmt, ap);
	va_end(ap);
}

static void check_memory(struct spec_report *report, const struct ghvm_spec *spec)
{
	const bool giant = spec->hugepages == GHVM_HUGEPAGES_1G;
	const uint64_t unit = giant ? GHVM_GIB(1) : GHVM_MIB(2);
	const uint64_t max = GHVM_IPA_END - GHVM_IPA_RAM;
	const char *why = giant ? "1G (memory.hugepages: 1G)" : "2M";

	if (!spec->memory)
		return; /* has an error already, or is missing */
	if (!ghvm_aligned(spec->memory, GHVM_MIB(1)))
		complain(report, spec, "memory.size", GHVM_SEVERITY_ERROR, "size-align",
			 "%" PRIu64 " is not a multiple of %s", spec->memory, why);
	else if (!ghvm_aligned(spec->memory, unit))
		complain(report, spec, "memory.size", GHVM_SEVERITY_ERROR, "size-align",
			 "%" PRIu64 "M is not a multiple of %s", spec->memory >> 20, why);
	else if (spec->memory > max)
		complain(report, spec, "memory.size", GHVM_SEVERITY_ERROR, "range",
			 "more than %" PRIu64 "G", max >> 30);
	else if (spec->memory < GHVM_MIB(32))
		complain(report, spec, "memory.size", GHVM_SEVERITY_WARNING, "small",
			 "less than any Linux guest needs");
}

static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a <= b ? b - a < a_size : a - b < b_size;
}

static unsigned int line_of_region(const struct ghvm_spec *spec, size_t nth)
{
	char key[REGION_KEY_SIZE];

	snprintf(key, sizeof(key), "regions[%zu]", nth);
	return spec_find_place(spec, key).line;
}

static void check_address(struct spec_report *report, const struct ghvm_spec *spec, size_t nth)
{
	const struct ghvm_spec_region *r = &spec->regions[nth];
	char key[REGION_KEY_SIZE];

	if (!r->address || !r->size)
		return;
	snprintf(key, sizeof(key), "regions[%zu].address", nth);
	if (r->address < GHVM_IPA_WINDOWS || r->address >= GHVM_IPA_END ||
	    r->size > GHVM_IPA_END - r->address)
		complain(report, spec, key, GHVM_SEVERITY_ERROR, "range",
			 "0x%" PRIx64 " to its end is not in 0x%llx to 0x%llx", r->address,
			 GHVM_IPA_WINDOWS, GHVM_IPA_END);
	else if (ranges_overlap(r->address, r->size, GHVM_IPA_RAM, spec->memory))
		complain(report, spec, key, GHVM_SEVERITY_ERROR, "overlap",
			 "0x%" PRIx64 " overlaps the VM's RAM", r->address);
	for (size_t i = 0; i < nth; i++)
		if (spec->regions[i].address &&
		    ranges_overlap(r->address, r->size, spec->regions[i].address,
				   spec->regions[i].size))
			complain(report, spec, key, GHVM_SEVERITY_ERROR, "overlap",
				 "0x%" PRIx64 " overlaps the region of line %u", r->address,
				 line_of_region(spec, i));
}

static void check_label(struct spec_report *report, const struct ghvm_spec *spec, size_t nth)
{
	const uint32_t label = spec->regions[nth].label;
	char key[REGION_KEY_SIZE];

	snprintf(key, sizeof(key), "regions[%zu].label", nth);
	for (size_t i = 0; label && i < nth; i++) {
		if (spec->regions[i].label != label)
			continue;
		complain(report, spec, key, GHVM_SEVERITY_ERROR, "label-in-use",
			 "label %u is also in line %u", label, line_of_region(spec, i));
		return;
	}
}

static void check_spec(struct spec_report *report, const struct ghvm_spec *spec)
{
	check_memory(report, spec);
	for (size_t i = 0; i < spec->n_regions; i++) {
		check_label(report, spec, i);
		check_address(report, spec, i);
	}
}

/* reading files */

static int set_defaults(struct ghvm_spec *spec, const char *name,
			const struct ghvm_spec_files *files)
{
	*spec = (struct ghvm_spec){
		.cmdline = strdup(""),
		.cpus = 1,
		.on_reboot = GHVM_ON_END_RESTART,
		.on_crash = GHVM_ON_END_STOP,
		.stop_timeout_ms = STOP_TIMEOUT_MS,
		.files = calloc(files->n + 1, sizeof(char *)),
	};
	memcpy(spec->name, name, strlen(name) + 1);
	set_default_devices(spec);
	if (!spec->cmdline || !spec->files)
		return -ENOMEM;
	for (size_t i = 0; i < files->n; i++) {
		spec->files[i] = strdup(files->v[i].name);
		if (!spec->files[i])
			return -ENOMEM;
	}
	return 0;
}

/* Read one file into @spec. Files after the first may leave out required keys. */
static int read_file(struct spec_report *report, struct ghvm_spec *spec, size_t nth)
{
	const struct ghvm_spec_file *f = &report->files[nth];
	struct yaml_reader rd = {
		.report = report,
		.spec = spec,
		.file = (unsigned int)nth,
		.whole = nth == 0,
	};
	yaml_node_t *root;
	int r = yaml_open(&rd, f->text, f->len, &root);

	if (r == -ENODATA && rd.whole)
		yaml_complain(&rd, NULL, "", "type", "empty");
	if (r < 0)
		return r == -ENOMEM ? r : 0; /* has an error already, or is empty */
	yaml_read_map(&rd, root, "", &top_map, spec, rd.whole);
	yaml_close(&rd);
	return 0;
}

static int read_files(const char *name, const struct ghvm_spec_files *files, struct ghvm_spec *ret,
		      struct ghvm_complaints *complaints, struct ghvm_error *err)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct spec_report report = { .files = files->v };
	int r = set_defaults(&spec, name, files);

	for (size_t i = 0; r == 0 && i < files->n; i++)
		r = read_file(&report, &spec, i);
	if (r == 0)
		check_spec(&report, &spec);
	else
		report.failed = r;
	r = spec_report_finish(&report, complaints, err);
	if (r == 0)
		*ret = TAKE_STRUCT(spec);
	return r;
}

/* Prefixed by "demo.yaml:1:1: " if there is a file. */
static int bad_name(const char *name, const char *file, struct ghvm_error *err)
{
	return ghvm_error_set(err, -EINVAL,
			      "%s%s'%.40s' is not a VM's name: 1 to 27 of a-z, 0-9 and -, "
			      "no dash first or last",
			      file, *file ? ":1:1: " : "", name);
}

int ghvm_spec_parse(const char *name, const char *file, const char *text, size_t len,
		    struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		    struct ghvm_error *err)
{
	struct ghvm_spec_file f = { .name = (char *)file, .text = (char *)text, .len = len };
	const struct ghvm_spec_files files = { .v = &f, .n = 1 };

	if (!ghvm_name_valid(name))
		return bad_name(name, file, err);
	if (len > GHVM_SPEC_FILE_MAX)
		return ghvm_error_set(err, -E2BIG, "%s: larger than 1M", file);
	return read_files(name, &files, ret, complaints, err);
}

int ghvm_spec_load(const char *name, const char *const *dirs, struct ghvm_spec *ret,
		   struct ghvm_complaints *complaints, struct ghvm_error *err)
{
	_cleanup_(ghvm_spec_files_done) struct ghvm_spec_files files = {};
	int r;

	if (!ghvm_name_valid(name))
		return ghvm_spec_absent(name, dirs, err);
	r = ghvm_spec_files_read(name, dirs, &files, err);
	return r < 0 ? r : read_files(name, &files, ret, complaints, err);
}
