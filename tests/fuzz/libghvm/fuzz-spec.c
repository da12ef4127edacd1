/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors, and the plan of what is accepted. */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/plan.h"
#include "ghvm/spec.h"
#include "libghvm/base/wire.h"
#include "libghvm/spec/paths.h"
#include "libghvm/spec/print.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#define KERNEL_SIZE GHVM_MIB(1)

static void make_kernel(uint8_t ret[64])
{
	struct ghvm_put w = { .buf = ret, .cap = 64 };

	ghvm_put_zero(&w, 16);
	ghvm_put_u64(&w, KERNEL_SIZE);
	ghvm_put_zero(&w, 32);
	ghvm_put_u32(&w, 0x644d5241);
	ghvm_put_u32(&w, 0);
}

static void check_spec(const struct ghvm_spec *s)
{
	PROMISE(s->kernel && *s->kernel == '/');
	PROMISE(s->cmdline && strlen(s->cmdline) < 2048);
	PROMISE(s->memory && s->memory % GHVM_MIB(2) == 0);
	PROMISE(s->cpus >= 1 && s->cpus <= GHVM_SPEC_CPUS_MAX);
	PROMISE(s->n_regions <= GHVM_SPEC_REGIONS_MAX);
	for (const char *c = s->cmdline; *c; c++)
		PROMISE((unsigned char)*c >= 0x20 && *c != 0x7f);
	for (size_t i = 0; i < s->n_places; i++)
		PROMISE(s->places[i].file == 0 && s->places[i].line && s->places[i].column);
	for (size_t i = 0; i < s->n_regions; i++) {
		PROMISE(s->regions[i].label != GHVM_LABEL_RAM &&
			s->regions[i].label <= GHVM_LABEL_LAST);
		PROMISE(s->regions[i].size && s->regions[i].size % GHVM_PAGE == 0);
	}
}

static void check_complaints(const struct ghvm_complaints *c, int r)
{
	unsigned int errors = 0;

	for (size_t i = 0; i < c->n; i++) {
		PROMISE(c->v[i].line >= 1 && c->v[i].column >= 1);
		PROMISE(c->v[i].rule && *c->v[i].text);
		for (const char *s = c->v[i].text; *s; s++)
			PROMISE((unsigned char)*s >= 0x20 && *s != 0x7f);
		errors += c->v[i].severity == GHVM_SEVERITY_ERROR;
		PROMISE(!i || c->v[i - 1].line < c->v[i].line ||
			(c->v[i - 1].line == c->v[i].line && c->v[i - 1].column <= c->v[i].column));
	}
	PROMISE((r == 0) == (errors == 0) || r == -E2BIG);
}

static void check_plan(const struct ghvm_plan *p)
{
	for (size_t i = 0; i < p->n_parcels; i++) {
		const struct ghvm_plan_parcel *a = &p->parcels[i];

		PROMISE(a->ipa >= GHVM_IPA_REGIONS && a->size <= GHVM_IPA_END - a->ipa);
		for (size_t k = 0; k < i; k++) {
			const struct ghvm_plan_parcel *b = &p->parcels[k];

			PROMISE(a->ipa + a->size <= b->ipa || b->ipa + b->size <= a->ipa);
			PROMISE(a->label != b->label);
		}
	}
	PROMISE(p->dtb_size <= p->dtb_room);
	PROMISE(p->kernel_offset + p->kernel_size <= p->dtb_offset);
	PROMISE(p->dtb_offset + p->dtb_room <= p->spec->memory);
}

static void plan(const struct ghvm_spec *spec)
{
	_cleanup_(ghvm_plan_done) struct ghvm_plan p = {};
	_cleanup_(freep) char *text = NULL, *json = NULL;
	uint8_t kernel[64];
	const struct ghvm_plan_input in = {
		.kernel_header = kernel,
		.kernel_header_size = sizeof(kernel),
		.kernel_size = KERNEL_SIZE,
	};
	struct ghvm_error err = {};

	make_kernel(kernel);
	if (ghvm_plan_make(spec, &in, &p, &err) < 0) {
		PROMISE(*err.msg);
		return;
	}
	check_plan(&p);
	text = ghvm_plan_to_text(&p);
	json = ghvm_plan_to_json(&p);
	PROMISE(text && json && json[0] == '{');
}

static void print(const struct ghvm_spec *spec)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec again = {};
	_cleanup_(freep) char *line = ghvm_spec_to_yaml(spec), *twice = NULL;
	struct ghvm_error err = {};

	PROMISE(line && !strchr(line, '\n'));
	PROMISE(ghvm_spec_parse(spec->name, "again", line, strlen(line), &again, NULL, &err) == 0);
	twice = ghvm_spec_to_yaml(&again);
	PROMISE(twice && !strcmp(line, twice));
}

/* What is printed with places is the same descriptor. */
static void explain(const struct ghvm_spec *spec)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec again = {};
	_cleanup_(freep) char *text = spec_explain(spec), *line = ghvm_spec_to_yaml(spec),
			      *twice = NULL;
	struct ghvm_error err = {};

	PROMISE(text && line);
	PROMISE(ghvm_spec_parse(spec->name, "again", text, strlen(text), &again, NULL, &err) == 0);
	twice = ghvm_spec_to_yaml(&again);
	PROMISE(twice && !strcmp(line, twice));
}

/* As the manager does with the descriptor of a call: each path is replaced, and nothing else. */
static void replace_paths(const char *text, size_t len)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {}, again = {};
	_cleanup_(freep) char *same = NULL, *other = NULL;
	const char *values[64] = {};
	struct ghvm_error err = {};
	size_t n = 0;

	if (spec_parse_sent("demo", "demo.yaml", text, len, &s, NULL, &err) < 0)
		return;
	PROMISE(s.n_paths && s.n_paths <= ARRAY_SIZE(values));
	same = spec_replace_paths(&s, text, len, values, &n);
	PROMISE(same && n == len && !memcmp(same, text, len));
	for (size_t i = 0; i < s.n_paths; i++)
		values[i] = "/it's";
	other = spec_replace_paths(&s, text, len, values, &n);
	PROMISE(other);
	if (n > GHVM_SPEC_FILE_MAX)
		return;
	PROMISE(ghvm_spec_parse("demo", "demo.yaml", other, n, &again, NULL, &err) == 0);
	PROMISE(again.n_paths == s.n_paths && again.memory == s.memory);
	for (size_t i = 0; i < again.n_paths; i++)
		PROMISE(!strcmp(again.paths[i].value, "/it's"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct ghvm_error err = {};
	int r;

	replace_paths((const char *)data, size);
	r = ghvm_spec_parse("demo", "demo.yaml", (const char *)data, size, &s, &c, &err);
	check_complaints(&c, r);
	if (r < 0) {
		PROMISE(*err.msg);
		return 0;
	}
	check_spec(&s);
	plan(&s);
	print(&s);
	explain(&s);
	return 0;
}
