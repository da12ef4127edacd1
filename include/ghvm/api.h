/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every public header begins and ends with. Its functions are exported by libghvm.so, and
 * callable from C++.
 */
#pragma once

/* clang-format off */
#ifdef __cplusplus
#define GHVM_BEGIN_DECLS _Pragma("GCC visibility push(default)") extern "C" {
#define GHVM_END_DECLS } _Pragma("GCC visibility pop")
#else
#define GHVM_BEGIN_DECLS _Pragma("GCC visibility push(default)")
#define GHVM_END_DECLS _Pragma("GCC visibility pop")
#endif
/* clang-format on */
