/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets from RM: an input is a row of { u8 length, that many bytes }. */
#include "libghvm/rm/packet.h"
#include "libghvm/base/wire.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void feed(struct ghvm_assembler *a, const uint8_t *packet, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1); /* of its size: an overread is seen */
	const struct ghvm_assembly *m;

	PROMISE(copy);
	memcpy(copy, packet, n);
	m = ghvm_assembler_feed(a, copy, n);
	free(copy);
	if (!m)
		return;
	PROMISE(m->left == 0);
	PROMISE(m->type == GHVM_PACKET_REPLY || m->type == GHVM_PACKET_NOTIFICATION);
	PROMISE(m->len <= GHVM_PACKET_MESSAGE_MAX);
	PROMISE(m->fragments <= GHVM_PACKET_FRAGMENTS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ghvm_assembler *a = calloc(1, sizeof(*a));

	PROMISE(a);
	while (size) {
		size_t n = *data++;

		size--;
		if (n > size)
			n = size;
		feed(a, data, n);
		data += n;
		size -= n;
	}
	free(a);
	return 0;
}
