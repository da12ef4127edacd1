// SPDX-License-Identifier: GPL-2.0-or-later
/* Grants: what is listed and nothing else, until revoked. */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define VIRQ 251

static long grant(int dev, uint64_t id, const struct ghvm_grant_call *calls, uint32_t n_calls,
		  const uint32_t *virqs, uint32_t n_virqs)
{
	struct ghvm_grant arg = { .id = id, .n_calls = n_calls, .n_virqs = n_virqs };

	arg.calls = (uintptr_t)calls;
	arg.virqs = (uintptr_t)virqs;
	return t_call(dev, GHVM_GRANT, &arg);
}

static long grant_revoke(int dev, uint64_t id)
{
	struct ghvm_revoke arg = { .id = id };

	return t_call(dev, GHVM_REVOKE, &arg);
}

static long hcall(int fd, uint32_t call, uint64_t capid)
{
	struct ghvm_hcall arg = { .call = call, .args = { capid } };

	return t_call(fd, GHVM_HCALL, &arg);
}

static long irq(int fd, uint32_t kind, uint32_t virq, int eventfd)
{
	struct ghvm_irq arg = { .kind = kind, .virq = virq, .eventfd = eventfd };

	return t_call(fd, GHVM_IRQ, &arg);
}

static const struct ghvm_grant_call calls[] = {
	{ .call = 0x00, .capid = 5 },
	{ .call = 0x12, .capid = 0x1234567890 },
};
static const uint32_t virqs[] = { VIRQ };

static long usual(int dev, uint64_t id)
{
	return grant(dev, id, calls, 2, virqs, 1);
}

static void arguments(int dev)
{
	struct ghvm_grant_call bad = { .call = 0x1b, .capid = t_info(dev).rm_tx_capid };
	static struct ghvm_grant_call many[GHVM_GRANT_MAX];
	int fd;

	t_eq(usual(dev, 0), -EINVAL, "GRANT: id 0");
	t_eq(grant(dev, 1, calls, GHVM_GRANT_MAX + 1, NULL, 0), -EINVAL, "GRANT: too many calls");
	t_eq(grant(dev, 1, NULL, 0, virqs, GHVM_GRANT_MAX + 1), -EINVAL, "GRANT: too many virqs");
	t_eq(grant(dev, 1, (void *)8, 1, NULL, 0), -EFAULT, "GRANT: calls from nowhere");
	t_eq(grant(dev, 1, calls, 1, (void *)8, 1), -EFAULT, "GRANT: virqs from nowhere");
	t_eq(grant(dev, 1, &bad, 1, NULL, 0), -EPERM, "GRANT: a call with a buffer");
	bad.call = 0x61;
	t_eq(grant(dev, 1, &bad, 1, NULL, 0), -EPERM, "GRANT: a call that nobody may make");
	bad = (struct ghvm_grant_call){ .call = 0x65, .__reserved = 1 };
	t_eq(grant(dev, 1, &bad, 1, NULL, 0), -EINVAL, "GRANT: reserved");
	fd = (int)grant(dev, 1, many, GHVM_GRANT_MAX, NULL, 0);
	t_ok(fd >= 0, "GRANT: as many as allowed");
	t_eq(usual(dev, 1), -EEXIST, "GRANT: an id in use");
	close(fd);
	fd = (int)grant(dev, 1, NULL, 0, NULL, 0);
	t_ok(fd >= 0, "GRANT: nothing, under an id that was closed");
	t_eq(hcall(fd, 0, 0), -EPERM, "GRANT: nothing is nothing");
	close(fd);
	t_eq(grant_revoke(dev, 1), -ENOENT, "REVOKE: closed");
}

static void listed(int dev, int g, int e)
{
	t_eq(hcall(g, 0x00, 5), 0, "grant: a call that is listed");
	t_eq(hcall(g, 0x12, 0x1234567890), 0, "grant: another");
	t_eq(hcall(g, 0x00, 6), -EPERM, "grant: with another capability");
	t_eq(hcall(g, 0x12, 5), -EPERM, "grant: with the other's capability");
	t_eq(hcall(g, 0x65, 5), -EPERM, "grant: another call");
	t_eq(hcall(g, 0x1b, t_info(dev).rm_tx_capid), -EPERM, "grant: the resource manager");
	t_eq(irq(g, GHVM_IRQ_VIRQ, VIRQ + 1, e), -EPERM, "grant: another virq");
	t_eq(irq(g, GHVM_IRQ_RM_RX, 0, e), -EPERM, "grant: RM rx");
	t_eq(irq(g, GHVM_IRQ_RM_TX, VIRQ, e), -EPERM, "grant: RM tx");
	t_eq(irq(g, GHVM_IRQ_VIRQ, VIRQ, e), 0, "grant: its virq");
	t_ok(t_events(e, 0) >= 1, "grant: signalled at once");
	t_eq(irq(dev, GHVM_IRQ_VIRQ, VIRQ, e), -EBUSY, "grant: and nobody else's");
	t_eq(irq(g, GHVM_IRQ_VIRQ, VIRQ, -1), 0, "grant: unbound");
	t_eq(irq(g, GHVM_IRQ_VIRQ, VIRQ, e), 0, "grant: bound again");
}

static void other_ioctls(int g)
{
	static const unsigned long no[] = { GHVM_INFO,
					    GHVM_PIN,
					    GHVM_GRANT,
					    GHVM_REVOKE,
					    GHVM_QUARANTINE_LIST,
					    GHVM_QUARANTINE_ADOPT,
					    GHVM_ASSIGN,
					    GHVM_PIN_SET };
	uint32_t arg[32] = { 8 };

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		t_eq(t_ioctl(g, no[i], arg), -ENOTTY, "grant: ioctl %#lx", no[i]);
}

static void use(int dev)
{
	int g = (int)usual(dev, 42), copy = dup(g), e = t_eventfd();
	struct ghvm_info arg = { .size = 8 };
	pid_t pid;

	if (g < 0)
		t_die("GRANT");
	listed(dev, g, e);
	other_ioctls(g);
	t_eq(grant_revoke(dev, 43), -ENOENT, "REVOKE: another id");
	t_eq(grant_revoke(dev, 42), 0, "REVOKE");
	t_eq(hcall(g, 0x00, 5), -ESTALE, "revoked: HCALL");
	t_eq(irq(g, GHVM_IRQ_VIRQ, VIRQ, e), -ESTALE, "revoked: IRQ");
	t_eq(irq(g, GHVM_IRQ_VIRQ, VIRQ, -1), -ESTALE, "revoked: unbinding");
	t_eq(t_ioctl(g, GHVM_INFO, &arg), -ESTALE, "revoked: anything");
	t_eq(hcall(copy, 0x00, 5), -ESTALE, "revoked: a copy");
	pid = fork();
	if (!pid)
		_exit(hcall(copy, 0x00, 5) != -ESTALE);
	t_eq(t_reap(pid, false), 0, "revoked: a child's copy");
	t_eq(irq(dev, GHVM_IRQ_VIRQ, VIRQ, e), 0, "revoked: its virq is free");
	t_eq(irq(dev, GHVM_IRQ_VIRQ, VIRQ, -1), 0, "and unbound");
	t_eq(grant_revoke(dev, 42), -ENOENT, "REVOKE: again");
	close(g);
	g = (int)usual(dev, 42);
	t_ok(g >= 0, "GRANT: the id again, while a copy of the old one is open");
	t_eq(hcall(copy, 0x00, 5), -ESTALE, "the old one stays revoked");
	t_eq(hcall(g, 0x00, 5), 0, "the new one works");
	close(copy);
	t_eq(hcall(g, 0x00, 5), 0, "also after the old one is closed");
	close(g);
	close(e);
}

static void outlives(void)
{
	int dev = t_open(), g = (int)usual(dev, 9), e = t_eventfd();

	irq(g, GHVM_IRQ_VIRQ, VIRQ, e);
	t_events(e, 0);
	close(dev);
	t_eq(hcall(g, 0x00, 5), 0, "a grant outlives who made it");
	dev = t_open();
	t_eq(irq(dev, GHVM_IRQ_VIRQ, VIRQ, e), -EBUSY, "and so does its virq");
	t_eq(usual(dev, 9), -EEXIST, "its id too");
	t_eq(grant_revoke(dev, 9), 0, "another file can revoke it");
	close(g);
	close(e);
	close(dev);
}

struct hammer {
	int fd;
	volatile uint64_t calls;
};

/* Two children call without a pause; each is to see the end. */
static pid_t hammer(struct hammer *h)
{
	pid_t pid = fork();
	long r = 0;

	if (pid)
		return pid;
	while (!r) {
		r = hcall(h->fd, 0x00, 5);
		h->calls++;
	}
	_exit(r != -ESTALE);
}

static void revoke_under_load(int dev)
{
	struct hammer *h =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t start, longest = 0;

	for (int i = 0; i < 20; i++) {
		pid_t a, b;

		h[0].fd = (int)usual(dev, 77);
		h[1] = h[0];
		a = hammer(&h[0]);
		b = hammer(&h[1]);
		for (int j = 0; j < 1000 && (h[0].calls < 10 || h[1].calls < 10); j++)
			t_ms(1);
		start = t_now();
		if (grant_revoke(dev, 77))
			t_die("REVOKE under load");
		longest = t_now() - start > longest ? t_now() - start : longest;
		if (t_reap(a, false) || t_reap(b, false))
			t_die("a child was not told");
		h[0].calls = 0;
		h[1].calls = 0;
		close(h[0].fd);
	}
	t_ok(longest < 2000, "REVOKE under load, 20 times, took at most %llu ms",
	     (unsigned long long)longest);
	munmap(h, PAGE);
}

void test_grant(void)
{
	int dev = t_open();

	arguments(dev);
	use(dev);
	outlives();
	revoke_under_load(dev);
	close(dev);
}
