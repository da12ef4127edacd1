/* SPDX-License-Identifier: GPL-2.0-or-later */
/* State files; accepted, one is written and read the same again, and planned as a manager does. */
#include "daemon/manager/state/file.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/plan.h"
#include "libghvm/rm/quirks.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

static void plan(const struct store_record *rec)
{
	_cleanup_(ghvm_plan_done) struct ghvm_plan p = {};
	const struct store_origin *o = &rec->origin;
	const struct ghvm_plan_input in = {
		.quirks = ghvm_quirks_unknown(),
		.kernel_header = o->kernel_header,
		.kernel_header_size = GHVM_IMAGE_HEADER,
		.kernel_size = o->kernel.size,
		.initrd_size = o->initrd.size,
		.overlay = o->overlay,
		.overlay_size = o->overlay_size,
	};
	struct ghvm_error err = {};

	if (ghvm_plan_make(&rec->spec, &in, &p, &err) < 0)
		PROMISE(*err.msg);
}

static void read_again(const struct store_record *rec)
{
	_cleanup_(store_record_done) struct store_record again = {};
	_cleanup_(freep) char *text = store_print(rec), *copy = NULL, *twice = NULL;

	PROMISE(text);
	copy = strdup(text);
	PROMISE(copy && store_parse(copy, rec->name, &again) == 0);
	PROMISE(again.planned == rec->planned && again.incarnation == rec->incarnation);
	twice = store_print(&again);
	PROMISE(twice && !strcmp(twice, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(store_record_done) struct store_record rec = {};
	_cleanup_(freep) char *text = malloc(size + 1);
	int r;

	PROMISE(text);
	if (memchr(data, '\0', size)) /* store_read() looks */
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	r = store_parse(text, "demo", &rec);
	if (r < 0) {
		PROMISE(r == -EBADMSG);
		return 0;
	}
	PROMISE(!strcmp(rec.name, "demo") && rec.origin.overlay_size <= GHVM_OVERLAY_MAX);
	if (rec.planned)
		plan(&rec);
	read_again(&rec);
	return 0;
}
