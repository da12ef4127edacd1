/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 16550A by register exits: the console of any stock kernel, without shared memory.
 *
 * Its interrupt reaches the guest as an edge, so the level that a real line would hold is
 * rung again whenever a driver looks at IIR and leaves something pending. Nothing received
 * is ever dropped: what the FIFO does not take stays with the caller.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UART_FIFO_SIZE 16
#define UART_REGISTERS 8

/**
 * struct uart_ops - what a UART does to its surroundings
 * @ring: raise the guest's interrupt (an edge)
 * @transmit: the guest sent a byte
 * @on_room: the receive FIFO is empty, after bytes had found no room
 *
 * Thread: any that uses the UART. Called without its lock.
 */
struct uart_ops {
	void (*ring)(void *data);
	void (*transmit)(void *data, uint8_t byte);
	void (*on_room)(void *data);
};

/**
 * struct uart - one 16550A
 * @ops: borrowed, static; @data: passed to them
 * @fifo: received bytes, @fifo_n of them from @fifo_first on
 * @thre: the transmitter became empty and nobody was told yet (IIR reads clear it)
 * @starved: somebody waits for on_room()
 * @delta: of MSR, changes not read yet (loopback only)
 *
 * Thread: any; @lock guards everything below it.
 */
struct uart {
	const struct uart_ops *ops;
	void *data;
	pthread_mutex_t lock;
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
void uart_done(struct uart *u);

/* As after power on; received bytes are dropped. */
void uart_reset(struct uart *u);

/**
 * uart_read() - the guest reads
 * @offset: from the UART's base; registers are bytes, without shift
 *
 * Return: the register in the low byte, 0 for what lies beyond.
 */
uint64_t uart_read(void *uart, uint64_t offset, unsigned int size);
void uart_write(void *uart, uint64_t offset, unsigned int size, uint64_t value);

/**
 * uart_receive() - bytes from outside
 *
 * Return: how many were taken; the others again after on_room().
 */
size_t uart_receive(struct uart *u, const uint8_t *buf, size_t n);

/* How many bytes uart_receive() would take. None: on_room() follows. */
size_t uart_room(struct uart *u);
