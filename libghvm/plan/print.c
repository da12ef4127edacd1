/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plan as text and as JSON.
 */
#include "ghvm/plan.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/base/json.h"
#include "libghvm/plan/devices.h"
#include "libghvm/plan/picture.h"
#include "libghvm/plan/plan.h"
#include "libghvm/spec/pair.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HUGE GHVM_MIB(2)

struct step_name {
	const char *text;
	bool of_parcel;
};

static const struct step_name step_names[GHVM_STEP_COUNT_] = {
	[GHVM_STEP_ALLOCATE] = { "allocate", false },
	[GHVM_STEP_RESERVE] = { "reserve", false },
	[GHVM_STEP_PIN] = { "pin", true },
	[GHVM_STEP_WRITE_KERNEL] = { "write-kernel", false },
	[GHVM_STEP_WRITE_INITRD] = { "write-initrd", false },
	[GHVM_STEP_WRITE_DTB] = { "write-dtb", false },
	[GHVM_STEP_GUARD] = { "guard", true },
	[GHVM_STEP_LEND] = { "lend", true },
	[GHVM_STEP_SHARE] = { "share", true },
	[GHVM_STEP_CONFIG_IMAGE] = { "config-image", false },
	[GHVM_STEP_AUTH_IMAGE] = { "auth-image", false },
	[GHVM_STEP_FIRMWARE_MEM] = { "firmware-mem", false },
	[GHVM_STEP_ADDRESS_LAYOUT] = { "address-layout", false },
	[GHVM_STEP_INIT] = { "init", false },
	[GHVM_STEP_BOOT_CONTEXT] = { "boot-context", false },
	[GHVM_STEP_RESOURCES] = { "resources", false },
	[GHVM_STEP_GRANT] = { "grant", false },
	[GHVM_STEP_START] = { "start", false },
};

const char *ghvm_step_to_string(enum ghvm_step_kind kind)
{
	if ((unsigned int)kind >= GHVM_STEP_COUNT_)
		return "unknown";
	return step_names[kind].text;
}

const char *plan_size_text(uint64_t v, char buf[PLAN_SIZE_TEXT])
{
	if (v && ghvm_aligned(v, GHVM_GIB(1)))
		snprintf(buf, PLAN_SIZE_TEXT, "%" PRIu64 "G", v >> 30);
	else if (v && ghvm_aligned(v, GHVM_MIB(1)))
		snprintf(buf, PLAN_SIZE_TEXT, "%" PRIu64 "M", v >> 20);
	else if (v && ghvm_aligned(v, GHVM_KIB(1)))
		snprintf(buf, PLAN_SIZE_TEXT, "%" PRIu64 "K", v >> 10);
	else
		snprintf(buf, PLAN_SIZE_TEXT, "%" PRIu64, v);
	return buf;
}

/* Word in the descriptor, and the pages it stands for. */
static const struct {
	const char *word;
	const char *pages;
	bool pool;
} backings[] = {
	[GHVM_HUGEPAGES_AUTO] = { "auto", "2M, and 4K where there are none", false },
	[GHVM_HUGEPAGES_2M] = { "2M", "2M, from the hugetlb pool", true },
	[GHVM_HUGEPAGES_1G] = { "1G", "1G, from the hugetlb pool", true },
	[GHVM_HUGEPAGES_NEVER] = { "never", "4K", false },
};

/* Words of the descriptor. */
static const char *const auth_words[] = {
	[GHVM_AUTH_NONE] = "none",
	[GHVM_AUTH_PLATFORM] = "platform",
	[GHVM_AUTH_ANDROID] = "android",
};

/* text */

static void text_count(FILE *f, uint64_t least, uint64_t most)
{
	if (least != most)
		fprintf(f, "%" PRIu64 " to ", least);
	fprintf(f, "%" PRIu64, most);
}

static void text_parcels(FILE *f, const struct ghvm_plan *p)
{
	char size[PLAN_SIZE_TEXT];

	fprintf(f, "parcels\n");
	for (size_t i = 0; i < p->n_parcels; i++) {
		const struct ghvm_plan_parcel *m = &p->parcels[i];

		fprintf(f, "  %-12s label %-4u %-6s %-8s entries ", m->name, m->label,
			m->lend ? "lent" : "shared", plan_size_text(m->size, size));
		text_count(f, m->entries_best, m->entries_worst);
		fprintf(f, " of %" PRIu64 "%s%s\n", ghvm_quirks_entries_alone(p->quirks),
			m->paired ? ", with " : "", m->paired ? spec_peer(p->spec) : "");
	}
}

static void text_backing(FILE *f, const struct ghvm_plan *p)
{
	const uint64_t budget = ghvm_quirks_entries_alone(p->quirks);
	uint64_t worst = 0;

	for (size_t i = 0; i < p->n_parcels; i++)
		worst += p->parcels[i].entries_worst;
	fprintf(f, "pages\n  ram of %s\n", backings[p->spec->hugepages].pages);
	for (size_t i = 0; i < p->n_parcels; i++) {
		fprintf(f, "  %-12s ", p->parcels[i].name);
		text_count(f, p->parcels[i].huge_worst, p->parcels[i].huge_best);
		fprintf(f, " of %" PRIu64 " pages of 2M\n", p->parcels[i].size / HUGE);
	}
	if (worst > budget)
		fprintf(f,
			"  the start is refused if memory is in more than %" PRIu64
			" pieces when it is pinned\n",
			budget);
}

static const char *const format_words[] = {
	[GHVM_DISK_NONE] = "none",
	[GHVM_DISK_RAW] = "raw",
	[GHVM_DISK_QCOW2] = "qcow2",
};

static const char *const cache_words[] = {
	[GHVM_CACHE_CHOSEN] = "chosen",
	[GHVM_CACHE_WRITEBACK] = "writeback",
	[GHVM_CACHE_WRITETHROUGH] = "writethrough",
	[GHVM_CACHE_NONE] = "none",
	[GHVM_CACHE_DIRECTSYNC] = "directsync",
	[GHVM_CACHE_UNSAFE] = "unsafe",
};

static void text_disks(FILE *f, const struct ghvm_plan *p)
{
	const size_t n = ghvm_spec_count_disks(p->spec);
	const struct ghvm_spec_disk *d;

	if (n)
		fprintf(f, "disks\n");
	for (unsigned int i = 0; i < n; i++) {
		d = &p->spec->disks[i];
		fprintf(f, "  %s, %s, %s, by " GHVM_DISK_UNIT ".service\n", d->image,
			format_words[d->format],
			d->readonly ? "read-only" : cache_words[ghvm_spec_disk_cache(d)], i,
			p->spec->name);
	}
}

static void text_auth(FILE *f, const struct ghvm_plan *p)
{
	if (p->spec->auth == GHVM_AUTH_PLATFORM)
		fprintf(f, "authentication\n  platform, PAS id %u\n", p->spec->pas_id);
	if (p->spec->auth == GHVM_AUTH_ANDROID)
		fprintf(f, "authentication\n  android, by firmware of the resource manager\n");
}

static void text_vsock(FILE *f, const struct ghvm_plan *p)
{
	if (p->spec->vsock)
		fprintf(f, "vsock\n  CID %u\n", ghvm_spec_cid(p->spec));
}

static void text_registers(FILE *f, const struct ghvm_plan *p)
{
	if (p->n_registers)
		fprintf(f, "registers of the boot vCPU\n");
	for (size_t i = 0; i < p->n_registers; i++)
		fprintf(f, "  %-5s 0x%" PRIx64 "\n", p->registers[i].name, p->registers[i].value);
}

static void text_charges(FILE *f, const struct ghvm_plan *p)
{
	char size[PLAN_SIZE_TEXT];

	fprintf(f, "charges\n  memlock %s of the manager", plan_size_text(p->memlock, size));
	fprintf(f, ", memory %s of the unit%s\n", plan_size_text(p->charge, size),
		backings[p->spec->hugepages].pool ? " (ram is not in its MemoryMax: hugetlb)" : "");
}

static void text_messages(FILE *f, const struct ghvm_plan_message *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : "  (", f);
		if (v[i].least != 1 || v[i].most != 1) {
			text_count(f, v[i].least, v[i].most);
			fputc(' ', f);
		}
		fprintf(f, "%s%s", ghvm_rm_message_to_string(v[i].id), i + 1 == n ? ")" : "");
	}
}

static void text_steps(FILE *f, const struct ghvm_plan *p)
{
	struct ghvm_plan_message v[GHVM_PLAN_MESSAGES_MAX];
	size_t n = ghvm_plan_messages(p, v), at = 0;
	uint64_t least = 0, most = 0;

	fprintf(f, "steps\n");
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct step_name *s = &step_names[p->steps[i].kind];
		const struct ghvm_plan_parcel *m = &p->parcels[p->steps[i].parcel];
		size_t from = at;

		fprintf(f, "  %2zu %s%s%s", i + 1, s->text, s->of_parcel ? " " : "",
			s->of_parcel ? m->name : "");
		for (; at < n && v[at].step == i; at++) {
			least += v[at].least;
			most += v[at].most;
		}
		text_messages(f, v + from, at - from);
		fputc('\n', f);
	}
	fprintf(f, "messages\n  ");
	text_count(f, least, most);
	fprintf(f, " to the resource manager\n");
}

char *plan_to_text(const struct ghvm_plan *p, const struct plan_look *look)
{
	char *text = NULL, size[PLAN_SIZE_TEXT];
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	fprintf(f, "%s: %u vCPUs, %s %s\n", p->spec->name, p->spec->cpus,
		plan_size_text(p->spec->memory, size), p->parcels[0].lend ? "protected" : "shared");
	plan_draw_map(f, p, look);
	text_parcels(f, p);
	text_backing(f, p);
	fprintf(f, "doorbells\n ");
	for (size_t i = 0; i < p->n_doorbells; i++)
		fprintf(f, " %u", p->doorbells[i]);
	fprintf(f, "\nvirqs\n  %u, one a vCPU\n", p->spec->cpus);
	if (p->watchdog)
		fprintf(f, "watchdog\n  of the resource manager, which ends the guest by it\n");
	text_disks(f, p);
	text_auth(f, p);
	text_registers(f, p);
	text_vsock(f, p);
	text_charges(f, p);
	text_steps(f, p);
	return ghvm_file_text(f, &text);
}

char *ghvm_plan_to_text(const struct ghvm_plan *p)
{
	const struct plan_look look = { .columns = 80 };

	return plan_to_text(p, &look);
}

/* ---- JSON ---- */

static void json_range(struct ghvm_json *j, const char *key, uint64_t first, uint64_t second)
{
	ghvm_json_open(j, key, '[');
	ghvm_json_number(j, NULL, first);
	ghvm_json_number(j, NULL, second);
	ghvm_json_close(j, ']');
}

static void json_parcel(struct ghvm_json *j, const struct ghvm_plan *p,
			const struct ghvm_plan_parcel *m)
{
	ghvm_json_open(j, NULL, '{');
	ghvm_json_text(j, "name", m->name);
	ghvm_json_number(j, "label", m->label);
	ghvm_json_bool(j, "lend", m->lend);
	ghvm_json_bool(j, "readonly", m->readonly);
	if (m->paired)
		ghvm_json_text(j, "with", spec_peer(p->spec));
	ghvm_json_number(j, "ipa", m->ipa);
	ghvm_json_number(j, "size", m->size);
	json_range(j, "entries", m->entries_best, m->entries_worst);
	json_range(j, "huge_pages", m->huge_worst, m->huge_best);
	ghvm_json_close(j, '}');
}

static void json_parcels(struct ghvm_json *j, const struct ghvm_plan *p)
{
	ghvm_json_open(j, "parcels", '[');
	for (size_t i = 0; i < p->n_parcels; i++)
		json_parcel(j, p, &p->parcels[i]);
	ghvm_json_close(j, ']');
}

static void json_doorbells(struct ghvm_json *j, const struct ghvm_plan *p)
{
	ghvm_json_open(j, "doorbells", '[');
	for (size_t i = 0; i < p->n_doorbells; i++)
		ghvm_json_number(j, NULL, p->doorbells[i]);
	ghvm_json_close(j, ']');
}

static void json_registers(struct ghvm_json *j, const struct ghvm_plan *p)
{
	ghvm_json_open(j, "registers", '{');
	for (size_t i = 0; i < p->n_registers; i++)
		ghvm_json_number(j, p->registers[i].name, p->registers[i].value);
	ghvm_json_close(j, '}');
}

void ghvm_plan_messages_to_json(struct ghvm_json *j, const struct ghvm_plan_message *v, size_t n)
{
	if (!n)
		return;
	ghvm_json_open(j, "messages", '[');
	for (size_t i = 0; i < n; i++) {
		ghvm_json_open(j, NULL, '{');
		ghvm_json_text(j, "message", ghvm_rm_message_to_string(v[i].id));
		json_range(j, "count", v[i].least, v[i].most);
		ghvm_json_close(j, '}');
	}
	ghvm_json_close(j, ']');
}

static void json_steps(struct ghvm_json *j, const struct ghvm_plan *p)
{
	struct ghvm_plan_message v[GHVM_PLAN_MESSAGES_MAX];
	size_t n = ghvm_plan_messages(p, v), at = 0;

	ghvm_json_open(j, "steps", '[');
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct step_name *s = &step_names[p->steps[i].kind];
		size_t from = at;

		ghvm_json_open(j, NULL, '{');
		ghvm_json_text(j, "step", s->text);
		if (s->of_parcel)
			ghvm_json_text(j, "parcel", p->parcels[p->steps[i].parcel].name);
		while (at < n && v[at].step == i)
			at++;
		ghvm_plan_messages_to_json(j, v + from, at - from);
		ghvm_json_close(j, '}');
	}
	ghvm_json_close(j, ']');
}

static void json_disks(struct ghvm_json *j, const struct ghvm_plan *p)
{
	const size_t n = ghvm_spec_count_disks(p->spec);
	const struct ghvm_spec_disk *d;
	char unit[64];

	if (!n)
		return;
	ghvm_json_open(j, "disks", '[');
	for (unsigned int i = 0; i < n; i++) {
		d = &p->spec->disks[i];
		(void)snprintf(unit, sizeof(unit), GHVM_DISK_UNIT ".service", i, p->spec->name);
		ghvm_json_open(j, NULL, '{');
		ghvm_json_text(j, "image", d->image);
		ghvm_json_text(j, "format", format_words[d->format]);
		ghvm_json_bool(j, "readonly", d->readonly);
		ghvm_json_text(j, "cache", cache_words[ghvm_spec_disk_cache(d)]);
		ghvm_json_text(j, "unit", unit);
		ghvm_json_close(j, '}');
	}
	ghvm_json_close(j, ']');
}

static void json_plan(struct ghvm_json *j, const struct ghvm_plan *p)
{
	ghvm_json_open(j, NULL, '{');
	ghvm_json_number(j, "version", 1);
	ghvm_json_text(j, "name", p->spec->name);
	ghvm_json_number(j, "vcpus", p->spec->cpus);
	ghvm_json_number(j, "memory", p->spec->memory);
	ghvm_json_bool(j, "protected", p->parcels[0].lend);
	ghvm_json_text(j, "hugepages", backings[p->spec->hugepages].word);
	plan_json_map(j, p);
	json_parcels(j, p);
	json_doorbells(j, p);
	ghvm_json_text(j, "auth", auth_words[p->spec->auth]);
	if (p->spec->vsock)
		ghvm_json_number(j, "vsock_cid", ghvm_spec_cid(p->spec));
	json_registers(j, p);
	json_disks(j, p);
	ghvm_json_number(j, "virqs", p->spec->cpus);
	if (p->watchdog)
		ghvm_json_bool(j, "watchdog", true);
	ghvm_json_number(j, "memlock", p->memlock);
	ghvm_json_number(j, "charge", p->charge);
	ghvm_json_number(j, "entry_budget", ghvm_quirks_entries_alone(p->quirks));
	json_steps(j, p);
	ghvm_json_close(j, '}');
}

char *ghvm_plan_to_json(const struct ghvm_plan *p)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	struct ghvm_json j = { .to = f, .first = true };

	if (!f)
		return NULL;
	json_plan(&j, p);
	fputc('\n', f);
	return ghvm_file_text(f, &text);
}
