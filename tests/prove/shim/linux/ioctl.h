/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For Frama-C, which has no headers of the kernel: a number for each ioctl. Nothing that is proved calls one.
 */
#pragma once

#define _IO(type, nr) ((type) << 8 | (nr))
#define _IOR(type, nr, what) _IO(type, nr)
#define _IOW(type, nr, what) _IO(type, nr)
#define _IOWR(type, nr, what) _IO(type, nr)
