/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that somebody else has made.
 */
#pragma once

/**
 * ghvm_close_foreign() - close it, and do not wait for that
 * @fd: taken over; negative: nothing is done
 *
 * close() of a file in FUSE asks the file system, which is a process and may never answer; that of a
 * socket may linger, that of a terminal may wait until all is written. What cannot be known to be
 * harmless is closed by a thread of its own. Never use fstat() on such a descriptor: it asks as well.
 *
 * Thread: any.
 */
void ghvm_close_foreign(int fd);
