/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors received from other processes.
 */
#pragma once

/**
 * ghvm_close_foreign() - close a descriptor without blocking
 * @fd: taken over; negative: nothing is done
 *
 * close() of a FUSE file waits for the file system's process, which may never answer; that of a
 * socket may linger, that of a terminal may wait until all output is written. A descriptor not
 * known to be harmless is closed by a thread of its own. Never call fstat() on such a descriptor:
 * it may block as well.
 *
 * Thread: any.
 */
void ghvm_close_foreign(int fd);
