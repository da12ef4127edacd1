/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a front-end says to a vhost-user back-end: who can do what, then the memory and the queues.
 *
 * Thread: the device's; before it runs, main.
 */
#pragma once

#include <stdbool.h>

#include "daemon/runner/virtio/vhost-user.h"
#include "ghvm/error.h"

/**
 * vhost_session_greet() - exchange features with a back-end that has just been connected to
 * @first: it is the first one, which says what the device can do; a later one must not do less
 * @ms: within which it has to answer
 *
 * Return: 0; as vhost_link_set(); -EOPNOTSUPP it lacks something; with a message.
 */
int vhost_session_greet(struct vhost_user *u, bool first, unsigned int ms, struct ghvm_error *err);

/**
 * vhost_session_begin() - give the back-end the memory and the queues that are ready
 *
 * On failure the back-end may have them already: call vhost_session_end(). Return: 0; as vhost_link_set();
 * another errno; with a message.
 */
int vhost_session_begin(struct vhost_user *u, struct ghvm_error *err);

/**
 * vhost_session_end() - close the connection, and take the queues back
 *
 * A back-end ends its connection when it has stopped to access the memory, so this waits for that for a second.
 * Return: 0; -ETIMEDOUT it did not end its connection.
 */
int vhost_session_end(struct vhost_user *u);
