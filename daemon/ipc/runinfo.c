/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The description of a VM for its runner, in a sealed memfd.
 *
 * u32 magic, u32 version, u16 vmid, u16 log, u32 stop_timeout_ms, u64 incarnation, u8 console, u8
 * power_key, u8 on_reboot, u8 on_crash, name[28],
 * u16 n, n * { u64 cap, u32 virq }, u16 n, n * { u32 label, u64 cap },
 * u16 n, n * { u32 label, u64 ipa, u64 size }
 *
 * log is 0 if written by an older manager; older runners ignore it.
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
#define RUNINFO_MAX 4096
#define LOG_KIND GHVM_BITS(15, 14) /* enum ghvm_logging */
#define LOG_SIZE GHVM_BITS(13, 0)  /* in GHVM_LOG_UNIT */

#define RUNINFO_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

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
	ghvm_put_u16(w, (uint16_t)info->n_windows);
	for (size_t i = 0; i < info->n_windows; i++) {
		ghvm_put_u32(w, info->windows[i].label);
		ghvm_put_u64(w, info->windows[i].ipa);
		ghvm_put_u64(w, info->windows[i].size);
	}
}

static void put_runinfo(struct ghvm_put *w, const struct ghvm_runinfo *info)
{
	size_t len = strnlen(info->name, GHVM_NAME_SIZE - 1);

	ghvm_put_u32(w, RUNINFO_MAGIC);
	ghvm_put_u32(w, RUNINFO_VERSION);
	ghvm_put_u16(w, info->vmid.id);
	ghvm_put_u16(w, (uint16_t)(ghvm_bits_put(LOG_SIZE, info->log_size / GHVM_LOG_UNIT) |
				   ghvm_bits_put(LOG_KIND, info->logging)));
	ghvm_put_u32(w, info->stop_timeout_ms);
	ghvm_put_u64(w, info->incarnation);
	ghvm_put_u8(w, info->console);
	ghvm_put_u8(w, info->power_key);
	ghvm_put_u8(w, info->on_reboot);
	ghvm_put_u8(w, info->on_crash);
	ghvm_put_bytes(w, info->name, len);
	ghvm_put_zero(w, GHVM_NAME_SIZE - len);
	put_lists(w, info);
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
	    info->n_windows > ARRAY_SIZE(info->windows))
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
static size_t get_count(struct ghvm_get *g, size_t size, size_t max)
{
	size_t n = ghvm_get_u16(g);

	if (n > max || n > g->len / size)
		g->bad = true;
	return g->bad ? 0 : n;
}

static void get_lists(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	info->n_vcpus = get_count(g, 12, ARRAY_SIZE(info->vcpus));
	for (size_t i = 0; i < info->n_vcpus; i++) {
		info->vcpus[i].cap.id = ghvm_get_u64(g);
		info->vcpus[i].virq.intid = ghvm_get_u32(g);
	}
	info->n_doorbells = get_count(g, 12, ARRAY_SIZE(info->doorbells));
	for (size_t i = 0; i < info->n_doorbells; i++) {
		info->doorbells[i].label = ghvm_get_u32(g);
		info->doorbells[i].cap.id = ghvm_get_u64(g);
	}
	info->n_windows = get_count(g, 20, ARRAY_SIZE(info->windows));
	for (size_t i = 0; i < info->n_windows; i++) {
		info->windows[i].label = ghvm_get_u32(g);
		info->windows[i].ipa = ghvm_get_u64(g);
		info->windows[i].size = ghvm_get_u64(g);
	}
}

static void get_log(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	uint16_t log = ghvm_get_u16(g);

	info->logging = (uint8_t)ghvm_bits_get(LOG_KIND, log);
	info->log_size = ghvm_bits_get(LOG_SIZE, log) * GHVM_LOG_UNIT;
	if (!info->log_size)
		info->log_size = GHVM_LOG_SIZE;
}

static int get_runinfo(struct ghvm_get *g, struct ghvm_runinfo *info)
{
	if (ghvm_get_u32(g) != RUNINFO_MAGIC || ghvm_get_u32(g) != RUNINFO_VERSION)
		return -EBADMSG;
	info->vmid.id = ghvm_get_u16(g);
	get_log(g, info);
	info->stop_timeout_ms = ghvm_get_u32(g);
	info->incarnation = ghvm_get_u64(g);
	info->console = ghvm_get_u8(g);
	info->power_key = ghvm_get_u8(g);
	info->on_reboot = ghvm_get_u8(g);
	info->on_crash = ghvm_get_u8(g);
	ghvm_get_bytes(g, info->name, sizeof(info->name));
	get_lists(g, info);
	if (info->name[GHVM_NAME_SIZE - 1] || info->on_reboot > GHVM_ON_END_RESTART ||
	    info->on_crash > GHVM_ON_END_RESTART || info->logging > GHVM_LOGGING_NONE)
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
