// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every ioctl with the first allocation or copy failing, then the second, and so on until none is
 * left to fail. Only for the debug kernel, which can inject them (fault-injection.rst, fail-nth).
 */
#include "tests/kmod/machine/rm/rpc.h"
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define VIRQ 252
#define PAGES 300
#define HOLES 10
#define MOST 2000 /* faults of one call: more would mean that they do not end */

/* What the calls need; a call and what takes it back share it. */
struct world {
	int dev;
	int nth; /* /proc/thread-self/fail-nth */
	int eventfd;
	int pin;
	int grant;
	uint64_t id;
	int memfd;
	struct rpc rpc;
};

struct call {
	const char *name;
	void (*before)(struct world *w);
	long (*run)(struct world *w);
	void (*after)(struct world *w, long r);
};

static void arm(struct world *w, unsigned int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(w->nth, text, (size_t)n, 0) != n)
		t_die("fail-nth");
}

/* Whether the fault came. Until this has said so, reading may itself meet it. */
static bool disarm(struct world *w)
{
	char text[16] = {};
	bool came;

	while (pread(w->nth, text, sizeof(text) - 1, 0) <= 0)
		;
	came = text[0] == '0';
	while (!came && pwrite(w->nth, "0", 1, 0) != 1)
		;
	return came;
}

static void nothing(struct world *w)
{
}

static void close_if(struct world *w, long r)
{
	if (r >= 0)
		close((int)r);
}

static void ignore(struct world *w, long r)
{
}

static long run_open(struct world *w)
{
	int fd = open("/dev/ghvm", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static long run_info(struct world *w)
{
	struct ghvm_info info = {};

	return t_call(w->dev, GHVM_INFO, &info);
}

static long run_identify(struct world *w)
{
	struct ghvm_hcall call = {};

	return t_call(w->dev, GHVM_HCALL, &call);
}

static long run_receive(struct world *w)
{
	static uint8_t to[240];
	struct ghvm_hcall call = { .call = 0x1c,
				   .args = { w->rpc.info.rm_rx_capid, (uintptr_t)to, sizeof(to) } };

	return t_call(w->dev, GHVM_HCALL, &call);
}

/* Refused by the hypervisor for its size, after all of the copying. */
static long run_send(struct world *w)
{
	static uint8_t from[1024];
	struct ghvm_hcall call = {
		.call = 0x1b, .args = { w->rpc.info.rm_tx_capid, sizeof(from), (uintptr_t)from }
	};

	return t_call(w->dev, GHVM_HCALL, &call);
}

static long irq(struct world *w, int fd, uint32_t kind, uint32_t virq, int eventfd)
{
	struct ghvm_irq arg = { .kind = kind, .virq = virq, .eventfd = eventfd };

	return t_call(fd, GHVM_IRQ, &arg);
}

static long run_virq(struct world *w)
{
	return irq(w, w->dev, GHVM_IRQ_VIRQ, VIRQ, w->eventfd);
}

static void unbind_virq(struct world *w, long r)
{
	long again = irq(w, w->dev, GHVM_IRQ_VIRQ, VIRQ, -1);

	if (again != (r ? -ENOENT : 0))
		t_die("IRQ: %ld, and its unbinding %ld", r, again);
}

static void bind_virq(struct world *w)
{
	if (run_virq(w))
		t_die("IRQ: not free");
}

static long run_unbind(struct world *w)
{
	return irq(w, w->dev, GHVM_IRQ_VIRQ, VIRQ, -1);
}

static void unbind_again(struct world *w, long r)
{
	if (r)
		unbind_virq(w, 0);
}

static long run_tx(struct world *w)
{
	return irq(w, w->dev, GHVM_IRQ_RM_TX, 0, w->eventfd);
}

static void unbind_tx(struct world *w, long r)
{
	if (irq(w, w->dev, GHVM_IRQ_RM_TX, 0, -1) != (r ? -ENOENT : 0))
		t_die("IRQ: RM tx");
}

/* The last pages are not there yet: so those allocations fail too. */
static void make_pages(struct world *w)
{
	static uint8_t bytes[(PAGES - HOLES) * PAGE];

	(void)t_pins_files(w->dev); /* asks once, before a fault is armed */
	w->memfd = t_memfd(PAGES * PAGE, 0);
	if (pwrite(w->memfd, bytes, sizeof(bytes), 0) != sizeof(bytes))
		t_die("pages");
}

static long run_pin(struct world *w)
{
	return t_pin_file(w->dev, w->memfd, 0, PAGES * PAGE, 0);
}

static void drop_pages(struct world *w, long r)
{
	close_if(w, r);
	close(w->memfd);
	if (t_proc("/proc/self/status", "VmPin:"))
		t_die("PIN: %ld, and pages stay charged", r);
}

static void make_pin(struct world *w)
{
	make_pages(w);
	w->pin = (int)run_pin(w);
	if (w->pin < 0)
		t_die("PIN: %d", w->pin);
	w->id = t_status(w->pin).id;
}

static void make_guarded(struct world *w)
{
	make_pin(w);
	if (t_set(w->pin, GHVM_PIN_GUARDED, "faults"))
		t_die("SET");
}

static void make_quarantined(struct world *w)
{
	make_guarded(w);
	close(w->pin);
	w->pin = -1;
}

static void drop_pin(struct world *w, long r)
{
	if (w->pin >= 0 && t_set(w->pin, GHVM_PIN_HELD, ""))
		t_die("SET: held");
	drop_pages(w, w->pin);
}

static long run_status(struct world *w)
{
	struct ghvm_pin_status status = {};

	return t_call(w->pin, GHVM_PIN_STATUS, &status);
}

static long run_extents(struct world *w)
{
	static struct ghvm_extent x[PAGES];
	struct ghvm_pin_extents arg = { .count = PAGES, .extents = (uintptr_t)x };

	return t_call(w->pin, GHVM_PIN_EXTENTS, &arg);
}

static long run_write(struct world *w)
{
	static uint8_t from[3 * PAGE];
	long r = pwrite(w->pin, from, sizeof(from), 100);

	return r < 0 ? -errno : 0;
}

static long run_guard(struct world *w)
{
	return t_set(w->pin, GHVM_PIN_GUARDED, "faults");
}

static long run_unguard(struct world *w)
{
	return t_set(w->pin, GHVM_PIN_HELD, "faults");
}

static long adopt(struct world *w)
{
	struct ghvm_quarantine_adopt arg = { .id = w->id };

	return t_call(w->dev, GHVM_QUARANTINE_ADOPT, &arg);
}

static long run_close(struct world *w)
{
	return close(w->pin) < 0 ? -errno : 0;
}

/* It is in the quarantine, whatever failed meanwhile. */
static void take_back(struct world *w, long r)
{
	w->pin = (int)adopt(w);
	if (w->pin < 0)
		t_die("closed (%ld), and %d from the quarantine", r, w->pin);
	drop_pin(w, r);
}

static void adopted(struct world *w, long r)
{
	w->pin = (int)r;
	if (r < 0)
		take_back(w, r);
	else
		drop_pin(w, r);
}

static long run_list(struct world *w)
{
	struct ghvm_quarantine_entry e;
	struct ghvm_quarantine_list arg = { .count = 1, .entries = (uintptr_t)&e };

	return t_call(w->dev, GHVM_QUARANTINE_LIST, &arg);
}

static long run_grant(struct world *w)
{
	static const struct ghvm_grant_call calls[] = { { .call = 0x00, .capid = 5 } };
	static const uint32_t virqs[] = { VIRQ };
	struct ghvm_grant arg = { .id = 99, .n_calls = 1, .n_virqs = 1 };

	arg.calls = (uintptr_t)calls;
	arg.virqs = (uintptr_t)virqs;
	return t_call(w->dev, GHVM_GRANT, &arg);
}

static long run_revoke(struct world *w)
{
	struct ghvm_revoke arg = { .id = 99 };

	return t_call(w->dev, GHVM_REVOKE, &arg);
}

static void not_granted(struct world *w, long r)
{
	close_if(w, r);
	if (run_revoke(w) != -ENOENT)
		t_die("GRANT: %ld, and it is still there", r);
}

static void make_grant(struct world *w)
{
	w->grant = (int)run_grant(w);
	if (w->grant < 0 || irq(w, w->grant, GHVM_IRQ_VIRQ, VIRQ, w->eventfd))
		t_die("GRANT: %d", w->grant);
}

static void drop_grant(struct world *w, long r)
{
	close(w->grant);
	not_granted(w, -1);
	unbind_virq(w, run_virq(w)); /* its virq is free */
}

static long run_granted(struct world *w)
{
	struct ghvm_hcall call = { .args = { 5 } };

	return t_call(w->grant, GHVM_HCALL, &call);
}

static const struct call calls[] = {
	{ "open", nothing, run_open, close_if },
	{ "INFO", nothing, run_info, ignore },
	{ "HCALL", nothing, run_identify, ignore },
	{ "HCALL, receive", nothing, run_receive, ignore },
	{ "HCALL, send", nothing, run_send, ignore },
	{ "IRQ", nothing, run_virq, unbind_virq },
	{ "IRQ, RM tx", nothing, run_tx, unbind_tx },
	{ "IRQ, unbind", bind_virq, run_unbind, unbind_again },
	{ "PIN", make_pages, run_pin, drop_pages },
	{ "STATUS", make_pin, run_status, drop_pin },
	{ "EXTENTS", make_pin, run_extents, drop_pin },
	{ "pwrite", make_pin, run_write, drop_pin },
	{ "SET, guarded", make_pin, run_guard, drop_pin },
	{ "SET, held", make_guarded, run_unguard, drop_pin },
	{ "close, guarded", make_guarded, run_close, take_back },
	{ "LIST", make_quarantined, run_list, take_back },
	{ "ADOPT", make_quarantined, adopt, adopted },
	{ "GRANT", nothing, run_grant, not_granted },
	{ "GRANT, HCALL", make_grant, run_granted, drop_grant },
	{ "REVOKE", make_grant, run_revoke, drop_grant },
};

static void switch_on(const char *path, const char *value)
{
	char full[80];
	int fd;

	snprintf(full, sizeof(full), "/sys/kernel/debug/%s", path);
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		t_die("%s: the debug kernel has it", full);
	close(fd);
}

/* Whatever fails silently may, and nothing is said of each. */
static void configure(void)
{
	switch_on("failslab/ignore-gfp-wait", "N");
	switch_on("failslab/verbose", "0");
	switch_on("fail_page_alloc/ignore-gfp-wait", "N");
	switch_on("fail_page_alloc/ignore-gfp-highmem", "N");
	switch_on("fail_page_alloc/min-order", "0");
	switch_on("fail_page_alloc/verbose", "0");
	switch_on("fail_usercopy/verbose", "0");
}

static unsigned int each_fault(struct world *w, const struct call *c)
{
	unsigned int nth, n = 0;
	bool came = true;
	long r;

	for (nth = 1; came && nth < MOST; nth++) {
		c->before(w);
		arm(w, nth);
		r = c->run(w);
		came = disarm(w);
		n += came;
		c->after(w, r);
		if (!came && r < 0)
			t_die("%s: %ld without a fault", c->name, r);
	}
	return came ? 0 : n;
}

void test_faults(void)
{
	struct world w = { .dev = t_open(), .eventfd = t_eventfd(), .pin = -1 };
	unsigned int n, all = 0;

	configure();
	w.nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	rpc_open(&w.rpc, w.dev);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		n = each_fault(&w, &calls[i]);
		all += n;
		t_ok(n > 0, "faults: %s: bears each of %u", calls[i].name, n);
	}
	printf("# %u faults\n", all);
	rpc_close(&w.rpc);
	close(w.nth);
	close(w.eventfd);
	close(w.dev);
}
