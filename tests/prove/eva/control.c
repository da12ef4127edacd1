/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ipc/needs.c"
#include "daemon/ipc/protocol.c"

#define LENGTH_MIN 0
#define LENGTH_MAX 18
#include "tests/prove/eva/any.h"

static size_t add_control(union link_control *c, size_t at, int type, size_t n)
{
	struct cmsghdr *cm = (struct cmsghdr *)(c->buf + at);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = type;
	cm->cmsg_len = CMSG_LEN(n);
	return at + CMSG_SPACE(n);
}

/* What the kernel puts before a message: perhaps its sender, perhaps descriptors. */
static void decode_control(bool sender, size_t n_fds)
{
	struct ghvm_link_message message;
	union link_control control;
	struct msghdr mh = { .msg_control = control.buf };
	size_t n = 0;

	Frama_C_make_unknown(control.buf, sizeof(control.buf));
	if (sender)
		n = add_control(&control, n, SCM_CREDENTIALS, sizeof(struct ucred));
	if (n_fds)
		n = add_control(&control, n, SCM_RIGHTS, n_fds * sizeof(int));
	if (n > sizeof(control.buf))
		return;
	mh.msg_controllen = n;
	if (!get_control(&mh, &message))
		ghvm_link_message_done(&message);
}

/* EVA knows where a string ends if it knows its length, so all that can fit are gone through. */
static void decode_strings(uint8_t *p, size_t n)
{
	//@ loop unroll LENGTH_MAX + 1;
	for (size_t length = 0; length <= n; length++) {
		struct ghvm_get g = { .buf = p, .len = n }, need = g;
		char text[8], key[GHVM_NEED_KEY_SIZE];
		struct ghvm_need ret;

		if (n >= 2)
			p[0] = (uint8_t)length, p[1] = 0;
		ghvm_link_get_string(&g, text, sizeof(text));
		if (n >= 14)
			p[12] = (uint8_t)length, p[13] = 0;
		ghvm_need_get(&need, &ret, key);
	}
}

static void decode(uint8_t *p, size_t n)
{
	struct ghvm_get g = { .buf = p, .len = n };
	struct ghvm_link_message message;

	decode_control(false, n);
	decode_control(true, n);
	if (n)
		memcpy(message.buf, p, n);
	(void)read_head(&message, n);
	(void)ghvm_link_get_errno(&g);
	decode_strings(p, n);
}
