/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial line of a guest: a UART, with the console at its other end.
 */
#include "daemon/runner/devices/device.h"

#include <unistd.h>

#include "daemon/runner/devices/console.h"
#include "daemon/runner/devices/uart.h"
#include "libghvm/base/cleanup.h"

struct serial {
	struct uart uart;
	struct console console;
	struct bell *bell;
};

static void on_ring(void *data)
{
	struct serial *s = data;

	bell_ring(s->bell);
}

static void on_transmit(void *data, uint8_t byte)
{
	struct serial *s = data;

	console_put(&s->console, byte);
}

static void on_room(void *data)
{
	struct serial *s = data;

	console_kick(&s->console);
}

static const struct uart_ops uart_ops = {
	.ring = on_ring,
	.transmit = on_transmit,
	.on_room = on_room,
};

static size_t find_room(void *data)
{
	struct serial *s = data;

	return s->bell->host ? uart_room(&s->uart) : 0; /* keep input during a reboot in place */
}

static size_t receive_input(void *data, const uint8_t *buf, size_t n)
{
	struct serial *s = data;

	return uart_receive(&s->uart, buf, n);
}

static const struct console_ops console_ops = {
	.room = find_room,
	.receive = receive_input,
};

static int serial_init(void *device, const struct device_setup *setup)
{
	bool journal = setup->info->logging == GHVM_LOGGING_JOURNAL;
	_cleanup_(console_log_done) struct console_log log = { .journal = -1 };
	struct serial *s = device;

	console_log_init(&log, setup->logs, setup->info->log_size, journal ? STDERR_FILENO : -1);
	s->bell = setup->bell;
	uart_init(&s->uart, &uart_ops, s);
	return console_init(&s->console, &console_ops, s, &log);
}

static void serial_done(void *device)
{
	struct serial *s = device;

	console_done(&s->console);
}

static void serial_reset(void *device)
{
	struct serial *s = device;

	uart_reset(&s->uart);
	console_kick(&s->console);
}

static uint64_t serial_read(void *device, uint64_t offset, unsigned int size)
{
	struct serial *s = device;

	return uart_read(&s->uart, offset, size);
}

static void serial_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct serial *s = device;

	uart_write(&s->uart, offset, size, value);
}

static void serial_poll(void *device, struct pollfd *ret)
{
	struct serial *s = device;

	console_poll(&s->console, ret);
}

static int serial_timeout(const void *device)
{
	const struct serial *s = device;

	return console_timeout(&s->console);
}

static void serial_process(void *device)
{
	struct serial *s = device;

	console_process(&s->console);
}

static struct console *serial_console(void *device)
{
	struct serial *s = device;

	return &s->console;
}

const struct device_kind serial_kind = {
	.name = "uart",
	.size = sizeof(struct serial),
	.init = serial_init,
	.done = serial_done,
	.reset = serial_reset,
	.read = serial_read,
	.write = serial_write,
	.n_pollfds = CONSOLE_POLLFDS,
	.poll = serial_poll,
	.timeout = serial_timeout,
	.process = serial_process,
	.console = serial_console,
};
