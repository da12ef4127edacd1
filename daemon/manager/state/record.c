/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The format of a state file: lines of "key value", each key once.
 *
 * A full disk or a crash may leave the file in any state, so it is validated like external input.
 */
#include "daemon/manager/state/file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/spec/paths.h"

#define VERSION_PLANLESS 1
#define VERSION_PLANNED 2
#define VERSION_TRANSIENT 3

enum key {
	KEY_VERSION,
	KEY_NAME,
	KEY_VMID,
	KEY_INCARNATION,
	KEY_ON_REBOOT,
	KEY_ON_CRASH,
	KEY_STOP_TIMEOUT,
	KEY_DIGEST,
	/* since version 2 */
	KEY_SPEC,
	KEY_KERNEL,
	KEY_INITRD,
	KEY_KERNEL_HEADER,
	KEY_OVERLAY,
	/* since version 3, and only of transient VMs */
	KEY_TRANSIENT,
	KEY_COUNT,
};

static const char *const key_names[KEY_COUNT] = {
	[KEY_VERSION] = "version",
	[KEY_NAME] = "name",
	[KEY_VMID] = "vmid",
	[KEY_INCARNATION] = "incarnation",
	[KEY_ON_REBOOT] = "on-reboot",
	[KEY_ON_CRASH] = "on-crash",
	[KEY_STOP_TIMEOUT] = "stop-timeout-ms",
	[KEY_DIGEST] = "digest",
	[KEY_SPEC] = "spec",
	[KEY_KERNEL] = "kernel",
	[KEY_INITRD] = "initrd",
	[KEY_KERNEL_HEADER] = "kernel-header",
	[KEY_OVERLAY] = "overlay",
	[KEY_TRANSIENT] = "transient",
};

#define KEYS_OF_VERSION_1 ((1U << KEY_SPEC) - 1)
#define KEYS_OF_VERSION_2 ((1U << KEY_TRANSIENT) - 1)
#define KEYS_OF_VERSION_3 ((1U << KEY_COUNT) - 1)

void store_origin_done(struct store_origin *origin)
{
	free(origin->overlay);
	*origin = (struct store_origin){};
}

void store_record_done(struct store_record *rec)
{
	ghvm_spec_done(&rec->spec);
	store_origin_done(&rec->origin);
}

/* ---- writing ---- */

static void put_hex(FILE *f, enum key key, const uint8_t *bytes, size_t n)
{
	fprintf(f, "%s ", key_names[key]);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%02x", bytes[i]);
	fputc('\n', f);
}

static void put_file(FILE *f, enum key key, const struct store_file *file)
{
	fprintf(f, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", key_names[key],
		file->device, file->inode, file->size, file->mtime);
}

static int put_plan(FILE *f, const struct store_record *rec)
{
	_cleanup_(freep) char *spec = ghvm_spec_to_yaml(&rec->spec);
	const struct store_origin *o = &rec->origin;

	if (!spec)
		return -ENOMEM;
	fprintf(f, "%s %s\n", key_names[KEY_SPEC], spec);
	put_file(f, KEY_KERNEL, &o->kernel);
	put_file(f, KEY_INITRD, &o->initrd);
	put_hex(f, KEY_KERNEL_HEADER, o->kernel_header, sizeof(o->kernel_header));
	put_hex(f, KEY_OVERLAY, o->overlay, o->overlay_size);
	if (rec->transient)
		fprintf(f, "%s %u\n", key_names[KEY_TRANSIENT], rec->transient_uid);
	return 0;
}

static int version_of(const struct store_record *rec)
{
	if (!rec->planned)
		return VERSION_PLANLESS;
	return rec->transient ? VERSION_TRANSIENT : VERSION_PLANNED;
}

static int put_record(FILE *f, const struct store_record *rec)
{
	fprintf(f, "version %d\nname %s\nvmid %u\nincarnation %" PRIu64 "\n", version_of(rec),
		rec->name, rec->vmid, rec->incarnation);
	fprintf(f, "on-reboot %u\non-crash %u\nstop-timeout-ms %u\ndigest %s\n", rec->on_reboot,
		rec->on_crash, rec->stop_timeout_ms, rec->digest);
	return rec->planned ? put_plan(f, rec) : 0;
}

char *store_print(const struct store_record *rec)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	int r;

	if (!f)
		return NULL;
	r = put_record(f, rec);
	text = ghvm_file_text(f, &text);
	if (r == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- reading ---- */

/* Digits only, up to @end: strtoull() would accept spaces and signs. */
static int parse_number(const char *s, const char *end, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (s == end)
		return -EBADMSG;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -EBADMSG;
	}
	if (v > max)
		return -EBADMSG;
	*ret = v;
	return 0;
}

static int parse_text(const char *s, char *ret, size_t cap)
{
	if (strlen(s) >= cap)
		return -EBADMSG;
	memcpy(ret, s, strlen(s) + 1);
	return 0;
}

static int parse_file(const char *s, struct store_file *ret)
{
	uint64_t *const members[] = { &ret->device, &ret->inode, &ret->size, &ret->mtime };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const char *end = s + strcspn(s, " ");

		if (parse_number(s, end, UINT64_MAX, members[i]) < 0)
			return -EBADMSG;
		if (!*end != (i + 1 == ARRAY_SIZE(members)))
			return -EBADMSG;
		s = end + 1;
	}
	return 0;
}

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int parse_hex(const char *s, uint8_t *ret, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = digit(s[2 * i]), low = high < 0 ? -1 : digit(s[2 * i + 1]);

		if (low < 0)
			return -EBADMSG;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return s[2 * n] ? -EBADMSG : 0;
}

static int parse_overlay(const char *s, struct store_origin *ret)
{
	size_t n = strlen(s) / 2;

	if (n > GHVM_OVERLAY_MAX)
		return -EBADMSG;
	if (!n)
		return *s ? -EBADMSG : 0;
	ret->overlay = malloc(n);
	if (!ret->overlay)
		return -ENOMEM;
	ret->overlay_size = n;
	return parse_hex(s, ret->overlay, n);
}

/* If the descriptor cannot be parsed any more, only the plan is lost. */
static int parse_spec(const char *s, const char *name, struct ghvm_spec *ret)
{
	int r = spec_parse_sent(name, "", s, strlen(s), ret, NULL, NULL);

	return r == -ENOMEM ? r : 0;
}

static void note_version(struct store_record *rec, uint64_t version)
{
	rec->planned = version >= VERSION_PLANNED;
	rec->transient = version == VERSION_TRANSIENT;
}

static int parse_count(struct store_record *rec, enum key key, const char *value)
{
	static const uint64_t max[KEY_COUNT] = {
		[KEY_VERSION] = VERSION_TRANSIENT,
		[KEY_VMID] = UINT16_MAX,
		[KEY_INCARNATION] = UINT64_MAX,
		[KEY_ON_REBOOT] = 1,
		[KEY_ON_CRASH] = 1,
		[KEY_STOP_TIMEOUT] = UINT_MAX,
		[KEY_TRANSIENT] = UINT32_MAX,
	};
	uint64_t v = 0;

	if (parse_number(value, value + strlen(value), max[key], &v) < 0)
		return -EBADMSG;
	if (key == KEY_VERSION)
		note_version(rec, v);
	else if (key == KEY_TRANSIENT)
		rec->transient_uid = (uid_t)v;
	else if (key == KEY_VMID)
		rec->vmid = (uint16_t)v;
	else if (key == KEY_INCARNATION)
		rec->incarnation = v;
	else if (key == KEY_ON_REBOOT)
		rec->on_reboot = (unsigned int)v;
	else if (key == KEY_ON_CRASH)
		rec->on_crash = (unsigned int)v;
	else
		rec->stop_timeout_ms = (unsigned int)v;
	return key == KEY_VERSION && !v ? -EBADMSG : 0;
}

static int parse_value(struct store_record *rec, const char *name, enum key key, const char *value)
{
	struct store_origin *o = &rec->origin;

	switch (key) {
	case KEY_NAME:
		return parse_text(value, rec->name, sizeof(rec->name));
	case KEY_DIGEST:
		return parse_text(value, rec->digest, sizeof(rec->digest));
	case KEY_SPEC:
		return parse_spec(value, name, &rec->spec);
	case KEY_KERNEL:
		return parse_file(value, &o->kernel);
	case KEY_INITRD:
		return parse_file(value, &o->initrd);
	case KEY_KERNEL_HEADER:
		return parse_hex(value, o->kernel_header, sizeof(o->kernel_header));
	case KEY_OVERLAY:
		return parse_overlay(value, o);
	default:
		return parse_count(rec, key, value);
	}
}

static int parse_line(struct store_record *rec, const char *name, char *line, unsigned int *seen)
{
	char *value = strchr(line, ' ');

	if (!value)
		return -EBADMSG;
	*value++ = '\0';
	for (unsigned int i = 0; i < KEY_COUNT; i++) {
		if (strcmp(line, key_names[i]))
			continue;
		if (*seen & 1U << i)
			return -EBADMSG;
		*seen |= 1U << i;
		return parse_value(rec, name, (enum key)i, value);
	}
	return -EBADMSG;
}

static unsigned int keys_of(const struct store_record *rec)
{
	if (!rec->planned)
		return KEYS_OF_VERSION_1;
	return rec->transient ? KEYS_OF_VERSION_3 : KEYS_OF_VERSION_2;
}

int store_parse(char *text, const char *name, struct store_record *ret)
{
	_cleanup_(store_record_done) struct store_record rec = {};
	unsigned int seen = 0;
	char *end;
	int r;

	for (char *line = text; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			return -EBADMSG;
		*end = '\0';
		r = parse_line(&rec, name, line, &seen);
		if (r < 0)
			return r;
	}
	if (seen != keys_of(&rec) || strcmp(rec.name, name))
		return -EBADMSG;
	rec.planned = rec.spec.kernel != NULL;
	rec.transient = rec.transient && rec.planned;
	*ret = TAKE_STRUCT(rec);
	return 0;
}
