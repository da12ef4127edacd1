/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arm64 kernel images: format check and memory size.
 *
 * Only flat Images boot: the vCPU starts at the first byte of RAM, and nothing there could unpack
 * a compressed kernel (abi D.5).
 */
#pragma once

#include "ghvm/error.h"

#include <stddef.h>
#include <stdint.h>

#define GHVM_IMAGE_HEADER 64

/**
 * struct ghvm_image - contents of a header
 * @room: bytes of memory from its first byte on that the running kernel needs, including its BSS;
 *        at least the file's size
 */
struct ghvm_image {
	uint64_t room;
};

/**
 * ghvm_image_parse() - parse the header of a kernel file
 * @header: its first @n bytes; not trusted
 * @file_size: size of the whole file
 * @ret: set on success
 *
 * Thread: any. Source: Linux, Documentation/arm64/booting.rst, section 4.
 *
 * Return: 0; -ENOEXEC not an arm64 Image; the message names the actual format (compressed, EFI
 * zboot, ELF, another processor, big-endian, truncated, or too old to tell its size).
 */
int ghvm_image_parse(const uint8_t *header, size_t n, uint64_t file_size, struct ghvm_image *ret,
		     struct ghvm_error *err);
