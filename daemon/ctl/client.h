/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manager as its clients see it, over the system bus.
 *
 * Every function here may wait for the manager, with a limit (call.h), and has it started if it is
 * not there (service.h).
 */
#pragma once

#include "daemon/ctl/call.h"
#include "daemon/ctl/object.h"

#include "libghvm/error.h"

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define CLIENT_MANAGER "org.gunyah.vmm1"
#define CLIENT_ROOT "/org/gunyah/vmm1"
#define CLIENT_HOST "/org/gunyah/vmm1/host"

/**
 * struct client_vm - a VM as the manager tells of it; texts are owned, NULL if not told
 *
 * last_error_time is in microseconds of CLOCK_REALTIME, 0: none. last_errno is positive, 0: none;
 * rm_message and rm_status are as in struct ghvm_error. incarnation tells the lives of a VM apart.
 */
struct client_vm {
	BUS_VM_PROPERTIES(OBJECT_MEMBER, OBJECT_NO_MEMBER)
};

/**
 * struct client_vms - VMs, sorted by name
 * @host: why none of them can run, as there is no hypervisor; code 0: there is one
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

/* GetManagedObjects of all there is; @ret: to be unreferenced. As client_call(). */
int client_objects(sd_bus *bus, sd_bus_message **ret, struct ghvm_error *err);

/* As client_call(). */
int client_list(sd_bus *bus, struct client_vms *ret, struct ghvm_error *err);
void client_vms_done(struct client_vms *vms);

/* NULL: it is not among them. */
const struct client_vm *client_find(const struct client_vms *vms, const char *name);

struct ctl;

/*
 * Find one VM, and say so if that does not work, or no VM can run now. @ret: borrowed from @vms. Return: enum
 * ctl_status.
 */
int client_look_up(const struct ctl *ctl, const char *name, struct client_vms *vms,
		   const struct client_vm **ret);

/* The path of a VM's object; free(). Return: 0; -ENOENT no such VM; as client_list(). */
int client_path(sd_bus *bus, const char *name, char **ret, struct ghvm_error *err);

#define CLIENT_TEXT GHVM_ERROR_TEXT

/* The properties of a VM: CLIENT_VM_state and so on. */
enum client_vm_property {
#define CLIENT_VM_PROPERTY(id, name, type, news) CLIENT_VM_##id,
	BUS_VM_PROPERTIES(CLIENT_VM_PROPERTY, CLIENT_VM_PROPERTY)
};

/*
 * One property of a VM, whose object is @path: "" or 0 if it cannot be had, or is of the other
 * kind: a text, or a number without sign.
 */
void client_vm_text(sd_bus *bus, const char *path, enum client_vm_property p,
		    char ret[CLIENT_TEXT]);
uint64_t client_vm_number(sd_bus *bus, const char *path, enum client_vm_property p);

/* 0; -ENODEV there is no hypervisor; -EHOSTDOWN its resource manager is dead; in the manager's words. */
int client_host(sd_bus *bus, struct ghvm_error *err);

/* The exit status that an error of these functions deserves: enum ctl_status. */
int client_status(int r);

/**
 * client_call() - call a method of the manager
 * @c: service and waits_for may be NULL: those of the manager
 * @ret, @types: as of call_method()
 * @what: the beginning of the text if it fails
 *
 * Return: 0; -EHOSTDOWN the manager is not there or does not answer; -ENODEV it has no hypervisor,
 * or one that is dead; -ENOENT no such VM; -ESRCH not in this state; -EBUSY another has it, or
 * too many ask; another errno, with a text.
 */
int client_call(sd_bus *bus, const struct call *c, sd_bus_message **ret, struct ghvm_error *err,
		const char *what, const char *types, ...);

/* The same for what polkit may have to ask somebody about. */
struct call client_verb(const char *path, const char *interface, const char *member);

/* An error of sd-bus or from beyond it, as ours. Frees @e. Return: negative errno. */
int client_error(struct ghvm_error *err, sd_bus_error *e, int r, const char *what);
