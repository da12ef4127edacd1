/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The power key of a guest: a line of a GPIO block.
 */
#include "daemon/runner/devices/device.h"

#include "daemon/runner/devices/pl061.h"
#include "libghvm/plan/devices.h"

struct power_key {
	struct pl061 gpio;
	struct bell *bell;
};

static void on_ring(void *data)
{
	struct power_key *key = data;

	bell_ring(key->bell);
}

static int power_key_init(void *device, const struct device_setup *setup)
{
	struct power_key *key = device;

	key->bell = setup->bell;
	pl061_init(&key->gpio, on_ring, key);
	return 0;
}

static void power_key_done(void *device)
{
	struct power_key *key = device;

	pl061_done(&key->gpio);
}

static void power_key_reset(void *device)
{
	struct power_key *key = device;

	pl061_reset(&key->gpio);
}

static uint64_t power_key_read(void *device, uint64_t offset, unsigned int size)
{
	struct power_key *key = device;

	return pl061_read(&key->gpio, offset, size);
}

static void power_key_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power_key *key = device;

	pl061_write(&key->gpio, offset, size, value);
}

static void power_key_press(void *device, bool down)
{
	struct power_key *key = device;

	pl061_set(&key->gpio, GHVM_POWER_KEY_LINE, down);
}

const struct device_kind power_key_kind = {
	.name = "power-key",
	.size = sizeof(struct power_key),
	.init = power_key_init,
	.done = power_key_done,
	.reset = power_key_reset,
	.read = power_key_read,
	.write = power_key_write,
	.press = power_key_press,
};
