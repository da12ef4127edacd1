/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's clock: a PL031 (ARM DDI 0224), emulated by register exits.
 *
 * It counts seconds, and shows the host's clock after each power-on, a reboot in place included: what a
 * guest sets lasts as long as the guest, since its host knows the time better. The alarm is a timer on
 * the host's clock, so it is right after that was set.
 */
#include "daemon/runner/devices/device.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

enum rtc_register {
	REG_DATA = 0x000,
	REG_MATCH = 0x004,
	REG_LOAD = 0x008,
	REG_CONTROL = 0x00c,
	REG_MASK = 0x010, /* 1: the interrupt is enabled */
	REG_RAW_STATUS = 0x014,
	REG_STATUS = 0x018,
	REG_CLEAR = 0x01c,
	REG_ID = 0xfe0, /* eight words: peripheral and PrimeCell identification */
	REG_END = 0x1000,
};

/**
 * struct rtc - a clock
 * @timer: owned; expires when the alarm is due; -1 before init
 * @ahead: seconds that the guest's clock is ahead of the host's, modulo 2^32
 * @match: time of the alarm; @load: what was last set
 * @enabled: the interrupt; @due: the alarm came, and was not cleared
 *
 * Thread: any; @lock guards everything below it.
 */
struct rtc {
	struct bell *bell;
	int timer;
	pthread_mutex_t lock;
	uint32_t ahead;
	uint32_t match;
	uint32_t load;
	bool enabled;
	bool due;
};

static time_t host_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
	return now.tv_sec;
}

static uint32_t guest_now(const struct rtc *rtc)
{
	return (uint32_t)host_now() + rtc->ahead;
}

static bool is_pending(const struct rtc *rtc)
{
	return rtc->due && rtc->enabled;
}

/* @at: of the host's clock; 0: never. What has expired before is forgotten. */
static void set_timer(struct rtc *rtc, time_t at)
{
	const struct itimerspec spec = { .it_value.tv_sec = at };

	(void)timerfd_settime(rtc->timer, TFD_TIMER_ABSTIME, &spec, NULL); /* both are valid */
}

/* The clock goes round after 136 years, and an alarm in the past is one after that. */
static void set_alarm(struct rtc *rtc)
{
	const uint32_t left = rtc->match - guest_now(rtc);

	rtc->due |= !left;
	set_timer(rtc, left ? host_now() + left : 0);
}

static uint32_t identification(uint64_t offset)
{
	static const uint8_t id[] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

	return id[(offset - REG_ID) / 4];
}

static uint32_t read_register(const struct rtc *rtc, uint64_t offset)
{
	if (offset >= REG_ID)
		return identification(offset);
	switch (offset) {
	case REG_DATA:
		return guest_now(rtc);
	case REG_MATCH:
		return rtc->match;
	case REG_LOAD:
		return rtc->load;
	case REG_CONTROL:
		return 1; /* it runs */
	case REG_MASK:
		return rtc->enabled;
	case REG_RAW_STATUS:
		return rtc->due;
	case REG_STATUS:
		return is_pending(rtc);
	}
	return 0;
}

static void write_register(struct rtc *rtc, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case REG_MATCH:
		rtc->match = value;
		set_alarm(rtc);
		break;
	case REG_LOAD:
		rtc->load = value;
		rtc->ahead = value - (uint32_t)host_now();
		set_alarm(rtc);
		break;
	case REG_MASK:
		rtc->enabled = value & 1;
		break;
	case REG_CLEAR:
		rtc->due = rtc->due && !(value & 1);
		break;
	}
}

static int rtc_init(void *device, const struct device_setup *setup)
{
	struct rtc *rtc = device;

	rtc->bell = setup->bell;
	rtc->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	rtc->timer = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	return rtc->timer < 0 ? -errno : 0;
}

static void rtc_done(void *device)
{
	struct rtc *rtc = device;

	closep(&rtc->timer);
	(void)pthread_mutex_destroy(&rtc->lock); /* not held: the threads are joined */
}

static void rtc_reset(void *device)
{
	struct rtc *rtc = device;

	pthread_mutex_lock(&rtc->lock);
	rtc->ahead = rtc->match = rtc->load = 0;
	rtc->enabled = rtc->due = false;
	set_timer(rtc, 0);
	pthread_mutex_unlock(&rtc->lock);
}

static bool is_register(uint64_t offset)
{
	return offset < REG_END && ghvm_aligned(offset, 4);
}

static uint64_t rtc_read(void *device, uint64_t offset, unsigned int size)
{
	struct rtc *rtc = device;
	uint32_t value;

	if (!is_register(offset))
		return 0;
	pthread_mutex_lock(&rtc->lock);
	value = read_register(rtc, offset);
	pthread_mutex_unlock(&rtc->lock);
	return value;
}

static void rtc_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct rtc *rtc = device;
	bool before, ring;

	if (!is_register(offset))
		return;
	pthread_mutex_lock(&rtc->lock);
	before = is_pending(rtc);
	write_register(rtc, offset, (uint32_t)value);
	ring = is_pending(rtc) && !before;
	pthread_mutex_unlock(&rtc->lock);
	if (ring)
		bell_ring(rtc->bell);
}

static void rtc_poll(void *device, struct pollfd *ret)
{
	struct rtc *rtc = device;

	*ret = (struct pollfd){ .fd = rtc->timer, .events = POLLIN };
}

static void rtc_process(void *device)
{
	struct rtc *rtc = device;
	uint64_t times;
	bool before, ring;

	pthread_mutex_lock(&rtc->lock);
	before = is_pending(rtc);
	if (read(rtc->timer, &times, sizeof(times)) > 0) /* else it was set again since */
		rtc->due = true;
	ring = is_pending(rtc) && !before;
	pthread_mutex_unlock(&rtc->lock);
	if (ring)
		bell_ring(rtc->bell);
}

const struct device_kind rtc_kind = {
	.name = "rtc",
	.size = sizeof(struct rtc),
	.init = rtc_init,
	.done = rtc_done,
	.reset = rtc_reset,
	.read = rtc_read,
	.write = rtc_write,
	.n_pollfds = 1,
	.poll = rtc_poll,
	.process = rtc_process,
};
