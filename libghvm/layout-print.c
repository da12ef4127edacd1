/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plan in words and in JSON; nothing here decides anything.
 */
#include "libghvm/layout.h"

#include "libghvm/bits.h"
#include "libghvm/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct step_name {
	const char *text;
	const char *message; /* RM message that it sends, or NULL */
	bool of_parcel;
};

static const struct step_name step_names[GHVM_STEP_COUNT_] = {
	[GHVM_STEP_ALLOCATE] = { "allocate", "VM_ALLOCATE", false },
	[GHVM_STEP_PIN] = { "pin", NULL, true },
	[GHVM_STEP_WRITE_KERNEL] = { "write-kernel", NULL, false },
	[GHVM_STEP_WRITE_INITRD] = { "write-initrd", NULL, false },
	[GHVM_STEP_WRITE_DTB] = { "write-dtb", NULL, false },
	[GHVM_STEP_GUARD] = { "guard", NULL, true },
	[GHVM_STEP_LEND] = { "lend", "MEM_LEND", true },
	[GHVM_STEP_SHARE] = { "share", "MEM_SHARE", true },
	[GHVM_STEP_CONFIG_IMAGE] = { "config-image", "VM_CONFIG_IMAGE", false },
	[GHVM_STEP_INIT] = { "init", "VM_INIT", false },
	[GHVM_STEP_RESOURCES] = { "resources", "VM_GET_HYP_RESOURCES", false },
	[GHVM_STEP_GRANT] = { "grant", NULL, false },
	[GHVM_STEP_START] = { "start", "VM_START", false },
};

const char *ghvm_step_to_string(enum ghvm_step_kind kind)
{
	if ((unsigned int)kind >= GHVM_STEP_COUNT_)
		return "unknown";
	return step_names[kind].text;
}

/* "512M", "4K": exact, in the largest unit that is. */
static const char *size_text(uint64_t v, char buf[24])
{
	if (v && ghvm_aligned(v, GHVM_GIB(1)))
		snprintf(buf, 24, "%" PRIu64 "G", v >> 30);
	else if (v && ghvm_aligned(v, GHVM_MIB(1)))
		snprintf(buf, 24, "%" PRIu64 "M", v >> 20);
	else if (v && ghvm_aligned(v, GHVM_KIB(1)))
		snprintf(buf, 24, "%" PRIu64 "K", v >> 10);
	else
		snprintf(buf, 24, "%" PRIu64, v);
	return buf;
}

/* As a descriptor says it, and what is wanted. */
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

static uint64_t messages(const struct ghvm_plan *p, uint64_t entries)
{
	return entries ? (entries - 1) / ghvm_quirk(p->quirks, GHVM_QUIRK_MESSAGE_ENTRIES) + 1 : 0;
}

static void text_map(FILE *f, const struct ghvm_plan *p)
{
	const uint64_t ram = p->parcels[0].ipa;
	char size[24];

	fprintf(f, "guest-physical map\n");
	if (p->spec->console)
		fprintf(f, "  0x%09llx  %-8s uart\n", GHVM_IPA_UART, "4K");
	if (p->spec->power_key)
		fprintf(f, "  0x%09llx  %-8s gpio, power key\n", GHVM_IPA_PL061, "4K");
	fprintf(f, "  0x%09llx  %-8s redistributors\n", GHVM_IPA_GICR,
		size_text(p->spec->cpus * GHVM_IPA_GICR_SIZE, size));
	fprintf(f, "  0x%09llx  %-8s distributor\n", GHVM_IPA_GICD,
		size_text(GHVM_IPA_GICD_SIZE, size));
	for (size_t i = 1; i < p->n_parcels; i++)
		fprintf(f, "  0x%09" PRIx64 "  %-8s %s%s\n", p->parcels[i].ipa,
			size_text(p->parcels[i].size, size), p->parcels[i].name,
			p->parcels[i].readonly ? ", read-only" : "");
	fprintf(f, "  0x%09" PRIx64 "  %-8s ram\n", ram, size_text(p->parcels[0].size, size));
	fprintf(f, "  0x%09" PRIx64 "  %-8" PRIu64 "   kernel\n", ram + p->kernel_offset,
		p->kernel_size);
	fprintf(f, "  0x%09" PRIx64 "  %-8" PRIu64 "   device tree, room for %s\n",
		ram + p->dtb_offset, p->dtb_size, size_text(p->dtb_room, size));
	if (p->initrd_size)
		fprintf(f, "  0x%09" PRIx64 "  %-8" PRIu64 "   initrd\n", ram + p->initrd_offset,
			p->initrd_size);
}

static void text_parcels(FILE *f, const struct ghvm_plan *p)
{
	char size[24];

	fprintf(f, "parcels\n");
	for (size_t i = 0; i < p->n_parcels; i++) {
		const struct ghvm_plan_parcel *m = &p->parcels[i];

		fprintf(f,
			"  %-12s label %-4u %-6s %-8s entries [%" PRIu64 ", %" PRIu64
			"] of %" PRIu64 "\n",
			m->name, m->label, m->lend ? "lent" : "shared", size_text(m->size, size),
			m->entries_best, m->entries_worst,
			ghvm_quirk(p->quirks, GHVM_QUIRK_ENTRIES));
	}
}

static void text_backing(FILE *f, const struct ghvm_plan *p)
{
	const uint64_t budget = ghvm_quirk(p->quirks, GHVM_QUIRK_ENTRIES);
	uint64_t worst = 0;

	for (size_t i = 0; i < p->n_parcels; i++)
		worst += p->parcels[i].entries_worst;
	fprintf(f, "pages\n  ram of %s\n", backings[p->spec->hugepages].pages);
	if (worst > budget)
		fprintf(f,
			"  the start is refused if memory is in more than %" PRIu64
			" pieces when it is pinned\n",
			budget);
}

static void text_charges(FILE *f, const struct ghvm_plan *p)
{
	char size[24];

	fprintf(f, "charges\n  memlock %s of the manager", size_text(p->memlock, size));
	fprintf(f, ", memory %s of the unit%s\n", size_text(p->charge, size),
		backings[p->spec->hugepages].pool ? " (ram is not in its MemoryMax: hugetlb)" : "");
}

static void text_steps(FILE *f, const struct ghvm_plan *p)
{
	fprintf(f, "steps\n");
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct step_name *s = &step_names[p->steps[i].kind];
		const struct ghvm_plan_parcel *m = &p->parcels[p->steps[i].parcel];

		fprintf(f, "  %2zu %s%s%s", i + 1, s->text, s->of_parcel ? " " : "",
			s->of_parcel ? m->name : "");
		if (s->message)
			fprintf(f, "  (%s", s->message);
		if (s->message && s->of_parcel && messages(p, m->entries_best) > 1)
			fprintf(f, " and at least %" PRIu64 " MEM_APPEND",
				messages(p, m->entries_best) - 1);
		fprintf(f, "%s\n", s->message ? ")" : "");
	}
}

char *ghvm_plan_to_text(const struct ghvm_plan *p)
{
	char *text = NULL, size[24];
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	fprintf(f, "%s: %u vCPUs, %s %s\n", p->spec->name, p->spec->cpus,
		size_text(p->spec->memory, size), p->parcels[0].lend ? "protected" : "shared");
	text_map(f, p);
	text_parcels(f, p);
	text_backing(f, p);
	fprintf(f, "doorbells\n ");
	for (size_t i = 0; i < p->n_doorbells; i++)
		fprintf(f, " %u", p->doorbells[i]);
	fprintf(f, "\nvirqs\n  %u, one a vCPU\n", p->spec->cpus);
	text_charges(f, p);
	text_steps(f, p);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- JSON ---- */

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void json_parcels(FILE *f, const struct ghvm_plan *p)
{
	fprintf(f, "\"parcels\":[");
	for (size_t i = 0; i < p->n_parcels; i++) {
		const struct ghvm_plan_parcel *m = &p->parcels[i];

		fprintf(f,
			"%s{\"name\":\"%s\",\"label\":%u,\"lend\":%s,\"readonly\":%s,"
			"\"ipa\":%" PRIu64 ",\"size\":%" PRIu64 ",\"entries\":[%" PRIu64 ",%" PRIu64
			"]}",
			i ? "," : "", m->name, m->label, m->lend ? "true" : "false",
			m->readonly ? "true" : "false", m->ipa, m->size, m->entries_best,
			m->entries_worst);
	}
	fprintf(f, "]");
}

static void json_steps(FILE *f, const struct ghvm_plan *p)
{
	fprintf(f, "\"steps\":[");
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct step_name *s = &step_names[p->steps[i].kind];

		fprintf(f, "%s{\"step\":\"%s\"", i ? "," : "", s->text);
		if (s->of_parcel)
			fprintf(f, ",\"parcel\":\"%s\"", p->parcels[p->steps[i].parcel].name);
		if (s->message)
			fprintf(f, ",\"message\":\"%s\"", s->message);
		fprintf(f, "}");
	}
	fprintf(f, "]");
}

static void json_image(FILE *f, const char *name, uint64_t ipa, uint64_t size)
{
	fprintf(f, "\"%s\":{\"ipa\":%" PRIu64 ",\"size\":%" PRIu64 "},", name, ipa, size);
}

char *ghvm_plan_to_json(const struct ghvm_plan *p)
{
	const uint64_t ram = p->parcels[0].ipa;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	fprintf(f, "{\"version\":1,\"name\":");
	json_string(f, p->spec->name);
	fprintf(f, ",\"vcpus\":%u,\"memory\":%" PRIu64 ",\"protected\":%s,\"hugepages\":\"%s\",",
		p->spec->cpus, p->spec->memory, p->parcels[0].lend ? "true" : "false",
		backings[p->spec->hugepages].word);
	json_image(f, "kernel", ram + p->kernel_offset, p->kernel_size);
	json_image(f, "dtb", ram + p->dtb_offset, p->dtb_size);
	if (p->initrd_size)
		json_image(f, "initrd", ram + p->initrd_offset, p->initrd_size);
	json_parcels(f, p);
	fprintf(f, ",\"doorbells\":[");
	for (size_t i = 0; i < p->n_doorbells; i++)
		fprintf(f, "%s%u", i ? "," : "", p->doorbells[i]);
	fprintf(f,
		"],\"virqs\":%u,\"memlock\":%" PRIu64 ",\"charge\":%" PRIu64
		",\"entry_budget\":%" PRIu64 ",",
		p->spec->cpus, p->memlock, p->charge, ghvm_quirk(p->quirks, GHVM_QUIRK_ENTRIES));
	json_steps(f, p);
	fprintf(f, "}\n");
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
