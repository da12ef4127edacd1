/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Manager object. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/connection.h"

int bus_manager_publish(struct bus *b);
