// SPDX-License-Identifier: GPL-2.0-or-later
/* The few functions of a C library that libfdt and the compiler call. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tests/model/el2/el2.h"
#include "tests/model/el2/sysreg.h"

extern uintptr_t __stack_chk_guard;
void __stack_chk_fail(void);
uintptr_t __stack_chk_guard = 0x5bd1e995a5a5c3c3ul;

void __stack_chk_fail(void)
{
	panic("stack overrun in libfdt", NULL);
}

void *memcpy(void *dst, const void *src, size_t n)
{
	unsigned char *d = dst;
	const unsigned char *s = src;

	for (; n >= 8; n -= 8, d += 8, s += 8)
		__builtin_memcpy(d, s, 8); /* one load and one store */
	while (n--)
		*d++ = *s++;
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	unsigned char *d = dst;
	const unsigned char *s = src;

	if (d <= s || d >= s + n)
		return memcpy(dst, src, n);
	while (n--)
		d[n] = s[n];
	return dst;
}

/* Whole blocks of zeroes: a guest's memory at 64 bytes an instruction, which TCG makes one memset. */
static unsigned char *zero_blocks(unsigned char *d, size_t *n)
{
	const size_t block = 4ul << (sysreg_read(dczid_el0) & 0xf);

	for (; *n >= block; *n -= block, d += block)
		asm volatile("dc zva, %0" : : "r"(d) : "memory");
	return d;
}

void *memset(void *dst, int c, size_t n)
{
	unsigned char *d = dst;
	uint64_t word = (unsigned char)c * 0x0101010101010101ul;

	if (c == 0 && (uintptr_t)d % 0x1000 == 0)
		d = zero_blocks(d, &n);

	for (; n >= 8; n -= 8, d += 8)
		__builtin_memcpy(d, &word, 8);
	while (n--)
		*d++ = (unsigned char)c;
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

void *memchr(const void *s, int c, size_t n)
{
	const unsigned char *p = s;

	for (; n; n--, p++)
		if (*p == (unsigned char)c)
			return (void *)p;
	return NULL;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++)
		if (*a != *b || !*a)
			return (unsigned char)*a - (unsigned char)*b;
	return 0;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (!*s)
			return NULL;
	return (char *)s;
}

char *strrchr(const char *s, int c)
{
	const char *found = NULL;

	do
		if (*s == (char)c)
			found = s;
	while (*s++);
	return (char *)found;
}

char *strstr(const char *s, const char *what)
{
	size_t n = strlen(what);

	for (; *s; s++)
		if (!strncmp(s, what, n))
			return (char *)s;
	return n ? NULL : (char *)s;
}
