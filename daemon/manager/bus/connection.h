/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection to the bus, and what its objects share.
 *
 * Changes are collected and told once a loop turn. Thread: main.
 */
#pragma once

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
struct bus_regions;
struct bus_vm_changes;
struct event;

/**
 * struct bus - embedded in main()
 * @conn: owned
 * @changes: VMs that have something to tell at the end of this turn; owned
 * @regions: what was told of memory, a list; owned
 * @on_lost: the connection broke; the loop is to be stopped
 * @on_activity: somebody calls; for the time-out of an idle manager without host
 */
struct bus {
	struct loop *loop;
	struct manager *manager;
	sd_bus *conn;
	struct event *event;
	struct loop_watch flush;
	struct bus_vm_changes *changes;
	bool host_changed;
	struct peers *peers;
	struct auth *auth;
	struct lane *lane;
	struct jobs *jobs;
	struct bus_regions *regions;
	struct transactions *transactions;
	void *data;
	void (*on_lost)(void *data, int error);
	void (*on_activity)(void *data);
};

/* "system", "user", or a bus address. */
int bus_connect(struct bus *b, struct manager *m, const char *address);
/* Take the name and process messages; @on_flush is what bus_defer() defers. Blocks. */
int bus_start(struct bus *b, loop_fn on_flush);
void bus_close(struct bus *b);

/* After sending anything outside of a method. */
void bus_kick(struct bus *b);
/* Something is to be told at the end of the turn. */
void bus_defer(struct bus *b);

/* For methods: "org.gunyah.vmm1.Error.*" of a failure. Return: as sd-bus methods do. */
int bus_fail(sd_bus_error *ret, const struct ghvm_error *err);
/* For what RM has to do: notes the activity; 0, or sets the error that explains the absent host. */
int bus_check_host(struct bus *b, sd_bus_error *ret);
/* The same for what can be done, or is known, though RM is dead. */
int bus_check_hypervisor(struct bus *b, sd_bus_error *ret);
/* Skips the a{sv} that ends each method: no option is known yet, so none is accepted. */
int bus_read_options(sd_bus_message *m, sd_bus_error *ret);

/* Reads the variant of the option @key, or returns bus_unknown_option(). */
typedef int (*bus_option_fn)(sd_bus_message *m, const char *key, void *data, sd_bus_error *ret);
/* The a{sv} that ends a method which knows some. */
int bus_read_known_options(sd_bus_message *m, bus_option_fn fn, void *data, sd_bus_error *ret);
int bus_unknown_option(const char *key, sd_bus_error *ret);

/* Reply to @m with @text, in a sealed memfd. */
int bus_reply_text(sd_bus_message *m, const char *text);
