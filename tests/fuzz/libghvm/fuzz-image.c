/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Headers of kernels; the first 8 bytes of an input are the size of the file. */
#include "libghvm/plan/image.h"
#include "libghvm/base/wire.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ghvm_get g = { .buf = data, .len = size };
	struct ghvm_image image = { .room = 77 };
	struct ghvm_error err = {};
	uint64_t file_size = ghvm_get_u64(&g);
	int r;

	r = ghvm_image_parse(g.buf, g.len, file_size, &image, &err);
	if (r < 0) {
		PROMISE(r == -ENOEXEC && *err.msg && image.room == 77);
		return 0;
	}
	PROMISE(image.room >= file_size && image.room >= GHVM_IMAGE_HEADER);
	return 0;
}
