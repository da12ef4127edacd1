/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a client gives to Manager.Plan: u8 options, u8 header (in 64 bytes), u16 overlay, u64 size of
 * the kernel, u64 of the initrd; kernel header, overlay, descriptor.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/plan.h"
#include "ghvm/spec.h"
#include "libghvm/base/wire.h"
#include "libghvm/rm/quirks.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static const uint8_t *take(struct ghvm_get *g, size_t n, size_t *ret)
{
	const uint8_t *at = g->buf;

	*ret = n > g->len ? g->len : n;
	ghvm_get_skip(g, *ret);
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	_cleanup_(ghvm_plan_done) struct ghvm_plan plan = {};
	_cleanup_(freep) char *json = NULL, *text = NULL;
	struct ghvm_get g = { .buf = data, .len = size };
	struct ghvm_plan_input in = {};
	struct ghvm_error err = {};
	size_t header, overlay;

	in.quirks = ghvm_get_u8(&g) & 1 ? ghvm_quirks_unknown() : NULL;
	header = ghvm_get_u8(&g) * 64U;
	overlay = ghvm_get_u16(&g);
	in.kernel_size = ghvm_get_u64(&g);
	in.initrd_size = ghvm_get_u64(&g);
	if (g.bad)
		return 0;
	in.kernel_header = take(&g, header, &in.kernel_header_size);
	in.overlay = take(&g, overlay, &in.overlay_size);
	if (!in.overlay_size)
		in.overlay = NULL;
	if (ghvm_spec_parse("demo", "demo.yaml", (const char *)g.buf, g.len, &spec, &c, &err) < 0 ||
	    ghvm_plan_make(&spec, &in, &plan, &err) < 0) {
		PROMISE(*err.msg);
		return 0;
	}
	json = ghvm_plan_to_json(&plan);
	text = ghvm_plan_to_text(&plan);
	PROMISE(json && text && json[0] == '{');
	return 0;
}
