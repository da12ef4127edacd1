/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 16550A, emulated by register exits: any stock kernel supports it as a console, and it needs no shared
 * memory.
 *
 * The interrupt reaches the guest as an edge. To emulate a level, a new edge is signalled whenever a driver
 * reads IIR and interrupts are still pending. Received bytes are never dropped: the caller keeps those that
 * do not fit into the FIFO.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/runner/base/brief-lock.h"

#define UART_FIFO_SIZE 16
#define UART_REGISTERS 8

/**
 * struct uart_ops - callbacks of a UART
 * @ring: raise the guest's interrupt (an edge)
 * @transmit: the guest has sent a byte
 * @on_room: the receive FIFO is empty, after uart_receive() could not take all bytes
 *
 * Thread: any that uses the UART. Called without its lock.
 */
struct uart_ops {
	void (*ring)(void *data);
	void (*transmit)(void *data, uint8_t byte);
	void (*on_room)(void *data);
};

/**
 * struct uart - a 16550A
 * @ops: borrowed, static; @data: passed to @ops
 * @fifo: received bytes, @fifo_n of them from @fifo_first on
 * @thre: transmitter-empty interrupt is pending (cleared by reading IIR)
 * @starved: the caller waits for on_room()
 * @delta: delta bits of MSR that were not read yet (loopback only)
 *
 * Thread: any; @lock guards everything below it.
 */
struct uart {
	const struct uart_ops *ops;
	void *data;
	struct brief_lock lock;
	uint8_t fifo[UART_FIFO_SIZE];
	unsigned int fifo_first;
	unsigned int fifo_n;
	bool thre;
	bool overrun;
	bool starved;
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t delta;
	uint8_t scr;
	uint8_t dll;
	uint8_t dlm;
};

void uart_init(struct uart *u, const struct uart_ops *ops, void *data);

/* Reset to the state after power-on; received bytes are dropped. */
void uart_reset(struct uart *u);

/**
 * uart_read() - handle a read of the guest
 * @offset: from the base; registers are adjacent bytes
 *
 * Return: the register in the low byte; 0 for unknown registers.
 */
uint64_t uart_read(void *uart, uint64_t offset, unsigned int size);
void uart_write(void *uart, uint64_t offset, unsigned int size, uint64_t value);

/**
 * uart_receive() - receive bytes from the console
 *
 * Return: number of bytes taken; pass the others again after on_room().
 */
size_t uart_receive(struct uart *u, const uint8_t *buf, size_t n);

/* Number of bytes uart_receive() would take. If 0, on_room() is called later. */
size_t uart_room(struct uart *u);
