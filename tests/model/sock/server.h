/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ghvm-model: the model hypervisor behind a socket, with guests that follow a script.
 *
 * One thread, which never waits for anybody but in epoll: so a revoked grant has no call
 * in flight, and the model's core needs no lock. Insides of the program.
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

/* ---- pretend RAM (ram.c) ---- */

/**
 * struct ram - the primary's physical memory, of which only pinned pages exist
 * @va: @size bytes of address space; memfds are mapped into it as they are pinned
 * @pinned, @guarded: a bit a page
 * @next: page where the search for room goes on
 * @fragment: pages in a row that belong together; 0: as many as there are
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

int ram_init(struct ram *r, uint64_t base, uint64_t size, uint64_t fragment);
void ram_done(struct ram *r);
/* @length bytes of @fd from @offset, mapped; malloc'ed extents. 0 or a negative errno. */
int ram_pin(struct ram *r, int fd, uint64_t offset, uint64_t length, struct ghvm_extent **ret,
	    uint64_t *ret_n);
void ram_unpin(struct ram *r, const struct ghvm_extent *v, uint64_t n);
/* Bytes that are pinned, all of them; or NULL. */
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
	bool quarantined; /* no file names it */
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

/* struct file - a socket of ours; what the other side holds is "the file" */
struct file {
	struct file *next;
	enum file_kind kind;
	int fd;
	pid_t pid; /* who connected; of pins and grants: who made them */
	bool dead; /* to be freed once the round is over */
	struct pin *pin;
	struct grant *grant;
	char *line; /* FILE_CONTROL: what came of one */
	size_t line_len;
};

struct binding {
	struct file *file; /* NULL: not bound */
	int eventfd;
};

/**
 * struct request - what came in one packet
 * @op: ioctl number
 * @arg: what follows, @len bytes
 * @fd: a descriptor that came along, -1: none; taken by who sets it to -1
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

/* A new file; @ret_fd: the end to pass on. 0 or a negative errno. */
int server_new_file(struct server *s, enum file_kind kind, struct file **ret, int *ret_fd);
int server_add_file(struct server *s, enum file_kind kind, int fd, struct file **ret);
/* Append to the reply; false: no room. */
bool request_put(struct request *rq, const void *p, size_t n);
/* The structure at the front, checked as copy_struct_from_user() does; 0 or errno. */
int request_arg(struct request *rq, void *arg, size_t size);

/* The caller is dead: there is nobody to answer. */
#define DISPATCH_KILLED 1

/* One request on a file: what the ioctl returns, or DISPATCH_KILLED. */
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

/* ---- the machine below the core, and its guests (machine.c, puppet.c, script.c) ---- */

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
 * struct vcpu - where its script is
 * @at: the line it is in, NULL: it has none
 * @phase, @sub: how far in the line, and in what a line does again and again
 * @value: what the last MMIO read gave, @reading: the next run brings it
 * @wake_at: end of a sleep, 0: none
 * @blocked: it waits, and is woken by what comes
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
	bool has_link; /* and has used it: @mem is valid */
	bool ended;
	const struct vcpu *ended_by; /* its runs say @end until RM kills it; others: off for good */
	struct run end;
	struct vcpu vcpus[MODEL_VCPUS_MAX];
	char *script;
	struct guest_mem mem;
};

/* Never fails: without a script the first run faults. */
void puppet_start(struct server *s, struct vm *vm, uint64_t pc);
/* The guest's own end, by what @by did: RM does not know yet. */
void puppet_end(struct server *s, struct vm *vm, const struct vcpu *by, const struct run *end);
/* RM ends it, or takes note that it has ended. */
void puppet_kill(struct server *s, struct vm *vm);
void puppet_pend(struct server *s, struct vm *vm, unsigned int spi, bool pend);
/* vcpu_run: @resume is its first word, X0 to X4 the answer. */
void puppet_run(struct server *s, struct vm *vm, unsigned int vcpu, uint64_t resume, uint64_t x[8]);
void puppet_wake(struct server *s, struct vm *vm, unsigned int vcpu);
void puppet_power_on(struct server *s, struct vm *vm, unsigned int vcpu);
/* Those that slept long enough; when the next one does, 0: none. */
uint64_t puppet_timers(struct server *s, uint64_t now);

/* Four bytes of the guest's memory, if it may access them so (X 1, W 2, R 4); or NULL. */
uint32_t *puppet_word(struct server *s, const struct vm *vm, uint64_t ipa, unsigned int rights);

/* Runs @v to its next exit. */
void script_run(struct server *s, struct vm *vm, struct vcpu *v, struct run *ret);
/* Where vCPU @n begins in a script, or NULL. */
const char *script_begin(const char *script, unsigned int n);

/* ---- everything ---- */

/* What a control command makes fail, or whom it kills: before the request, or after. */
enum fault_kind { FAULT_ERROR, FAULT_KILL, FAULT_KILL_AFTER };

/* Whose requests count: runners have grants, managers all else. */
enum fault_whose { FAULT_ANYBODY, FAULT_MANAGER, FAULT_RUNNER };

struct fault {
	bool armed;
	enum fault_kind kind;
	enum fault_whose whose;
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
	uint64_t later;	     /* model_work() is due, 0: never */
	uint64_t release_at; /* RM is held until then, 0: not by the clock */
	struct fault fault;
	pid_t caller; /* of the request that is under way */
	struct counters counters;
	uint8_t *in; /* GHVM_SOCK_PACKET_MAX, as is */
	uint8_t *out;
};

int server_init(struct server *s, const struct options *options);
/* Until somebody says quit, or a signal comes. 0 or a negative errno. */
int server_run(struct server *s);
void server_done(struct server *s);
uint64_t server_now(void);
/* Something that must not happen with a guest's pages. */
void server_violation(struct server *s, const char *what, uint64_t pa, uint64_t length);

int machine_init(struct server *s);
void machine_done(struct server *s);

/* A line of the control socket; the answer goes to @fd. */
void control_line(struct server *s, int fd, char *line);
