/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virqs are bound before the VM starts (abi K.8), because the start already fires the first one.
 */
#include "daemon/runner/guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/ipc/protocol.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"

/* Keep one error of vCPUs that cannot run. ESTALE, a revoked grant, is the cause of the others. */
static void note_error(struct guest *g, int error)
{
	int none = 0;

	if (error == ESTALE)
		atomic_store(&g->error, error);
	else
		(void)atomic_compare_exchange_strong(&g->error, &none, error);
}

static void tell_main(struct guest *g)
{
	uint64_t one = 1;

	if (write(g->ended, &one, sizeof(one)) < 0)
		return; /* a full eventfd is readable, too */
}

/* Thread: a vCPU's. */
static void on_off(void *data)
{
	struct guest *g = data;

	if (guest_all_off(g))
		tell_main(g);
}

/*
 * Priority of a state. The vCPU that ends its VM by a reset or a fault reports that. The hypervisor stops
 * the other vCPUs, which report that they are off, perhaps earlier.
 */
static int weight(uint64_t state)
{
	if (state == VCPU_THREAD_STOPPED)
		return 0;
	return state == GHVM_VCPU_POWERED_OFF ? 1 : 2;
}

static void note_end(struct guest *g, uint64_t state, uint64_t data0)
{
	(void)pthread_mutex_lock(&g->end_lock); /* cannot fail */
	if (weight(state) > weight(g->end_state)) {
		g->end_state = state;
		g->end_data0 = data0;
	}
	(void)pthread_mutex_unlock(&g->end_lock);
}

static void forget_end(struct guest *g)
{
	(void)pthread_mutex_lock(&g->end_lock);
	g->end_state = VCPU_THREAD_STOPPED;
	g->end_data0 = 0;
	(void)pthread_mutex_unlock(&g->end_lock);
}

/* Thread: a vCPU's. Keep the state with the highest priority. */
static void on_end(void *data, uint64_t state, uint64_t data0)
{
	struct guest *g = data;

	if (state == VCPU_THREAD_STOPPED)
		note_error(g, (int)data0);
	else
		note_end(g, state, data0);
	tell_main(g);
}

static const char *activity_of(const struct vcpu_thread *t)
{
	if (t->off)
		return "is off";
	return atomic_load(&t->waits) ? "waits" : "runs";
}

/* As of strays: the guest controls the rate. */
static void dump_vcpus(struct guest *g)
{
	g->bites++;
	if (g->bites & (g->bites - 1))
		return;
	for (size_t i = 0; i < g->info.n_vcpus; i++)
		fprintf(stderr, SD_WARNING "Watchdog: vCPU %zu %s, after %llu exits\n", i,
			activity_of(&g->threads[i]),
			(unsigned long long)atomic_load(&g->threads[i].exits));
}

void guest_process(struct guest *g)
{
	devices_process(&g->devices);
	if (!devices_bite(&g->devices))
		return;
	dump_vcpus(g);
	if (g->info.on_watchdog == GHVM_ON_END_DUMP_ONLY)
		return;
	note_end(g, GHVM_LINK_BITTEN, 0);
	tell_main(g);
}

/* Thread: a vCPU's. Log only the 1st, 2nd, 4th, 8th... access, because the guest controls the rate. */
static void on_stray(void *data, bool is_write, uint64_t ipa, uint64_t size)
{
	struct guest *g = data;
	unsigned long long n = atomic_load(&g->shared.mmio->strays);

	if (!(n & (n - 1)))
		fprintf(stderr,
			SD_INFO "Guest %s %llu bytes at 0x%llx, which is no device (access %llu)\n",
			is_write ? "writes" : "reads", (unsigned long long)size,
			(unsigned long long)ipa, n);
}

static int check_info(const struct ghvm_runinfo *info, const int *wake, struct ghvm_error *err)
{
	if (!info->n_vcpus)
		return ghvm_error_set(err, -EBADMSG, "%s has no vCPUs", info->name);
	for (size_t i = 0; i < info->n_vcpus; i++)
		if (wake[i] < 0)
			return ghvm_error_set(err, -ENOENT, "missing file descriptor 'wake-%zu'",
					      i);
	return 0;
}

/* Lent RAM is not in the list, and no file of it comes here. A back-end gets the files. */
static int map_memory(struct guest *g, const struct fds *fds, struct ghvm_error *err)
{
	for (size_t i = 0; i < g->info.n_dma; i++) {
		const struct ghvm_runinfo_region *m = &g->info.dma[i];
		int fd = m->label == GHVM_LABEL_RAM ? fds->ram
						    : ghvm_region_fds_get(&fds->regions, m->label);
		int r = fd < 0 ? -ENOENT : dma_map_add(&g->dma, m->ipa, m->size, fd);

		if (r == 0 && ghvm_runinfo_served(&g->info))
			r = dma_map_keep(&g->dma, m->ipa, fd);
		if (r < 0)
			return ghvm_error_set(err, r,
					      "cannot map memory %u, which devices access: %s",
					      m->label, strerror(-r));
	}
	return 0;
}

/* The devices take the logs over. */
static int init_devices(struct guest *g, struct fds *fds, struct ghvm_error *err)
{
	struct devices_files files = { .vsock = fds->vsock };

	for (size_t i = 0; i < GHVM_SPEC_LOGS_MAX; i++)
		files.logs[i] = TAKE_FD(fds->console_log[i]);
	memcpy(files.sockets, fds->sockets, sizeof(files.sockets));
	memcpy(files.disks, fds->disks, sizeof(files.disks));
	return devices_init(&g->devices, &g->info, &g->dma, &files, err);
}

int guest_init(struct guest *g, struct fds *fds, struct ghvm_error *err)
{
	int r;

	*g = (struct guest){
		.wake = fds->wake,
		.ended = -1,
		.devices.owed = -1,
		.end_lock = PTHREAD_MUTEX_INITIALIZER,
		.end_state = VCPU_THREAD_STOPPED,
	};
	g->ended = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (g->ended < 0)
		return ghvm_error_set(err, -errno, "cannot create an eventfd: %s", strerror(errno));
	r = ghvm_runinfo_read(fds->machine, &g->info, err);
	if (r < 0)
		return r;
	r = check_info(&g->info, g->wake, err);
	if (r < 0)
		return r;
	r = map_memory(g, fds, err);
	if (r < 0)
		return r;
	r = init_devices(g, fds, err);
	if (r < 0)
		return r;
	g->shared.mmio = &g->devices.mmio;
	g->shared.on_off = on_off;
	g->shared.on_end = on_end;
	g->shared.on_stray = on_stray;
	g->shared.data = g;
	return 0;
}

void guest_done(struct guest *g)
{
	guest_stop(g);
	devices_done(&g->devices);
	dma_map_done(&g->dma);
	closep(&g->ended);
	g->ended = -1;
}

static int bind_virqs(struct guest *g, struct ghvm_error *err)
{
	for (size_t i = 0; i < g->info.n_vcpus; i++) {
		struct ghvm_virq virq = g->info.vcpus[i].virq;
		int r = ghvm_host_bind_virq(g->host, virq, g->wake[i]);

		if (r < 0)
			return ghvm_error_set(err, r, "vCPU %zu: cannot bind virq %u: %s", i,
					      virq.intid, strerror(-r));
	}
	return 0;
}

int guest_connect(struct guest *g, int grant, guest_open_host open_host, struct ghvm_error *err)
{
	_cleanup_(closep) int owned = grant;
	int r;

	r = open_host(owned, &g->host, err);
	if (r < 0)
		return r;
	(void)TAKE_FD(owned); /* owned by the host now */
	r = bind_virqs(g, err);
	if (r < 0)
		return r;
	devices_connect(&g->devices, g->host, &g->info);
	return 0;
}

int guest_rebuild(struct guest *g, int machine, struct ghvm_error *err)
{
	struct ghvm_runinfo info;
	int r;

	r = ghvm_runinfo_read(machine, &info, err);
	if (r < 0)
		return r;
	if (strcmp(info.name, g->info.name))
		return ghvm_error_set(err, -EBADMSG, "rebuilt as another VM: %s", info.name);
	if (!ghvm_runinfo_same_devices(&info, &g->info))
		return ghvm_error_set(err, -EBADMSG, "%s was rebuilt with other devices",
				      info.name);
	r = check_info(&info, g->wake, err);
	if (r < 0)
		return r;
	g->info = info;
	return 0;
}

int guest_start(struct guest *g, struct ghvm_error *err)
{
	atomic_store(&g->shared.stopping, false);
	atomic_store(&g->shared.n_off, 0);
	for (size_t i = 0; i < g->info.n_vcpus; i++) {
		int r = vcpu_thread_start(&g->threads[i], &g->shared, g->host, g->info.vcpus[i].cap,
					  g->wake[i]);

		if (r < 0) {
			vcpu_thread_stop(g->threads, GHVM_SPEC_CPUS_MAX);
			return ghvm_error_set(err, r, "cannot start a thread for vCPU %zu: %s", i,
					      strerror(-r));
		}
	}
	return 0;
}

void guest_stop(struct guest *g)
{
	uint64_t count;

	vcpu_thread_stop(g->threads, GHVM_SPEC_CPUS_MAX);
	devices_disconnect(&g->devices);
	ghvm_host_close(TAKE_PTR(g->host));
	forget_end(g);
	atomic_store(&g->error, 0);
	if (g->ended >= 0 && read(g->ended, &count, sizeof(count)) < 0)
		return; /* none had ended */
}

bool guest_ended(struct guest *g, uint64_t *ret_state, uint64_t *ret_data0)
{
	uint64_t count;

	if (read(g->ended, &count, sizeof(count)) < 0)
		return false;
	(void)pthread_mutex_lock(&g->end_lock);
	*ret_state = g->end_state;
	*ret_data0 = g->end_data0;
	(void)pthread_mutex_unlock(&g->end_lock);
	if (*ret_state != VCPU_THREAD_STOPPED)
		return true;
	*ret_data0 = (uint64_t)atomic_load(&g->error);
	return *ret_data0 != 0;
}

bool guest_all_off(const struct guest *g)
{
	return atomic_load(&g->shared.n_off) == g->info.n_vcpus;
}

void guest_look(struct guest *g)
{
	uint64_t one = 1;

	g->rung = atomic_load(&g->shared.rings);
	(void)atomic_fetch_add(&g->shared.look, 1);
	for (size_t i = 0; i < g->info.n_vcpus; i++)
		if (write(g->wake[i], &one, sizeof(one)) < 0)
			continue; /* a full eventfd wakes the thread, too */
}

bool guest_looked(const struct guest *g)
{
	unsigned int look = atomic_load(&g->shared.look);

	for (size_t i = 0; i < g->info.n_vcpus; i++)
		if (atomic_load(&g->threads[i].looked) != look)
			return false;
	return true;
}

bool guest_is_off(const struct guest *g)
{
	return guest_all_off(g) && atomic_load(&g->shared.rings) == g->rung + g->info.n_vcpus;
}
