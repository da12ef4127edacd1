// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The log, written by semihosting, because the UART belongs to the primary.
 *
 * QEMU must have been given -semihosting-config enable=on, or the first line is a panic.
 */
#include <stdarg.h>

#include "tests/model/el2/el2.h"

#define SYS_WRITE0 0x04
#define SYS_EXIT_EXTENDED 0x20
#define ADP_STOPPED_APPLICATION_EXIT 0x20026
#define LINE_MAX 160
#define RING 256
#define PANIC_STATUS 99

struct line {
	char text[LINE_MAX];
	size_t len;
};

struct exit_record {
	uint64_t esr;
	uint64_t elr;
	uint64_t time;
};

static struct exit_record ring[CPUS_MAX][RING];
static unsigned int ring_next[CPUS_MAX];

static uint64_t semihosting(uint64_t op, const void *arg)
{
	register uint64_t x0 __asm__("x0") = op;
	register const void *x1 __asm__("x1") = arg;

	__asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
	return x0;
}

static void put_char(struct line *l, char c)
{
	if (l->len < LINE_MAX - 2) /* room for the end of line and string */
		l->text[l->len++] = c;
}

static void put_number(struct line *l, uint64_t v, unsigned int base)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		put_char(l, digits[--n]);
}

static void put_string(struct line *l, const char *s)
{
	while (*s)
		put_char(l, *s++);
}

static void put_end(struct line *l)
{
	l->text[l->len] = '\n';
	l->text[l->len + 1] = '\0';
	(void)semihosting(SYS_WRITE0, l->text); /* has no result */
}

void log_line(const char *s)
{
	struct line l = { .len = 0 };

	put_string(&l, "el2: ");
	put_string(&l, s);
	put_end(&l);
}

/* Knows %s, %lu, %lx, %u and %x. */
void log_fmt(const char *fmt, ...)
{
	struct line l = { .len = 0 };
	va_list ap;
	bool is_long;

	put_string(&l, "el2: ");
	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put_char(&l, *fmt);
			continue;
		}
		is_long = *++fmt == 'l';
		fmt += is_long;
		if (*fmt == 's')
			put_string(&l, va_arg(ap, const char *));
		else
			put_number(&l, is_long ? va_arg(ap, uint64_t) : va_arg(ap, unsigned int),
				   *fmt == 'x' ? 16 : 10);
	}
	va_end(ap);
	put_end(&l);
}

void log_counters(void)
{
	static const char *const names[COUNTERS_N] = {
#define X(name) [COUNTER_##name] = #name,
		COUNTERS(X)
#undef X
	};

	for (unsigned int i = COUNTER_magic + 1; i < COUNTERS_N; i++)
		log_fmt("counter %s %lu", names[i], *counter(i));
}

void log_exit(uint64_t esr, uint64_t elr)
{
	struct cpu *c = this_cpu();
	struct exit_record *r = &ring[c->id][ring_next[c->id]++ % RING];

	r->esr = esr;
	r->elr = elr;
	r->time = sysreg_read(cntpct_el0);
}

static void log_ring(unsigned int cpu)
{
	unsigned int last = ring_next[cpu];
	unsigned int n = last < RING ? last : RING;

	for (unsigned int i = last - n; i != last; i++) {
		const struct exit_record *r = &ring[cpu][i % RING];

		log_fmt("exit cpu %u esr %lx elr %lx at %lu", cpu, r->esr, r->elr, r->time);
	}
}

void machine_exit(unsigned int status)
{
	const uint64_t block[2] = { ADP_STOPPED_APPLICATION_EXIT, status };

	(void)semihosting(SYS_EXIT_EXTENDED, block); /* does not return */
	for (;;)
		;
}

void panic(const char *why, const struct frame *f)
{
	static bool again;
	struct cpu *c = this_cpu();

	if (again)
		machine_exit(PANIC_STATUS);
	again = true;
	for (unsigned int i = 0; i < CPUS_MAX; i++)
		log_ring(i);
	log_counters();
	log_fmt("PANIC cpu %u %s: %s", c->id, c->current ? "guest" : "primary", why);
	log_fmt("esr %lx far %lx hpfar %lx", sysreg_read(esr_el2), sysreg_read(far_el2),
		sysreg_read(hpfar_el2));
	if (f) {
		log_fmt("elr %lx spsr %lx", f->elr, f->spsr);
		for (unsigned int i = 0; i < 31; i++)
			log_fmt("x%u %lx", i, f->x[i]);
	}
	machine_exit(PANIC_STATUS);
}
