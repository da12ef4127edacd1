/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Executes a guest's script: each line is an operation with one or more exits.
 *
 * An operation keeps its progress in the vCPU, as a driver does on its stack: each run continues
 * after the exit of the last one.
 */
#include "tests/model/sock/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UART 0x10000000ULL
#define UART_DATA (UART + 0)
#define UART_IER (UART + 1)
#define UART_LSR (UART + 5)
#define UART_SPI 0
#define IER_RECEIVED 1
#define LSR_DATA 1
#define GPIO 0x10001000ULL
#define GPIO_DATA (GPIO + 0x3fc)
#define GPIO_IEV (GPIO + 0x40c)
#define GPIO_IE (GPIO + 0x410)
#define GPIO_IC (GPIO + 0x41c)
#define GPIO_SPI 1
#define GPIO_ALL 0xff
#define MMIO_END GHVM_GIB(1)

#define AWAIT_NS 10000000
#define MESSAGE_MAX 200
#define ESCAPE 0x1b
#define RIGHT_W 2
#define RIGHT_R 4

#define CAUSE_WFI 1
#define RESET_PLAIN (1ULL << 63)
#define EXIT_OFF 1
#define EXIT_RESET 2
#define EXIT_WATCHDOG 4
#define EXIT_FAULT 5

/* Result of a step: the run exits, the line is done, or the line continues. */
enum step {
	STEP_EXIT,
	STEP_DONE,
	STEP_MORE,
};

struct context {
	struct server *s;
	struct vm *vm;
	struct vcpu *v;
	struct run *run;
	const char *arg; /* the rest of the line */
	size_t len;
};

static enum step exit_run(struct context *c, enum run_state state, uint64_t data0, uint64_t data1,
			  uint64_t data2)
{
	*c->run = (struct run){ state, { data0, data1, data2 } };
	return STEP_EXIT;
}

static enum step mmio_read(struct context *c, uint64_t ipa, uint64_t size)
{
	return exit_run(c, RUN_MMIO_READ, ipa, size, 0);
}

static enum step mmio_write(struct context *c, uint64_t ipa, uint64_t size, uint64_t value)
{
	return exit_run(c, RUN_MMIO_WRITE, ipa, size, value);
}

static enum step wait_for_interrupt(struct context *c)
{
	return exit_run(c, RUN_EXPECTS_WAKEUP, 0, CAUSE_WFI, 0);
}

static bool take_spi(struct vm *vm, unsigned int spi)
{
	uint64_t *pending = &vm->pending[spi / 64], bit = 1ULL << spi % 64;
	bool was = *pending & bit;

	*pending &= ~bit;
	return was;
}

static enum step end_vm(struct context *c, enum run_state state, uint64_t data0, unsigned int type)
{
	const struct run end = { state, { data0 } };

	puppet_end(c->s, c->vm, c->v, &end);
	model_guest_ended(c->s->model, c->vm->slot, type, NULL, 0);
	*c->run = end;
	return STEP_EXIT;
}

/* The vCPU is off; for good once RM has been told and has woken it (abi K.8). */
static enum step op_off(struct context *c)
{
	return end_vm(c, RUN_POWERED_OFF, 0, EXIT_OFF);
}

static enum step op_reset(struct context *c)
{
	return end_vm(c, RUN_SYSTEM_RESET, RESET_PLAIN, EXIT_RESET);
}

static enum step op_fault(struct context *c)
{
	return end_vm(c, RUN_FAULT, 0, EXIT_FAULT);
}

static enum step op_watchdog_bite(struct context *c)
{
	return end_vm(c, RUN_POWERED_OFF, 0, EXIT_WATCHDOG);
}

/* An exception handler that faults: only debug images detect the loop (abi K.10). */
static enum step op_fault_loop(struct context *c)
{
	return c->s->options->production ? exit_run(c, RUN_READY, 0, 0, 0) : op_fault(c);
}

static enum step op_print(struct context *c)
{
	uint64_t i = c->v->phase++;

	if (i > c->len)
		return STEP_DONE;
	return mmio_write(c, UART_DATA, 1, i < c->len ? (uint8_t)c->arg[i] : '\n');
}

/*
 * Read a character from the UART as a driver does: poll, then sleep until the doorbell. When
 * done, @value has it.
 */
static enum step read_char(struct context *c)
{
	enum { ENABLE, LOOK, LOOKED, GOT };

	if (c->v->sub == ENABLE) {
		c->v->sub = LOOK;
		if (!c->vm->uart_ready) {
			c->vm->uart_ready = true;
			return mmio_write(c, UART_IER, 1, IER_RECEIVED);
		}
	}
	if (c->v->sub == LOOKED && c->v->value & LSR_DATA) {
		c->v->sub = GOT;
		return mmio_read(c, UART_DATA, 1);
	}
	if (c->v->sub == GOT) {
		c->v->sub = ENABLE;
		return STEP_DONE;
	}
	if (c->v->sub == LOOKED) { /* no character */
		if (!take_spi(c->vm, UART_SPI))
			return wait_for_interrupt(c);
	}
	c->v->sub = LOOKED;
	return mmio_read(c, UART_LSR, 1);
}

static bool line_complete(struct vcpu *v, const char *want, size_t len)
{
	char ch = (char)v->value;
	bool same;

	if (ch != '\n' && ch != '\r') {
		if (v->line_len < sizeof(v->line))
			v->line[v->line_len++] = ch;
		return false;
	}
	same = v->line_len == len && !memcmp(v->line, want, len);
	v->line_len = 0;
	return same;
}

static enum step op_read(struct context *c)
{
	return read_char(c);
}

static enum step op_expect(struct context *c)
{
	enum step step = read_char(c);

	if (step != STEP_DONE)
		return step;
	return line_complete(c->v, c->arg, c->len) ? STEP_DONE : STEP_MORE;
}

static enum step op_echo(struct context *c)
{
	enum step step;

	if (c->v->phase) { /* the write is done */
		c->v->phase = 0;
		return line_complete(c->v, c->arg, c->len) ? STEP_DONE : STEP_MORE;
	}
	step = read_char(c);
	if (step != STEP_DONE)
		return step;
	c->v->phase = 1;
	return mmio_write(c, UART_DATA, 1, (uint8_t)c->v->value);
}

static enum step op_wfi(struct context *c)
{
	if (!c->vm->pending[0] && !c->vm->pending[1])
		return wait_for_interrupt(c);
	c->vm->pending[0] = c->vm->pending[1] = 0;
	return STEP_DONE;
}

static bool parse_number(const char **p, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(*p, &end, 0);
	if (end == *p || errno)
		return false;
	*p = end;
	return true;
}

/* Malformed operations fault. */
static enum step op_sleep(struct context *c)
{
	const char *p = c->arg;
	uint64_t ms, now = server_now();

	if (!parse_number(&p, &ms) || ms > UINT32_MAX)
		return op_fault(c);
	if (!c->v->phase++)
		c->v->wake_at = now + ms * 1000000;
	if (now < c->v->wake_at)
		return wait_for_interrupt(c);
	c->v->wake_at = 0;
	return STEP_DONE;
}

static enum step op_powerkey(struct context *c)
{
	enum { EDGE, ENABLE, WAIT, LOOKED, CLEARED };

	switch (c->v->phase) {
	case EDGE:
		c->v->phase = ENABLE;
		return mmio_write(c, GPIO_IEV, 1, GPIO_ALL);
	case ENABLE:
		c->v->phase = WAIT;
		return mmio_write(c, GPIO_IE, 1, GPIO_ALL);
	case WAIT:
		if (!take_spi(c->vm, GPIO_SPI))
			return wait_for_interrupt(c);
		c->v->phase = LOOKED;
		return mmio_read(c, GPIO_DATA, 1);
	case LOOKED:
		c->v->phase = c->v->value & GPIO_ALL ? CLEARED : WAIT;
		return mmio_write(c, GPIO_IC, 1, GPIO_ALL);
	default:
		return op_off(c);
	}
}

static bool parse_address(const char **p, uint64_t *ret_ipa, uint64_t *ret_size)
{
	if (!parse_number(p, ret_ipa) || !parse_number(p, ret_size))
		return false;
	if (*ret_size != 1 && *ret_size != 2 && *ret_size != 4 && *ret_size != 8)
		return false;
	return *ret_ipa <= MMIO_END - *ret_size;
}

static enum step op_mmio_read(struct context *c)
{
	const char *p = c->arg;
	uint64_t ipa, size;

	if (c->v->phase++)
		return STEP_DONE;
	return parse_address(&p, &ipa, &size) ? mmio_read(c, ipa, size) : op_fault(c);
}

static enum step op_mmio_write(struct context *c)
{
	const char *p = c->arg;
	uint64_t ipa, size, value;

	if (c->v->phase++)
		return STEP_DONE;
	if (!parse_address(&p, &ipa, &size) || !parse_number(&p, &value))
		return op_fault(c);
	return mmio_write(c, ipa, size, size < 8 ? value & ((1ULL << 8 * size) - 1) : value);
}

static enum step op_loop(struct context *c)
{
	const char *p = c->arg;
	uint64_t n;

	if (!parse_number(&p, &n))
		return op_fault(c);
	return c->v->phase++ < n ? exit_run(c, RUN_READY, 0, 0, 0) : STEP_DONE;
}

static enum step op_forever(struct context *c)
{
	return exit_run(c, RUN_READY, 0, 0, 0);
}

static enum step op_cpu_on(struct context *c)
{
	const char *p = c->arg;
	uint64_t n;

	if (!parse_number(&p, &n) || n >= c->vm->n_vcpus)
		return op_fault(c);
	if (c->vm->vcpus[n].off)
		puppet_power_on(c->s, c->vm, (unsigned int)n);
	return STEP_DONE;
}

static enum step op_cpu_off(struct context *c)
{
	c->v->off = true;
	return exit_run(c, RUN_POWERED_OFF, 0, 0, 0);
}

/* memory added and removed at run time */

/* Poll RM. False: no RM node, or a malformed label. */
static bool mem_listen(struct context *c, int64_t *ret_label)
{
	struct guest_mem *g = &c->vm->mem;
	const char *p = c->arg;
	uint64_t label;

	*ret_label = -1;
	if (c->len) {
		if (!parse_number(&p, &label) || label > UINT32_MAX)
			return false;
		*ret_label = (int64_t)label;
	}
	if (!c->vm->has_link)
		c->vm->has_link = guest_mem_init(g, c->s->model, c->vm->slot);
	if (!c->vm->has_link)
		return false;
	(void)take_spi(c->vm, g->link.tx_spi);
	(void)take_spi(c->vm, g->link.rx_spi);
	guest_mem_poll(g);
	return true;
}

/* TEXT, in which "\e" is an escape character: what a guest writes may be anything. */
static enum step op_crash_message(struct context *c)
{
	char text[MESSAGE_MAX];
	int64_t label;
	size_t n = 0;

	for (size_t i = 0; i < c->len && n < sizeof(text); i++) {
		const bool escape = c->len - i > 1 && c->arg[i] == '\\' && c->arg[i + 1] == 'e';

		text[n++] = escape ? ESCAPE : c->arg[i];
		i += escape;
	}
	c->len = 0; /* no label */
	if (!mem_listen(c, &label) || guest_mem_set_crash(&c->vm->mem, text, n) != 0)
		return op_fault(c);
	return STEP_DONE;
}

static enum step op_mem_accept(struct context *c)
{
	struct guest_mem *g = &c->vm->mem;
	struct guest_mem_region *r;
	int64_t label;

	if (!mem_listen(c, &label))
		return op_fault(c);
	r = guest_mem_find(g, label, false);
	if (!r)
		return wait_for_interrupt(c);
	if (guest_mem_accept(g, r) != 0)
		return op_fault(c);
	(void)guest_mem_say(g, r, true); /* the owner may ignore it */
	return STEP_DONE;
}

static enum step op_mem_release(struct context *c)
{
	struct guest_mem *g = &c->vm->mem;
	struct guest_mem_region *r;
	int64_t label;

	if (!mem_listen(c, &label))
		return op_fault(c);
	r = guest_mem_find(g, label, true);
	if (!r)
		return wait_for_interrupt(c);
	if (guest_mem_release(g, r) != 0)
		return op_fault(c);
	(void)guest_mem_say(g, r, false); /* the owner may ignore it */
	return STEP_DONE;
}

static enum step serve_memory(struct context *c, bool keeps)
{
	int64_t label;

	if (!mem_listen(c, &label) || label >= 0)
		return op_fault(c);
	guest_mem_serve(&c->vm->mem, keeps, false);
	return wait_for_interrupt(c);
}

static enum step op_mem_serve(struct context *c)
{
	return serve_memory(c, false);
}

static enum step op_mem_keep(struct context *c)
{
	return serve_memory(c, true);
}

static bool word_at(struct context *c, unsigned int rights, uint32_t **ret, uint32_t *ret_value)
{
	const char *p = c->arg;
	uint64_t ipa, value;

	if (!parse_number(&p, &ipa) || !parse_number(&p, &value) || value > UINT32_MAX)
		return false;
	*ret_value = (uint32_t)value;
	*ret = puppet_word(c->s, c->vm, ipa, rights);
	return *ret;
}

static enum step op_mem_write(struct context *c)
{
	uint32_t *word, value;

	if (!word_at(c, RIGHT_W, &word, &value))
		return op_fault(c);
	__atomic_store_n(word, value, __ATOMIC_RELEASE); /* also accessed by another process */
	return STEP_DONE;
}

/* Changes are not signalled, so poll. */
static enum step op_mem_await(struct context *c)
{
	uint32_t *word, value;

	if (!word_at(c, RIGHT_R, &word, &value))
		return op_fault(c);
	if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
		c->v->wake_at = server_now() + AWAIT_NS;
		return wait_for_interrupt(c);
	}
	c->v->wake_at = 0;
	return STEP_DONE;
}

/* The register of that name when the guest was started; NULL: there is none. */
static const uint64_t *find_register(const struct model_registers *r, const char *name)
{
	unsigned int n;

	if (!strcmp(name, "pc"))
		return &r->pc;
	if (sscanf(name, "x%u", &n) == 1 && n < ARRAY_SIZE(r->x))
		return &r->x[n];
	if (sscanf(name, "sp%u", &n) == 1 && n < ARRAY_SIZE(r->sp))
		return &r->sp[n];
	return NULL;
}

static enum step op_started_with(struct context *c)
{
	const uint64_t *at;
	uint64_t value;
	const char *p;
	char name[8];
	int len;

	if (sscanf(c->arg, "%7s%n", name, &len) != 1)
		return op_fault(c);
	p = c->arg + len;
	at = find_register(&c->vm->registers, name);
	return at && parse_number(&p, &value) && *at == value ? STEP_DONE : op_fault(c);
}

static const struct {
	const char *name;
	enum step (*run)(struct context *c);
} ops[] = {
	{ "print", op_print },
	{ "read", op_read },
	{ "expect", op_expect },
	{ "echo", op_echo },
	{ "wfi", op_wfi },
	{ "sleep", op_sleep },
	{ "powerkey", op_powerkey },
	{ "mmio-read", op_mmio_read },
	{ "mmio-write", op_mmio_write },
	{ "crash-message", op_crash_message },
	{ "mem-accept", op_mem_accept },
	{ "mem-release", op_mem_release },
	{ "mem-serve", op_mem_serve },
	{ "mem-keep", op_mem_keep },
	{ "mem-write", op_mem_write },
	{ "mem-await", op_mem_await },
	{ "started-with", op_started_with },
	{ "fault", op_fault },
	{ "fault-loop", op_fault_loop },
	{ "watchdog-bite", op_watchdog_bite },
	{ "reset", op_reset },
	{ "off", op_off },
	{ "loop", op_loop },
	{ "forever", op_forever },
	{ "cpu-on", op_cpu_on },
	{ "cpu-off", op_cpu_off },
};

static size_t line_length(const char *line)
{
	return strcspn(line, "\n");
}

static const char *next_line(const char *line)
{
	line += line_length(line);
	return *line ? line + 1 : line;
}

static bool starts_section(const char *line)
{
	return !strncmp(line, "cpu ", 4);
}

/* Lines before the first "cpu N" belong to vCPU 0. */
const char *script_begin(const char *script, unsigned int n)
{
	const char *line = script;

	if (!n)
		return script;
	for (; *line; line = next_line(line)) {
		if (starts_section(line) && strtoul(line + 4, NULL, 10) == n)
			return next_line(line);
	}
	return line; /* the end: no lines */
}

/* After its last line vCPU 0 turns the machine off; other vCPUs turn themselves off. */
static enum step at_end(struct context *c)
{
	return c->v == &c->vm->vcpus[0] ? op_off(c) : op_cpu_off(c);
}

static enum step step_line(struct context *c)
{
	const char *line = c->v->at;
	size_t len = line_length(line), word = strcspn(line, " \n");

	if (!*line || starts_section(line))
		return at_end(c);
	if (!len || *line == '#')
		return STEP_DONE;
	c->arg = line + (word < len ? word + 1 : len);
	c->len = len - (size_t)(c->arg - line);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (strlen(ops[i].name) == word && !strncmp(line, ops[i].name, word))
			return ops[i].run(c);
	}
	return op_fault(c);
}

void script_run(struct server *s, struct vm *vm, struct vcpu *v, struct run *ret)
{
	struct context c = { .s = s, .vm = vm, .v = v, .run = ret };
	enum step step;

	do {
		step = step_line(&c);
		if (step != STEP_DONE)
			continue;
		v->at = next_line(v->at);
		v->phase = 0;
	} while (step != STEP_EXIT);
}
