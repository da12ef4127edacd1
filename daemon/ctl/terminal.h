/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our standard input and output while somebody else has them, and as they were before.
 *
 * Nothing here waits for anybody: descriptors do not block, and signals are read like input, so
 * that whatever comes the terminal is given back first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

/**
 * struct terminal - what a session talks on
 * @in, @out: owned, non-blocking where that can be had for us alone (see @chunk)
 * @signals: those that would end or stop us, owned
 * @tty: input is a terminal; @raw: it is raw now; @keys: but Ctrl-C and Ctrl-Z are ours
 * @chunk: so much may be written to @out when it is writable
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

/* Return: 0; negative errno. Signals are not ours yet. */
int terminal_open(struct terminal *t);

/* Restores what is to be restored. */
void terminal_close(struct terminal *t);

/* Take signals, and the terminal if there is one. @keys: leave Ctrl-C and Ctrl-Z to it. */
int terminal_take(struct terminal *t, bool keys);

/* Give back what terminal_take() took. */
void terminal_restore(struct terminal *t);

/* @signals is readable. Return: true: leave; false: go on (we may have been stopped meanwhile). */
bool terminal_signal(struct terminal *t);
