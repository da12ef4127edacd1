/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host behind a socket: everything that the module promises, against ghvm-model. */
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fixtures/sock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ULL
#define MIB (1ULL << 20)
#define IDENTIFY 0x00
#define DOORBELL_SEND 0x12
#define QUEUE_SEND 0x1b
#define QUEUE_RECEIVE 0x1c
#define VCPU_RUN 0x65
#define VIRQ 500 /* not bound */

static const uint8_t tag[GHVM_TAG_SIZE] = { 1, 2, 3, [GHVM_TAG_SIZE - 1] = 9 };

static int pin_some(struct ghvm_host *h, uint64_t length)
{
	_cleanup_(closep) int memfd = sock_bench_memfd(length, 0x5a);
	int pin = h->ops->pin(h, memfd, 0, length, false);

	assert_true(pin >= 0);
	return pin;
}

static void nobody_listens(void **state)
{
	struct ghvm_error err = { 0 };
	struct ghvm_host *h = NULL;

	assert_int_equal(ghvm_host_open("unix:/nowhere/model", &h, &err), -ENODEV);
	assert_null(h);
	assert_non_null(strstr(err.msg, "/nowhere/model"));
}

static void info(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_info i;

	assert_int_equal(b->host->ops->info(b->host, &i), 0);
	assert_int_equal(i.abi, GHVM_ABI_LEVEL);
	assert_int_equal(i.page_size, PAGE);
	assert_int_equal(i.uid[0], 0xcd8fd5c1);
	assert_int_equal(i.flags, GHVM_INFO_RM_TX_VIRQ | GHVM_INFO_RM_RX_VIRQ);
	assert_int_equal(i.identify[0] & 0x3fff, 1);
	assert_int_not_equal(i.rm_tx_capid, i.rm_rx_capid);
	assert_int_equal(i.quarantined_pages, 0);
}

static void pins(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_host *h = b->host;
	_cleanup_(closep) int memfd = sock_bench_memfd(8 * MIB, 0);
	struct ghvm_pin_status st;
	struct ghvm_extent e[2];
	uint8_t *p, text[70000];
	int pin;

	assert_int_equal(h->ops->pin(h, memfd, 0, 0, false), -EINVAL);
	assert_int_equal(h->ops->pin(h, memfd, 1, PAGE, false), -EINVAL);
	assert_int_equal(h->ops->pin(h, memfd, 0, PAGE + 1, false), -EINVAL);
	assert_int_equal(h->ops->pin(h, memfd, 8 * MIB, PAGE, false), -EFAULT);
	assert_int_equal(h->ops->pin(h, -1, 0, PAGE, false), -EBADF);
	pin = h->ops->pin(h, memfd, 4 * MIB, 4 * MIB, false);
	assert_true(pin >= 0);

	assert_int_equal(h->ops->pin_status(h, pin, &st), 0);
	assert_int_equal(st.state, GHVM_PIN_HELD);
	assert_int_equal(st.length, 4 * MIB);
	assert_int_equal(st.n_extents, 1);
	assert_int_equal(h->ops->pin_extents(h, pin, 0, e, 2), 1);
	assert_int_equal(e[0].length, 4 * MIB);
	assert_int_equal(e[0].pa % (2 * MIB), 0);
	assert_int_equal(h->ops->pin_extents(h, pin, 1, e, 2), 0);

	memset(text, 0x42, sizeof(text));
	assert_int_equal(h->ops->pin_write(h, pin, 3, text, sizeof(text)), 0);
	p = mmap(NULL, 8 * MIB, PROT_READ, MAP_SHARED, memfd, 0);
	assert_int_equal(p[4 * MIB + 2], 0);
	assert_int_equal(p[4 * MIB + 3], 0x42);
	assert_int_equal(p[4 * MIB + 3 + sizeof(text) - 1], 0x42);
	assert_int_equal(p[4 * MIB + 3 + sizeof(text)], 0);
	(void)munmap(p, 8 * MIB);
	assert_int_equal(h->ops->pin_write(h, pin, 4 * MIB - 1, text, 2), -ENOSPC);

	assert_int_equal(h->ops->pin_set(h, pin, 7, tag), -EINVAL);
	assert_int_equal(h->ops->pin_set(h, pin, GHVM_PIN_GUARDED, tag), 0);
	assert_int_equal(h->ops->pin_write(h, pin, 0, text, 1), -EBUSY);
	assert_int_equal(h->ops->pin_status(h, pin, &st), 0);
	assert_int_equal(st.state, GHVM_PIN_GUARDED);
	assert_memory_equal(st.tag, tag, sizeof(tag));
	assert_int_equal(h->ops->pin_set(h, pin, GHVM_PIN_HELD, tag), 0);
	assert_int_equal(h->ops->pin_write(h, pin, 0, text, 1), 0);
	assert_int_equal(sock_bench_count(b, "pins"), 1);
	h->ops->pin_close(h, pin);
	assert_int_equal(sock_bench_count(b, "pins"), 0);
	assert_int_equal(sock_bench_count(b, "guarded_writes"), 1);
	assert_int_equal(sock_bench_count(b, "violations"), 0);
}

static void scattered_memory(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b =
		sock_bench_new("--fragment=1", "--ram=64", NULL);
	static struct ghvm_extent e[6000];
	struct ghvm_host *h = b->host;
	_cleanup_(closep) int memfd = sock_bench_memfd(20 * MIB, 1);
	int pin = h->ops->pin(h, memfd, 0, 20 * MIB, false);
	uint8_t byte = 7, *p;

	assert_true(pin >= 0);
	assert_int_equal(h->ops->pin_extents(h, pin, 0, e, 6000), 5120); /* two packets */
	for (int i = 1; i < 5120; i++) {
		assert_int_equal(e[i].length, PAGE);
		assert_int_not_equal(e[i].pa, e[i - 1].pa + PAGE);
	}
	assert_int_equal(h->ops->pin_extents(h, pin, 5000, e, 6000), 120);
	assert_int_equal(h->ops->pin_write(h, pin, 20 * MIB - 1, &byte, 1), 0);
	p = mmap(NULL, 20 * MIB, PROT_READ, MAP_SHARED, memfd, 0);
	assert_int_equal(p[20 * MIB - 1], 7);
	(void)munmap(p, 20 * MIB);
	assert_int_equal(h->ops->pin(h, memfd, 0, 20 * MIB, false), -ENOMEM); /* no gaps left */
	h->ops->pin_close(h, pin);
	pin = h->ops->pin(h, memfd, 0, 20 * MIB, false);
	assert_true(pin >= 0);
	h->ops->pin_close(h, pin);
}

/* The page rule: pages of a pin closed while guarded go to the quarantine. */
static void a_guarded_pin_goes_to_the_quarantine(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_host *h = b->host;
	struct ghvm_quarantine_entry q[3];
	struct ghvm_pin_status st;
	struct ghvm_info i;
	int one = pin_some(h, PAGE), two = pin_some(h, 2 * PAGE), held = pin_some(h, PAGE);

	assert_int_equal(h->ops->pin_set(h, one, GHVM_PIN_GUARDED, tag), 0);
	assert_int_equal(h->ops->pin_set(h, two, GHVM_PIN_GUARDED, tag), 0);
	h->ops->pin_close(h, two);
	h->ops->pin_close(h, one);
	h->ops->pin_close(h, held);
	assert_int_equal(h->ops->quarantine_list(h, 0, q, 3), 2);
	assert_true(q[0].id < q[1].id);
	assert_int_equal(q[0].length, PAGE);
	assert_int_equal(q[1].length, 2 * PAGE);
	assert_memory_equal(q[1].tag, tag, sizeof(tag));
	assert_int_equal(h->ops->quarantine_list(h, q[0].id, q + 2, 1), 1);
	assert_int_equal(q[2].id, q[1].id);
	assert_int_equal(h->ops->info(h, &i), 0);
	assert_int_equal(i.quarantined_pages, 3);

	assert_int_equal(h->ops->quarantine_adopt(h, 99), -ENOENT);
	one = h->ops->quarantine_adopt(h, q[0].id);
	assert_true(one >= 0);
	assert_int_equal(h->ops->quarantine_adopt(h, q[0].id), -ENOENT);
	assert_int_equal(h->ops->pin_status(h, one, &st), 0);
	assert_int_equal(st.id, q[0].id);
	assert_int_equal(st.state, GHVM_PIN_GUARDED);
	assert_memory_equal(st.tag, tag, sizeof(tag));
	assert_int_equal(h->ops->pin_set(h, one, GHVM_PIN_HELD, tag), 0);
	h->ops->pin_close(h, one);
	assert_int_equal(h->ops->quarantine_list(h, 0, q, 3), 1);
	assert_int_equal(sock_bench_count(b, "violations"), 0);
}

static void a_killed_process_closes_its_pins(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_quarantine_entry q[2];
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct ghvm_host *h = NULL;
		int one, two;

		if (ghvm_host_open(b->uri, &h, NULL) < 0)
			_exit(1);
		one = pin_some(h, PAGE);
		two = pin_some(h, PAGE);
		if (h->ops->pin_set(h, one, GHVM_PIN_GUARDED, tag) < 0 || two < 0)
			_exit(1);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(b->host->ops->quarantine_list(b->host, 0, q, 2), 1);
	assert_int_equal(sock_bench_count(b, "pins"), 1);
	assert_int_equal(sock_bench_count(b, "hosts"), 1);
}

static void a_copy_keeps_a_pin_open(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_host *h = b->host;
	struct ghvm_quarantine_entry q[1];
	int pin = pin_some(h, PAGE), copy = dup(pin);

	assert_int_equal(h->ops->pin_set(h, pin, GHVM_PIN_GUARDED, tag), 0);
	h->ops->pin_close(h, pin);
	assert_int_equal(h->ops->quarantine_list(h, 0, q, 1), 0);
	h->ops->pin_close(h, copy);
	assert_int_equal(h->ops->quarantine_list(h, 0, q, 1), 1);
}

static int hcall(struct ghvm_host *h, uint32_t number, uint64_t a, uint64_t b, uint64_t c,
		 uint64_t results[5])
{
	struct ghvm_hcall call = { .call = number, .args = { a, b, c } };
	int r = h->ops->hcall(h, &call);

	if (r == 0 && results)
		memcpy(results, call.results, sizeof(call.results));
	return r;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void hypercalls(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	static const uint8_t ask[8] = { 0x21, 0x01, 1, 0, 0x24, 0, 0, 0x56 };
	struct ghvm_host *h = b->host;
	_cleanup_(closep) int ev = eventfd(0, EFD_CLOEXEC);
	struct ghvm_info i;
	uint8_t buf[240];
	uint64_t x[5], count;

	assert_int_equal(h->ops->info(h, &i), 0);
	assert_int_equal(hcall(h, IDENTIFY, 0, 0, 0, x), 0);
	assert_int_equal(x[0], i.identify[0]);
	assert_int_equal(hcall(h, 0x3a, 0, 0, 0, x), -EPERM);
	assert_int_equal(hcall(h, VCPU_RUN, 12345, 0, 0, x), 0);
	assert_int_equal(x[0], 50);

	/* RM's queues are for who has its virq */
	assert_int_equal(hcall(h, QUEUE_SEND, i.rm_tx_capid, 8, (uintptr_t)ask, x), -EPERM);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_RM_RX, 0, ev), 0);
	assert_int_equal(read(ev, &count, sizeof(count)), sizeof(count)); /* once at the bind */
	assert_int_equal(hcall(h, QUEUE_RECEIVE, i.rm_rx_capid, (uintptr_t)buf, 240, x), 0);
	assert_int_equal(x[0], 60);
	assert_int_equal(hcall(h, QUEUE_SEND, i.rm_rx_capid, 8, (uintptr_t)ask, x), -EPERM);
	assert_int_equal(hcall(h, QUEUE_SEND, i.rm_tx_capid, 1025, (uintptr_t)ask, x), -EINVAL);
	assert_int_equal(hcall(h, QUEUE_SEND, i.rm_tx_capid, 0, (uintptr_t)ask, x), -EINVAL);
	assert_false(readable(ev));
	assert_int_equal(hcall(h, QUEUE_SEND, i.rm_tx_capid, 8, (uintptr_t)ask, x), 0);
	assert_int_equal(x[0], 0);
	assert_true(readable(ev));
	assert_int_equal(hcall(h, QUEUE_RECEIVE, i.rm_rx_capid, (uintptr_t)buf, 240, x), 0);
	assert_int_equal(x[1], 16);
	assert_int_equal(buf[12], 3);
}

static void virqs(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_host *h = b->host, *other = NULL;
	_cleanup_(closep) int ev = eventfd(0, EFD_CLOEXEC);
	_cleanup_(closep) int memfd = sock_bench_memfd(PAGE, 0);

	assert_int_equal(ghvm_host_open(b->uri, &other, NULL), 0);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_RM_RX, 0, ev), 0);
	assert_int_equal(other->ops->irq(other, GHVM_IRQ_RM_RX, 0, ev), -EBUSY);
	assert_int_equal(other->ops->irq(other, GHVM_IRQ_RM_RX, 0, -1), -ENOENT);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_RM_RX, 1, ev), -EINVAL);
	assert_int_equal(h->ops->irq(h, 3, 0, ev), -EINVAL);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_VIRQ, 31, ev), -EINVAL);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_VIRQ, 1020, ev), -EINVAL);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_VIRQ, VIRQ, memfd), -EINVAL);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_VIRQ, VIRQ, -2), -EINVAL);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_VIRQ, VIRQ, -1), -ENOENT);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_VIRQ, VIRQ, ev), 0);
	assert_int_equal(other->ops->irq(other, GHVM_IRQ_VIRQ, VIRQ, ev), -EBUSY);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_VIRQ, VIRQ, -1), 0);
	assert_int_equal(other->ops->irq(other, GHVM_IRQ_VIRQ, VIRQ, ev), 0);

	/* closing a host is giving up its virqs */
	ghvm_host_close(other);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_VIRQ, VIRQ, ev), 0);
	assert_int_equal(sock_bench_count(b, "irqs_bound"), 2);
}

static void send_fd(int to, int fd)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf };
	struct cmsghdr *c;

	msg.msg_controllen = sizeof(control.buf);
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(to, &msg, 0), 1);
}

static int receive_fd(int from)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf };
	int fd = -1;

	msg.msg_controllen = sizeof(control.buf);
	if (recvmsg(from, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* In another process, with nothing but the grant: 0, or the line that went wrong. */
static int use_grant(int from)
{
	struct ghvm_host *g = NULL;
	int ev = eventfd(0, 0), fd = receive_fd(from), memfd;
	uint64_t x[5];
	struct ghvm_info i;

	if (fd < 0 || ghvm_host_from_fd(fd, &g, NULL) < 0)
		return __LINE__;
	if (hcall(g, VCPU_RUN, 77, 0, 0, x) != 0 || x[0] != 50)
		return __LINE__;
	if (hcall(g, VCPU_RUN, 78, 0, 0, x) != -EPERM)
		return __LINE__;
	if (hcall(g, DOORBELL_SEND, 77, 0, 0, x) != -EPERM)
		return __LINE__;
	if (hcall(g, QUEUE_SEND, 77, 8, (uintptr_t)x, x) != -EPERM)
		return __LINE__;
	if (g->ops->irq(g, GHVM_IRQ_VIRQ, VIRQ, ev) != 0 || !readable(ev))
		return __LINE__;
	if (g->ops->irq(g, GHVM_IRQ_VIRQ, VIRQ + 1, ev) != -EPERM)
		return __LINE__;
	if (g->ops->irq(g, GHVM_IRQ_RM_RX, 0, ev) != -EPERM)
		return __LINE__;
	memfd = sock_bench_memfd(PAGE, 0);
	if (g->ops->info(g, &i) != -ENOTTY || g->ops->pin(g, memfd, 0, PAGE, false) != -ENOTTY)
		return __LINE__;
	if (g->ops->revoke(g, 5) != -ENOTTY)
		return __LINE__;
	(void)!write(from, "x", 1); /* now it is revoked */
	if (read(from, x, 1) != 1)
		return __LINE__;
	if (hcall(g, VCPU_RUN, 77, 0, 0, x) != -ESTALE)
		return __LINE__;
	if (g->ops->irq(g, GHVM_IRQ_VIRQ, VIRQ, ev) != -ESTALE)
		return __LINE__;
	ghvm_host_close(g);
	return 0;
}

static void a_grant_in_another_process(void **state)
{
	static const struct ghvm_grant_call calls[] = { { .call = VCPU_RUN, .capid = 77 } };
	static const uint32_t virqs_granted[] = { VIRQ };
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_host *h = b->host;
	int grant, sv[2], status;
	char byte;
	pid_t pid;

	grant = h->ops->grant(h, 5, calls, 1, virqs_granted, 1);
	assert_true(grant >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	pid = fork();
	if (!pid) {
		(void)close(sv[0]);
		_exit(use_grant(sv[1]) ? 1 : 0);
	}
	(void)close(sv[1]);
	send_fd(sv[0], grant);
	(void)close(grant);
	assert_int_equal(read(sv[0], &byte, 1), 1);
	assert_int_equal(sock_bench_count(b, "irqs_bound"), 1);
	assert_int_equal(h->ops->revoke(h, 5), 0);
	assert_int_equal(sock_bench_count(b, "irqs_bound"), 0);
	assert_int_equal(h->ops->revoke(h, 5), -ENOENT);
	assert_int_equal(write(sv[0], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(sv[0]);
	assert_int_equal(sock_bench_count(b, "grants"), 0);
}

static void grants_that_are_refused(void **state)
{
	static const struct ghvm_grant_call queue[] = { { .call = QUEUE_SEND, .capid = 1 } };
	static const struct ghvm_grant_call odd[] = { { .call = VCPU_RUN, .__reserved = 1 } };
	static const uint32_t low[] = { 31 };
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_host *h = b->host;
	int one, again;

	assert_int_equal(h->ops->grant(h, 0, NULL, 0, NULL, 0), -EINVAL);
	assert_int_equal(h->ops->grant(h, 1, NULL, 257, NULL, 0), -EINVAL);
	assert_int_equal(h->ops->grant(h, 1, queue, 1, NULL, 0), -EPERM);
	assert_int_equal(h->ops->grant(h, 1, odd, 1, NULL, 0), -EINVAL);
	assert_int_equal(h->ops->grant(h, 1, NULL, 0, low, 1), -EINVAL);
	one = h->ops->grant(h, 1, NULL, 0, NULL, 0);
	assert_true(one >= 0);
	assert_int_equal(h->ops->grant(h, 1, NULL, 0, NULL, 0), -EEXIST);
	assert_int_equal(h->ops->revoke(h, 1), 0);
	again = h->ops->grant(h, 1, NULL, 0, NULL, 0);
	assert_true(again >= 0);
	(void)close(one);
	(void)close(again);
	assert_int_equal(h->ops->revoke(h, 1), -ENOENT); /* closed by everybody */
	assert_int_equal(h->ops->assign(h, NULL), -EOPNOTSUPP);
}

static void *identify_often(void *host)
{
	uint64_t x[5];

	for (int i = 0; i < 300; i++) {
		if (hcall(host, IDENTIFY, 0, 0, 0, x) != 0 || (x[0] & 0x3fff) != 1)
			return host;
	}
	return NULL;
}

static void threads_share_a_host(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	pthread_t t[4];
	void *wrong;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, identify_often, b->host), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], &wrong), 0);
		assert_null(wrong);
	}
}

/* As many as may be open are: the resource manager is asked all the same. */
static void without_a_descriptor_left(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_hcall call = { .size = sizeof(call), .call = IDENTIFY };
	struct rlimit old, few;
	const int first = dup(STDERR_FILENO);
	struct ghvm_info i;
	int fd, last = first;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = (struct rlimit){ 64, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while ((fd = dup(STDERR_FILENO)) >= 0)
		last = fd;
	assert_int_equal(b->host->ops->hcall(b->host, &call), 0);
	assert_int_equal(b->host->ops->info(b->host, &i), -EMFILE);
	for (fd = first; fd <= last; fd++)
		(void)close(fd);
	assert_int_equal(b->host->ops->info(b->host, &i), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void what_is_no_request_harms_nobody(void **state)
{
	static const uint8_t zero[100000] = { 0 };
	static const size_t sizes[] = { 1, 7, 8, 9, 12, 200, 66000, 90000 };
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_info i;
	int pin = pin_some(b->host, PAGE);

	for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++)
		assert_int_equal(send(pin, zero, sizes[n], 0), sizes[n]);
	assert_int_equal(b->host->ops->info(b->host, &i), 0);
	b->host->ops->pin_close(b->host, pin);
}

static void faults(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	struct ghvm_host *h = b->host;
	struct ghvm_info i;
	int pin;

	sock_bench_command(b, "fail info EIO 2");
	assert_int_equal(h->ops->info(h, &i), 0);
	pin = pin_some(h, PAGE);
	assert_int_equal(h->ops->info(h, &i), -EIO);
	assert_int_equal(h->ops->info(h, &i), 0);
	sock_bench_command(b, "fail any 12");
	assert_int_equal(h->ops->pin_set(h, pin, GHVM_PIN_GUARDED, tag), -ENOMEM);
	h->ops->pin_close(h, pin);
	assert_int_equal(sock_bench_count(b, "quarantine"), 0);
}

static void rm_misbehaves(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	_cleanup_(ghvm_rm_freep) struct ghvm_rm *rm = NULL;
	struct ghvm_error err = { 0 };
	struct ghvm_vmid vmid;

	assert_int_equal(ghvm_rm_new(b->host, &rm, &err), 0);
	assert_int_equal(ghvm_rm_vmid(rm).id, 3);
	ghvm_rm_set_deadline(rm, 300, 300);
	sock_bench_command(b, "refuse VM_ALLOCATE 5");
	assert_int_equal(ghvm_rm_vm_allocate(rm, &vmid, &err), -EREMOTEIO);
	assert_int_equal(err.rm_code, 5);
	sock_bench_command(b, "delay 50");
	assert_int_equal(ghvm_rm_vm_allocate(rm, &vmid, &err), 0);
	sock_bench_command(b, "mute VM_ALLOCATE");
	assert_int_equal(ghvm_rm_vm_allocate(rm, &vmid, &err), -ETIMEDOUT);
	assert_int_equal(sock_bench_count(b, "vms"), 2);
	sock_bench_command(b, "kill-rm");
	assert_int_equal(ghvm_rm_vm_allocate(rm, &vmid, &err), -ETIMEDOUT);
	assert_true(ghvm_rm_dead(rm));
	assert_int_equal(sock_bench_count(b, "rm_dead"), 1);
}

/* Clients that break the page rule are found out. */
static void violations_are_counted(void **state)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b = sock_bench_new(NULL);
	_cleanup_(ghvm_rm_freep) struct ghvm_rm *rm = NULL;
	struct ghvm_host *h = b->host;
	struct ghvm_parcel_handle handle;
	struct ghvm_mem_acl acl = { .rights = GHVM_MEM_RWX };
	struct ghvm_extent e;
	struct ghvm_mem_create m = { .trans = GHVM_MEM_LEND, .acl = &acl, .n_acl = 1 };
	int pin = pin_some(h, PAGE);

	assert_int_equal(ghvm_rm_new(h, &rm, NULL), 0);
	assert_int_equal(ghvm_rm_vm_allocate(rm, &acl.vmid, NULL), 0);
	assert_int_equal(h->ops->pin_extents(h, pin, 0, &e, 1), 1);
	m.extents = &e;
	m.n_extents = 1;
	assert_int_equal(h->ops->pin_set(h, pin, GHVM_PIN_GUARDED, tag), 0);
	assert_int_equal(ghvm_rm_mem_create(rm, &m, &handle, NULL), 0);
	assert_int_equal(sock_bench_count(b, "violations"), 0);
	assert_int_equal(sock_bench_count(b, "lent_pages"), 1);
	assert_int_equal(h->ops->pin_set(h, pin, GHVM_PIN_HELD, tag), 0);
	assert_int_equal(sock_bench_count(b, "violations"), 1); /* guard cleared too early */
	assert_int_equal(h->ops->pin_write(h, pin, 0, "x", 1), 0);
	assert_int_equal(sock_bench_count(b, "violations"), 2); /* write to a lent page */
	assert_int_equal(ghvm_rm_mem_reclaim(rm, handle, false, PAGE, NULL), 0);
	assert_int_equal(ghvm_rm_mem_create(rm, &m, &handle, NULL), 0);
	assert_int_equal(sock_bench_count(b, "violations"), 3); /* lent unguarded */
	h->ops->pin_close(h, pin);
	assert_int_equal(sock_bench_count(b, "violations"), 4); /* given back to Linux */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(info),
		cmocka_unit_test(pins),
		cmocka_unit_test(scattered_memory),
		cmocka_unit_test(a_guarded_pin_goes_to_the_quarantine),
		cmocka_unit_test(a_killed_process_closes_its_pins),
		cmocka_unit_test(a_copy_keeps_a_pin_open),
		cmocka_unit_test(hypercalls),
		cmocka_unit_test(virqs),
		cmocka_unit_test(a_grant_in_another_process),
		cmocka_unit_test(grants_that_are_refused),
		cmocka_unit_test(threads_share_a_host),
		cmocka_unit_test(without_a_descriptor_left),
		cmocka_unit_test(what_is_no_request_harms_nobody),
		cmocka_unit_test(faults),
		cmocka_unit_test(rm_misbehaves),
		cmocka_unit_test(violations_are_counted),
	};

	sock_bench_program(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
