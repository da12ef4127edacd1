/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manager as its clients see it, over the system bus.
 *
 * Every function here may wait for the other side, at most for sd-bus's 25 s.
 */
#pragma once

#include "libghvm/error.h"

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define CLIENT_MANAGER "org.gunyah.vmm1"
#define CLIENT_ROOT "/org/gunyah/vmm1"
#define CLIENT_HOST "/org/gunyah/vmm1/host"

/**
 * struct client_vm - a VM as the manager tells of it; all strings owned
 */
struct client_vm {
	char *name;
	char *state;
	char *sub_state;
	char *exit_reason;
	char *last_error;
	char *last_error_name;
	char *failed_step;
	int32_t last_errno; /* positive, 0: none; the next two as in struct ghvm_error */
	uint32_t rm_message;
	uint32_t rm_status;
	uint16_t vmid;
	uint32_t leader_pid;
	uint64_t lent;
	uint64_t shared;
	uint64_t quarantined;
};

/* VMs, sorted by name. */
struct client_vms {
	struct client_vm *v;
	size_t n;
};

/**
 * client_open() - connect to the system bus
 * @ret: owned, sd_bus_flush_close_unref()
 * Return: 0; negative errno, with a text.
 */
int client_open(sd_bus **ret, struct ghvm_error *err);

/* Return: 0; -EHOSTDOWN the manager is not there and cannot be had; another errno. */
int client_list(sd_bus *bus, struct client_vms *ret, struct ghvm_error *err);
void client_vms_done(struct client_vms *vms);

/* NULL: it is not among them. */
const struct client_vm *client_find(const struct client_vms *vms, const char *name);

/*
 * Find one VM, and say so if that does not work. @ret: borrowed from @vms. Return: enum
 * ctl_status.
 */
int client_look_up(const char *name, struct client_vms *vms, const struct client_vm **ret);

/* The path of a VM's object; free(). Return: 0; -ENOENT no such VM; as client_list(). */
int client_path(sd_bus *bus, const char *name, char **ret, struct ghvm_error *err);

/* The exit status that an error of these functions deserves: enum ctl_status. */
int client_status(int r);

/* An error of sd-bus or from beyond it, as ours. Frees @e. Return: negative errno. */
int client_error(struct ghvm_error *err, sd_bus_error *e, int r, const char *what);
