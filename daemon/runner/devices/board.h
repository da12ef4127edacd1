/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of a VM and their connections: registers to addresses, interrupts to doorbells, the UART to
 * the console.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/runner/devices/console.h"
#include "daemon/runner/devices/mmio.h"
#include "daemon/runner/devices/pl061.h"
#include "daemon/runner/devices/uart.h"
#include "ghvm/host.h"
#include "daemon/ipc/runinfo.h"

/**
 * struct devices - all devices
 * @host: for ringing doorbells, borrowed; NULL: there is no VM at the moment
 * @uart_bell, @key_bell: GHVM_CAPID_NONE: none, interrupts are dropped
 *
 * Thread: main while no vCPU runs, then any. Not movable.
 */
struct devices {
	struct ghvm_host *host;
	struct ghvm_capid uart_bell;
	struct ghvm_capid key_bell;
	struct mmio_table mmio;
	struct uart uart;
	struct pl061 pl061;
	struct console console;
	bool has_console;
	bool has_power_key;
};

/**
 * devices_init() - create the devices described by @info
 * @d: on success the caller calls devices_done()
 * @logs: taken over, also on failure; -1 after the last
 *
 * Return: 0 or a negative errno.
 */
int devices_init(struct devices *d, const struct ghvm_runinfo *info, int logs[GHVM_SPEC_LOGS_MAX]);
void devices_done(struct devices *d);

/* Reset the devices and connect them to the doorbells of a new or rebuilt VM. */
void devices_connect(struct devices *d, struct ghvm_host *host, const struct ghvm_runinfo *info);
