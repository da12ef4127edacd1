/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Look up the manager's requests in the helper's own copy of the descriptor.
 */
#include "daemon/prepare/descriptor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/ipc/protocol.h"
#include "libghvm/base/bits.h"

void descriptor_read(struct descriptor *d, const char *name, const char *const *dirs)
{
	*d = (struct descriptor){};
	d->result = ghvm_spec_load(name, dirs, &d->spec, &d->complaints, &d->err);
	if (d->result == 0)
		d->n = ghvm_needs_of(&d->spec, d->needs);
}

void descriptor_done(struct descriptor *d)
{
	if (d->result == 0)
		ghvm_spec_done(&d->spec);
	ghvm_complaints_done(&d->complaints);
	*d = (struct descriptor){};
}

static bool is_same(const struct ghvm_need *a, const struct ghvm_need *b)
{
	return a->kind == b->kind && a->index == b->index && !strcmp(a->key, b->key);
}

int descriptor_find(struct descriptor *d, const struct ghvm_need *asked,
		    const struct ghvm_need **ret, struct ghvm_error *err)
{
	size_t i = 0;

	if (d->result < 0)
		return ghvm_error_set(err, d->result, "%s", d->err.msg);
	while (i < d->n && !is_same(&d->needs[i], asked))
		i++;
	if (i == d->n || d->asked[i])
		return ghvm_error_set(err, -EBADMSG,
				      "the manager requested '%s' (%u, %u), which the descriptor "
				      "does not name%s",
				      asked->key, asked->kind, asked->index,
				      i == d->n ? "" : " twice");
	if (d->needs[i].size != asked->size || d->needs[i].hugepages != asked->hugepages)
		return ghvm_error_set(err, -ESTALE,
				      "%s: the manager requested %llu bytes, the descriptor says "
				      "%llu: was the descriptor changed during the start?",
				      asked->key, (unsigned long long)asked->size,
				      (unsigned long long)d->needs[i].size);
	d->asked[i] = true;
	*ret = &d->needs[i];
	return 0;
}

bool descriptor_stores(const struct descriptor *d, const char *name)
{
	static const char *const names[] = { "grant", "control", "listen", "machine",
					     "console-log" };
	char s[32];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	for (unsigned int i = 0; i < d->spec.cpus; i++) {
		(void)snprintf(s, sizeof(s), "wake-%u", i);
		if (!strcmp(name, s))
			return true;
	}
	for (unsigned int i = 1; i < d->spec.log_count; i++) {
		(void)snprintf(s, sizeof(s), "console-log-%u", i);
		if (!strcmp(name, s))
			return true;
	}
	for (size_t i = 0; i < d->spec.n_regions; i++) {
		(void)snprintf(s, sizeof(s), GHVM_LINK_REGION_NAME "%u", d->spec.regions[i].label);
		if (!strcmp(name, s))
			return true;
	}
	return false;
}
