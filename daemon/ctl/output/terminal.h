/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Standard input and output in raw mode, and the way back.
 *
 * Nothing here blocks. Signals are read from a descriptor, so that the terminal is always restored
 * before the process stops or exits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

/**
 * struct terminal - input and output of a session
 * @in, @out: owned; non-blocking if they can be opened again (see @chunk)
 * @signals: signalfd for signals that would end or stop the process, owned
 * @tty: input is a terminal; @raw: it is in raw mode; @keys: Ctrl-C and Ctrl-Z raise signals
 * @chunk: how many bytes may be written when @out is writable
 */
struct terminal {
	int in;
	int out;
	int signals;
	bool tty;
	bool raw;
	bool keys;
	size_t chunk;
	struct termios saved;
};

/* Does not change signals or the mode of the terminal. Return: 0; negative errno. */
int terminal_open(struct terminal *t);

/* Restores the terminal first, if needed. */
void terminal_close(struct terminal *t);

/* Block signals, and set raw mode on a terminal. @keys: Ctrl-C and Ctrl-Z still raise signals. */
int terminal_take(struct terminal *t, bool keys);

/* Undo terminal_take(). */
void terminal_restore(struct terminal *t);

/* Call it when @signals is readable. Return: true: exit; false: continue (perhaps after a stop). */
bool terminal_signal(struct terminal *t);

/* Width of the terminal @fd; 80 if it is none, or does not say. */
int terminal_columns(int fd);

/* Does a terminal of this locale show UTF-8? */
bool terminal_utf8(void);
