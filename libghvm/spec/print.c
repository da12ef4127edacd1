/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints a spec as a descriptor: one line of YAML, which ghvm_spec_parse() reads back.
 */
#include "ghvm/spec.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Number of bytes after the first one of a character; the text is valid UTF-8 from a YAML parser.
 */
static unsigned int followers(unsigned char c)
{
	return c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
}

/* Print characters other than plain ASCII by number, so that no reader folds or drops them. */
static const char *put_character(FILE *f, const char *s)
{
	unsigned char c = (unsigned char)*s++;
	unsigned int n = followers(c);
	uint32_t code = n ? c & (0x3fU >> n) : c;

	for (; n && *s; n--)
		code = code << 6 | ((unsigned char)*s++ & 0x3f);
	if (code >= ' ' && code < 0x7f)
		fprintf(f, code == '"' || code == '\\' ? "\\%c" : "%c", (int)code);
	else
		fprintf(f, "\\U%08" PRIX32, code);
	return s;
}

static void put_text(FILE *f, const char *before, const char *s)
{
	if (!s)
		return;
	fprintf(f, "%s\"", before);
	while (*s)
		s = put_character(f, s);
	fputc('"', f);
}

static const char *yes_or_no(bool b)
{
	return b ? "true" : "false";
}

static const char *on_end_to_string(enum ghvm_on_end e)
{
	return e == GHVM_ON_END_RESTART ? "restart" : "stop";
}

static const char *logging_to_string(enum ghvm_logging l)
{
	static const char *const names[] = {
		[GHVM_LOGGING_FILE] = "file",
		[GHVM_LOGGING_JOURNAL] = "journal",
		[GHVM_LOGGING_NONE] = "none",
	};

	return names[l];
}

static const char *pages_to_string(enum ghvm_hugepages h)
{
	static const char *const names[] = {
		[GHVM_HUGEPAGES_AUTO] = "auto",
		[GHVM_HUGEPAGES_2M] = "2M",
		[GHVM_HUGEPAGES_1G] = "1G",
		[GHVM_HUGEPAGES_NEVER] = "never",
	};

	return names[h];
}

static void put_regions(FILE *f, const struct ghvm_spec *spec)
{
	const char *between = ", regions: [";

	for (size_t i = 0; i < spec->n_regions; i++, between = ", ") {
		const struct ghvm_spec_region *r = &spec->regions[i];

		fprintf(f, "%s{label: %" PRIu32 ", size: %" PRIu64 ", readonly: %s", between,
			r->label, r->size, yes_or_no(r->readonly));
		if (r->address)
			fprintf(f, ", address: %" PRIu64, r->address);
		fputc('}', f);
	}
	if (spec->n_regions)
		fputc(']', f);
}

static void put_spec(FILE *f, const struct ghvm_spec *spec)
{
	put_text(f, "{version: 1, kernel: {image: ", spec->kernel);
	put_text(f, ", initrd: ", spec->initrd);
	put_text(f, ", cmdline: ", spec->cmdline);
	put_text(f, ", dtb-overlay: ", spec->dtb_overlay);
	fprintf(f, "}, memory: {size: %" PRIu64 ", protection: %s, hugepages: %s}", spec->memory,
		spec->protection == GHVM_PROTECTION_NONE ? "none" : "protected",
		pages_to_string(spec->hugepages));
	fprintf(f, ", cpus: {count: %u}", spec->cpus);
	fprintf(f,
		", devices: [{console: {enabled: %s, logging: %s, log-size: %" PRIu64
		", log-count: %u}}, {power-key: {enabled: %s}}]",
		yes_or_no(spec->console), logging_to_string(spec->logging), spec->log_size,
		spec->log_count, yes_or_no(spec->power_key));
	put_regions(f, spec);
	fprintf(f, ", lifecycle: {on-reboot: %s, on-crash: %s, stop-timeout: %ums}",
		on_end_to_string(spec->on_reboot), on_end_to_string(spec->on_crash),
		spec->stop_timeout_ms);
	fprintf(f, ", rm-rpc: %s}", yes_or_no(spec->rm_rpc));
}

char *ghvm_spec_to_yaml(const struct ghvm_spec *spec)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	bool bad;

	if (!f)
		return NULL;
	put_spec(f, spec);
	bad = ferror(f);
	if (fclose(f) == 0 && !bad)
		return text;
	free(text);
	return NULL;
}
