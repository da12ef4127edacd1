/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of one VM, wired: registers to addresses, interrupts to doorbells, the UART
 * to its console.
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
 * struct devices - all of them
 * @host: where the doorbells are rung, borrowed; NULL: there is no VM at the moment
 * @uart_bell, @key_bell: GHVM_CAPID_NONE: rings go nowhere
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
 * devices_init() - as @info says
 * @d: done by the caller with devices_done() on success
 * @logs: taken over, also on failure; -1 behind the last
 *
 * Return: 0 or a negative errno.
 */
int devices_init(struct devices *d, const struct ghvm_runinfo *info, int logs[GHVM_SPEC_LOGS_MAX]);
void devices_done(struct devices *d);

/* To the doorbells of a VM, new or rebuilt: devices are as after power on. */
void devices_connect(struct devices *d, struct ghvm_host *host, const struct ghvm_runinfo *info);
