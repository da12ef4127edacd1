/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keys of devices.
 */
#include "libghvm/spec/fields.h"

#include "libghvm/base/bits.h"
#include "libghvm/spec/complain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEVICES_MAX 64

#define LISTED(key, member, map)                                                                   \
	{                                                                                          \
		key, YAML_MAP, parse_listed, offsetof(struct ghvm_spec, member), 0, map, 0, 0      \
	}
#define DISK(map)                                                                                  \
	{                                                                                          \
		"disk", YAML_MAP, parse_disk, 0, 0, map, 0, 0                                      \
	}
#define VHOST(map)                                                                                 \
	{                                                                                          \
		"vhost-user", YAML_MAP, parse_vhost, 0, 0, map, 0, 0                               \
	}

/* A device that exists once unless it is disabled (@initial is true), or if it is listed. */
#define ENABLED_FIELDS(name, member, flags, initial, rank)                                         \
	static const struct yaml_field name##_fields[] = {                                         \
		FIELD("enabled", member, BOOL, yaml_parse_bool, flags, NULL, initial, rank),       \
		{},                                                                                \
	};                                                                                         \
	static const struct yaml_map name##_map = { name##_fields }

ENABLED_FIELDS(power_key, power_key, 0, true, 10);
ENABLED_FIELDS(rtc, rtc, YAML_CHOSEN, false, 30);
ENABLED_FIELDS(watchdog, watchdog, YAML_CHOSEN, false, 48);

static const struct yaml_field rng_fields[] = {
	FIELD("enabled", rng, BOOL, yaml_parse_bool, YAML_CHOSEN, NULL, false, 29),
	FIELD("region", rng_region, NUMBER, yaml_parse_number, YAML_CHOSEN, &spec_label_limits, 0,
	      31),
	{},
};
static const struct yaml_map rng_map = { rng_fields };

static const struct yaml_limits cid_limits = { 3, 0xfffffffe };
static const struct yaml_field vsock_fields[] = {
	FIELD("enabled", vsock, BOOL, yaml_parse_bool, YAML_CHOSEN, NULL, false, 78),
	FIELD("cid", vsock_cid, NUMBER, yaml_parse_number, YAML_CHOSEN, &cid_limits, 0, 79),
	FIELD("region", vsock_region, NUMBER, yaml_parse_number, YAML_CHOSEN, &spec_label_limits, 0,
	      80),
	{},
};
static const struct yaml_map vsock_map = { vsock_fields };

/* A device that exists if it is listed: @dst is its "enabled". */
static void parse_listed(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			 const struct yaml_field *f, void *dst)
{
	bool *enabled = dst;

	*enabled = true;
	yaml_read_map(rd, n, path, f->arg, (uint8_t *)dst - f->offset, true);
}

static const struct yaml_limits virtio_ids = { 1, 63 };
static const struct yaml_limits queue_limits = { 1, GHVM_SPEC_QUEUES_MAX };

#define VHOST_FIELDS(nth, rank)                                                                    \
	static const struct yaml_field vhost##nth##_fields[] = {                                   \
		FIELD("socket", vhost[nth].socket, TEXT, yaml_parse_socket, YAML_REQUIRED, NULL,   \
		      0, (rank)),                                                                  \
		FIELD("id", vhost[nth].id, NUMBER, yaml_parse_number, YAML_REQUIRED | YAML_CHOSEN, \
		      &virtio_ids, 0, (rank) + 1),                                                 \
		FIELD("queues", vhost[nth].queues, NUMBER, yaml_parse_number, YAML_CHOSEN,         \
		      &queue_limits, 0, (rank) + 2),                                               \
		FIELD("region", vhost[nth].region, NUMBER, yaml_parse_number, YAML_CHOSEN,         \
		      &spec_label_limits, 0, (rank) + 3),                                          \
		{},                                                                                \
	};                                                                                         \
	static const struct yaml_map vhost##nth##_map = { vhost##nth##_fields }

VHOST_FIELDS(0, 32);
VHOST_FIELDS(1, 36);
VHOST_FIELDS(2, 40);
VHOST_FIELDS(3, 44);
static const struct yaml_map *const vhost_maps[GHVM_SPEC_VHOST_MAX] = { &vhost0_map, &vhost1_map,
									&vhost2_map, &vhost3_map };

/* The next one: a device that may be listed again, and has keys that it cannot be without. */
static void parse_vhost(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			const struct yaml_field *f, void *dst)
{
	const size_t nth = ghvm_spec_count_vhost(dst);

	if (nth == GHVM_SPEC_VHOST_MAX)
		yaml_complain(rd, n, path, "range", "more than %d", GHVM_SPEC_VHOST_MAX);
	else
		yaml_read_map(rd, n, path, vhost_maps[nth], dst, true);
}

static const struct yaml_word disk_formats[] = {
	{ "raw", GHVM_DISK_RAW },
	{ "qcow2", GHVM_DISK_QCOW2 },
	{},
};

static const struct yaml_word disk_caches[] = {
	{ "writeback", GHVM_CACHE_WRITEBACK }, { "writethrough", GHVM_CACHE_WRITETHROUGH },
	{ "none", GHVM_CACHE_NONE },	       { "directsync", GHVM_CACHE_DIRECTSYNC },
	{ "unsafe", GHVM_CACHE_UNSAFE },       {},
};

#define DISK_FIELDS(nth, rank)                                                                     \
	static const struct yaml_field disk##nth##_fields[] = {                                    \
		FIELD("image", disks[nth].image, TEXT, yaml_parse_socket, YAML_REQUIRED, NULL, 0,  \
		      (rank)),                                                                     \
		FIELD("format", disks[nth].format, WORD, yaml_parse_word,                          \
		      YAML_REQUIRED | YAML_CHOSEN, disk_formats, 0, (rank) + 1),                   \
		FIELD("readonly", disks[nth].readonly, BOOL, yaml_parse_bool, YAML_CHOSEN, NULL,   \
		      false, (rank) + 2),                                                          \
		FIELD("discard", disks[nth].discard, BOOL, yaml_parse_bool, YAML_CHOSEN, NULL,     \
		      false, (rank) + 3),                                                          \
		FIELD("cache", disks[nth].cache, WORD, yaml_parse_word, YAML_CHOSEN, disk_caches,  \
		      0, (rank) + 4),                                                              \
		FIELD("queues", disks[nth].queues, NUMBER, yaml_parse_number, YAML_CHOSEN,         \
		      &queue_limits, 0, (rank) + 5),                                               \
		FIELD("region", disks[nth].region, NUMBER, yaml_parse_number, YAML_CHOSEN,         \
		      &spec_label_limits, 0, (rank) + 6),                                          \
		{},                                                                                \
	};                                                                                         \
	static const struct yaml_map disk##nth##_map = { disk##nth##_fields }

DISK_FIELDS(0, 50);
DISK_FIELDS(1, 57);
DISK_FIELDS(2, 64);
DISK_FIELDS(3, 71);
static const struct yaml_map *const disk_maps[GHVM_SPEC_DISKS_MAX] = { &disk0_map, &disk1_map,
								       &disk2_map, &disk3_map };

static void parse_disk(struct yaml_reader *rd, yaml_node_t *n, const char *path,
		       const struct yaml_field *f, void *dst)
{
	const size_t nth = ghvm_spec_count_disks(dst);

	if (nth == GHVM_SPEC_DISKS_MAX)
		yaml_complain(rd, n, path, "range", "more than %d", GHVM_SPEC_DISKS_MAX);
	else
		yaml_read_map(rd, n, path, disk_maps[nth], dst, true);
}

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
	FIELD("enabled", console, BOOL, yaml_parse_bool, 0, NULL, true, 9),
	FIELD("logging", logging, WORD, yaml_parse_word, 0, loggings, GHVM_LOGGING_FILE, 15),
	FIELD("log-size", log_size, SIZE, parse_log_size, 0, NULL, GHVM_LOG_SIZE, 16),
	FIELD("log-count", log_count, NUMBER, yaml_parse_number, 0, &log_counts, GHVM_LOG_COUNT,
	      17),
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
	LISTED("rng", rng, &rng_map),
	LISTED("rtc", rtc, &rtc_map),
	DISK(&disk0_map), /* read by the first of these rows, and printed by each */
	DISK(&disk1_map),
	DISK(&disk2_map),
	DISK(&disk3_map),
	VHOST(&vhost0_map), /* likewise */
	VHOST(&vhost1_map),
	VHOST(&vhost2_map),
	VHOST(&vhost3_map),
	LISTED("vsock", vsock, &vsock_map),
	LISTED("watchdog", watchdog, &watchdog_map),
	SPECIAL("net", UNSTORED, parse_later, YAML_NULL, NULL),
	SPECIAL("share", UNSTORED, parse_later, YAML_NULL, NULL),
	{},
};
const struct yaml_map spec_device_fields = { device_fields };

/* Each kind of device may be listed once, but for disks and those of other processes. */
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
	yaml_read_map(rd, n, path, &spec_device_fields, spec, true);
	if (n->type != YAML_MAPPING_NODE)
		return;
	if (n->data.mapping.pairs.top - n->data.mapping.pairs.start != 1)
		yaml_complain(rd, n, path, "type", "not exactly one device");
	for (const struct yaml_field *f = device_fields; f->key; f++)
		if (f->parse != parse_disk && f->parse != parse_vhost && yaml_find(rd, n, f->key) &&
		    listed_before(rd, list, nth, f->key))
			yaml_complain(rd, n, path, "repeated-key", "the list has a %s already",
				      f->key);
}

void spec_parse_devices(struct yaml_reader *rd, yaml_node_t *n, const char *path,
			const struct yaml_field *f, void *dst)
{
	struct ghvm_spec *spec = dst;
	size_t nth = 0;

	if (!spec_is_list(rd, n, path))
		return;
	spec_set_defaults(&spec_device_fields, spec);
	spec_free_texts(&spec_device_fields, spec);
	memset(spec->vhost, 0, sizeof(spec->vhost));
	memset(spec->disks, 0, sizeof(spec->disks));
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
