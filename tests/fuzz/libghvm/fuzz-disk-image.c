/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Heads of images: what is accepted has no backing file, and is what the descriptor says. */
#include "libghvm/plan/disk-image.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t n = size < GHVM_DISK_IMAGE_HEADER ? size : GHVM_DISK_IMAGE_HEADER;
	const bool begins = n >= 4 && !memcmp(data, "QFI\xfb", 4);
	const char *why = NULL, *key;

	key = ghvm_disk_image_refuse(GHVM_DISK_RAW, data, n, size, &why);
	PROMISE(!key == (!begins && size >= 512));
	PROMISE(!key || (why && *why));
	why = NULL;
	key = ghvm_disk_image_refuse(GHVM_DISK_QCOW2, data, n, size, &why);
	PROMISE(!key || (why && *why));
	if (key)
		return 0;
	PROMISE(begins && n >= 72 && !memcmp(data + 8, "\0\0\0\0\0\0\0", 8));
	PROMISE(data[7] == 2 || (n == GHVM_DISK_IMAGE_HEADER && !(data[79] & 6)));
	return 0;
}
