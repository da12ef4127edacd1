/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads beside the main thread.
 */
#pragma once

#include <pthread.h>
#include <stddef.h>

/**
 * ghvm_thread_start() - start a thread that gets no signals
 * @ret: to be joined or detached by the caller
 * @stack: bytes that it needs at least; 0: the default of the C library, megabytes
 * @run: called with @data in the new thread, in which all signals are blocked: they are for the main thread
 *
 * Return: 0; negative errno of pthread_create().
 */
int ghvm_thread_start(pthread_t *ret, size_t stack, void *(*run)(void *), void *data);
