/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manager's own service: is it there, and if it cannot be had, why not.
 */
#pragma once

#include "libghvm/error.h"

#include <systemd/sd-bus.h>

/**
 * service_start() - see to it that the manager is on the bus
 *
 * If it is not, the bus has it started, and its unit is watched meanwhile: a manager that ends
 * again and again is not waited for.
 *
 * Return: 0; -EHOSTDOWN it cannot be had, the text says why; another errno.
 */
int service_start(sd_bus *bus, struct ghvm_error *err);
