/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A watchdog: an SP805 (ARM DDI 0270), emulated by register exits. It is off until the guest starts it.
 *
 * It counts down from what the guest has set. At zero it raises its interrupt and counts again; at zero
 * once more, with the interrupt not cleared, the guest hangs, which the runner is told. Only time in which
 * this process could run counts: after a pause of the unit, or of the host, the count begins anew.
 */
#include "daemon/runner/devices/device.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "ghvm/guest-map.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#define SECOND_NS 1000000000ULL
#define LATE_NS SECOND_NS	   /* the timer came so much later: this process did not run */
#define LEAST_NS (SECOND_NS / 100) /* from the start of a count to zero: spares the main thread */
#define UNLOCK 0x1acce551

enum watchdog_register {
	REG_LOAD = 0x000,
	REG_VALUE = 0x004,
	REG_CONTROL = 0x008,
	REG_CLEAR = 0x00c,
	REG_RAW_STATUS = 0x010,
	REG_STATUS = 0x014,
	REG_LOCK = 0xc00,
	REG_ID = 0xfe0, /* eight words: peripheral and PrimeCell identification */
	REG_END = 0x1000,
};

enum watchdog_control {
	CONTROL_INTEN = 1, /* it counts, and has its interrupt */
	CONTROL_RESEN = 2, /* it may end the guest */
};

/**
 * struct watchdog - see above
 * @timer: owned; expires at @zero; -1 before init
 * @zero: when the count is zero, CLOCK_MONOTONIC in ns; valid while it counts
 * @load: what it counts down from
 * @control: enum watchdog_control; @locked: registers cannot be written
 * @due: the count was zero, and the interrupt was not cleared since
 * @bites: the count was zero once more, and watchdog_bites() has not said so yet
 *
 * Thread: any; @lock guards everything below it.
 */
struct watchdog {
	struct bell *bell;
	int timer;
	pthread_mutex_t lock;
	uint64_t zero;
	uint32_t load;
	uint32_t control;
	bool locked;
	bool due;
	bool bites;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* At most 2^32 ticks, which fit. */
static uint64_t ticks_to_ns(uint64_t ticks)
{
	return ticks * (SECOND_NS / 1000) / (GHVM_APB_CLOCK / 1000);
}

static uint64_t ns_to_ticks(uint64_t ns)
{
	return ns * (GHVM_APB_CLOCK / 1000) / (SECOND_NS / 1000);
}

static bool counts(const struct watchdog *w)
{
	return w->control & CONTROL_INTEN;
}

/* @at: 0: never. What has expired before is forgotten. */
static void set_timer(struct watchdog *w, uint64_t at)
{
	const struct itimerspec spec = {
		.it_value = { .tv_sec = (time_t)(at / SECOND_NS),
			      .tv_nsec = (long)(at % SECOND_NS) },
	};

	(void)timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &spec, NULL); /* both are valid */
}

/* Count from @load again. */
static void restart(struct watchdog *w)
{
	const uint64_t ns = ticks_to_ns(w->load + 1ULL);

	if (!counts(w))
		return;
	w->zero = now_ns() + (ns > LEAST_NS ? ns : LEAST_NS);
	set_timer(w, w->zero);
}

static uint32_t read_value(const struct watchdog *w)
{
	const uint64_t now = now_ns();
	uint64_t left;

	if (!counts(w))
		return w->load;
	left = w->zero > now ? ns_to_ticks(w->zero - now) : 0;
	return left < w->load ? (uint32_t)left : w->load;
}

static uint32_t identification(uint64_t offset)
{
	static const uint8_t id[] = { 0x05, 0x18, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

	return id[(offset - REG_ID) / 4];
}

static uint32_t read_register(const struct watchdog *w, uint64_t offset)
{
	if (offset >= REG_ID)
		return identification(offset);
	switch (offset) {
	case REG_LOAD:
		return w->load;
	case REG_VALUE:
		return read_value(w);
	case REG_CONTROL:
		return w->control;
	case REG_RAW_STATUS:
		return w->due;
	case REG_STATUS:
		return w->due && counts(w);
	case REG_LOCK:
		return w->locked;
	}
	return 0;
}

static void write_control(struct watchdog *w, uint32_t value)
{
	const bool before = counts(w);

	w->control = value & (CONTROL_INTEN | CONTROL_RESEN);
	if (!counts(w))
		set_timer(w, 0);
	else if (!before)
		restart(w);
}

static void write_register(struct watchdog *w, uint64_t offset, uint32_t value)
{
	if (offset == REG_LOCK)
		w->locked = value != UNLOCK;
	if (w->locked)
		return;
	switch (offset) {
	case REG_LOAD:
		w->load = value;
		restart(w);
		break;
	case REG_CONTROL:
		write_control(w, value);
		break;
	case REG_CLEAR:
		w->due = false;
		restart(w);
		break;
	}
}

static int watchdog_init(void *device, const struct device_setup *setup)
{
	struct watchdog *w = device;

	w->bell = setup->bell;
	w->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	return w->timer < 0 ? -errno : 0;
}

static void watchdog_done(void *device)
{
	struct watchdog *w = device;

	closep(&w->timer);
	(void)pthread_mutex_destroy(&w->lock); /* not held: the threads are joined */
}

static void watchdog_reset(void *device)
{
	struct watchdog *w = device;

	pthread_mutex_lock(&w->lock);
	w->load = UINT32_MAX;
	w->control = 0;
	w->locked = w->due = w->bites = false;
	set_timer(w, 0);
	pthread_mutex_unlock(&w->lock);
}

static bool is_register(uint64_t offset)
{
	return offset < REG_END && ghvm_aligned(offset, 4);
}

static uint64_t watchdog_read(void *device, uint64_t offset, unsigned int size)
{
	struct watchdog *w = device;
	uint32_t value;

	if (!is_register(offset))
		return 0;
	pthread_mutex_lock(&w->lock);
	value = read_register(w, offset);
	pthread_mutex_unlock(&w->lock);
	return value;
}

static void watchdog_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct watchdog *w = device;

	if (!is_register(offset))
		return;
	pthread_mutex_lock(&w->lock);
	write_register(w, offset, (uint32_t)value);
	pthread_mutex_unlock(&w->lock);
}

static void watchdog_poll(void *device, struct pollfd *ret)
{
	struct watchdog *w = device;

	*ret = (struct pollfd){ .fd = w->timer, .events = POLLIN };
}

/* The timer has expired. After a bite it stays off until the guest clears the interrupt. */
static void reach_zero(struct watchdog *w)
{
	if (now_ns() - w->zero > LATE_NS) {
		restart(w);
		return;
	}
	w->bites = w->due && w->control & CONTROL_RESEN;
	w->due = true;
	if (!w->bites)
		restart(w);
}

static void watchdog_process(void *device)
{
	struct watchdog *w = device;
	bool before, ring;
	uint64_t times;

	pthread_mutex_lock(&w->lock);
	before = w->due;
	if (read(w->timer, &times, sizeof(times)) > 0) /* else it was set again since */
		reach_zero(w);
	ring = w->due && !before;
	pthread_mutex_unlock(&w->lock);
	if (ring)
		bell_ring(w->bell);
}

static bool watchdog_bites(void *device)
{
	struct watchdog *w = device;
	bool bites;

	pthread_mutex_lock(&w->lock);
	bites = w->bites;
	w->bites = false;
	pthread_mutex_unlock(&w->lock);
	return bites;
}

const struct device_kind watchdog_kind = {
	.name = "watchdog",
	.size = sizeof(struct watchdog),
	.init = watchdog_init,
	.done = watchdog_done,
	.reset = watchdog_reset,
	.read = watchdog_read,
	.write = watchdog_write,
	.n_pollfds = 1,
	.poll = watchdog_poll,
	.process = watchdog_process,
	.bites = watchdog_bites,
};
