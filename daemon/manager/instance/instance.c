/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of a guest, from descriptor to teardown.
 *
 * on_pinned() closes the file descriptors of lent memory during the build. After that only the pin refers
 * to the pages, and a pin cannot be mapped.
 */
#include "daemon/manager/instance/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "daemon/manager/core/log.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "daemon/ipc/runinfo.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/plan/plan.h"

#define KERNEL_HEADER 4096 /* includes the section table, by which truncation is detected */

void guest_find_needs(struct guest *g)
{
	struct ghvm_need needs[GHVM_NEEDS_MAX];

	g->n_needs = ghvm_needs_of(&g->spec, needs);
	for (size_t i = 0; i < g->n_needs; i++)
		g->needs[i] = (struct guest_need){ .is = needs[i], .fd = -1 };
}

static int random_incarnation(uint64_t *ret)
{
	do
		if (getrandom(ret, sizeof(*ret), 0) != sizeof(*ret))
			return -errno;
	while (!*ret);
	return 0;
}

static struct guest *allocate(const struct guest_host *host, const char *name)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->host = host;
	g->step = -1;
	(void)snprintf(g->name, sizeof(g->name), "%s", name); /* same size */
	return g;
}

int guest_new(const struct guest_host *host, struct ghvm_spec *spec, struct guest **ret)
{
	struct guest *g = allocate(host, spec->name);
	int r;

	if (!g)
		return -ENOMEM;
	r = random_incarnation(&g->incarnation);
	if (r < 0) {
		free(g);
		return r;
	}
	g->spec = TAKE_STRUCT(*spec);
	guest_find_needs(g);
	*ret = g;
	return 0;
}

int guest_new_adopted(const struct guest_host *host, const char *name, uint64_t incarnation,
		      struct guest **ret)
{
	struct guest *g = allocate(host, name);

	if (!g)
		return -ENOMEM;
	g->incarnation = incarnation;
	(void)ghvm_error_set(&g->no_rebuild, -ENOENT,
			     "its state file is missing or cannot be used");
	*ret = g;
	return 0;
}

/* Replace the plan's estimates by the actual numbers (decision 14). */
static void count_entries(struct guest *g, struct ghvm_machine *m)
{
	for (size_t i = 0; i < g->plan.n_parcels; i++)
		ghvm_plan_pinned(&g->plan, i, ghvm_machine_entries(m, i), ghvm_machine_huge(m, i));
}

void guest_set_machine(struct guest *g, struct ghvm_machine *m)
{
	if (g->planned && ghvm_machine_planned(m))
		count_entries(g, m);
	else if (g->planned)
		(void)ghvm_error_set(&g->no_rebuild, -ESTALE, "its memory does not match its plan");
	atomic_store(&g->machine, m);
}

static void close_needs(struct guest *g)
{
	for (size_t i = 0; i < g->n_needs; i++) {
		closep(&g->needs[i].fd);
		g->needs[i].fd = -1;
	}
}

void guest_free(struct guest *g)
{
	if (!g)
		return;
	ghvm_machine_free(g->machine);
	close_needs(g);
	if (g->planned)
		ghvm_plan_done(&g->plan);
	store_origin_done(&g->origin);
	ghvm_spec_done(&g->spec);
	free(g);
}

void guest_freep(struct guest **g)
{
	guest_free(*g);
}

struct guest_need *guest_find_need(struct guest *g, enum ghvm_link_kind kind, uint16_t index)
{
	for (size_t i = 0; i < g->n_needs; i++)
		if (g->needs[i].is.kind == kind && g->needs[i].is.index == index)
			return &g->needs[i];
	return NULL;
}

/* The size must be sealed, because another holder could truncate the memfd while it is in use. */
static int check_memory(const struct guest_need *n, int fd, const struct stat *st,
			struct ghvm_error *err)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return ghvm_error_set(err, -EFAULT,
				      "memory %u is not a memfd sealed against shrinking",
				      n->is.index);
	if ((uint64_t)st->st_size != n->is.size)
		return ghvm_error_set(err, -EFAULT, "memory %u has %lld bytes instead of %llu",
				      n->is.index, (long long)st->st_size,
				      (unsigned long long)n->is.size);
	return 0;
}

static int check_given(const struct guest_need *n, int fd, struct ghvm_error *err)
{
	struct stat st;

	if (n->is.kind == GHVM_LINK_LOG)
		return 0;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return ghvm_error_set(err, -EINVAL, "%s is not a regular file",
				      n->is.kind == GHVM_LINK_MEMORY ? "memory" : n->is.path);
	return n->is.kind == GHVM_LINK_MEMORY ? check_memory(n, fd, &st, err) : 0;
}

int guest_give(struct guest *g, enum ghvm_link_kind kind, uint16_t index, int fd,
	       struct ghvm_error *err)
{
	struct guest_need *n = guest_find_need(g, kind, index);
	int r;

	if (!n || n->fd >= 0)
		return ghvm_error_set(err, -EBADMSG,
				      "the start helper sent a file that is not needed");
	r = check_given(n, fd, err);
	if (r == 0)
		n->fd = fd;
	return r;
}

bool guest_given(const struct guest *g)
{
	for (size_t i = 0; i < g->n_needs; i++)
		if (g->needs[i].fd < 0)
			return false;
	return true;
}

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

static unsigned int host_cpus(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus > 0 ? (unsigned int)cpus : 0;
}

int guest_check(const struct guest_host *host, const struct ghvm_spec *spec, struct ghvm_error *err)
{
	int r = ghvm_plan_check_cpus(spec, host_cpus(), err);

	if (r == 0)
		r = ghvm_plan_check(spec, host->quirks, err);
	if (r < 0)
		ghvm_spec_locate(spec, err);
	return r;
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
	in.host_cpus = host_cpus();
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

	count_entries(g, g->machine);
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
	return ghvm_machine_build(g->machine, &files, hooks_of(g, &hooks), err);
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

int guest_run_rebuild(struct guest *g, struct ghvm_error *err)
{
	struct ghvm_machine_hooks hooks;
	const struct ghvm_machine_files files = {
		.kernel = need_fd(g, GHVM_LINK_KERNEL),
		.initrd = need_fd(g, GHVM_LINK_INITRD),
	};

	return ghvm_machine_rebuild(g->machine, &files, hooks_of(g, &hooks), err);
}

static void add_fd(struct guest_fd *ret, size_t *n, const char *name, int fd)
{
	(void)snprintf(ret[*n].name, sizeof(ret[*n].name), "%s", name); /* ours, short */
	ret[(*n)++].fd = fd;
}

/* One eventfd for each vCPU: the runner binds its wake-up virq to it. */
static int add_wakes(const struct guest *g, struct guest_fd *ret, size_t *n)
{
	char name[32];
	int fd;

	for (unsigned int i = 0; i < g->spec.cpus; i++) {
		fd = eventfd(0, EFD_CLOEXEC);
		if (fd < 0)
			return -errno;
		(void)snprintf(name, sizeof(name), "wake-%u", i); /* fits */
		add_fd(ret, n, name, fd);
	}
	return 0;
}

/* Shared regions, which the runner may map; never lent memory. */
static void take_windows(struct guest *g, struct guest_fd *ret, size_t *n)
{
	struct guest_need *need;

	for (size_t i = 1; i < g->plan.n_parcels; i++) {
		need = guest_find_need(g, GHVM_LINK_MEMORY, (uint16_t)i);
		if (need && need->fd >= 0 && !g->plan.parcels[i].lend)
			add_fd(ret, n, g->plan.parcels[i].name, TAKE_FD(need->fd));
	}
}

/* The runner cannot open files, so it gets all log files for the rotation. */
static void take_logs(struct guest *g, struct guest_fd *ret, size_t *n)
{
	struct guest_need *need;
	char name[32] = "console-log";

	for (unsigned int i = 0; i < GHVM_SPEC_LOGS_MAX; i++) {
		need = guest_find_need(g, GHVM_LINK_LOG, (uint16_t)i);
		if (!need || need->fd < 0)
			return;
		if (i)
			(void)snprintf(name, sizeof(name), "console-log-%u", i); /* fits */
		add_fd(ret, n, name, TAKE_FD(need->fd));
	}
}

int guest_take_fds(struct guest *g, struct guest_fd ret[GUEST_FDS_MAX], size_t *ret_n)
{
	int fd;

	fd = fcntl(ghvm_machine_grant(g->machine), F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	add_fd(ret, ret_n, "grant", fd);
	fd = guest_runinfo(g);
	if (fd < 0)
		return fd;
	add_fd(ret, ret_n, "machine", fd);
	take_logs(g, ret, ret_n);
	take_windows(g, ret, ret_n);
	return add_wakes(g, ret, ret_n);
}

static void fill_windows(const struct guest *g, struct ghvm_runinfo *info)
{
	const struct ghvm_plan_parcel *p;

	for (size_t i = 1; i < g->plan.n_parcels; i++) {
		p = &g->plan.parcels[i];
		info->windows[info->n_windows++] = (struct ghvm_runinfo_window){
			.label = p->label,
			.ipa = p->ipa,
			.size = p->size,
		};
	}
}

int guest_runinfo(const struct guest *g)
{
	const struct ghvm_machine *m = g->machine;
	const struct ghvm_machine_vcpu *vcpus = ghvm_machine_vcpus(m, &(size_t){ 0 });
	const struct ghvm_machine_doorbell *doorbells;
	struct ghvm_runinfo info = {
		.vmid = ghvm_machine_vmid(m),
		.incarnation = g->incarnation,
		.stop_timeout_ms = g->spec.stop_timeout_ms,
		.console = g->spec.console,
		.logging = (uint8_t)g->spec.logging,
		.log_size = g->spec.log_size,
		.power_key = g->spec.power_key,
		.on_reboot = (uint8_t)g->spec.on_reboot,
		.on_crash = (uint8_t)g->spec.on_crash,
	};
	size_t n;

	memcpy(info.name, g->name, sizeof(info.name));
	vcpus = ghvm_machine_vcpus(m, &n);
	if (n > ARRAY_SIZE(info.vcpus))
		return -E2BIG;
	memcpy(info.vcpus, vcpus, n * sizeof(*vcpus));
	info.n_vcpus = n;
	doorbells = ghvm_machine_doorbells(m, &n);
	if (n > ARRAY_SIZE(info.doorbells))
		return -E2BIG;
	memcpy(info.doorbells, doorbells, n * sizeof(*doorbells));
	info.n_doorbells = n;
	fill_windows(g, &info);
	return ghvm_runinfo_write(&info);
}

bool guest_planned(const struct guest *g)
{
	const struct ghvm_machine *m = guest_machine(g);

	return g->planned && m && ghvm_machine_planned(m);
}

bool guest_can_rebuild(const struct guest *g)
{
	return g->planned && g->no_rebuild.code == 0;
}

struct ghvm_machine *guest_machine(const struct guest *g)
{
	return atomic_load(&g->machine);
}

struct ghvm_vmid guest_vmid(const struct guest *g)
{
	const struct ghvm_machine *m = guest_machine(g);

	return m ? ghvm_machine_vmid(m) : (struct ghvm_vmid){ 0 };
}
