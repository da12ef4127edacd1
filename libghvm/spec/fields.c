/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of the keys of a descriptor, which reads, prints and digests it.
 *
 * A test holds configs/FORMAT.md, the schema and the man page against it.
 */
#include "libghvm/spec/fields.h"

#include "ghvm/guest-map.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/name.h"
#include "libghvm/spec/complain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION 1
#define STOP_TIMEOUT_MS 30000

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

static const struct yaml_word kernel_formats[] = {
	{ "image", GHVM_KERNEL_IMAGE },
	{ "raw", GHVM_KERNEL_RAW },
	{},
};

static const struct yaml_word on_end[] = {
	{ "stop", GHVM_ON_END_STOP },
	{ "restart", GHVM_ON_END_RESTART },
	{},
};

static const struct yaml_word on_watchdog[] = {
	{ "stop", GHVM_ON_END_STOP },
	{ "restart", GHVM_ON_END_RESTART },
	{ "dump-only", GHVM_ON_END_DUMP_ONLY },
	{},
};

static const struct yaml_word host_accesses[] = {
	{ "read-write", GHVM_HOST_READ_WRITE },
	{ "host-readonly", GHVM_HOST_READONLY },
	{},
};

static const struct yaml_word region_kinds[] = { { "share", 0 }, {} };
static const struct yaml_limits version_limits = { FORMAT_VERSION, FORMAT_VERSION };
static const struct yaml_limits cpu_limits = { 1, GHVM_SPEC_CPUS_MAX };
const struct yaml_limits spec_label_limits = { 1, GHVM_LABEL_LAST };

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

static void parse_with(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f, void *dst)
{
	const char *s = n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : "";

	if (!ghvm_name_valid(s))
		yaml_complain(rd, n, path, "name", "not the name of a VM");
	else
		memcpy(dst, s, strlen(s) + 1); /* fits: it is valid */
}

static const struct yaml_field region_fields[] = {
	REGION_FIELD("label", label, NUMBER, yaml_parse_number, YAML_REQUIRED, &spec_label_limits,
		     0, 1),
	SPECIAL("kind", UNSTORED, parse_region_kind, 0, region_kinds),
	REGION_FIELD("size", size, SIZE, parse_pages, YAML_REQUIRED, NULL, 0, 3),
	REGION_FIELD("readonly", readonly, BOOL, yaml_parse_bool, 0, NULL, false, 2),
	REGION_FIELD("access", access, WORD, yaml_parse_word, 0, host_accesses,
		     GHVM_HOST_READ_WRITE, 5),
	REGION_FIELD("address", address, SIZE, parse_pages, YAML_CHOSEN, NULL, 0, 4),
	REGION_FIELD("with", with, NAME, parse_with, 0, NULL, 0, 6),
	{},
};
const struct yaml_map spec_region_fields = { region_fields };

bool spec_is_list(struct yaml_reader *rd, const yaml_node_t *n, const char *path)
{
	if (n->type != YAML_SEQUENCE_NODE)
		yaml_complain(rd, n, path, "type", "not a list");
	return n->type == YAML_SEQUENCE_NODE;
}

static void read_region(struct yaml_reader *rd, yaml_node_t *n, size_t nth, struct ghvm_spec *spec)
{
	struct ghvm_spec_region *r = &spec->regions[spec->n_regions++];
	char path[32];

	snprintf(path, sizeof(path), "regions[%zu]", nth);
	*r = (struct ghvm_spec_region){};
	spec_set_defaults(&spec_region_fields, r);
	yaml_read_map(rd, n, path, &spec_region_fields, r, true);
	yaml_note(rd, n, path);
}

static void parse_regions(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			  const struct yaml_field *f, void *dst)
{
	struct ghvm_spec *spec = dst;
	size_t nth = 0;

	if (!spec_is_list(rd, n, path))
		return;
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

static const struct yaml_field kernel_fields[] = {
	FIELD("image", kernel, TEXT, yaml_parse_path, YAML_REQUIRED, NULL, 0, 1),
	FIELD("initrd", initrd, TEXT, yaml_parse_path, 0, NULL, 0, 2),
	FIELD("cmdline", cmdline, TEXT, yaml_parse_line, 0, NULL, 0, 3),
	FIELD("dtb-overlay", dtb_overlay, TEXT, yaml_parse_path, 0, NULL, 0, 4),
	FIELD("format", format, WORD, yaml_parse_word, 0, kernel_formats, GHVM_KERNEL_IMAGE, 24),
	{},
};
static const struct yaml_map kernel_map = { kernel_fields };

/* The resource manager rounds up to 2M (abi D.5); below 1G are the devices. */
static void parse_ram_address(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			      const struct yaml_field *f, void *dst)
{
	uint64_t v = GHVM_IPA_RAM;

	yaml_parse_size(rd, n, path, f, &v);
	if (!ghvm_aligned(v, GHVM_MIB(2)))
		yaml_complain(rd, n, path, "size-align", "0x%" PRIx64 " is not a multiple of 2M",
			      v);
	else if (v < GHVM_IPA_REGIONS || v >= GHVM_IPA_END)
		yaml_complain(rd, n, path, "range", "0x%" PRIx64 " is not in 0x%llx to 0x%llx", v,
			      GHVM_IPA_REGIONS, GHVM_IPA_END - 1);
	else
		*(uint64_t *)dst = v;
}

static const struct yaml_field memory_fields[] = {
	FIELD("size", memory, SIZE, yaml_parse_size, YAML_REQUIRED, NULL, 0, 5),
	FIELD("protection", protection, WORD, yaml_parse_word, 0, protections,
	      GHVM_PROTECTION_PROTECTED, 6),
	FIELD("hugepages", hugepages, WORD, yaml_parse_word, 0, hugepages, GHVM_HUGEPAGES_AUTO, 7),
	FIELD("address", memory_address, SIZE, parse_ram_address, YAML_CHOSEN, NULL, 0, 25),
	{},
};
static const struct yaml_map memory_map = { memory_fields };

static const struct yaml_field cpus_fields[] = {
	FIELD("count", cpus, NUMBER, yaml_parse_number, YAML_REQUIRED, &cpu_limits, 1, 8),
	{},
};
static const struct yaml_map cpus_map = { cpus_fields };

static const uint64_t instruction_size = 4;
static const uint64_t stack_alignment = 16;

#define REGISTER(key, alignment, rank)                                                             \
	FIELD(#key, boot.key, REGISTER, yaml_parse_register, YAML_CHOSEN, alignment, 0, rank)

static const struct yaml_field boot_fields[] = {
	REGISTER(entry, &instruction_size, 18),
	REGISTER(x0, NULL, 19),
	REGISTER(x1, NULL, 20),
	REGISTER(x2, NULL, 21),
	REGISTER(x3, NULL, 22),
	REGISTER(sp, &stack_alignment, 23),
	{},
};
static const struct yaml_map boot_map = { boot_fields };

static const struct yaml_word auths[] = {
	{ "none", GHVM_AUTH_NONE },
	{ "platform", GHVM_AUTH_PLATFORM },
	{ "android", GHVM_AUTH_ANDROID },
	{},
};
static const struct yaml_limits pas_id_limits = { 0, UINT32_MAX };

static const struct yaml_field auth_fields[] = {
	FIELD("type", auth, WORD, yaml_parse_word, 0, auths, GHVM_AUTH_NONE, 26),
	FIELD("pas-id", pas_id, NUMBER, yaml_parse_number, 0, &pas_id_limits, 0, 27),
	{},
};
static const struct yaml_map auth_map = { auth_fields };

static const struct yaml_field firmware_fields[] = {
	FIELD("size", firmware, SIZE, parse_pages, YAML_CHOSEN, NULL, 0, 28),
	{},
};
static const struct yaml_map firmware_map = { firmware_fields };

static const struct yaml_field lifecycle_fields[] = {
	FIELD("on-reboot", on_reboot, WORD, yaml_parse_word, 0, on_end, GHVM_ON_END_RESTART, 12),
	FIELD("on-crash", on_crash, WORD, yaml_parse_word, 0, on_end, GHVM_ON_END_STOP, 13),
	FIELD("on-watchdog", on_watchdog, WORD, yaml_parse_word, 0, on_watchdog,
	      GHVM_ON_END_RESTART, 49),
	FIELD("stop-timeout", stop_timeout_ms, TIME, yaml_parse_duration, 0, NULL, STOP_TIMEOUT_MS,
	      14),
	{},
};
static const struct yaml_map lifecycle_map = { lifecycle_fields };

static const struct yaml_field top_fields[] = {
	SPECIAL("version", CONSTANT, parse_version, YAML_REQUIRED, &version_limits),
	SECTION("kernel", YAML_REQUIRED, &kernel_map),
	SECTION("memory", YAML_REQUIRED, &memory_map),
	SECTION("cpus", 0, &cpus_map),
	SECTION("boot", 0, &boot_map),
	SECTION("auth", 0, &auth_map),
	SECTION("firmware", 0, &firmware_map),
	SPECIAL("devices", DEVICE_LIST, spec_parse_devices, 0, &spec_device_fields),
	SPECIAL("regions", REGION_LIST, parse_regions, 0, &spec_region_fields),
	SECTION("lifecycle", 0, &lifecycle_map),
	FIELD("rm-rpc", rm_rpc, BOOL, yaml_parse_bool, 0, NULL, false, 11),
	{},
};
const struct yaml_map spec_fields = { top_fields };

bool spec_has_section(const char *name, size_t len)
{
	for (const struct yaml_field *f = spec_fields.fields; f->key; f++)
		if (strlen(f->key) == len && !strncmp(f->key, name, len))
			return true;
	return false;
}

uint64_t spec_field_number(const struct yaml_field *f, const void *of)
{
	const void *at = (const uint8_t *)of + f->offset;

	switch (f->kind) {
	case YAML_BOOL:
		return *(const bool *)at;
	case YAML_WORD:
	case YAML_NUMBER:
	case YAML_TIME:
		return *(const unsigned int *)at;
	case YAML_SIZE:
		return *(const uint64_t *)at;
	case YAML_REGISTER:
		return ((const struct ghvm_spec_register *)at)->value;
	default:
		return 0;
	}
}

bool spec_field_chosen(const struct yaml_field *f, const void *of)
{
	const void *at = (const uint8_t *)of + f->offset;

	if (f->kind == YAML_REGISTER)
		return !((const struct ghvm_spec_register *)at)->given;
	return (f->flags & YAML_CHOSEN) && !spec_field_number(f, of);
}

const char *spec_field_text(const struct yaml_field *f, const void *of)
{
	const void *at = (const uint8_t *)of + f->offset;

	if (f->kind == YAML_NAME)
		return *(const char *)at ? at : NULL;
	return *(char *const *)at;
}

bool spec_field_is_text(const struct yaml_field *f)
{
	return f->kind == YAML_TEXT || f->kind == YAML_NAME;
}

static void set_default(const struct yaml_field *f, void *of)
{
	void *at = (uint8_t *)of + f->offset;

	switch (f->kind) {
	case YAML_BOOL:
		*(bool *)at = f->initial;
		break;
	case YAML_WORD:
	case YAML_NUMBER:
	case YAML_TIME:
		*(unsigned int *)at = (unsigned int)f->initial;
		break;
	case YAML_SIZE:
		*(uint64_t *)at = f->initial;
		break;
	case YAML_REGISTER:
		*(struct ghvm_spec_register *)at = (struct ghvm_spec_register){};
		break;
	case YAML_MAP:
	case YAML_DEVICE_LIST:
		spec_set_defaults(f->arg, of);
		break;
	default:
		break;
	}
}

void spec_set_defaults(const struct yaml_map *map, void *of)
{
	for (const struct yaml_field *f = map->fields; f->key; f++)
		set_default(f, of);
}

static void free_text(void *at)
{
	free(*(char **)at);
}

void spec_free_texts(const struct yaml_map *map, struct ghvm_spec *spec)
{
	for (const struct yaml_field *f = map->fields; f->key; f++)
		if (f->kind == YAML_MAP || f->kind == YAML_DEVICE_LIST)
			spec_free_texts(f->arg, spec);
		else if (f->kind == YAML_TEXT)
			free_text((uint8_t *)spec + f->offset);
}

const struct yaml_field *spec_field_ranked(const struct yaml_map *map, unsigned int rank)
{
	for (const struct yaml_field *f = map->fields; f->key; f++) {
		const struct yaml_field *in = NULL;

		if (f->rank == rank)
			return f;
		if (f->kind == YAML_MAP || f->kind == YAML_DEVICE_LIST)
			in = spec_field_ranked(f->arg, rank);
		if (in)
			return in;
	}
	return NULL;
}
