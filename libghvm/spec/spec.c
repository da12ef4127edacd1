/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the files of a descriptor, and checks across keys.
 */
#include "ghvm/spec.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/guest-map.h"
#include "libghvm/base/name.h"
#include "libghvm/spec/complain.h"
#include "libghvm/spec/fields.h"
#include "libghvm/spec/files.h"
#include "libghvm/spec/pair.h"
#include "libghvm/spec/paths.h"
#include "libghvm/spec/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REGION_KEY_SIZE 48 /* "regions[N].address" with any N */

void ghvm_spec_done(struct ghvm_spec *spec)
{
	spec_free_texts(&spec_fields, spec);
	for (char **f = spec->files; f && *f; f++)
		free(*f);
	free(spec->files);
	free(spec->owners);
	free(spec->places);
	spec_free_paths(spec);
	*spec = (struct ghvm_spec){};
}

#define CID_CHOSEN (1U << 30) /* far from those that people and other programs choose */

unsigned int ghvm_spec_cid(const struct ghvm_spec *spec)
{
	uint64_t h =
		0xcbf29ce484222325ULL; /* FNV-1a; the same for ever: clients may have noted the number */

	if (spec->vsock_cid)
		return spec->vsock_cid;
	for (const char *c = spec->name; *c; c++)
		h = (h ^ (uint8_t)*c) * 0x100000001b3ULL;
	return CID_CHOSEN | ((uint32_t)(h ^ h >> 32) & (CID_CHOSEN - 1));
}

size_t ghvm_spec_count_vhost(const struct ghvm_spec *spec)
{
	size_t n = 0;

	while (n < GHVM_SPEC_VHOST_MAX && spec->vhost[n].socket)
		n++;
	return n;
}

size_t ghvm_spec_count_disks(const struct ghvm_spec *spec)
{
	size_t n = 0;

	while (n < GHVM_SPEC_DISKS_MAX && spec->disks[n].image)
		n++;
	return n;
}

enum ghvm_disk_cache ghvm_spec_disk_cache(const struct ghvm_spec_disk *disk)
{
	if (disk->cache != GHVM_CACHE_CHOSEN)
		return disk->cache;
	return disk->format == GHVM_DISK_RAW ? GHVM_CACHE_WRITEBACK : GHVM_CACHE_WRITETHROUGH;
}

uint64_t ghvm_spec_ram(const struct ghvm_spec *spec)
{
	return spec->memory_address ? spec->memory_address : GHVM_IPA_RAM;
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
	const uint64_t max = GHVM_IPA_END - ghvm_spec_ram(spec);
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
			 "more than %" PRIu64 "M, which fit below 0x%llx", max >> 20, GHVM_IPA_END);
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
	if (r->address < GHVM_IPA_REGIONS || r->address >= GHVM_IPA_END ||
	    r->size > GHVM_IPA_END - r->address)
		complain(report, spec, key, GHVM_SEVERITY_ERROR, "range",
			 "0x%" PRIx64 " to its end is not in 0x%llx to 0x%llx", r->address,
			 GHVM_IPA_REGIONS, GHVM_IPA_END);
	else if (ranges_overlap(r->address, r->size, ghvm_spec_ram(spec), spec->memory))
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

static void check_with(struct spec_report *report, const struct ghvm_spec *spec, size_t nth)
{
	const char *with = spec->regions[nth].with, *peer = spec_peer(spec);
	char key[REGION_KEY_SIZE];

	snprintf(key, sizeof(key), "regions[%zu].with", nth);
	if (!strcmp(with, spec->name))
		complain(report, spec, key, GHVM_SEVERITY_ERROR, "with-itself",
			 "is the VM's own name");
	else if (*with && strcmp(with, peer))
		complain(report, spec, key, GHVM_SEVERITY_ERROR, "with-two",
			 "another region names %s: all regions that a VM shares with another VM "
			 "must name the same one",
			 peer);
}

static void check_auth(struct spec_report *report, const struct ghvm_spec *spec)
{
	const bool platform = spec->auth == GHVM_AUTH_PLATFORM;

	if (platform && !spec->pas_id)
		complain(report, spec, "auth.pas-id", GHVM_SEVERITY_ERROR, "missing-key",
			 "is missing; auth.type: platform needs it");
	else if (!platform && spec->pas_id)
		complain(report, spec, "auth.pas-id", GHVM_SEVERITY_ERROR, "conflict",
			 "is for auth.type: platform only");
	if (spec->firmware && spec->auth != GHVM_AUTH_ANDROID)
		complain(report, spec, "firmware.size", GHVM_SEVERITY_ERROR, "conflict",
			 "is for auth.type: android only");
	if (spec->auth && spec->protection == GHVM_PROTECTION_NONE)
		complain(report, spec, "memory.protection", GHVM_SEVERITY_ERROR, "conflict",
			 "none: the memory of a guest with auth.type must be lent");
	if (spec->auth && (spec->boot.entry.given || spec->boot.x0.given))
		complain(report, spec, spec->boot.entry.given ? "boot.entry" : "boot.x0",
			 GHVM_SEVERITY_ERROR, "conflict",
			 "a guest with auth.type starts where its firmware or its image says");
}

/* The place of a key of the disk number @nth, also if it has no such key. */
static void disk_key(const struct ghvm_spec *spec, size_t nth, const char *key,
		     char ret[REGION_KEY_SIZE])
{
	const struct ghvm_spec_place *image = spec_device_place(spec, SPEC_DISK_IMAGE, nth);
	const int len = image ? (int)(strrchr(image->key, '.') - image->key) : 0;

	(void)snprintf(ret, REGION_KEY_SIZE, "%.*s.%s", len, image ? image->key : "", key);
}

/*
 * The tables of a qcow2 image are in the memory of the storage daemon until they are written. If the daemon dies
 * before that, writes are lost that the guest takes for done, and nothing can repeat them.
 */
static void check_cache(struct spec_report *report, const struct ghvm_spec *spec, size_t nth)
{
	const struct ghvm_spec_disk *d = &spec->disks[nth];
	const enum ghvm_disk_cache cache = ghvm_spec_disk_cache(d);
	char key[REGION_KEY_SIZE];

	if (d->format != GHVM_DISK_QCOW2 || d->readonly || cache == GHVM_CACHE_WRITETHROUGH ||
	    cache == GHVM_CACHE_DIRECTSYNC)
		return;
	disk_key(spec, nth, "cache", key);
	complain(report, spec, key, GHVM_SEVERITY_ERROR, "conflict",
		 "a qcow2 image needs writethrough or directsync: with this one, the end of the "
		 "storage daemon would lose writes that were answered. A raw image may have any");
}

static void check_disk(struct spec_report *report, const struct ghvm_spec *spec, size_t nth)
{
	const struct ghvm_spec_disk *d = &spec->disks[nth], *other;
	char key[REGION_KEY_SIZE];

	check_cache(report, spec, nth);
	disk_key(spec, nth, "image", key);
	for (size_t i = 0; i < nth; i++) {
		other = &spec->disks[i];
		if (!strcmp(other->image, d->image) && !(other->readonly && d->readonly))
			complain(report, spec, key, GHVM_SEVERITY_ERROR, "conflict",
				 "is the image of another disk as well, and not both are readonly");
	}
}

static void check_spec(struct spec_report *report, const struct ghvm_spec *spec)
{
	check_memory(report, spec);
	check_auth(report, spec);
	for (size_t i = 0; i < ghvm_spec_count_disks(spec); i++)
		check_disk(report, spec, i);
	for (size_t i = 0; i < spec->n_regions; i++) {
		check_with(report, spec, i);
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
		.files = calloc(files->n + 1, sizeof(char *)),
		.owners = calloc(files->n, sizeof(*spec->owners)),
	};
	memcpy(spec->name, name, strlen(name) + 1);
	spec_set_defaults(&spec_fields, spec);
	if (!spec->cmdline || !spec->files || !spec->owners)
		return -ENOMEM;
	for (size_t i = 0; i < files->n; i++) {
		spec->owners[i] = files->v[i].owner;
		spec->files[i] = strdup(files->v[i].name);
		if (!spec->files[i])
			return -ENOMEM;
	}
	return 0;
}

/* Read one file into @spec. Files after the first may leave out required keys. */
static int read_file(struct spec_report *report, struct ghvm_spec *spec, size_t nth, bool sent)
{
	const struct ghvm_spec_file *f = &report->files[nth];
	struct yaml_reader rd = {
		.report = report,
		.spec = spec,
		.file = (unsigned int)nth,
		.whole = nth == 0,
		.sent = sent,
	};
	yaml_node_t *root;
	int r = yaml_open(&rd, f->text, f->len, &root);

	if (r == -ENODATA && rd.whole)
		yaml_complain(&rd, NULL, "", "type", "empty");
	if (r < 0)
		return r == -ENOMEM ? r : 0; /* has an error already, or is empty */
	yaml_read_map(&rd, root, "", &spec_fields, spec, rd.whole);
	yaml_close(&rd);
	return 0;
}

static int read_files(const char *name, const struct ghvm_spec_files *files, bool sent,
		      struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		      struct ghvm_error *err)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct spec_report report = { .files = files->v };
	int r = set_defaults(&spec, name, files);

	for (size_t i = 0; r == 0 && i < files->n; i++)
		r = read_file(&report, &spec, i, sent);
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

static int parse_text(const char *name, const char *file, const char *text, size_t len, bool sent,
		      struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		      struct ghvm_error *err)
{
	struct ghvm_spec_file f = {
		.name = (char *)file,
		.text = (char *)text,
		.len = len,
		.owner = { .uid = geteuid(), .gid = getegid() },
	};
	const struct ghvm_spec_files files = { .v = &f, .n = 1 };

	if (!ghvm_name_valid(name))
		return bad_name(name, file, err);
	if (len > GHVM_SPEC_FILE_MAX)
		return ghvm_error_set(err, -EFBIG, "%s: larger than 1M", file);
	return read_files(name, &files, sent, ret, complaints, err);
}

int ghvm_spec_parse(const char *name, const char *file, const char *text, size_t len,
		    struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		    struct ghvm_error *err)
{
	return parse_text(name, file, text, len, false, ret, complaints, err);
}

int spec_parse_sent(const char *name, const char *file, const char *text, size_t len,
		    struct ghvm_spec *ret, struct ghvm_complaints *complaints,
		    struct ghvm_error *err)
{
	return parse_text(name, file, text, len, true, ret, complaints, err);
}

int ghvm_spec_load(const char *name, const char *const *dirs, struct ghvm_spec *ret,
		   struct ghvm_complaints *complaints, struct ghvm_error *err)
{
	_cleanup_(ghvm_spec_files_done) struct ghvm_spec_files files = {};
	int r;

	if (!ghvm_name_valid(name))
		return ghvm_spec_absent(name, dirs, err);
	r = ghvm_spec_files_read(name, dirs, &files, err);
	return r < 0 ? r : read_files(name, &files, false, ret, complaints, err);
}
