/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start the manager's service.
 */
#pragma once

#include "ghvm/error.h"

#include <systemd/sd-bus.h>

/**
 * service_start() - start the manager if it is not on the bus
 *
 * The bus starts the manager. Its unit is checked during the wait, so that a manager that exits
 * repeatedly ends the wait early.
 *
 * Return: 0; -EHOSTDOWN the manager cannot start; another errno. All with a message.
 */
int service_start(sd_bus *bus, struct ghvm_error *err);
