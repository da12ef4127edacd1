/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: each line is a command, answered by "ok", by "error TEXT", or by lines
 * key=value and then "ok".
 */
#include "tests/model/sock/server.h"

#include "libghvm/hyp/sock.h"

#include <errno.h>
#include <limits.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define WORDS_MAX 5
#define DELAY_MAX_MS 3600000

struct names {
	const char *name;
	uint32_t value;
};

static const struct names op_names[] = {
	{ "any", 0 },
	{ "info", GHVM_INFO },
	{ "hcall", GHVM_HCALL },
	{ "irq", GHVM_IRQ },
	{ "pin", GHVM_PIN },
	{ "pin-status", GHVM_PIN_STATUS },
	{ "pin-extents", GHVM_PIN_EXTENTS },
	{ "pin-set", GHVM_PIN_SET },
	{ "pin-write", GHVM_SOCK_WRITE },
	{ "grant", GHVM_GRANT },
	{ "revoke", GHVM_REVOKE },
	{ "quarantine-list", GHVM_QUARANTINE_LIST },
	{ "quarantine-adopt", GHVM_QUARANTINE_ADOPT },
};

static const struct names message_names[] = {
	{ "any", 0 },
	{ "MEM_LEND", 0x51000012 },
	{ "MEM_SHARE", 0x51000013 },
	{ "MEM_RECLAIM", 0x51000015 },
	{ "MEM_NOTIFY", 0x51000017 },
	{ "MEM_APPEND", 0x51000018 },
	{ "MEM_LOOKUP_SGL", 0x5100001a },
	{ "VM_ALLOCATE", 0x56000001 },
	{ "VM_DEALLOCATE", 0x56000002 },
	{ "VM_START", 0x56000004 },
	{ "VM_STOP", 0x56000005 },
	{ "VM_RESET", 0x56000006 },
	{ "VM_CONFIG_IMAGE", 0x56000009 },
	{ "VM_INIT", 0x5600000b },
	{ "VM_GET_STATE", 0x56000017 },
	{ "VM_GET_CRASH_MSG", 0x56000019 },
	{ "VM_GET_HYP_RESOURCES", 0x56000020 },
	{ "VM_GET_VMID", 0x56000024 },
	{ "VM_SET_BOOT_CONTEXT", 0x56000031 },
	{ "VM_SET_ADDRESS_LAYOUT", 0x56000034 },
	{ "VM_SET_FIRMWARE_MEM", 0x56000032 },
	{ "VM_AUTH_IMAGE", 0x5600000a },
	{ "VM_HOST_GET_TYPE", 0x560000a0 },
};

static const struct names errno_names[] = {
	{ "EPERM", EPERM },   { "EIO", EIO },	    { "EAGAIN", EAGAIN }, { "ENOMEM", ENOMEM },
	{ "EACCES", EACCES }, { "EFAULT", EFAULT }, { "EBUSY", EBUSY },	  { "EEXIST", EEXIST },
	{ "ENODEV", ENODEV }, { "EINVAL", EINVAL }, { "ENOSPC", ENOSPC }, { "ESTALE", ESTALE },
};

static bool parse_number(const char *s, uint64_t max, uint64_t *ret)
{
	char *end;

	if (*s == '-')
		return false;
	errno = 0;
	*ret = strtoull(s, &end, 0);
	return *s && !*end && !errno && *ret <= max;
}

/* Parse a name or a number. */
static bool parse_name(const struct names *v, size_t n, const char *s, uint32_t *ret)
{
	uint64_t number;

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(v[i].name, s)) {
			*ret = v[i].value;
			return true;
		}
	}
	if (!parse_number(s, UINT32_MAX, &number))
		return false;
	*ret = (uint32_t)number;
	return true;
}

/* Parse NTH, counted from 1, default 1, as a number of requests to skip. */
static bool parse_nth(const char *s, unsigned int *ret_skip)
{
	uint64_t n = 1;

	if (s && (!parse_number(s, UINT32_MAX, &n) || !n))
		return false;
	*ret_skip = (unsigned int)n - 1;
	return true;
}

/* Parse CLIENT; default: all clients. */
static bool parse_client(const char *s, enum fault_client *ret)
{
	static const struct names clients[] = {
		{ "anybody", FAULT_ANYBODY },
		{ "manager", FAULT_MANAGER },
		{ "runner", FAULT_RUNNER },
	};
	uint32_t client = FAULT_ANYBODY;

	if (s && !parse_name(clients, ARRAY_SIZE(clients), s, &client))
		return false;
	*ret = (enum fault_client)client;
	return true;
}

/* fail OP ERRNO [NTH [CLIENT]] */
static const char *cmd_fail(struct server *s, char **w)
{
	struct fault f = { .armed = true };
	uint32_t error;

	if (!w[1] || !w[2] || !parse_name(op_names, ARRAY_SIZE(op_names), w[1], &f.op))
		return "which operation?";
	if (!parse_name(errno_names, ARRAY_SIZE(errno_names), w[2], &error) || !error ||
	    error > 4095)
		return "which errno?";
	if (!parse_nth(w[3], &f.skip))
		return "which one of them?";
	if (!parse_client(w[3] ? w[4] : NULL, &f.client))
		return "which client?";
	f.error = -(int)error;
	s->fault = f;
	return NULL;
}

static const char *arm_kill(struct server *s, char **w, enum fault_kind kind)
{
	struct fault f = { .armed = true, .kind = kind };

	if (!parse_nth(w[1], &f.skip))
		return "before which request?";
	if (!parse_client(w[1] ? w[2] : NULL, &f.client))
		return "which client?";
	s->fault = f;
	return NULL;
}

/*
 * kill-client [NTH [CLIENT]]: kill the client of that request before it is processed. CLIENT: count
 * only requests of a manager, or of a runner.
 */
static const char *cmd_kill_client(struct server *s, char **w)
{
	return arm_kill(s, w, FAULT_KILL);
}

/* kill-client-after [NTH [CLIENT]]: the same after it is processed, before the answer. */
static const char *cmd_kill_client_after(struct server *s, char **w)
{
	return arm_kill(s, w, FAULT_KILL_AFTER);
}

/* spare PID: requests of this process count for no fault; 0: all processes count again */
static const char *cmd_spare(struct server *s, char **w)
{
	uint64_t pid;

	if (!w[1] || !parse_number(w[1], INT_MAX, &pid))
		return "which process?";
	s->spared = (pid_t)pid;
	return NULL;
}

/* no-fault: disarm; an error means that the fault has struck */
static const char *cmd_no_fault(struct server *s, char **w)
{
	bool was = s->fault.armed;

	s->fault.armed = false;
	return was ? NULL : "there is none";
}

static bool parse_message(const char *s, uint32_t *ret)
{
	return s && parse_name(message_names, ARRAY_SIZE(message_names), s, ret);
}

/* refuse MESSAGE STATUS [NTH] */
static const char *cmd_refuse(struct server *s, char **w)
{
	uint64_t status;
	uint32_t message;
	unsigned int skip;

	if (!parse_message(w[1], &message))
		return "which message?";
	if (!w[2] || !parse_number(w[2], UINT32_MAX, &status))
		return "which status?";
	if (!parse_nth(w[3], &skip))
		return "which one of them?";
	model_refuse(s->model, message, (uint32_t)status, skip);
	return NULL;
}

static const char *arm_silence(struct server *s, char **w,
			       void (*arm)(struct model *m, uint32_t message, unsigned int skip))
{
	uint32_t message;
	unsigned int skip;

	if (!parse_message(w[1], &message))
		return "which message?";
	if (!parse_nth(w[2], &skip))
		return "which one of them?";
	arm(s->model, message, skip);
	return NULL;
}

/* drop MESSAGE [NTH] */
static const char *cmd_drop(struct server *s, char **w)
{
	return arm_silence(s, w, model_drop);
}

/* mute MESSAGE [NTH] */
static const char *cmd_mute(struct server *s, char **w)
{
	return arm_silence(s, w, model_mute);
}

/* drop-end [NTH]: RM does not learn of the end of a guest */
static const char *cmd_drop_end(struct server *s, char **w)
{
	unsigned int skip;

	if (!parse_nth(w[1], &skip))
		return "which one of them?";
	model_drop_end(s->model, skip);
	return NULL;
}

static bool parse_hex(const char *s, uint8_t *buf, size_t cap, size_t *ret_n)
{
	size_t n = 0;

	for (; *s; s += 2, n++) {
		unsigned int byte;

		if (n == cap || !s[1] || sscanf(s, "%2x", &byte) != 1)
			return false;
		buf[n] = (uint8_t)byte;
	}
	*ret_n = n;
	return true;
}

/* reply MESSAGE HEX [NTH] */
static const char *cmd_reply(struct server *s, char **w)
{
	uint8_t bytes[256];
	uint32_t message;
	unsigned int skip;
	size_t n;

	if (!parse_message(w[1], &message))
		return "which message?";
	if (!w[2] || !parse_hex(w[2], bytes, sizeof(bytes), &n))
		return "which bytes?";
	if (!parse_nth(w[3], &skip))
		return "which one of them?";
	model_reply(s->model, message, bytes, n, skip);
	return NULL;
}

/* lie MESSAGE OFFSET HEX [NTH] */
static const char *cmd_lie(struct server *s, char **w)
{
	uint8_t bytes[256];
	unsigned int offset, skip;
	uint32_t message;
	size_t n;

	if (!parse_message(w[1], &message))
		return "which message?";
	if (!w[2] || sscanf(w[2], "%u", &offset) != 1)
		return "from which byte on?";
	if (!w[3] || !parse_hex(w[3], bytes, sizeof(bytes), &n))
		return "which bytes?";
	if (!parse_nth(w[4], &skip))
		return "which one of them?";
	model_lie(s->model, message, offset, bytes, n, skip);
	return NULL;
}

static const char *cmd_kill_rm(struct server *s, char **w)
{
	model_kill_rm(s->model);
	return NULL;
}

/* hold on|off */
static const char *cmd_hold(struct server *s, char **w)
{
	if (!w[1] || (strcmp(w[1], "on") != 0 && strcmp(w[1], "off") != 0))
		return "on or off?";
	s->release_at = 0;
	model_hold_rm(s->model, !strcmp(w[1], "on"));
	return NULL;
}

/* obstacle NUMBER|assign: what INFO tells as to why no guest can run (ghvm.h); 0: nothing */
static const char *cmd_obstacle(struct server *s, char **w)
{
	uint64_t n = 0;

	s->assigns = w[1] && !strcmp(w[1], "assign");
	if (!s->assigns && (!w[1] || !parse_number(w[1], UINT32_MAX, &n)))
		return "which obstacle?";
	s->obstacle = (uint32_t)n;
	return NULL;
}

/* delay MS: RM reads no messages until then */
static const char *cmd_delay(struct server *s, char **w)
{
	uint64_t ms;

	if (!w[1] || !parse_number(w[1], DELAY_MAX_MS, &ms))
		return "how many milliseconds?";
	model_hold_rm(s->model, true);
	s->release_at = server_now() + ms * 1000000 + 1;
	return NULL;
}

static const char *cmd_quit(struct server *s, char **w)
{
	s->quit = true;
	return NULL;
}

static void send_value(int fd, const char *key, uint64_t value)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s=%" PRIu64 "\n", key, value);

	(void)!send(fd, line, (size_t)n,
		    MSG_DONTWAIT | MSG_NOSIGNAL); /* the client may not be listening */
}

static void count_files(const struct server *s, int fd)
{
	uint64_t hosts = 0, pins = 0, guarded = 0, quarantine = 0, grants = 0, irqs = 0;

	for (const struct file *f = s->files; f; f = f->next)
		hosts += f->kind == FILE_HOST && !f->dead;
	for (const struct pin *p = s->pins; p; p = p->next) {
		pins++;
		guarded += p->state == GHVM_PIN_GUARDED;
		quarantine += p->quarantined;
	}
	for (const struct grant *g = s->grants; g; g = g->next)
		grants += !g->revoked;
	for (uint32_t i = 0; i <= SERVER_VIRQ_LAST; i++)
		irqs += s->irqs[i].file != NULL;
	send_value(fd, "hosts", hosts);
	send_value(fd, "pins", pins);
	send_value(fd, "pins_guarded", guarded);
	send_value(fd, "quarantine", quarantine);
	send_value(fd, "quarantined_pages", quarantine_pages(s));
	send_value(fd, "grants", grants);
	send_value(fd, "irqs_bound", irqs);
}

static const char *cmd_counts(struct server *s, int fd)
{
	struct model_counts n;

	model_counts(s->model, &n);
	send_value(fd, "vms", n.vms);
	send_value(fd, "slots", n.slots);
	send_value(fd, "parcels", n.parcels);
	send_value(fd, "entries", n.entries);
	send_value(fd, "virqs", n.virqs);
	send_value(fd, "caps", n.caps);
	send_value(fd, "lent_pages", n.lent_pages);
	send_value(fd, "shared_pages", n.shared_pages);
	send_value(fd, "calls", n.calls);
	send_value(fd, "rm_dead", n.rm_dead);
	send_value(fd, "heap_used", n.heap_used);
	count_files(s, fd);
	send_value(fd, "requests", s->counters.requests);
	send_value(fd, "vcpu_runs", s->counters.vcpu_runs);
	send_value(fd, "guarded_writes", s->counters.guarded_writes);
	send_value(fd, "violations", s->counters.violations);
	return NULL;
}

static const struct {
	const char *name;
	const char *(*run)(struct server *s, char **words);
} commands[] = {
	{ "fail", cmd_fail },
	{ "refuse", cmd_refuse },
	{ "drop", cmd_drop },
	{ "mute", cmd_mute },
	{ "drop-end", cmd_drop_end },
	{ "reply", cmd_reply },
	{ "lie", cmd_lie },
	{ "kill-rm", cmd_kill_rm },
	{ "hold", cmd_hold },
	{ "obstacle", cmd_obstacle },
	{ "kill-client", cmd_kill_client },
	{ "kill-client-after", cmd_kill_client_after },
	{ "no-fault", cmd_no_fault },
	{ "spare", cmd_spare },
	{ "delay", cmd_delay },
	{ "quit", cmd_quit },
};

static const char *run_command(struct server *s, int fd, char **words)
{
	if (!words[0])
		return "say something";
	if (!strcmp(words[0], "counts"))
		return cmd_counts(s, fd);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(words[0], commands[i].name))
			return commands[i].run(s, words);
	}
	return "no such command";
}

void control_line(struct server *s, int fd, char *line)
{
	char *words[WORDS_MAX + 1] = { NULL }, *rest = line, answer[128];
	const char *complaint;
	int n;

	for (int i = 0; i < WORDS_MAX; i++) {
		words[i] = strtok_r(rest, " \t\r", &rest);
		if (!words[i])
			break;
	}
	complaint = run_command(s, fd, words);
	if (complaint)
		n = snprintf(answer, sizeof(answer), "error %s\n", complaint);
	else
		n = snprintf(answer, sizeof(answer), "ok\n");
	(void)!send(fd, answer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL); /* as above */
}
