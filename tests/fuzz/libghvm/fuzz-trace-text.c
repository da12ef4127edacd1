/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of RM in words: u8 direction, u32 id, u16 length, payload. */
#include "libghvm/base/bits.h"
#include "libghvm/base/printable.h"
#include "ghvm/trace.h"
#include "libghvm/base/wire.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char directions[] = { '>', '<', '!' };
	struct ghvm_get g = { .buf = data, .len = size };
	struct ghvm_trace_message *m = malloc(sizeof(*m)); /* so that one byte too many is seen */
	char *text = malloc(GHVM_TRACE_TEXT), *copy;

	PROMISE(m && text);
	*m = (struct ghvm_trace_message){ .number = 1 };
	m->dir = directions[ghvm_get_u8(&g) % ARRAY_SIZE(directions)];
	m->id = ghvm_get_u32(&g);
	m->len = ghvm_get_u16(&g); /* may say more than there is */
	memcpy(m->data, g.buf, g.len < sizeof(m->data) ? g.len : sizeof(m->data));
	memset(text, 'x', GHVM_TRACE_TEXT);
	ghvm_trace_to_text(m, text);
	PROMISE(memchr(text, '\0', GHVM_TRACE_TEXT) && *text);
	copy = strdup(text);
	PROMISE(copy);
	ghvm_make_printable(copy);
	PROMISE(!strcmp(copy, text)); /* it goes to terminals */
	free(copy);
	free(text);
	free(m);
	return 0;
}
