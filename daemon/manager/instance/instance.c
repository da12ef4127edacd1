/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of a guest, from descriptor to teardown.
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
#include "libghvm/plan/devices.h"
#include "libghvm/plan/plan.h"
#include "libghvm/spec/pair.h"
#include "libghvm/spec/paths.h"

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
		/* not a secret, so early in a boot it does not wait for entropy */
		if (getrandom(ret, sizeof(*ret), GRND_INSECURE) != sizeof(*ret))
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
void guest_count_entries(struct guest *g, struct ghvm_machine *m)
{
	for (size_t i = 0; i < g->plan.n_parcels; i++)
		ghvm_plan_pinned(&g->plan, i, ghvm_machine_entries(m, i), ghvm_machine_huge(m, i));
}

void guest_set_machine(struct guest *g, struct ghvm_machine *m)
{
	if (g->planned && ghvm_machine_planned(m))
		guest_count_entries(g, m);
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
	ghvm_region_fds_done(&g->regions);
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

static int check_socket(const struct guest_need *n, int fd, struct ghvm_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return ghvm_error_set(err, -EINVAL, "%s: what was sent is not a socket",
				      n->is.path);
	return 0;
}

static int check_vsock(int fd, struct ghvm_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode))
		return ghvm_error_set(err, -EINVAL,
				      "devices[].vsock: what the start helper sent "
				      "is not a device of the host");
	return 0;
}

static int check_given(const struct guest_need *n, int fd, struct ghvm_error *err)
{
	struct stat st;

	if (n->is.kind == GHVM_LINK_LOG)
		return 0;
	if (n->is.kind == GHVM_LINK_SOCKET || n->is.kind == GHVM_LINK_DISK)
		return check_socket(n, fd, err);
	if (n->is.kind == GHVM_LINK_VSOCK)
		return check_vsock(fd, err);
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

/* A region of the descriptor; NULL: it has no such region, or is not known. */
static const struct ghvm_spec_region *find_region(const struct guest *g, uint32_t label)
{
	for (size_t i = 0; i < g->spec.n_regions; i++)
		if (g->spec.regions[i].label == label)
			return &g->spec.regions[i];
	return NULL;
}

bool guest_host_readonly(const struct guest *g, uint32_t label)
{
	const struct ghvm_spec_region *r = find_region(g, label);

	return r && r->access == GHVM_HOST_READONLY;
}

const char *guest_region_peer(const struct guest *g, uint32_t label)
{
	const struct ghvm_spec_region *r = find_region(g, label);

	return r ? r->with : "";
}

/*
 * The memory is pinned, so the manager itself has nothing to write any more, and no other process has
 * the file yet. From here on it can be written by no descriptor and no new mapping of it.
 */
static int seal_region(const struct guest *g, uint32_t label, int fd)
{
	if (!guest_host_readonly(g, label))
		return 0;
	return fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0 ? -errno : 0;
}

/* Return: false: the host must not have this file. */
static bool keep_region(struct guest *g, uint32_t label, int fd)
{
	const struct log_about a = { .vm = g->name };
	int sealed = seal_region(g, label, fd);
	int r = sealed < 0 ? sealed : ghvm_region_fds_put(&g->regions, label, fd);

	if (r < 0)
		log_warning(&a, r, "Clients cannot open region %u", label);
	return sealed == 0;
}

/* The helper has made memory for a region that the other guest has made: use that one's, which is kept already. */
static void use_other_memory(struct guest *g, uint32_t label, struct guest_need *need)
{
	int fd = ghvm_region_fds_get(&g->regions, label);

	closep(&need->fd);
	need->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/*
 * Shared regions: the manager keeps their memory for clients, the runner for a later manager. Never
 * lent memory, of which no file descriptor is left.
 */
static void take_regions(struct guest *g, struct guest_fd *ret, size_t *n)
{
	const struct ghvm_plan_parcel *p;
	struct guest_need *need;
	char name[32];

	for (size_t i = 1; i < g->plan.n_parcels; i++) {
		p = &g->plan.parcels[i];
		need = guest_find_need(g, GHVM_LINK_MEMORY, (uint16_t)i);
		if (!need || need->fd < 0 || p->lend)
			continue;
		if (p->paired && g->pair.joins.id)
			use_other_memory(g, p->label, need);
		else if (!keep_region(g, p->label, need->fd))
			continue;
		if (need->fd < 0)
			continue;
		(void)snprintf(name, sizeof(name), GHVM_LINK_REGION_NAME "%u", p->label); /* fits */
		add_fd(ret, n, name, TAKE_FD(need->fd));
	}
}

/*
 * RAM that is shared, for devices that access it. Without such devices, and if RAM is lent, no other process
 * ever has its file.
 */
static void take_ram(struct guest *g, struct guest_fd *ret, size_t *n)
{
	struct guest_need *need = guest_find_need(g, GHVM_LINK_MEMORY, 0);

	if (ghvm_devices_access(&g->plan, 0) && !g->plan.parcels[0].lend && need && need->fd >= 0)
		add_fd(ret, n, GHVM_LINK_RAM_NAME, TAKE_FD(need->fd));
}

/* The runner connects to them; the manager never does. */
static void take_sockets(struct guest *g, enum ghvm_link_kind kind, const char *prefix,
			 struct guest_fd *ret, size_t *n)
{
	struct guest_need *need;
	char name[32];

	for (unsigned int i = 0; (need = guest_find_need(g, kind, (uint16_t)i)); i++) {
		if (need->fd < 0)
			return;
		(void)snprintf(name, sizeof(name), "%s%u", prefix, i); /* fits */
		add_fd(ret, n, name, TAKE_FD(need->fd));
	}
}

/* The runner alone uses it. The file has the CID, which is free once no process has the file open. */
static void take_vsock(struct guest *g, struct guest_fd *ret, size_t *n)
{
	struct guest_need *need = guest_find_need(g, GHVM_LINK_VSOCK, 0);

	if (need && need->fd >= 0)
		add_fd(ret, n, GHVM_LINK_VSOCK_NAME, TAKE_FD(need->fd));
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

/*
 * Files that came with the call of a transient VM have no path, so the runner keeps them for a later
 * manager. They are sealed: it can read them, and no more.
 */
static int add_sent(const struct guest *g, struct guest_fd *ret, size_t *n)
{
	const struct guest_need *need;
	char name[32];
	int fd;

	for (size_t i = 0; i < g->n_needs; i++) {
		need = &g->needs[i];
		if (!ghvm_link_sent_rest(need->is.kind) || !spec_path_key(need->is.path))
			continue;
		fd = fcntl(need->fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return -errno;
		(void)snprintf(name, sizeof(name), GHVM_LINK_SENT_NAME "%s",
			       ghvm_link_sent_rest(need->is.kind)); /* fits */
		add_fd(ret, n, name, fd);
	}
	return 0;
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
	take_regions(g, ret, ret_n);
	take_ram(g, ret, ret_n);
	take_sockets(g, GHVM_LINK_SOCKET, GHVM_LINK_SOCKET_NAME, ret, ret_n);
	take_sockets(g, GHVM_LINK_DISK, GHVM_LINK_DISK_NAME, ret, ret_n);
	take_vsock(g, ret, ret_n);
	fd = add_sent(g, ret, ret_n);
	return fd < 0 ? fd : add_wakes(g, ret, ret_n);
}

static void fill_regions(const struct guest *g, struct ghvm_runinfo *info)
{
	const struct ghvm_plan_parcel *p;

	for (size_t i = 1; i < g->plan.n_parcels; i++) {
		p = &g->plan.parcels[i];
		info->regions[info->n_regions++] = (struct ghvm_runinfo_region){
			.label = p->label,
			.ipa = p->ipa,
			.size = p->size,
		};
	}
}

static void fill_dma(const struct guest *g, struct ghvm_runinfo *info)
{
	for (size_t i = 0; i < g->plan.n_parcels && info->n_dma < ARRAY_SIZE(info->dma); i++) {
		const struct ghvm_plan_parcel *p = &g->plan.parcels[i];

		if (ghvm_devices_access(&g->plan, i))
			info->dma[info->n_dma++] = (struct ghvm_runinfo_region){
				.label = p->label,
				.ipa = p->ipa,
				.size = p->size,
			};
	}
}

static void fill_devices(const struct guest *g, struct ghvm_runinfo *info)
{
	const struct ghvm_device_kind *kind;

	for (size_t i = 0; i < g->plan.n_devices; i++) {
		const struct ghvm_plan_device *p = &g->plan.devices[i];
		struct ghvm_runinfo_device *d = &info->devices[info->n_devices++];

		(void)snprintf(d->name, sizeof(d->name), "%s", p->name); /* fits */
		d->nth = p->nth;
		d->ipa = p->ipa;
		d->doorbell = p->doorbell;
		kind = ghvm_device_kind(p->name);
		if (kind->backend)
			kind->backend(&g->spec, p->nth, &d->virtio_id, &d->queues);
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
		.logging = (uint8_t)g->spec.logging,
		.log_size = g->spec.log_size,
		.on_reboot = (uint8_t)(spec_peer(&g->spec) ? GHVM_ON_END_STOP : g->spec.on_reboot),
		.on_crash = (uint8_t)g->spec.on_crash,
		.on_watchdog = (uint8_t)g->spec.on_watchdog,
		.cid = g->spec.vsock ? ghvm_spec_cid(&g->spec) : 0,
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
	fill_devices(g, &info);
	fill_dma(g, &info);
	fill_regions(g, &info);
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
