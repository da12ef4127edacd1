/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection to the bus, and functions for its objects.
 *
 * Changes are collected and announced once per loop turn. Thread: main.
 */
#pragma once

#include "daemon/manager/bus/quota.h"
#include "daemon/manager/core/loop.h"
#include "daemon/manager/manager.h"

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#define BUS_NAME "org.gunyah.vmm1"
#define BUS_PATH "/org/gunyah/vmm1"
#define BUS_VM_PREFIX BUS_PATH "/vm"
#define BUS_REGION "/region/"		/* below a VM's path */
#define BUS_TRANSACTION "/transaction/" /* likewise */
#define BUS_JOB_PREFIX BUS_PATH "/job"
#define BUS_HOST_PATH BUS_PATH "/host"

struct auth;
struct peers;
struct jobs;
struct lane;
struct transactions;
struct definitions;
struct runs;
struct bus_regions;
struct bus_vm_changes;
struct event;

/**
 * struct bus - embedded in main()
 * @conn: owned
 * @changes: VMs with changes to announce at the end of this turn; owned
 * @regions: list of announced regions; owned
 * @on_lost: called when the connection is lost; stops the loop
 * @on_activity: called at each request; restarts the idle timer of a manager without a host
 */
struct bus {
	struct loop *loop;
	struct manager *manager;
	sd_bus *conn;
	struct event *event;
	struct loop_watch flush;
	struct bus_vm_changes *changes;
	bool host_changed;
	struct quota quota;
	struct peers *peers;
	struct auth *auth;
	struct lane *lane;
	struct jobs *jobs;
	struct bus_regions *regions;
	struct transactions *transactions;
	struct definitions *definitions;
	struct runs *runs;
	void *data;
	void (*on_lost)(void *data, int error);
	void (*on_activity)(void *data);
};

/* "system", "user", or a bus address. */
int bus_connect(struct bus *b, struct manager *m, const char *address);
/* Acquire the name and process messages; bus_defer() defers @on_flush. Blocks. */
int bus_start(struct bus *b, loop_fn on_flush);
void bus_close(struct bus *b);

/* Must be called after sending a message outside of a method. */
void bus_kick(struct bus *b);
/* Announce changes at the end of this turn. */
void bus_defer(struct bus *b);

/* For methods: set the error org.gunyah.vmm1.Error.* for @err. Return: as sd-bus methods. */
int bus_fail(sd_bus_error *ret, const struct ghvm_error *err);
/* For methods that need RM: reset the idle timer. Return: 0; negative, with the host's error in @ret. */
int bus_check_host(struct bus *b, sd_bus_error *ret);
/* The same for methods that also work with a dead RM. */
int bus_check_hypervisor(struct bus *b, sd_bus_error *ret);
/* Read the a{sv} at the end of a method that has no options: it must be empty. */
int bus_read_options(sd_bus_message *m, sd_bus_error *ret);

/* Read the value of the option @key, or return bus_unknown_option(). */
typedef int (*bus_option_fn)(sd_bus_message *m, const char *key, void *data, sd_bus_error *ret);
/* Read the a{sv} at the end of a method that has options. */
int bus_read_known_options(sd_bus_message *m, bus_option_fn fn, void *data, sd_bus_error *ret);
int bus_unknown_option(const char *key, sd_bus_error *ret);

/* Reply to @m with @text, in a sealed memfd. */
int bus_reply_text(sd_bus_message *m, const char *text);

/* Send @reply, which is consumed, unless filling it in has failed with @r. Return: as sd-bus methods. */
int bus_send_reply(sd_bus_message *reply, int r);
