/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls to the manager over the system bus.
 *
 * Every function may wait for the manager, with a time limit (call.h), and starts the manager if it
 * does not run (service.h).
 */
#pragma once

#include "daemon/ctl/client/call.h"
#include "daemon/ctl/client/object.h"

#include "ghvm/error.h"

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define CLIENT_ROOT "/org/gunyah/vmm1"
#define CLIENT_HOST "/org/gunyah/vmm1/host"

/**
 * struct client_vm - properties of a VM, read from the manager; texts are owned, NULL if missing
 *
 * last_error_time is in microseconds of CLOCK_REALTIME, 0: none. last_errno is positive, 0: none;
 * rm_message and rm_status are as in struct ghvm_error. incarnation differs for each start.
 */
struct client_vm {
	BUS_VM_PROPERTIES(OBJECT_MEMBER, OBJECT_NO_MEMBER)
};

/**
 * struct client_vms - VMs, sorted by name
 * @host: error if no VM can run because there is no hypervisor; code 0 if there is one
 */
struct client_vms {
	struct client_vm *v;
	size_t n;
	struct ghvm_error host;
};

/**
 * client_open() - connect to the system bus
 * @ret: owned, sd_bus_flush_close_unref()
 * Return: 0; negative errno, with a text.
 */
int client_open(sd_bus **ret, struct ghvm_error *err);

/* Call GetManagedObjects. @ret: owned reply. Return: as client_call(). */
int client_objects(sd_bus *bus, sd_bus_message **ret, struct ghvm_error *err);

/* As client_call(). */
int client_list(sd_bus *bus, struct client_vms *ret, struct ghvm_error *err);
void client_vms_done(struct client_vms *vms);

/* Find a VM by name. Return: NULL if there is none. */
const struct client_vm *client_find(const struct client_vms *vms, const char *name);

struct ctl;

/*
 * Find one VM. Prints a message on failure, and if no VM can run on this host. @ret: borrowed from
 * @vms. Return: enum ctl_status.
 */
int client_look_up(const struct ctl *ctl, const char *name, struct client_vms *vms,
		   const struct client_vm **ret);

/* Get the object path of a VM. @ret: owned. Return: 0; -ENOENT no such VM; as client_list(). */
int client_path(sd_bus *bus, const char *name, char **ret, struct ghvm_error *err);

#define CLIENT_TEXT GHVM_ERROR_TEXT

/* The properties of a VM: CLIENT_VM_state and so on. */
enum client_vm_property {
#define CLIENT_VM_PROPERTY(id, name, type, news) CLIENT_VM_##id,
	BUS_VM_PROPERTIES(CLIENT_VM_PROPERTY, CLIENT_VM_PROPERTY)
};

/*
 * Read one property of the VM with the object @path: "" or 0 on failure, or if it has another type: a
 * text, or an unsigned number.
 */
void client_vm_text(sd_bus *bus, const char *path, enum client_vm_property p,
		    char ret[CLIENT_TEXT]);
uint64_t client_vm_number(sd_bus *bus, const char *path, enum client_vm_property p);

/*
 * State of the host: 0 ok; -ENODEV no hypervisor; -EHOSTDOWN the resource manager is dead. @err: with the
 * manager's message.
 */
int client_host(sd_bus *bus, struct ghvm_error *err);

/* Map an error of these functions to an exit status, enum ctl_status. */
int client_status(int r);

/**
 * client_call() - call a method of the manager
 * @c: service is ignored; waits_for may be NULL
 * @ret, @types: as in call_method()
 * @what: prefix of the error message
 *
 * Return: 0; -EHOSTDOWN the manager does not run or does not reply; -ENODEV no hypervisor, or its
 * resource manager is dead; -ENOENT no such VM; -ESRCH wrong state; -EBUSY in use by another client,
 * or too many clients; another errno. All with a message.
 */
int client_call(sd_bus *bus, const struct call *c, sd_bus_message **ret, struct ghvm_error *err,
		const char *what, const char *types, ...);

/* The same for arguments of any number, as call_with(). */
int client_call_with(sd_bus *bus, const struct call *c, sd_bus_message **ret,
		     struct ghvm_error *err, const char *what, call_append append,
		     const void *data);

/* A call for which polkit may ask for a password. */
struct call client_verb(const char *path, const char *interface, const char *member);

#define CLIENT_REMARK 256

/* The runner's remark about its guest; "" if there is none, or if systemd does not reply. */
void client_remark(const struct client_vm *vm, char ret[CLIENT_REMARK]);
