/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connects the devices, which are independent of each other.
 */
#include "daemon/runner/devices/board.h"

#include <errno.h>
#include <unistd.h>

#include "libghvm/base/cleanup.h"
#include "ghvm/plan.h"
#include "ghvm/vcpu.h"

static void ring(struct devices *d, struct ghvm_capid bell)
{
	if (d->host && bell.id != GHVM_CAPID_NONE)
		(void)ghvm_doorbell_ring(d->host, bell); /* fails only when the VM has ended */
}

static void on_uart_ring(void *data)
{
	struct devices *d = data;

	ring(d, d->uart_bell);
}

static void on_uart_transmit(void *data, uint8_t byte)
{
	struct devices *d = data;

	console_put(&d->console, byte);
}

static void on_uart_room(void *data)
{
	struct devices *d = data;

	console_kick(&d->console);
}

static const struct uart_ops uart_ops = {
	.ring = on_uart_ring,
	.transmit = on_uart_transmit,
	.on_room = on_uart_room,
};

static size_t on_console_room(void *data)
{
	struct devices *d = data;

	return d->host ? uart_room(&d->uart) : 0; /* keep input during a reboot in place */
}

static size_t on_console_receive(void *data, const uint8_t *buf, size_t n)
{
	struct devices *d = data;

	return uart_receive(&d->uart, buf, n);
}

static const struct console_ops console_ops = {
	.room = on_console_room,
	.receive = on_console_receive,
};

static void on_key_ring(void *data)
{
	struct devices *d = data;

	ring(d, d->key_bell);
}

static int add_uart(struct devices *d, struct console_log *log)
{
	const struct mmio_device device = {
		.first = GHVM_IPA_UART,
		.last = GHVM_IPA_UART + GHVM_IPA_MMIO_PAGE - 1,
		.read = uart_read,
		.write = uart_write,
		.data = &d->uart,
	};
	int r;

	uart_init(&d->uart, &uart_ops, d);
	d->has_console = true;
	r = console_init(&d->console, &console_ops, d, log);
	return r < 0 ? r : mmio_add(&d->mmio, &device);
}

static int add_power_key(struct devices *d)
{
	const struct mmio_device device = {
		.first = GHVM_IPA_PL061,
		.last = GHVM_IPA_PL061 + GHVM_IPA_MMIO_PAGE - 1,
		.read = pl061_read,
		.write = pl061_write,
		.data = &d->pl061,
	};

	pl061_init(&d->pl061, on_key_ring, d);
	d->has_power_key = true;
	return mmio_add(&d->mmio, &device);
}

int devices_init(struct devices *d, const struct ghvm_runinfo *info, int logs[GHVM_SPEC_LOGS_MAX])
{
	bool journal = info->logging == GHVM_LOGGING_JOURNAL;
	_cleanup_(console_log_done) struct console_log log = { .journal = -1 };
	int r = 0;

	console_log_init(&log, logs, info->log_size, journal ? STDERR_FILENO : -1);

	*d = (struct devices){ .uart_bell = { GHVM_CAPID_NONE }, .key_bell = { GHVM_CAPID_NONE } };
	if (info->console)
		r = add_uart(d, &log);
	if (r == 0 && info->power_key)
		r = add_power_key(d);
	if (r < 0)
		devices_done(d);
	return r;
}

void devices_done(struct devices *d)
{
	if (d->has_console) {
		console_done(&d->console);
		uart_done(&d->uart);
	}
	if (d->has_power_key)
		pl061_done(&d->pl061);
	d->has_console = d->has_power_key = false;
}

static struct ghvm_capid find_bell(const struct ghvm_runinfo *info, uint32_t label)
{
	for (size_t i = 0; i < info->n_doorbells; i++)
		if (info->doorbells[i].label == label)
			return info->doorbells[i].cap;
	return (struct ghvm_capid){ GHVM_CAPID_NONE };
}

void devices_connect(struct devices *d, struct ghvm_host *host, const struct ghvm_runinfo *info)
{
	d->host = host;
	d->uart_bell = find_bell(info, GHVM_DOORBELL_UART);
	d->key_bell = find_bell(info, GHVM_DOORBELL_PL061);
	if (d->has_console) {
		uart_reset(&d->uart);
		console_kick(&d->console);
	}
	if (d->has_power_key)
		pl061_reset(&d->pl061);
}
