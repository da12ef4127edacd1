/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Digest of a descriptor.
 */
#include "daemon/manager/instance/instance.h"

#include <stdio.h>
#include <string.h>

#include "libghvm/base/bits.h"

/* FNV-1a: detects edits; not secure against attacks. */
static uint64_t mix(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 0x100000001b3ULL;
	return h;
}

static uint64_t mix_number(uint64_t h, uint64_t v)
{
	return mix(h, &v, sizeof(v));
}

static uint64_t mix_text(uint64_t h, const char *s)
{
	return s ? mix(h, s, strlen(s) + 1) : mix_number(h, 1);
}

void guest_digest(const struct ghvm_spec *spec, char ret[17])
{
	const uint64_t numbers[] = {
		spec->memory,	 spec->protection,	spec->hugepages, spec->cpus,
		spec->console,	 spec->power_key,	spec->rm_rpc,	 spec->on_reboot,
		spec->on_crash,	 spec->stop_timeout_ms, spec->logging,	 spec->log_size,
		spec->log_count,
	};
	uint64_t h = 0xcbf29ce484222325ULL;

	h = mix_text(h, spec->name);
	h = mix_text(h, spec->kernel);
	h = mix_text(h, spec->initrd);
	h = mix_text(h, spec->cmdline);
	h = mix_text(h, spec->dtb_overlay);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		h = mix_number(h, numbers[i]);
	for (size_t i = 0; i < spec->n_regions; i++) {
		h = mix_number(h, spec->regions[i].label);
		h = mix_number(h, spec->regions[i].readonly);
		h = mix_number(h, spec->regions[i].size);
		h = mix_number(h, spec->regions[i].address);
	}
	(void)snprintf(ret, 17, "%016llx", (unsigned long long)h); /* fits */
}
