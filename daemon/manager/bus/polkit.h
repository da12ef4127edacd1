/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * May this caller do that? Asked of the bus and of polkit, without waiting.
 *
 * The caller is its bus name: the bus knows its uid and polkit asks the bus too. What can
 * be read from /proc about a pid is never used, since pids are reused.
 */
#pragma once

#include <sys/types.h>

#include <systemd/sd-bus.h>

struct auth;
struct peers;

/* Questions to polkit. The bus lets us wait for 128 answers in all; systemd's are among them. */
#define AUTH_PER_UID 8
#define AUTH_MAX 64

/**
 * auth_new() - @conn, @peers: borrowed
 * @kick: called after something was sent outside of a method
 */
int auth_new(sd_bus *conn, struct peers *peers, void (*kick)(void *data), void *data,
	     struct auth **ret);
/* Pending questions are forgotten: their callers see the connection end. Accepts NULL. */
void auth_free(struct auth *a);

/**
 * auth_check() - before a method changes something; its arguments are read and found good
 * @action: of polkit, static
 * @ret: the caller's user, set if 1 is returned
 *
 * Root, and who runs this manager, may do everything, and are never kept waiting by others:
 * polkit is not asked about them. A caller that leaves the bus takes its question along.
 *
 * Return: 1: yes; 0: not known yet, the method is called again with @m as it was (return 1
 * from it); negative: no, @error says why.
 */
int auth_check(struct auth *a, sd_bus_message *m, const char *action, uid_t *ret,
	       sd_bus_error *error);
