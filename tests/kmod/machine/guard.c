// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page rule: a guarded page never returns to Linux, whichever process dies, and can be found
 * again.
 */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEM "/proc/meminfo"
#define SELF "/proc/self/status"
#define SIZE MIB(32)

static long list(int dev, uint64_t after, struct ghvm_quarantine_entry *to, uint32_t count)
{
	struct ghvm_quarantine_list arg = { .after = after, .count = count };
	long r;

	arg.entries = (uintptr_t)to;
	r = t_call(dev, GHVM_QUARANTINE_LIST, &arg);
	return r < 0 ? r : (long)arg.count;
}

static long adopt(int dev, uint64_t id)
{
	struct ghvm_quarantine_adopt arg = { .id = id };

	return t_call(dev, GHVM_QUARANTINE_ADOPT, &arg);
}

static long unload(void)
{
	return syscall(SYS_delete_module, "ghvm", O_NONBLOCK) < 0 ? -errno : 0;
}

static void states(int dev)
{
	int pin = (int)t_pin(dev, t_map(PAGE), PAGE);
	char full[GHVM_TAG_SIZE];
	struct ghvm_pin_status s = t_status(pin);

	memset(full, 0xee, sizeof(full));
	t_ok(!s.tag[0] && !memcmp(s.tag, s.tag + 1, sizeof(s.tag) - 1), "no tag at first");
	t_eq(t_set(pin, 0, "x"), -EINVAL, "SET: state 0");
	t_eq(t_set(pin, 3, "x"), -EINVAL, "SET: state 3");
	t_ok(!t_status(pin).tag[0], "SET: a failure leaves the tag");
	t_eq(t_set(pin, GHVM_PIN_HELD, full), 0, "SET: only the tag");
	s = t_status(pin);
	t_ok(s.state == GHVM_PIN_HELD && !memcmp(s.tag, full, sizeof(full)), "SET: all of it");
	t_eq(t_set(pin, GHVM_PIN_GUARDED, "one"), 0, "SET: guarded");
	t_eq(t_set(pin, GHVM_PIN_GUARDED, "two"), 0, "SET: guarded with another tag");
	s = t_status(pin);
	t_ok(s.state == GHVM_PIN_GUARDED && !strcmp((char *)s.tag, "two"), "SET: both are there");
	for (uint32_t size = 0; size < sizeof(struct ghvm_pin_set); size++) {
		struct ghvm_pin_set arg = { .size = size };

		if (t_ioctl(pin, GHVM_PIN_SET, &arg) != -EINVAL ||
		    t_status(pin).state != GHVM_PIN_GUARDED)
			t_die("SET: size %u clears the guard", size);
	}
	t_ok(true, "SET: no smaller structure clears the guard");
	t_eq(t_set(pin, GHVM_PIN_HELD, ""), 0, "SET: held");
	close(pin);
	t_eq(list(dev, 0, NULL, 0), 0, "a held pin is closed and gone");
}

/* What the ABI says of two pins of one page: the last of them gives it back, in either order. */
static void pinned_twice(int dev)
{
	uint8_t *p = t_map(PAGE);
	uint64_t pa = t_pa(p);
	int guarded, held;

	for (int first = 0; first < 2; first++) {
		guarded = (int)t_pin(dev, p, PAGE);
		if (!first)
			t_eq(t_set(guarded, GHVM_PIN_GUARDED, "twice"), 0, "pinned twice: guarded");
		held = (int)t_pin(dev, p, PAGE);
		t_eq(t_status(held).state, GHVM_PIN_HELD, "pinned twice: the other is held");
		if (first)
			t_set(guarded, GHVM_PIN_GUARDED, "twice");
		t_eq(close(held), 0, "pinned twice: the held one is closed");
		t_eq((int64_t)t_info(dev).quarantined_pages, 0, "pinned twice: nothing moves");
		t_eq(t_status(guarded).state, GHVM_PIN_GUARDED, "pinned twice: still guarded");
		held = (int)t_pin(dev, p, PAGE);
		t_set(guarded, GHVM_PIN_HELD, "");
		close(guarded);
		t_eq(pwrite(held, "twice", 5, 0), 5, "pinned twice: the held one stays");
		t_ok(t_pa(p) == pa && !memcmp(p, "twice", 5), "pinned twice: at the same page");
		close(held);
	}
	munmap(p, PAGE);
}

static void guard_much(void *data)
{
	int dev = *(int *)data;
	void *p = t_map(SIZE);
	int pin = (int)t_pin(dev, p, SIZE);

	if (pin < 0 || t_set(pin, GHVM_PIN_GUARDED, "demo guest"))
		_exit(1);
	munmap(p, SIZE);
}

/* kB that are free, also in the lists of each CPU, which MemFree does not count */
static long mem_free(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	long kb = t_proc(MEM, "MemFree:"), npages;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &npages) == 1)
			kb += npages * (long)(PAGE / 1024);
	if (f)
		fclose(f);
	return kb;
}

static void mem_returns(long wanted)
{
	long free = 0;

	for (int i = 0; i < 500 && free < wanted; i++) {
		t_ms(20);
		free = mem_free();
	}
	t_ok(free >= wanted, "memory is back (%ld kB free, %ld wanted)", free, wanted);
}

static void killed(int dev)
{
	struct ghvm_quarantine_entry e[2] = {};
	long before = mem_free(), during, after, pinned = t_proc(SELF, "VmPin:");
	pid_t pid = t_child(guard_much, &dev);
	int pin;

	during = mem_free();
	t_eq(list(dev, 0, e, 2), 0, "while it lives nothing is quarantined");
	t_reap(pid, true);
	for (int i = 0; i < 100 && !t_info(dev).quarantined_pages; i++)
		t_ms(10);
	after = mem_free();
	t_eq((int64_t)t_info(dev).quarantined_pages, SIZE / PAGE,
	     "killed: its pages are quarantined");
	t_ok(after - during < (long)(SIZE / 2048), "killed: they are not free (%ld, %ld)", during,
	     after);
	t_eq(list(dev, 0, e, 2), 1, "killed: they are listed");
	t_ok(!strcmp((char *)e[0].tag, "demo guest"), "killed: with their tag");
	t_ok(e[0].length == SIZE && e[0].n_extents && !e[0].assigned, "killed: and size");
	t_eq(list(dev, e[0].id, e + 1, 1), 0, "list: none after it");
	t_eq(list(dev, UINT64_MAX, e + 1, 1), 0, "list: none after the last id");
	t_eq(list(dev, 0, (void *)8, 1), -EFAULT, "list: to nowhere");
	t_eq(adopt(dev, e[0].id + 1), -ENOENT, "adopt: another id");

	pin = (int)adopt(dev, e[0].id);
	t_ok(pin >= 0, "adopt");
	t_eq(t_proc(SELF, "VmPin:"), pinned + (long)(SIZE / 1024), "adopted: VmPin shows it");
	t_eq(adopt(dev, e[0].id), -ENOENT, "adopt: only once");
	t_eq(list(dev, 0, e + 1, 1), 0, "adopted: not listed any more");
	t_eq((int64_t)t_info(dev).quarantined_pages, 0, "adopted: not counted any more");
	t_eq(t_status(pin).state, GHVM_PIN_GUARDED, "adopted: guarded");
	t_eq((int64_t)t_status(pin).id, (int64_t)e[0].id, "adopted: the same id");
	t_eq(pwrite(pin, "x", 1, 0) < 0 ? -errno : 0, -EBUSY, "adopted: not to be written");
	t_ok(!strcmp((char *)t_status(pin).tag, "demo guest"), "adopted: tagged");

	close(pin);
	t_eq(list(dev, 0, e + 1, 1), 1, "closed: back in the quarantine");
	t_eq((int64_t)e[1].id, (int64_t)e[0].id, "closed: under its id");
	pin = (int)adopt(dev, e[1].id);
	t_eq(t_set(pin, GHVM_PIN_HELD, ""), 0, "unguarded");
	t_eq(pwrite(pin, "x", 1, 0), 1, "unguarded: it can be written");
	close(pin);
	t_eq(list(dev, 0, e, 1), 0, "unguarded and closed: gone");
	t_eq(t_proc(SELF, "VmPin:"), pinned, "unguarded and closed: VmPin as before");
	mem_returns(before - 4096);
}

static void order(int dev)
{
	struct ghvm_quarantine_entry e[4] = {};
	uint64_t ids[3];
	int pins[3];

	for (int i = 0; i < 3; i++) {
		pins[i] = (int)t_pin(dev, t_map(PAGE), PAGE);
		ids[i] = t_status(pins[i]).id;
		if (t_set(pins[i], GHVM_PIN_GUARDED, i == 0 ? "a" : i == 1 ? "b" : "c"))
			t_die("guard");
	}
	close(pins[1]);
	close(pins[2]);
	close(pins[0]);
	t_eq(list(dev, 0, e, 4), 3, "three are listed");
	t_ok(e[0].id == ids[0] && e[1].id == ids[1] && e[2].id == ids[2], "in rising order");
	t_eq(list(dev, 0, e, 2), 2, "two, where there is room for two");
	t_eq(list(dev, ids[0], e, 1), 1, "one after the first");
	t_eq((int64_t)e[0].id, (int64_t)ids[1], "the second");
	t_eq((int64_t)t_info(dev).quarantined_pages, 3, "three pages");
	for (int i = 0; i < 3; i++) {
		pins[i] = (int)adopt(dev, ids[i]);
		t_eq(t_set(pins[i], GHVM_PIN_HELD, ""), 0, "adopted and unguarded: %d", i);
		close(pins[i]);
	}
}

/* Nothing but the quarantine is left to hold the module. */
static void module_stays(int *dev)
{
	struct ghvm_quarantine_entry e;
	int pin = (int)t_pin(*dev, t_map(PAGE), PAGE);
	pid_t pid;

	t_set(pin, GHVM_PIN_GUARDED, "kept");
	close(pin);
	close(*dev);
	t_eq(unload(), -EAGAIN, "the module is not unloaded while it guards");
	*dev = t_open();
	pid = t_child(guard_much, dev);
	t_reap(pid, true);
	while (list(*dev, 0, &e, 1) == 1) {
		pin = (int)adopt(*dev, e.id);
		t_set(pin, GHVM_PIN_HELD, "");
		close(pin);
	}
	t_eq((int64_t)t_info(*dev).quarantined_pages, 0, "all is given back");
}

static void no_hibernation(int dev)
{
	int pin = (int)t_pin(dev, t_map(PAGE), PAGE);
	int fd = open("/sys/power/state", O_WRONLY);

	t_set(pin, GHVM_PIN_GUARDED, "awake");
	t_ok(fd >= 0 && write(fd, "disk", 4) < 0 && errno == EBUSY, "no hibernation while guarded");
	t_eq(t_set(pin, GHVM_PIN_HELD, ""), 0, "unguarded after it");
	t_eq(t_set(pin, GHVM_PIN_GUARDED, ""), 0, "guarded after it");
	t_set(pin, GHVM_PIN_HELD, "");
	close(pin);
	close(fd);
}

void test_guard(void)
{
	int dev = t_open();

	states(dev);
	pinned_twice(dev);
	killed(dev);
	order(dev);
	no_hibernation(dev);
	module_stays(&dev);
	close(dev);
}
