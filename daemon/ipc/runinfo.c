/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The description of a VM for its runner, in a sealed memfd.
 *
 * u32 magic, u32 version, u16 vmid, u16 log, u32 stop_timeout_ms, u64 incarnation, u8 console, u8
 * power_key, u8 on_reboot, u8 on_crash, name[28],
 * u16 n, n * { u64 cap, u32 virq }, u16 n, n * { u32 label, u64 cap },
 * u16 n, n * { u32 label, u64 ipa, u64 size },
 * from version 2: u16 n, n * { name[16], u16 nth, u64 ipa, u32 doorbell },
 * u16 n, n * { u32 label, u64 ipa, u64 size }, u8 on_watchdog,
 * from version 3: for each of these devices u32 virtio_id, u32 queues; from version 4: u32 cid
 *
 * log is 0 if written by an older manager; older runners ignore it. console and power_key stand for the
 * devices that runners have always had. The lists of version 2 have the others and the memory that they
 * access; without any they are not written, so that an older runner understands its VM after a reboot in
 * place. Version 3 is written only if another process serves a device, version 4 if the host's kernel does.
 */
#include "daemon/ipc/runinfo.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define RUNINFO_MAGIC 0x49524847 /* "GHRI" */
#define RUNINFO_VERSION 1
#define RUNINFO_VERSION_DEVICES 2 /* with the list of other devices */
#define RUNINFO_VERSION_SERVED 3  /* and with what another process serves */
#define RUNINFO_VERSION_CID 4	  /* and with the CID of a vsock */
#define RUNINFO_MAX 4096
#define LOG_KIND GHVM_BITS(15, 14) /* enum ghvm_logging */
#define LOG_SIZE GHVM_BITS(13, 0)  /* in GHVM_LOG_UNIT */

#define RUNINFO_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* The devices that have a byte of their own in each version. This never changes. */
static const struct ghvm_runinfo_device first_devices[] = {
	{ .name = "uart", .ipa = GHVM_IPA_UART, .doorbell = GHVM_DOORBELL_UART },
	{ .name = "power-key", .ipa = GHVM_IPA_PL061, .doorbell = GHVM_DOORBELL_PL061 },
};

static bool same_device(const struct ghvm_runinfo_device *a, const struct ghvm_runinfo_device *b)
{
	return !strcmp(a->name, b->name) && a->nth == b->nth && a->ipa == b->ipa &&
	       a->doorbell == b->doorbell && a->virtio_id == b->virtio_id && a->queues == b->queues;
}

static bool same_memory(const struct ghvm_runinfo_region *a, const struct ghvm_runinfo_region *b)
{
	return a->label == b->label && a->ipa == b->ipa && a->size == b->size;
}

bool ghvm_runinfo_same_devices(const struct ghvm_runinfo *a, const struct ghvm_runinfo *b)
{
	if (a->n_devices != b->n_devices || a->n_dma != b->n_dma || a->cid != b->cid)
		return false;
	for (size_t i = 0; i < a->n_dma; i++)
		if (!same_memory(&a->dma[i], &b->dma[i]))
			return false;
	for (size_t i = 0; i < a->n_devices; i++)
		if (!same_device(&a->devices[i], &b->devices[i]))
			return false;
	return true;
}

static bool has_device(const struct ghvm_runinfo *info, const struct ghvm_runinfo_device *d)
{
	for (size_t i = 0; i < info->n_devices; i++)
		if (same_device(&info->devices[i], d))
			return true;
	return false;
}

static bool is_first(const struct ghvm_runinfo_device *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(first_devices); i++)
		if (same_device(&first_devices[i], d))
			return true;
	return false;
}

static size_t count_others(const struct ghvm_runinfo *info)
{
	size_t n = 0;

	for (size_t i = 0; i < info->n_devices; i++)
		n += !is_first(&info->devices[i]);
	return n;
}

/* A name of up to @size - 1 bytes, with zeroes to its end. */
static void put_name(struct ghvm_put *w, const char *name, size_t size)
{
	size_t len = strnlen(name, size - 1);

	ghvm_put_bytes(w, name, len);
	ghvm_put_zero(w, size - len);
}

static void put_other_devices(struct ghvm_put *w, const struct ghvm_runinfo *info)
{
	ghvm_put_u16(w, (uint16_t)count_others(info));
	for (size_t i = 0; i < info->n_devices; i++) {
		const struct ghvm_runinfo_device *d = &info->devices[i];

		if (is_first(d))
			continue;
		put_name(w, d->name, sizeof(d->name));
		ghvm_put_u16(w, (uint16_t)d->nth);
		ghvm_put_u64(w, d->ipa);
		ghvm_put_u32(w, d->doorbell);
	}
}

bool ghvm_runinfo_windowed(const struct ghvm_runinfo *info)
{
	for (size_t i = 0; i < info->n_dma; i++)
		if (info->dma[i].label == GHVM_LABEL_RAM)
			return false;
	return true;
}

bool ghvm_runinfo_served(const struct ghvm_runinfo *info)
{
	for (size_t i = 0; i < info->n_devices; i++)
		if (info->devices[i].virtio_id)
			return true;
	return false;
}

static uint32_t version_of(const struct ghvm_runinfo *info)
{
	if (info->cid)
		return RUNINFO_VERSION_CID;
	if (ghvm_runinfo_served(info))
		return RUNINFO_VERSION_SERVED;
	return count_others(info) ? RUNINFO_VERSION_DEVICES : RUNINFO_VERSION;
}

static void put_served(struct ghvm_put *w, const struct ghvm_runinfo *info)
{
	for (size_t i = 0; i < info->n_devices; i++) {
		const struct ghvm_runinfo_device *d = &info->devices[i];

		if (is_first(d))
			continue;
		ghvm_put_u32(w, d->virtio_id);
		ghvm_put_u32(w, d->queues);
	}
}

static void put_regions(struct ghvm_put *w, const struct ghvm_runinfo_region *v, size_t n)
{
	ghvm_put_u16(w, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		ghvm_put_u32(w, v[i].label);
		ghvm_put_u64(w, v[i].ipa);
		ghvm_put_u64(w, v[i].size);
	}
}

static void put_lists(struct ghvm_put *w, const struct ghvm_runinfo *info)
{
	ghvm_put_u16(w, (uint16_t)info->n_vcpus);
	for (size_t i = 0; i < info->n_vcpus; i++) {
		ghvm_put_u64(w, info->vcpus[i].cap.id);
		ghvm_put_u32(w, info->vcpus[i].virq.intid);
	}
	ghvm_put_u16(w, (uint16_t)info->n_doorbells);
	for (size_t i = 0; i < info->n_doorbells; i++) {
		ghvm_put_u32(w, info->doorbells[i].label);
		ghvm_put_u64(w, info->doorbells[i].cap.id);
	}
	put_regions(w, info->regions, info->n_regions);
}

static void put_runinfo(struct ghvm_put *w, const struct ghvm_runinfo *info)
{
	const uint32_t version = version_of(info);

	ghvm_put_u32(w, RUNINFO_MAGIC);
	ghvm_put_u32(w, version);
	ghvm_put_u16(w, info->vmid.id);
	ghvm_put_u16(w, (uint16_t)(ghvm_bits_put(LOG_SIZE, info->log_size / GHVM_LOG_UNIT) |
				   ghvm_bits_put(LOG_KIND, info->logging)));
	ghvm_put_u32(w, info->stop_timeout_ms);
	ghvm_put_u64(w, info->incarnation);
	for (size_t i = 0; i < ARRAY_SIZE(first_devices); i++)
		ghvm_put_u8(w, has_device(info, &first_devices[i]));
	ghvm_put_u8(w, info->on_reboot);
	ghvm_put_u8(w, info->on_crash);
	put_name(w, info->name, GHVM_NAME_SIZE);
	put_lists(w, info);
	if (version >= RUNINFO_VERSION_DEVICES) {
		put_other_devices(w, info);
		put_regions(w, info->dma, info->n_dma);
		ghvm_put_u8(w, info->on_watchdog);
	}
	if (version >= RUNINFO_VERSION_SERVED)
		put_served(w, info);
	if (version >= RUNINFO_VERSION_CID)
		ghvm_put_u32(w, info->cid);
}

int ghvm_runinfo_write(const struct ghvm_runinfo *info)
{
	_cleanup_(closep) int fd = memfd_create("ghvm-machine", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t buf[RUNINFO_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (info->n_vcpus > ARRAY_SIZE(info->vcpus) ||
	    info->n_doorbells > ARRAY_SIZE(info->doorbells) ||
	    info->n_regions > ARRAY_SIZE(info->regions) || info->n_dma > ARRAY_SIZE(info->dma) ||
	    info->n_devices > ARRAY_SIZE(info->devices))
		return -EINVAL;
	put_runinfo(&w, info);
	if (w.bad)
		return -EMSGSIZE;

	n = pwrite(fd, buf, w.len, 0);
	if (n < 0 || (size_t)n != w.len)
		return n < 0 ? -errno : -ENOSPC;
	if (fcntl(fd, F_ADD_SEALS, RUNINFO_SEALS) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Decode a count; the cursor goes bad if so many elements cannot follow or exceed @max. */
/*@
  requires get_valid(g) && size > 0;
  assigns g->len, g->bad, g->buf;
  ensures get_valid(g) && get_rest{Pre, Post}(g) && \result <= max;
*/
static size_t get_count(struct ghvm_get *g, size_t size, size_t max)
{
	size_t n = ghvm_get_u16(g);

	if (n > max || n > g->len / size)
		g->bad = true;
	return g->bad ? 0 : n;
}

/*@
  requires get_valid(g) && \valid(r) && \separated(r, g, g->buf + (0 .. g->len - 1));
  assigns g->len, g->bad, g->buf, *r;
  ensures get_valid(g) && get_rest{Pre, Post}(g);
*/
static void get_region(struct ghvm_get *g, struct ghvm_runinfo_region *r)
{
	r->label = ghvm_get_u32(g);
	r->ipa = ghvm_get_u64(g);
	r->size = ghvm_get_u64(g);
}

/*@
  requires get_valid(g) && \valid(ret + (0 .. max - 1));
  requires \separated(ret + (0 .. max - 1), g, g->buf + (0 .. g->len - 1));
  assigns g->len, g->bad, g->buf, ret[0 .. max - 1];
  ensures get_valid(g) && get_rest{Pre, Post}(g) && \result <= max;
*/
static size_t get_regions(struct ghvm_get *g, struct ghvm_runinfo_region *ret, size_t max)
{
	size_t n = get_count(g, 20, max);

	/*@
	  loop invariant 0 <= i <= n && get_valid(g) && get_rest{Pre, Here}(g);
	  loop assigns i, g->len, g->bad, g->buf, ret[0 .. max - 1];
	  loop variant n - i;
	*/
	for (size_t i = 0; i < n; i++)
		get_region(g, &ret[i]);
	return n;
}

/*@
  predicate runinfo_apart(struct ghvm_get *g, struct ghvm_runinfo *info) =
    get_valid(g) && \valid(info) && \separated(info, g, g->buf + (0 .. g->len - 1));
*/

/*@
  requires get_valid(g) && \valid(vcpu) && \separated(vcpu, g, g->buf + (0 .. g->len - 1));
  assigns g->len, g->bad, g->buf, *vcpu;
  ensures get_valid(g) && get_rest{Pre, Post}(g);
*/
static void get_vcpu(struct ghvm_get *g, struct ghvm_machine_vcpu *vcpu)
{
	vcpu->cap.id = ghvm_get_u64(g);
	vcpu->virq.intid = ghvm_get_u32(g);
}

/*@
  requires runinfo_apart(g, info);
  assigns g->len, g->bad, g->buf, info->vcpus[0 .. GHVM_SPEC_CPUS_MAX - 1], info->n_vcpus;
  ensures runinfo_apart(g, info) && get_rest{Pre, Post}(g) && info->n_vcpus <= GHVM_SPEC_CPUS_MAX;
*/
static void get_vcpus(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	size_t n = get_count(g, 12, ARRAY_SIZE(info->vcpus));

	/*@
	  loop invariant 0 <= i <= n && runinfo_apart(g, info) && get_rest{Pre, Here}(g);
	  loop assigns i, g->len, g->bad, g->buf, info->vcpus[0 .. GHVM_SPEC_CPUS_MAX - 1];
	  loop variant n - i;
	*/
	for (size_t i = 0; i < n; i++)
		get_vcpu(g, &info->vcpus[i]);
	info->n_vcpus = n;
}

/*@
  requires get_valid(g) && \valid(d) && \separated(d, g, g->buf + (0 .. g->len - 1));
  assigns g->len, g->bad, g->buf, *d;
  ensures get_valid(g) && get_rest{Pre, Post}(g);
*/
static void get_doorbell(struct ghvm_get *g, struct ghvm_machine_doorbell *d)
{
	d->label = ghvm_get_u32(g);
	d->cap.id = ghvm_get_u64(g);
}

/*@
  requires runinfo_apart(g, info);
  assigns g->len, g->bad, g->buf, info->doorbells[0 .. GHVM_DOORBELL_MAX - 1], info->n_doorbells;
  ensures runinfo_apart(g, info) && get_rest{Pre, Post}(g) && info->n_doorbells <= GHVM_DOORBELL_MAX;
*/
static void get_doorbells(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	size_t n = get_count(g, 12, ARRAY_SIZE(info->doorbells));

	/*@
	  loop invariant 0 <= i <= n && runinfo_apart(g, info) && get_rest{Pre, Here}(g);
	  loop assigns i, g->len, g->bad, g->buf, info->doorbells[0 .. GHVM_DOORBELL_MAX - 1];
	  loop variant n - i;
	*/
	for (size_t i = 0; i < n; i++)
		get_doorbell(g, &info->doorbells[i]);
	info->n_doorbells = n;
}

/*@
  requires runinfo_apart(g, info) && info->n_devices == 0;
  assigns g->len, g->bad, g->buf, info->devices[0 .. 1], info->n_devices;
  ensures runinfo_apart(g, info) && get_rest{Pre, Post}(g) && info->n_devices <= 2;
*/
static void get_first_devices(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	/*@
	  loop invariant 0 <= info->n_devices <= i <= 2 && runinfo_apart(g, info) && get_rest{Pre, Here}(g);
	  loop assigns i, g->len, g->bad, g->buf, info->devices[0 .. 1], info->n_devices;
	  loop variant 2 - i;
	*/
	for (size_t i = 0; i < ARRAY_SIZE(first_devices); i++)
		if (ghvm_get_u8(g))
			info->devices[info->n_devices++] = first_devices[i];
}

/*@
  requires get_valid(g) && \valid(d) && \separated(d, g, g->buf + (0 .. g->len - 1));
  assigns g->len, g->bad, g->buf, *d;
  ensures get_valid(g) && get_rest{Pre, Post}(g);
*/
static void get_other_device(struct ghvm_get *g, struct ghvm_runinfo_device *d)
{
	ghvm_get_bytes(g, d->name, sizeof(d->name));
	d->nth = ghvm_get_u16(g);
	d->ipa = ghvm_get_u64(g);
	d->doorbell = ghvm_get_u32(g);
	if (d->name[sizeof(d->name) - 1] || d->ipa >= GHVM_IPA_REGIONS)
		g->bad = true;
}

/*@
  requires runinfo_apart(g, info) && info->n_devices <= GHVM_PLAN_DEVICES_MAX;
  assigns g->len, g->bad, g->buf, info->devices[0 .. GHVM_PLAN_DEVICES_MAX - 1], info->n_devices;
  ensures runinfo_apart(g, info) && get_rest{Pre, Post}(g) && info->n_devices <= GHVM_PLAN_DEVICES_MAX;
*/
static void get_other_devices(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	size_t n = get_count(g, 30, ARRAY_SIZE(info->devices) - info->n_devices);

	/*@
	  loop invariant 0 <= i <= n && runinfo_apart(g, info) && get_rest{Pre, Here}(g);
	  loop invariant info->n_devices == \at(info->n_devices, Pre) + i;
	  loop assigns i, g->len, g->bad, g->buf, info->devices[0 .. GHVM_PLAN_DEVICES_MAX - 1], info->n_devices;
	  loop variant n - i;
	*/
	for (size_t i = 0; i < n; i++)
		get_other_device(g, &info->devices[info->n_devices++]);
}

/* The devices from @first on are those of the list before. */
/*@
  requires runinfo_apart(g, info) && info->n_devices <= GHVM_PLAN_DEVICES_MAX;
  assigns g->len, g->bad, g->buf, info->devices[0 .. GHVM_PLAN_DEVICES_MAX - 1];
  ensures get_valid(g);
*/
static void get_served(struct ghvm_get *g, struct ghvm_runinfo *info, size_t first)
{
	/*@
	  loop invariant first <= i && runinfo_apart(g, info) && get_rest{Pre, Here}(g);
	  loop assigns i, g->len, g->bad, g->buf, info->devices[0 .. GHVM_PLAN_DEVICES_MAX - 1];
	  loop variant info->n_devices - i;
	*/
	for (size_t i = first; i < info->n_devices; i++) {
		info->devices[i].virtio_id = ghvm_get_u32(g);
		info->devices[i].queues = ghvm_get_u32(g);
	}
}

/*@
  requires runinfo_apart(g, info);
  assigns g->len, g->bad, g->buf, info->logging, info->log_size;
  ensures runinfo_apart(g, info) && get_rest{Pre, Post}(g);
*/
static void get_log(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	uint16_t log = ghvm_get_u16(g);

	info->logging = (uint8_t)ghvm_bits_get(LOG_KIND, log);
	info->log_size = ghvm_bits_get(LOG_SIZE, log) * GHVM_LOG_UNIT;
	if (!info->log_size)
		info->log_size = GHVM_LOG_SIZE;
}

/*@
  requires runinfo_apart(g, info);
  assigns g->len, g->bad, g->buf, info->vmid, info->logging, info->log_size, info->stop_timeout_ms, info->incarnation;
  ensures runinfo_apart(g, info) && get_rest{Pre, Post}(g);
*/
static void get_head(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	info->vmid.id = ghvm_get_u16(g);
	get_log(g, info);
	info->stop_timeout_ms = ghvm_get_u32(g);
	info->incarnation = ghvm_get_u64(g);
}

/*@
  requires runinfo_apart(g, info);
  assigns g->len, g->bad, g->buf, info->on_reboot, info->on_crash, info->name[0 .. GHVM_NAME_SIZE - 1];
  ensures runinfo_apart(g, info) && get_rest{Pre, Post}(g);
*/
static void get_ends_and_name(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	info->on_reboot = ghvm_get_u8(g);
	info->on_crash = ghvm_get_u8(g);
	ghvm_get_bytes(g, info->name, sizeof(info->name));
}

/*@
  requires runinfo_apart(g, info) && info->n_devices <= GHVM_PLAN_DEVICES_MAX;
  assigns g->len, g->bad, g->buf, *info;
  ensures get_valid(g);
*/
static void get_lists(struct ghvm_get *g, uint32_t version, struct ghvm_runinfo *info)
{
	const size_t n_first = info->n_devices;

	get_vcpus(g, info);
	get_doorbells(g, info);
	info->n_regions = get_regions(g, info->regions, ARRAY_SIZE(info->regions));
	if (version < RUNINFO_VERSION_DEVICES)
		return;
	get_other_devices(g, info);
	info->n_dma = get_regions(g, info->dma, ARRAY_SIZE(info->dma));
	info->on_watchdog = ghvm_get_u8(g);
	if (version >= RUNINFO_VERSION_SERVED)
		get_served(g, info, n_first);
	if (version >= RUNINFO_VERSION_CID)
		info->cid = ghvm_get_u32(g);
}

/*@
  requires runinfo_apart(g, info) && info->n_devices == 0;
  assigns g->len, g->bad, g->buf, *info;
  ensures \result == 0 || \result == -EBADMSG;
*/
static int get_runinfo(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	uint32_t version;

	if (ghvm_get_u32(g) != RUNINFO_MAGIC)
		return -EBADMSG;
	version = ghvm_get_u32(g);
	if (version < RUNINFO_VERSION || version > RUNINFO_VERSION_CID)
		return -EBADMSG;
	get_head(g, info);
	get_first_devices(g, info);
	get_ends_and_name(g, info);
	get_lists(g, version, info);
	if (info->name[GHVM_NAME_SIZE - 1] || info->on_reboot > GHVM_ON_END_RESTART ||
	    info->on_crash > GHVM_ON_END_RESTART || info->on_watchdog > GHVM_ON_END_DUMP_ONLY ||
	    info->logging > GHVM_LOGGING_NONE)
		return -EBADMSG;
	return ghvm_get_end(g);
}

int ghvm_runinfo_read(int fd, struct ghvm_runinfo *ret, struct ghvm_error *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct ghvm_runinfo info = {};
	uint8_t buf[RUNINFO_MAX + 1];
	struct ghvm_get g;
	ssize_t n;

	if (seals < 0 || (seals & RUNINFO_SEALS) != RUNINFO_SEALS)
		return ghvm_error_set(err, -EPERM, "machine description: not a sealed memfd");
	n = pread(fd, buf, sizeof(buf), 0);
	if (n < 0)
		return ghvm_error_set(err, -errno, "machine description: %s", strerror(errno));

	g = (struct ghvm_get){ .buf = buf, .len = (size_t)n };
	if (n > RUNINFO_MAX || get_runinfo(&g, &info) < 0)
		return ghvm_error_set(err, -EBADMSG,
				      "machine description: malformed, or of another version");
	*ret = info;
	return 0;
}
