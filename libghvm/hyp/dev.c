/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ghvm_host_ops as ioctls on /dev/ghvm, or on a grant file, which refuses most of them.
 *
 * Memory is mapped to be populated only, or where the kernel pins by address (Linux before 6.12) during the pin
 * ioctl, so that no process keeps a mapping of pages that are lent later.
 */
#include "libghvm/hyp/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"
#include "libghvm/hyp/mapping.h"

/* While another process writes to a file it cannot be pinned: for a second it is tried again. */
#define BUSY_USEC 10000
#define BUSY_TRIES 100

/**
 * struct dev - an open node, or a grant file
 * @flags: GHVM_INFO_*; 0 for a grant
 */
struct dev {
	struct ghvm_host host;
	int fd;
	uint32_t flags;
};

static int fd_of(struct ghvm_host *h)
{
	return ((struct dev *)h)->fd;
}

/* Return: the ioctl's value, or a negative errno. */
static int do_ioctl(int fd, unsigned long request, void *arg)
{
	int r = ioctl(fd, request, arg);

	return r < 0 ? -errno : r;
}

static int dev_info(struct ghvm_host *h, struct ghvm_info *ret)
{
	struct ghvm_info info = { .size = sizeof(info) };
	int r = do_ioctl(fd_of(h), GHVM_INFO, &info);

	if (r < 0)
		return r;
	*ret = info;
	return 0;
}

static int dev_hcall(struct ghvm_host *h, struct ghvm_hcall *c)
{
	int r;

	c->size = sizeof(*c);
	r = do_ioctl(fd_of(h), GHVM_HCALL, c);
	return r < 0 ? r : 0;
}

static int dev_irq(struct ghvm_host *h, uint32_t kind, uint32_t virq, int eventfd)
{
	struct ghvm_irq arg = {
		.size = sizeof(arg), .kind = kind, .virq = virq, .eventfd = eventfd
	};
	int r = do_ioctl(fd_of(h), GHVM_IRQ, &arg);

	return r < 0 ? r : 0;
}

/* Map and populate. A truncated file is an error here; later it would raise SIGBUS. */
static int map_populated(int memfd, uint64_t offset, uint64_t length, bool readonly,
			 struct ghvm_mapping *ret)
{
	const int advice = readonly ? MADV_POPULATE_READ : MADV_POPULATE_WRITE;
	int r = readonly ? ghvm_mapping_read(memfd, offset, length, ret)
			 : ghvm_mapping_make(memfd, offset, length, ret);

	if (r < 0)
		return r;
	return madvise(ret->at, (size_t)length, advice) < 0 ? -errno : 0;
}

static uint32_t pin_flags(bool readonly)
{
	return readonly ? GHVM_PIN_READONLY : 0;
}

static int pin_mapping(struct ghvm_host *h, int memfd, uint64_t offset, uint64_t length,
		       bool readonly)
{
	_cleanup_(ghvm_mapping_done) struct ghvm_mapping m = {};
	struct ghvm_pin arg = {
		.size = sizeof(arg), .flags = pin_flags(readonly), .length = length, .memfd = -1
	};
	int r = map_populated(memfd, offset, length, readonly, &m);

	if (r < 0)
		return r;
	arg.start = (uintptr_t)m.at;
	return do_ioctl(fd_of(h), GHVM_PIN, &arg);
}

static int populate(int memfd, uint64_t offset, uint64_t length, bool readonly)
{
	_cleanup_(ghvm_mapping_done) struct ghvm_mapping m = {};

	return map_populated(memfd, offset, length, readonly, &m);
}

/* -EBUSY is over as soon as the other process has written; one that goes on writing is an error. */
static int pin_file(struct ghvm_host *h, int memfd, uint64_t offset, uint64_t length, bool readonly)
{
	struct ghvm_pin arg = { .size = sizeof(arg),
				.flags = pin_flags(readonly),
				.start = offset,
				.length = length,
				.memfd = memfd };
	int r = do_ioctl(fd_of(h), GHVM_PIN, &arg);

	for (int i = 0; r == -EBUSY && i < BUSY_TRIES; i++) {
		(void)usleep(BUSY_USEC); /* woken early by a signal: one try sooner */
		r = do_ioctl(fd_of(h), GHVM_PIN, &arg);
	}
	return r;
}

/* Memory is populated already in most cases, so it is mapped only if the module says that it is not. */
static int dev_pin(struct ghvm_host *h, int memfd, uint64_t offset, uint64_t length, bool readonly)
{
	int r;

	if (!length)
		return -EINVAL;
	if (!(((struct dev *)h)->flags & GHVM_INFO_PIN_FILE))
		return pin_mapping(h, memfd, offset, length, readonly);
	r = pin_file(h, memfd, offset, length, readonly);
	if (r != -ENODATA)
		return r;
	r = populate(memfd, offset, length, readonly);
	return r < 0 ? r : pin_file(h, memfd, offset, length, readonly);
}

static int dev_pin_status(struct ghvm_host *h, int pin, struct ghvm_pin_status *ret)
{
	struct ghvm_pin_status arg = { .size = sizeof(arg) };
	int r = do_ioctl(pin, GHVM_PIN_STATUS, &arg);

	if (r < 0)
		return r;
	*ret = arg;
	return 0;
}

static int dev_pin_extents(struct ghvm_host *h, int pin, uint64_t first, struct ghvm_extent *ret,
			   uint32_t count)
{
	struct ghvm_pin_extents arg = {
		.size = sizeof(arg),
		.count = count,
		.first = first,
		.extents = (uintptr_t)ret,
	};
	int r;

	if (count > INT32_MAX)
		return -EINVAL;
	r = do_ioctl(pin, GHVM_PIN_EXTENTS, &arg);
	return r < 0 ? r : (int)arg.count;
}

static int dev_pin_set(struct ghvm_host *h, int pin, uint32_t state,
		       const uint8_t tag[GHVM_TAG_SIZE])
{
	struct ghvm_pin_set arg = { .size = sizeof(arg), .state = state };
	int r;

	memcpy(arg.tag, tag, sizeof(arg.tag));
	r = do_ioctl(pin, GHVM_PIN_SET, &arg);
	return r < 0 ? r : 0;
}

static int dev_pin_write(struct ghvm_host *h, int pin, uint64_t offset, const void *buf,
			 size_t length)
{
	const uint8_t *from = buf;
	ssize_t n;

	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return -EFBIG;
	while (length) {
		n = pwrite(pin, from, length, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		from += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

static void dev_pin_close(struct ghvm_host *h, int pin)
{
	(void)close(pin); /* the module knows whether it is guarded */
}

static int dev_grant(struct ghvm_host *h, uint64_t id, const struct ghvm_grant_call *calls,
		     uint32_t n_calls, const uint32_t *virqs, uint32_t n_virqs)
{
	struct ghvm_grant arg = {
		.size = sizeof(arg),
		.id = id,
		.calls = (uintptr_t)calls,
		.virqs = (uintptr_t)virqs,
		.n_calls = n_calls,
		.n_virqs = n_virqs,
	};

	return do_ioctl(fd_of(h), GHVM_GRANT, &arg);
}

static int dev_revoke(struct ghvm_host *h, uint64_t id)
{
	struct ghvm_revoke arg = { .size = sizeof(arg), .id = id };
	int r = do_ioctl(fd_of(h), GHVM_REVOKE, &arg);

	return r < 0 ? r : 0;
}

static int dev_quarantine_list(struct ghvm_host *h, uint64_t after,
			       struct ghvm_quarantine_entry *ret, uint32_t count)
{
	struct ghvm_quarantine_list arg = {
		.size = sizeof(arg),
		.count = count,
		.after = after,
		.entries = (uintptr_t)ret,
	};
	int r;

	if (count > INT32_MAX)
		return -EINVAL;
	r = do_ioctl(fd_of(h), GHVM_QUARANTINE_LIST, &arg);
	return r < 0 ? r : (int)arg.count;
}

static int dev_quarantine_adopt(struct ghvm_host *h, uint64_t id)
{
	struct ghvm_quarantine_adopt arg = { .size = sizeof(arg), .id = id };

	return do_ioctl(fd_of(h), GHVM_QUARANTINE_ADOPT, &arg);
}

static int dev_assign(struct ghvm_host *h, struct ghvm_assign *arg)
{
	struct ghvm_assign a = *arg;
	int r;

	a.size = sizeof(a);
	r = do_ioctl(fd_of(h), GHVM_ASSIGN, &a);
	return r < 0 ? r : 0;
}

static void dev_close(struct ghvm_host *h)
{
	(void)close(fd_of(h)); /* nothing can be done about it */
	free(h);
}

static const struct ghvm_host_ops dev_ops = {
	.info = dev_info,
	.hcall = dev_hcall,
	.irq = dev_irq,
	.pin = dev_pin,
	.pin_status = dev_pin_status,
	.pin_extents = dev_pin_extents,
	.pin_set = dev_pin_set,
	.pin_write = dev_pin_write,
	.pin_close = dev_pin_close,
	.grant = dev_grant,
	.revoke = dev_revoke,
	.quarantine_list = dev_quarantine_list,
	.quarantine_adopt = dev_quarantine_adopt,
	.assign = dev_assign,
	.close = dev_close,
	.charges_memlock = true,
};

int ghvm_dev_from_fd(int fd, struct ghvm_host **ret)
{
	struct dev *d = malloc(sizeof(*d));
	struct ghvm_info info = {};

	if (!d)
		return -ENOMEM;
	*d = (struct dev){ .host.ops = &dev_ops, .fd = fd };
	if (dev_info(&d->host, &info) == 0) /* what a grant file refuses */
		d->flags = info.flags;
	*ret = &d->host;
	return 0;
}

int ghvm_dev_open(const char *path, struct ghvm_host **ret, struct ghvm_error *err)
{
	_cleanup_(closep) int fd = open(path, O_RDWR | O_CLOEXEC);
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		return ghvm_error_set(err, -ENODEV,
				      "%s: no such device: the ghvm module is not loaded", path);
	if (fd < 0)
		return ghvm_error_set(err, -errno, "%s: %s", path, strerror(errno));

	r = ghvm_dev_from_fd(fd, ret);
	if (r < 0)
		return ghvm_error_set(err, r, "%s: %s", path, strerror(-r));
	(void)TAKE_FD(fd); /* owned by the host */
	return 0;
}
