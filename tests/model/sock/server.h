/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ghvm-model: the model hypervisor on a socket, with scripted guests.
 *
 * A single thread that blocks only in epoll: so a revoked grant has no call in flight, and the
 * model's core needs no lock. Internals of the program.
 */
#pragma once

#include "kmod/uapi/ghvm.h"
#include "libghvm/base/bits.h"
#include "libghvm/hyp/host.h"
#include "tests/model/core/model.h"
#include "tests/model/guest-mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVER_PAGE 4096ULL
#define SERVER_VIRQ_FIRST 32 /* as the module: SPIs */
#define SERVER_VIRQ_LAST 1019
#define SCRIPT_MAX 65536

struct server;

/* simulated RAM (ram.c) */

/**
 * struct ram - the primary's physical memory, of which only pinned pages exist
 * @va: @size bytes of address space; memfds are mapped into it as they are pinned
 * @pinned, @guarded: a bit per page
 * @next: page where the search for space goes on
 * @fragment: maximal number of contiguous pages; 0: no limit
 */
struct ram {
	uint64_t base;
	uint64_t size;
	uint8_t *va;
	uint8_t *pinned;
	uint8_t *guarded;
	uint64_t next;
	uint64_t fragment;
};

/**
 * struct ram_file - a memfd to pin
 * @readonly: the guest only reads it: it may be sealed against writing
 */
struct ram_file {
	int fd;
	bool readonly;
};

int ram_init(struct ram *r, uint64_t base, uint64_t size, uint64_t fragment);
void ram_done(struct ram *r);
/* Map @length bytes of @f from @offset; malloc'ed extents. Return: 0 or a negative errno. */
int ram_pin(struct ram *r, const struct ram_file *f, uint64_t offset, uint64_t length,
	    struct ghvm_extent **ret, uint64_t *ret_n);
void ram_unpin(struct ram *r, const struct ghvm_extent *v, uint64_t n);
/* The bytes if all of them are pinned; or NULL. */
void *ram_at(const struct ram *r, uint64_t pa, uint64_t length);
void ram_set_guarded(struct ram *r, const struct ghvm_extent *v, uint64_t n, bool guarded);
bool ram_is_guarded(const struct ram *r, uint64_t pa, uint64_t length);

/* ---- files: hosts, pins and grants (server.c, pin.c, grant.c, irq.c) ---- */

struct pin {
	struct pin *next;
	uint64_t id;
	uint64_t length;
	struct ghvm_extent *extents;
	uint64_t n_extents;
	uint32_t state;
	bool quarantined; /* without a file */
	uint8_t tag[GHVM_TAG_SIZE];
};

struct grant {
	struct grant *next;
	uint64_t id;
	bool revoked; /* and no longer listed */
	uint32_t n_calls;
	uint32_t n_virqs;
	struct ghvm_grant_call *calls;
	uint32_t *virqs;
};

enum file_kind {
	FILE_LISTEN,
	FILE_CONTROL_LISTEN,
	FILE_CONTROL,
	FILE_HOST,
	FILE_PIN,
	FILE_GRANT,
};

/* struct file - a socket of the model; a client holds its other end as "the file" */
struct file {
	struct file *next;
	enum file_kind kind;
	int fd;
	pid_t pid; /* of the client that connected; of pins and grants: of their creator */
	bool dead; /* to be freed after this round */
	struct pin *pin;
	struct grant *grant;
	char *line; /* FILE_CONTROL: the incomplete line */
	size_t line_len;
};

struct binding {
	struct file *file; /* NULL: not bound */
	int eventfd;
};

/**
 * struct request - the contents of a packet
 * @op: ioctl number
 * @arg: the rest, @len bytes
 * @fd: the received descriptor, -1: none; setting it to -1 takes it over
 * @out, @out_len: reply, GHVM_SOCK_PACKET_MAX big
 * @out_fd: descriptor to send, owned; -1: none
 */
struct request {
	uint32_t op;
	const uint8_t *arg;
	size_t len;
	int fd;
	uint8_t *out;
	size_t out_len;
	int out_fd;
};

/* Create a file; @ret_fd: the client's end. Return: 0 or a negative errno. */
int server_new_file(struct server *s, enum file_kind kind, struct file **ret, int *ret_fd);
int server_add_file(struct server *s, enum file_kind kind, int fd, struct file **ret);
/* Append to the reply; false: too long. */
bool request_put(struct request *rq, const void *p, size_t n);
/*
 * Copy the structure at the front, with the checks of copy_struct_from_user(). Return: 0 or
 * errno.
 */
int request_arg(struct request *rq, void *arg, size_t size);

/* The client was killed and gets no answer. */
#define DISPATCH_KILLED 1

/* Process a request on a file. Return: the result of the ioctl, or DISPATCH_KILLED. */
int dispatch(struct server *s, struct file *f, struct request *rq);

int pin_create(struct server *s, struct request *rq);
int pin_request(struct server *s, struct pin *pin, struct request *rq);
void pin_release(struct server *s, struct pin *pin);
int quarantine_list(struct server *s, struct request *rq);
int quarantine_adopt(struct server *s, struct request *rq);
uint64_t quarantine_pages(const struct server *s);

int grant_create(struct server *s, struct request *rq);
int grant_revoke(struct server *s, struct request *rq);
void grant_release(struct server *s, struct grant *g);
bool grant_has_call(const struct grant *g, uint32_t call, uint64_t capid);
bool grant_has_virq(const struct grant *g, uint32_t virq);

int irq_bind(struct server *s, struct file *f, const struct ghvm_irq *arg, struct request *rq);
void irq_release(struct server *s, struct file *f);
void irq_raise(struct server *s, uint32_t intid);

/* the machine for the core, and its guests (machine.c, puppet.c, script.c) */

enum run_state { /* abi F.1 */
		 RUN_READY = 0,
		 RUN_EXPECTS_WAKEUP = 1,
		 RUN_POWERED_OFF = 2,
		 RUN_MMIO_READ = 4,
		 RUN_MMIO_WRITE = 5,
		 RUN_FAULT = 6,
		 RUN_SYSTEM_RESET = 0x100,
};

struct run {
	uint64_t state;
	uint64_t data[3];
};

struct guest_map {
	uint64_t ipa;
	uint64_t pa;
	uint64_t length;
	unsigned int rights;
};

/**
 * struct vcpu - the position in its script
 * @at: the current line, NULL: none
 * @phase, @sub: progress within the line, and within a repeated step
 * @value: result of the last MMIO read; @reading: the next run brings it
 * @wake_at: end of a sleep, 0: none
 * @blocked: waits for an event
 */
struct vcpu {
	bool off;
	bool blocked;
	bool reading;
	const char *at;
	uint64_t phase;
	unsigned int sub;
	uint64_t value;
	uint64_t wake_at;
	char line[256]; /* console input so far */
	size_t line_len;
};

struct vm {
	bool used;
	unsigned int slot;
	unsigned int n_vcpus;
	struct guest_map *maps;
	size_t n_maps;
	uint64_t pending[2]; /* SPIs */
	bool uart_ready;
	bool gpio_ready;
	bool has_link; /* has used the RM node: @mem is valid */
	bool ended;
	const struct vcpu *
		ended_by; /* its runs return @end until RM kills it; other vCPUs are off for good */
	struct run end;
	struct vcpu vcpus[MODEL_VCPUS_MAX];
	char *script;
	struct model_registers registers; /* when it was started */
	struct guest_mem mem;
};

/* Without a script the first run faults. */
void puppet_start(struct server *s, struct vm *vm, const struct model_registers *registers);
/* The guest ends by an action of @by; RM does not know yet. */
void puppet_end(struct server *s, struct vm *vm, const struct vcpu *by, const struct run *end);
/* RM ends the guest, or learns of its end. */
void puppet_kill(struct server *s, struct vm *vm);
void puppet_pend(struct server *s, struct vm *vm, unsigned int spi, bool pend);
/* vcpu_run: @resume is its first argument, @x gets X0 to X4. */
void puppet_run(struct server *s, struct vm *vm, unsigned int vcpu, uint64_t resume, uint64_t x[8]);
void puppet_wake(struct server *s, struct vm *vm, unsigned int vcpu);
void puppet_power_on(struct server *s, struct vm *vm, unsigned int vcpu);
/* Wake vCPUs that have slept long enough. Return: the next wake-up, 0: none. */
uint64_t puppet_timers(struct server *s, uint64_t now);

/* A word of the guest's memory if it has these rights (X 1, W 2, R 4); or NULL. */
uint32_t *puppet_word(struct server *s, const struct vm *vm, uint64_t ipa, unsigned int rights);

/* Run @v to its next exit. */
void script_run(struct server *s, struct vm *vm, struct vcpu *v, struct run *ret);
/* The first line of vCPU @n in a script, or NULL. */
const char *script_begin(const char *script, unsigned int n);

/* ---- everything ---- */

/* Effect of a control command: fail the request, or kill its client before or after it. */
enum fault_kind { FAULT_ERROR, FAULT_KILL, FAULT_KILL_AFTER };

/* Which requests count: runners have grants, managers everything else. */
enum fault_client { FAULT_ANYBODY, FAULT_MANAGER, FAULT_RUNNER };

struct fault {
	bool armed;
	enum fault_kind kind;
	enum fault_client client;
	uint32_t op; /* 0: any */
	unsigned int skip;
	int error;
};

struct counters {
	uint64_t requests;
	uint64_t vcpu_runs;
	uint64_t rm_requests;
	uint64_t guarded_writes; /* refused */
	uint64_t violations;	 /* a page rule was broken: see the log */
};

struct options {
	const char *path;
	const char *control;
	uint64_t ram;
	uint64_t fragment;
	uint64_t delay_ms;
	bool late_stop;
	unsigned int cpus;
	bool production;
	bool presplit_quirk;
	bool boot_context;
	bool address_layout;
	uint32_t pas_id;
	void *firmware;
	size_t firmware_size;
	uint16_t first_vmid;
	bool watchdog;
	uint64_t random;
	bool trace;
};

struct server {
	const struct options *options;
	struct model *model;
	void *arena;
	int epoll;
	bool quit;
	struct file *files;
	struct pin *pins;
	struct grant *grants;
	uint64_t last_pin;
	struct binding irqs[SERVER_VIRQ_LAST + 1];
	struct file *rm_holder;
	struct ram ram;
	struct vm vms[MODEL_VMS_MAX];
	uint64_t later;	     /* when model_work() is due, 0: never */
	uint64_t release_at; /* end of a delay of RM, 0: none */
	struct fault fault;
	pid_t spared;	   /* its requests count for no fault; 0: none */
	uint32_t obstacle; /* GHVM_OBSTACLE_*, for INFO */
	bool assigns;	   /* INFO: the firmware needs assignments, which this kernel cannot make */
	pid_t caller;	   /* of the current request */
	struct counters counters;
	uint8_t *in; /* GHVM_SOCK_PACKET_MAX bytes, as @out */
	uint8_t *out;
};

int server_init(struct server *s, const struct options *options);
/* Run until the command quit or a signal. Return: 0 or a negative errno. */
int server_run(struct server *s);
void server_done(struct server *s);
uint64_t server_now(void);
/* Report a violation of the page rule. */
void server_violation(struct server *s, const char *what, uint64_t pa, uint64_t length);

int machine_init(struct server *s);
void machine_done(struct server *s);

/* Execute a line of the control socket; the answer goes to @fd. */
void control_line(struct server *s, int fd, char *line);
