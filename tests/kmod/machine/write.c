// SPDX-License-Identifier: GPL-2.0-or-later
/* Writing into pinned pages, and that a guard does not wait. */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not by the C library's wrapper: the compiler knows that address 8 is no buffer. */
static long put(int pin, const void *buf, size_t n, off_t at)
{
	long r = syscall(SYS_pwrite64, pin, buf, n, at);

	return r < 0 ? -errno : r;
}

static void contents(int pin, uint8_t *p, size_t length)
{
	static uint8_t pattern[3 * PAGE];
	uint8_t *edge = t_map(2 * PAGE);

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / PAGE);
	t_eq(put(pin, pattern, sizeof(pattern), 100), sizeof(pattern), "write across pages");
	t_ok(!memcmp(p + 100, pattern, sizeof(pattern)) && p[99] == 0x5a &&
		     p[100 + sizeof(pattern)] == 0x5a,
	     "write: there, and only there");
	t_eq(put(pin, pattern, PAGE, (off_t)length - 10), 10, "write: up to the end");
	t_ok(!memcmp(p + length - 10, pattern, 10), "write: the last bytes");
	t_eq(put(pin, pattern, 1, (off_t)length), -ENOSPC, "write: past the end");
	t_eq(put(pin, pattern, 1, -1), -EINVAL, "write: in front of the start");
	t_eq(put(pin, pattern, 0, 0), 0, "write: nothing");
	t_eq(put(pin, (void *)8, PAGE, 0), -EFAULT, "write: from nowhere");
	munmap(edge + PAGE, PAGE);
	t_eq(put(pin, edge, 2 * PAGE, 0), PAGE, "write: as far as there is something");
	munmap(edge, PAGE);
	t_eq(write(pin, "ab", 2) + write(pin, "cd", 2), 4, "write: with a position");
	t_ok(!memcmp(p, "abcd", 4), "write: one after the other");
	t_ok(read(pin, pattern, 1) < 0, "a pin is not to be read");
}

static void guarded(int pin)
{
	t_eq(t_set(pin, GHVM_PIN_GUARDED, "tag"), 0, "guard");
	t_eq(put(pin, "x", 1, 0), -EBUSY, "write: guarded");
	t_eq(t_set(pin, GHVM_PIN_HELD, "tag"), 0, "unguard");
	t_eq(put(pin, "x", 1, 0), 1, "write: held again");
}

struct stuck {
	int pin;
	uint8_t *from;
	long result;
};

static void *write_stuck(void *data)
{
	struct stuck *s = data;

	s->result = put(s->pin, s->from, PAGE, 0);
	return NULL;
}

/* A write from a source that never becomes readable. */
static void guard_while_writing(int pin)
{
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct stuck s = { .pin = pin };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = {};
	struct uffd_msg msg;
	pthread_t thread;

	s.from = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range = (struct uffdio_range){ (uintptr_t)s.from, PAGE };
	zero.range = reg.range;
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0 || ioctl(uffd, UFFDIO_REGISTER, &reg) < 0)
		t_die("userfaultfd");
	if (pthread_create(&thread, NULL, write_stuck, &s))
		t_die("a thread");
	if (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
		t_die("no fault");
	t_eq(t_set(pin, GHVM_PIN_GUARDED, "tag"), -EBUSY, "guard: while a write runs");
	t_eq(t_status(pin).state, GHVM_PIN_HELD, "guard: still held");
	t_eq(t_set(pin, GHVM_PIN_HELD, "new tag"), 0, "a tag can be set meanwhile");
	ioctl(uffd, UFFDIO_ZEROPAGE, &zero);
	pthread_join(thread, NULL);
	t_eq(s.result, PAGE, "the write ends well");
	t_eq(t_set(pin, GHVM_PIN_GUARDED, "tag"), 0, "guard: after it");
	t_eq(t_set(pin, GHVM_PIN_HELD, "tag"), 0, "unguard");
	munmap(s.from, PAGE);
	close(uffd);
}

void test_write(void)
{
	int dev = t_open();
	uint8_t *p = t_map(16 * PAGE);
	int pin = (int)t_pin(dev, p, 16 * PAGE);

	if (pin < 0)
		t_die("PIN");
	contents(pin, p, 16 * PAGE);
	guarded(pin);
	guard_while_writing(pin);
	close(pin);
	munmap(p, 16 * PAGE);
	close(dev);
}
