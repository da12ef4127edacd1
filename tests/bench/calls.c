/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User-space instructions of one call to the resource manager, and the requests to the kernel
 * that it makes. Counted, not timed: a child is stepped through calls, and the cheapest counts, as
 * reading the clock now and then takes a second try. A load of the machine changes nothing.
 *
 * "no host": the module and RM answer at once, from this process, so that what is counted is the
 * library. "sock": ghvm-model answers, and what carries requests there is counted as well.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"
#include "libghvm/hyp/hvc.h"
#include "libghvm/rm/packet.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/bench/steps.h"
#include "tests/fixtures/sock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ENTRIES 64
#define VMID 0x80

/* ---- a host that costs nothing ---- */

/**
 * struct nothing - module and RM, as far as a call goes
 * @reply: to the last request, @len bytes; 0: it was taken
 * @rx: eventfd of the client
 * @calls: hypercalls, which with the module are ioctls
 */
struct nothing {
	struct ghvm_host host;
	uint8_t reply[GHVM_PACKET_SIZE];
	size_t len;
	int rx;
	unsigned int calls;
};

static int nothing_info(struct ghvm_host *h, struct ghvm_info *ret)
{
	*ret = (struct ghvm_info){ .size = sizeof(*ret),
				   .flags = GHVM_INFO_RM_RX_VIRQ,
				   .abi = GHVM_ABI_LEVEL,
				   .page_size = GHVM_PAGE,
				   .rm_tx_capid = 1,
				   .rm_rx_capid = 2 };
	return 0;
}

/* The last packet of a request is pushed; its reply is OK and one word. */
static void nothing_send(struct nothing *n, const uint8_t *packet, bool push)
{
	static const uint32_t ok[2] = { GHVM_RM_OK, 3 };

	if (!push)
		return;
	memcpy(n->reply, packet, GHVM_PACKET_HEADER);
	n->reply[1] = GHVM_PACKET_REPLY;
	memcpy(n->reply + GHVM_PACKET_HEADER, ok, sizeof(ok));
	n->len = GHVM_PACKET_HEADER + sizeof(ok);
	(void)eventfd_write(n->rx, 1); /* cannot fail: it is read each time */
}

static int nothing_hcall(struct ghvm_host *h, struct ghvm_hcall *c)
{
	struct nothing *n = (struct nothing *)h;

	n->calls++;
	c->results[0] = GHVM_HYP_OK;
	if (c->call == GHVM_CALL_MSGQUEUE_SEND) {
		nothing_send(n, (const uint8_t *)(uintptr_t)c->args[2], c->args[3]);
		return 0;
	}
	if (!n->len) {
		c->results[0] = GHVM_HYP_MSGQUEUE_EMPTY;
		return 0;
	}
	memcpy((void *)(uintptr_t)c->args[1], n->reply, n->len);
	c->results[1] = n->len;
	n->len = 0;
	return 0;
}

static int nothing_irq(struct ghvm_host *h, uint32_t kind, uint32_t virq, int eventfd)
{
	((struct nothing *)h)->rx = eventfd;
	return 0;
}

static const struct ghvm_host_ops nothing_ops = {
	.info = nothing_info,
	.hcall = nothing_hcall,
	.irq = nothing_irq,
};

/* ---- the calls ---- */

enum subject {
	GET_STATE,
	LEND,
};

/* The smallest message, and the largest that the library sends. */
static void call(struct ghvm_rm *rm, enum subject subject)
{
	static struct ghvm_extent extents[ENTRIES];
	const struct ghvm_mem_acl acl = { { VMID }, GHVM_MEM_RWX };
	const struct ghvm_mem_create m = {
		.trans = GHVM_MEM_LEND,
		.type = GHVM_MEM_NORMAL,
		.acl = &acl,
		.n_acl = 1,
		.extents = extents,
		.n_extents = ENTRIES,
	};
	struct ghvm_parcel_handle handle;
	struct ghvm_rm_vm_state state;

	if (subject == GET_STATE) {
		(void)ghvm_rm_vm_get_state(rm, (struct ghvm_vmid){ VMID }, &state, NULL);
		return;
	}
	for (uint64_t i = 0; i < ENTRIES; i++)
		extents[i] = (struct ghvm_extent){ GHVM_GIB(2) + 2 * i * GHVM_PAGE, GHVM_PAGE };
	(void)ghvm_rm_mem_create(rm, &m, &handle, NULL);
}

/* A SIGSTOP before and after each of them, and first two with nothing between. */
static void play(struct ghvm_host *host, enum subject subject, unsigned int n)
{
	_cleanup_(ghvm_rm_freep) struct ghvm_rm *rm = NULL;

	must(ghvm_rm_new(host, &rm, NULL), "connect");
	call(rm, subject); /* what is bound, or allocated, at the first use */
	(void)raise(SIGSTOP);
	(void)raise(SIGSTOP);
	for (unsigned int i = 0; i < n; i++) {
		call(rm, subject); /* a refusal is an answer, too */
		(void)raise(SIGSTOP);
	}
}

/* ---- counting ---- */

static pid_t spawn(const char *uri, enum subject subject, unsigned int calls)
{
	struct nothing nothing = { .host = { &nothing_ops }, .rx = -1 };
	struct ghvm_host *host = &nothing.host;
	pid_t pid = fork();

	must(pid < 0 ? -errno : 0, "fork");
	if (pid)
		return pid;
	steps_let_count();
	if (uri)
		must(ghvm_host_open(uri, &host, NULL), "open");
	play(host, subject, calls);
	_exit(0);
}

static uint64_t per_call(const char *uri, enum subject subject, unsigned int calls)
{
	pid_t pid = spawn(uri, subject, calls);
	uint64_t none, least = UINT64_MAX, n;

	none = steps_first(pid);
	for (unsigned int i = 0; i < calls; i++) {
		n = steps_next(pid);
		least = n < least ? n : least;
	}
	steps_end(pid);
	return least - none;
}

/* Hypercalls of one call. */
static unsigned int hypercalls(enum subject subject)
{
	struct nothing nothing = { .host = { &nothing_ops }, .rx = -1 };
	_cleanup_(ghvm_rm_freep) struct ghvm_rm *rm = NULL;

	must(ghvm_rm_new(&nothing.host, &rm, NULL), "connect");
	nothing.calls = 0;
	call(rm, subject);
	return nothing.calls;
}

#define IOCTL 2328 /* instructions of one that makes a trivial hypercall, abi K.8 */

/* Each is an entry of the kernel and of the hypervisor: what a call may take. */
static const unsigned int most[] = { [GET_STATE] = 2, [LEND] = 6 };

/* Return: it is within its limit. */
static bool print(const char *name, const char *uri, enum subject subject, unsigned int calls)
{
	unsigned int n = hypercalls(subject);
	unsigned long long bare = per_call(NULL, subject, calls);
	unsigned long long sock = per_call(uri, subject, calls);

	printf("%-22s %12llu %12u %12.2f %14llu\n", name, bare, n, (double)bare / (n * IOCTL),
	       sock);
	if (n <= most[subject])
		return true;
	printf("%s: at most %u hypercalls are permitted\n", name, most[subject]);
	return false;
}

int main(int argc, char **argv)
{
	const bool smoke = argc > 2 && !strcmp(argv[2], "--smoke");
	const unsigned int calls = smoke ? 2 : 10;
	struct sock_bench *model;
	bool ok;

	sock_bench_program(argc, argv);
	model = sock_bench_new(NULL);
	printf("%-22s %12s %12s %12s %14s\n", "instructions a call", "no host", "hypercalls",
	       "to theirs", "sock");
	ok = print("GET_STATE", model->uri, GET_STATE, calls);
	if (!smoke)
		ok &= print("LEND of 64 entries", model->uri, LEND, calls);
	sock_bench_freep(&model);
	return ok ? 0 : 1;
}
