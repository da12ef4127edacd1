/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Authorization of callers by the bus and polkit, without blocking.
 *
 * A caller is identified by its bus name. Information from /proc about a pid is never used, because pids
 * are reused.
 */
#pragma once

#include <sys/types.h>

#include <systemd/sd-bus.h>

struct auth;
struct peers;

/* Limits of questions to polkit. The bus allows 128 pending replies, including those of systemd. */
#define AUTH_PER_UID 8
#define AUTH_MAX 64

/**
 * auth_new() - @conn, @peers: borrowed
 * @kick: called after something was sent outside of a method
 */
int auth_new(sd_bus *conn, struct peers *peers, void (*kick)(void *data), void *data,
	     struct auth **ret);
/* Pending questions are dropped: their callers see the connection end. Accepts NULL. */
void auth_free(struct auth *a);

/**
 * auth_check() - check the authorization of a caller
 * @action: polkit action, static
 * @ret: user of the caller, set if 1 is returned
 *
 * Call it after the arguments of the method were checked and before anything is changed. Root and the
 * user of the manager are allowed without asking polkit. The question is dropped when the caller leaves
 * the bus.
 *
 * Return: 1: allowed; 0: not known yet, the method returns 1 and is called again with @m; negative:
 * denied, with @error set.
 */
int auth_check(struct auth *a, sd_bus_message *m, const char *action, uid_t *ret,
	       sd_bus_error *error);
/* The same for an action on one VM: rules of polkit find @vm, a valid name, as the detail "name". */
int auth_check_vm(struct auth *a, sd_bus_message *m, const char *action, const char *vm, uid_t *ret,
		  sd_bus_error *error);
