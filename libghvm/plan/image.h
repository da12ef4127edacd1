/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arm64 kernel images: is it one, and how much room does it take.
 *
 * Only flat Images boot: the vCPU starts at the first byte of RAM with nobody there who
 * could unpack anything (abi D.5).
 */
#pragma once

#include "ghvm/error.h"

#include <stddef.h>
#include <stdint.h>

#define GHVM_IMAGE_HEADER 64

/**
 * struct ghvm_image - what a header says
 * @room: bytes that the running kernel needs from its first byte on, its BSS included;
 *        at least the file's size
 */
struct ghvm_image {
	uint64_t room;
};

/**
 * ghvm_image_parse() - look at the start of a kernel file
 * @header: its first @n bytes; not trusted
 * @file_size: of the whole file
 * @ret: set on success
 *
 * Thread: any. Source: Linux, Documentation/arm64/booting.rst, section 4.
 *
 * Return: 0; -ENOEXEC not an arm64 Image (the text says what it is instead: compressed, EFI
 * zboot, ELF, another processor, big-endian, truncated, or too old to say its size).
 */
int ghvm_image_parse(const uint8_t *header, size_t n, uint64_t file_size, struct ghvm_image *ret,
		     struct ghvm_error *err);
