/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For Frama-C: what its headers lack. Included before each file.
 */
#pragma once

#ifdef __FRAMAC__

#include <stddef.h>

#define ETOOMANYREFS 109

/* memfds and their seals */
#define MFD_CLOEXEC 1U
#define MFD_ALLOW_SEALING 2U
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#define F_SEAL_WRITE 8

/*@ assigns \result \from name[..], flags; */
int memfd_create(const char *name, unsigned int flags);

/* Its own contract does not bound the result. */
/*@ ensures \result <= n; */
size_t strnlen(const char *s, size_t n);

/* Control data of a message is a list of headers with data, each aligned to 8 bytes. */
#define CMSG_ALIGN(n) (((n) + 7UL) & ~7UL)
#define CMSG_HEADER CMSG_ALIGN(sizeof(struct cmsghdr))
#define CMSG_SPACE(n) (CMSG_HEADER + CMSG_ALIGN(n))
#define CMSG_LEN(n) (CMSG_HEADER + (n))
#define CMSG_DATA(c) ((unsigned char *)(c) + CMSG_HEADER)
#define CMSG_FIRSTHDR(m)                                                                           \
	((m)->msg_controllen >= CMSG_HEADER ? (struct cmsghdr *)(m)->msg_control : NULL)
#define CMSG_NXTHDR(m, c) next_header(m, c)

#include <sys/socket.h>
#undef SCM_RIGHTS /* its value is wrong */
#define SCM_RIGHTS 1
#define SCM_CREDENTIALS 2

struct ucred {
	int pid;
	unsigned int uid, gid;
};

static inline struct cmsghdr *next_header(const struct msghdr *m, struct cmsghdr *c)
{
	size_t at = (size_t)((char *)c - (char *)m->msg_control) + CMSG_ALIGN(c->cmsg_len);

	return at + CMSG_HEADER <= m->msg_controllen
		       ? (struct cmsghdr *)((char *)m->msg_control + at)
		       : NULL;
}

#endif
