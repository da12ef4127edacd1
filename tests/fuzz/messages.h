/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links (daemon/ipc/protocol.h) out of an input: its messages, one after the other, and then the end.
 *
 * A message is u8 type, u8 descriptors (two bits each say of which kind; 0 ends them), u16 length,
 * payload.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MESSAGE_KINDS 4 /* of descriptors, of which 0 is none */

/* @fds: by kind, borrowed. Sends what fits into the socket, and says that no more comes. */
void messages_send(int sock, const uint8_t *data, size_t size, const int fds[MESSAGE_KINDS]);

/* The number that the next descriptor will have: another one than before means that one leaked. */
int messages_next_fd(void);

/* A new folder, which the process removes when it ends. */
const char *messages_folder(void);

/* DIR/NAME with that text */
void messages_file(const char *dir, const char *name, const void *text, size_t size);

/* What the code under test prints is thrown away; a sanitizer's report is not. */
void messages_quiet(void);
