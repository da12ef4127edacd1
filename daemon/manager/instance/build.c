/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What blocks: building the machine of a guest, starting it, tearing it down, building it again.
 *
 * on_pinned() closes the file descriptors of lent memory during the build. After that only the pin refers
 * to the pages, and a pin cannot be mapped.
 */
#include "daemon/manager/instance/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/manager/core/log.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/plan/devices.h"
#include "libghvm/plan/plan.h"
#include "libghvm/spec/pair.h"

#define KERNEL_HEADER 4096 /* includes the section table, by which truncation is detected */

static int need_fd(struct guest *g, enum ghvm_link_kind kind)
{
	const struct guest_need *n = guest_find_need(g, kind, 0);

	return n ? n->fd : -1;
}

static int identify(int fd, struct store_file *ret)
{
	struct stat st;

	*ret = (struct store_file){};
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	guest_file_of(&st, ret);
	return 0;
}

static int read_overlay(struct guest *g, struct store_origin *ret, struct ghvm_error *err)
{
	int fd = need_fd(g, GHVM_LINK_OVERLAY);
	_cleanup_(freep) uint8_t *blob = NULL;
	struct store_file file;
	int r = identify(fd, &file);

	if (r < 0 || fd < 0)
		return r;
	if (!file.size || file.size > GHVM_OVERLAY_MAX)
		return ghvm_error_set(
			err, -EFBIG, "kernel.dtb-overlay: %s: has %llu bytes, the limit is %u",
			g->spec.dtb_overlay, (unsigned long long)file.size, GHVM_OVERLAY_MAX);
	blob = malloc(file.size);
	if (!blob)
		return -ENOMEM;
	if (pread(fd, blob, file.size, 0) != (ssize_t)file.size)
		return ghvm_error_set(err, -EIO, "kernel.dtb-overlay: %s: cannot be read",
				      g->spec.dtb_overlay);
	ret->overlay = TAKE_PTR(blob);
	ret->overlay_size = file.size;
	return 0;
}

static int read_header(struct guest *g, uint8_t header[KERNEL_HEADER], size_t *ret,
		       struct ghvm_error *err)
{
	ssize_t n = pread(need_fd(g, GHVM_LINK_KERNEL), header, KERNEL_HEADER, 0);

	if (n < 0)
		return ghvm_error_set(err, -errno, "kernel.image: %s: cannot read: %s",
				      g->spec.kernel, strerror(errno));
	*ret = (size_t)n;
	memcpy(g->origin.kernel_header, header, sizeof(g->origin.kernel_header));
	return 0;
}

static int make_plan(struct guest *g, struct ghvm_error *err)
{
	uint8_t header[KERNEL_HEADER] = {};
	struct ghvm_plan_input in = { .kernel_header = header };
	struct store_origin *o = &g->origin;
	int r;

	r = read_header(g, header, &in.kernel_header_size, err);
	if (r == 0)
		r = identify(need_fd(g, GHVM_LINK_KERNEL), &o->kernel);
	if (r == 0)
		r = identify(need_fd(g, GHVM_LINK_INITRD), &o->initrd);
	if (r == 0)
		r = read_overlay(g, o, err);
	if (r < 0) {
		ghvm_spec_locate(&g->spec, err);
		return r;
	}
	in.host_cpus = guest_host_cpus();
	return guest_plan(g, &in, err);
}

/* Check that the memory, populated before the plan was made, matches the plan. */
static int match_memory(struct guest *g, int ret[GHVM_PLAN_PARCELS_MAX], struct ghvm_error *err)
{
	const struct guest_need *n;

	for (size_t i = 0; i < g->plan.n_parcels; i++) {
		n = guest_find_need(g, GHVM_LINK_MEMORY, (uint16_t)i);
		if (!n || n->is.size != g->plan.parcels[i].size)
			return ghvm_error_set(err, -EINVAL, "memory %s is not of the plan's size",
					      g->plan.parcels[i].name);
		ret[i] = n->fd;
	}
	return 0;
}

static void on_step(void *data, const struct ghvm_plan *plan, size_t step)
{
	struct guest *g = data;

	atomic_store(&g->step, (int)plan->steps[step].kind);
	if (g->on_step)
		g->on_step(g->data);
}

/* Thread: operation */
static void tell_extents(const struct guest *g, size_t parcel)
{
	const struct ghvm_plan_parcel *p = &g->plan.parcels[parcel];
	const struct log_about a = { .vm = g->name };

	log_info(&a, "Memory %s: %llu KiB pinned in %llu contiguous pieces", p->name,
		 (unsigned long long)(p->size >> 10), (unsigned long long)p->entries_best);
}

static void on_pinned(void *data)
{
	struct guest *g = data;
	struct guest_need *n;

	guest_count_entries(g, g->machine);
	for (size_t i = 0; i < g->plan.n_parcels; i++) {
		tell_extents(g, i);
		n = guest_find_need(g, GHVM_LINK_MEMORY, (uint16_t)i);
		if (!g->plan.parcels[i].lend || !n)
			continue;
		closep(&n->fd);
		n->fd = -1;
	}
}

static const struct ghvm_machine_hooks *hooks_of(struct guest *g, struct ghvm_machine_hooks *ret)
{
	*ret = (struct ghvm_machine_hooks){
		.data = g,
		.on_step = on_step,
		.on_pinned = on_pinned,
	};
	return ret;
}

static int make_machine(struct guest *g, struct ghvm_error *err)
{
	struct ghvm_machine *m;
	int r;

	r = ghvm_machine_new(g->host->host, g->host->rm, &g->plan, g->incarnation, &m);
	if (r < 0)
		return ghvm_error_set(err, r, "cannot allocate the machine: %s", strerror(-r));
	ghvm_machine_set_ledger(m, g->host->ledger);
	ghvm_machine_set_presplit(m, ghvm_quirk(g->host->quirks, GHVM_QUIRK_PRESPLIT));
	ghvm_machine_set_pair(m, &g->pair);
	/* a pair cannot be built again (decision 55), nor can RAM be lent that a runner has mapped */
	if (!spec_peer(&g->spec) && !ghvm_devices_access(&g->plan, 0))
		ghvm_machine_try_share(m);
	atomic_store(&g->machine, m); /* from here on it receives notifications */
	return 0;
}

int guest_run_build(struct guest *g, struct ghvm_error *err)
{
	struct ghvm_machine_hooks hooks;
	struct ghvm_machine_files files = {
		.kernel = need_fd(g, GHVM_LINK_KERNEL),
		.initrd = need_fd(g, GHVM_LINK_INITRD),
	};
	int memory[GHVM_PLAN_PARCELS_MAX];
	int r;

	r = make_plan(g, err);
	if (r == 0)
		r = match_memory(g, memory, err);
	if (r == 0)
		r = make_machine(g, err);
	if (r < 0)
		return r;
	files.memory = memory;
	r = ghvm_machine_build(g->machine, &files, hooks_of(g, &hooks), err);
	if (guest_share_refused(g))
		r = guest_run_rebuild(g, err);
	guest_note_watchdog(g);
	return r;
}

void guest_note_watchdog(struct guest *g)
{
	g->plan.watchdog = g->machine && ghvm_machine_watched(g->machine);
}

int guest_run_start(struct guest *g, struct ghvm_error *err)
{
	atomic_store(&g->step, GHVM_STEP_START);
	return ghvm_machine_start(g->machine, err);
}

int guest_run_teardown(struct guest *g, struct ghvm_error *err)
{
	atomic_store(&g->step, -1);
	return g->machine ? ghvm_machine_teardown(g->machine, err) : 0;
}

bool guest_share_refused(const struct guest *g)
{
	return g->machine && ghvm_machine_share_refused(g->machine);
}

static void lend_instead(struct guest *g)
{
	const struct log_about a = { .vm = g->name };

	log_warning(&a, 0,
		    "The resource manager refuses RAM that is shared (memory.protection: "
		    "none): it is lent");
	ghvm_plan_lend_ram(&g->plan);
	g->lent_instead = g->refused_now = true;
}

int guest_run_rebuild(struct guest *g, struct ghvm_error *err)
{
	struct ghvm_machine_hooks hooks;
	const struct ghvm_machine_files files = {
		.kernel = need_fd(g, GHVM_LINK_KERNEL),
		.initrd = need_fd(g, GHVM_LINK_INITRD),
	};

	if (guest_share_refused(g))
		lend_instead(g);
	return ghvm_machine_rebuild(g->machine, &files, hooks_of(g, &hooks), err);
}
