/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ghvm-selftest: runs the guest of selftest.S by /dev/ghvm, once for each way a VM can end, and
 * reports failures. Nothing is timed, as the primary may be busy.
 */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/vm-calls.h"
#include "ghvm/vcpu.h"
#include "tests/model/el2/guest/selftest.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libfdt.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define RAM_SIZE GHVM_MIB(4)
#define DT_OFFSET GHVM_MIB(2)
#define DT_ROOM GHVM_KIB(64)
#define PATTERN 0xfedcba9876543210ULL
#define STORED 0x1122334455667788ULL
#define ENTRIES_MAX 64
#define STATE_RUNNING 3
#define STATE_RESET 11
#define PATIENCE_MS 20000

extern const uint8_t guest_begin[], guest_end[];

enum how {
	HOW_OFF,
	HOW_RESET,
	HOW_RESET2,
	HOW_FAULT,
	HOW_WFI,
};

static const struct {
	const char *name;
	unsigned int exit_type;
	size_t reason_size; /* 0: any */
} hows[] = {
	[HOW_OFF] = { "SYSTEM_OFF", 1, 0 },
	[HOW_RESET] = { "SYSTEM_RESET", 2, 0 },
	[HOW_RESET2] = { "SYSTEM_RESET2", 3, 16 },
	[HOW_FAULT] = { "a loop of exceptions", 5, 0 },
	[HOW_WFI] = { "a stop", 7, 4 },
};

/* What the guest stores at GUEST_STORES, in order. */
static const struct {
	uint64_t offset;
	uint64_t size;
	uint64_t value;
} stores[] = {
	{ 0, 1, STORED & 0xff },
	{ 2, 2, STORED & 0xffff },
	{ 4, 4, STORED & 0xffffffff },
	{ 8, 8, STORED },
	{ 16, 8, 0 },
	{ 24, 8, 0x1234 },
};

struct test {
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	enum how how;
	struct ghvm_vmid vmid;
	struct ghvm_parcel_handle handle;
	int pin;
	struct ghvm_virq virq;
	int wake;
	struct ghvm_vcpu vcpu;
	struct ghvm_rm_vm_exited exited;
	bool has_exited;
	uint64_t steps;
	uint64_t got;
	size_t n_stores;
	bool failed;
};

static void must(int r, const char *what, const struct ghvm_error *e)
{
	if (r < 0)
		errx(1, "%s: %s", what, e && e->msg[0] ? e->msg : strerror(-r));
}

static void on_notify(void *data, const struct ghvm_rm_notification *n)
{
	struct test *t = data;
	struct ghvm_rm_vm_exited exited;

	if (ghvm_rm_vm_decode_exited(n, &exited) < 0 || exited.vmid.id != t->vmid.id)
		return;
	t->exited = exited;
	t->has_exited = true;
}

/* ---- its device tree ---- */

static int cells(void *f, const char *name, const uint32_t *v, unsigned int n)
{
	fdt32_t be[8];

	for (unsigned int i = 0; i < n; i++)
		be[i] = cpu_to_fdt32(v[i]);
	return fdt_property(f, name, be, (int)(4 * n));
}

static int put_cpu(void *f)
{
	int r = fdt_begin_node(f, "cpus");

	r |= cells(f, "#address-cells", (uint32_t[]){ 1 }, 1);
	r |= cells(f, "#size-cells", (uint32_t[]){ 0 }, 1);
	r |= fdt_begin_node(f, "cpu@0");
	r |= fdt_property_string(f, "device_type", "cpu");
	r |= cells(f, "reg", (uint32_t[]){ 0 }, 1);
	return r | fdt_end_node(f) | fdt_end_node(f);
}

static int put_gic(void *f)
{
	int r = fdt_begin_node(f, "intc");

	r |= fdt_property_string(f, "compatible", "arm,gic-v3");
	r |= fdt_property(f, "interrupt-controller", NULL, 0);
	r |= cells(f, "#interrupt-cells", (uint32_t[]){ 3 }, 1);
	r |= cells(f, "reg", (uint32_t[]){ 0, 0x08000000, 0, 0x10000, 0, 0x080a0000, 0, 0x20000 },
		   8);
	return r | fdt_end_node(f);
}

static int put_config(void *f)
{
	int r = fdt_begin_node(f, "gunyah-vm-config");

	r |= fdt_property_string(f, "image-name", "selftest");
	r |= fdt_begin_node(f, "memory");
	r |= cells(f, "base-address", (uint32_t[]){ 0, 0x80000000 }, 2);
	r |= fdt_end_node(f) | fdt_begin_node(f, "interrupts");
	r |= fdt_property_string(f, "config", "/intc");
	r |= fdt_end_node(f) | fdt_begin_node(f, "vcpus");
	r |= fdt_property_string(f, "affinity", "proxy");
	return r | fdt_end_node(f) | fdt_end_node(f);
}

static void make_tree(uint8_t *buf, size_t size)
{
	void *f = buf;
	int r = fdt_create(f, (int)size) | fdt_finish_reservemap(f);

	r |= fdt_begin_node(f, "");
	r |= cells(f, "#address-cells", (uint32_t[]){ 2 }, 1);
	r |= cells(f, "#size-cells", (uint32_t[]){ 2 }, 1);
	r |= fdt_begin_node(f, "chosen") | fdt_end_node(f);
	r |= put_cpu(f) | put_gic(f) | put_config(f);
	r |= fdt_end_node(f) | fdt_finish(f);
	must(r ? -EINVAL : 0, "device tree", NULL);
}

/* ---- from nothing to RUNNING ---- */

static void load(struct test *t)
{
	static uint8_t tree[4096];
	static const uint8_t tag[GHVM_TAG_SIZE];
	const struct ghvm_host_ops *ops = t->host->ops;
	_cleanup_(closep) int memfd = memfd_create("selftest", MFD_CLOEXEC);

	/* not cleared: PIN refuses such pages until libghvm has populated them */
	must(fallocate(memfd, 0, 0, (off_t)RAM_SIZE) < 0 ? -errno : 0, "memory", NULL);
	t->pin = ops->pin(t->host, memfd, 0, RAM_SIZE, false);
	must(t->pin, "pin", NULL);
	make_tree(tree, sizeof(tree));
	must(ops->pin_write(t->host, t->pin, 0, guest_begin, (size_t)(guest_end - guest_begin)),
	     "write", NULL);
	must(ops->pin_write(t->host, t->pin, DT_OFFSET, tree, sizeof(tree)), "write", NULL);
	must(ops->pin_set(t->host, t->pin, GHVM_PIN_GUARDED, tag), "guard", NULL);
}

static void lend(struct test *t)
{
	static struct ghvm_extent e[RAM_SIZE / GHVM_PAGE];
	struct ghvm_mem_acl acl = { .vmid = t->vmid, .rights = GHVM_MEM_RWX };
	struct ghvm_mem_create m = { .trans = GHVM_MEM_LEND, .acl = &acl, .n_acl = 1 };
	struct ghvm_error err = {};
	int n = t->host->ops->pin_extents(t->host, t->pin, 0, e, ARRAY_SIZE(e));
	size_t done, some;

	must(n, "extents", NULL);
	some = (size_t)n < ENTRIES_MAX ? (size_t)n : ENTRIES_MAX;
	m.extents = e;
	m.n_extents = some;
	m.append = some < (size_t)n;
	must(ghvm_rm_mem_create(t->rm, &m, &t->handle, &err), "lend", &err);
	for (done = some; done < (size_t)n; done += some) {
		some = (size_t)n - done < ENTRIES_MAX ? (size_t)n - done : ENTRIES_MAX;
		must(ghvm_rm_mem_append(t->rm, t->handle, e + done, some, done + some == (size_t)n,
					&err),
		     "append", &err);
	}
}

static void bind_vcpu(struct test *t)
{
	_cleanup_(ghvm_rm_resources_done) struct ghvm_rm_resources res = {};
	const struct ghvm_rm_resource *r;
	struct ghvm_error err = {};

	must(ghvm_rm_vm_get_hyp_resources(t->rm, t->vmid, &res, &err), "resources", &err);
	r = ghvm_rm_resources_find(&res, GHVM_RM_RESOURCE_VCPU, 0);
	must(r ? 0 : -ENOENT, "no vCPU", NULL);
	t->vcpu = (struct ghvm_vcpu){ .host = t->host, .cap = r->capid };
	t->wake = eventfd(0, EFD_CLOEXEC);
	t->virq = r->virq;
	must(t->host->ops->irq(t->host, GHVM_IRQ_VIRQ, r->virq.intid, t->wake), "virq", NULL);
}

static void start_guest(struct test *t)
{
	struct ghvm_rm_image image = { .parcel_size = RAM_SIZE };
	struct ghvm_error err = {};

	must(ghvm_rm_vm_allocate(t->rm, &t->vmid, &err), "allocate", &err);
	load(t);
	lend(t);
	image.parcel = t->handle;
	image.dt_offset = DT_OFFSET;
	image.dt_size = DT_ROOM;
	must(ghvm_rm_vm_config_image(t->rm, t->vmid, &image, &err), "image", &err);
	must(ghvm_rm_vm_init(t->rm, t->vmid, &err), "init", &err);
	bind_vcpu(t);
	must(ghvm_rm_vm_start(t->rm, t->vmid, &err), "start", &err);
}

/* ---- running ---- */

static void complain(struct test *t, const char *what, uint64_t is, uint64_t should)
{
	printf("selftest, %s: %s is %#llx, not %#llx\n", hows[t->how].name, what,
	       (unsigned long long)is, (unsigned long long)should);
	t->failed = true;
}

static void on_read(struct test *t, struct ghvm_vcpu *v)
{
	uint64_t at = v->ipa - GUEST_PATTERN;

	if (v->ipa == GUEST_REPORT + GUEST_HOW)
		v->read = t->how;
	else if (at < sizeof(uint64_t))
		v->read = PATTERN >> 8 * at; /* the hypervisor cuts it to size */
	else
		complain(t, "the address of a load", v->ipa, GUEST_PATTERN);
}

static void on_store(struct test *t, const struct ghvm_vcpu *v)
{
	size_t i = t->n_stores++;

	if (i >= ARRAY_SIZE(stores)) {
		complain(t, "the number of stores", i + 1, ARRAY_SIZE(stores));
		return;
	}
	if (v->ipa != GUEST_STORES + stores[i].offset)
		complain(t, "the address of a store", v->ipa, GUEST_STORES + stores[i].offset);
	if (v->size != stores[i].size)
		complain(t, "the size of a store", v->size, stores[i].size);
	if (v->value != stores[i].value)
		complain(t, "the value of a store", v->value, stores[i].value);
}

static void on_write(struct test *t, const struct ghvm_vcpu *v)
{
	if (v->ipa == GUEST_REPORT + GUEST_STEP) {
		if (v->value != t->steps + 1)
			complain(t, "a step", v->value, t->steps + 1);
		t->steps = v->value;
	} else if (v->ipa == GUEST_REPORT + GUEST_GOT) {
		t->got = v->value;
	} else if (v->ipa == GUEST_REPORT + GUEST_FAIL) {
		printf("selftest, %s: step %llu saw %#llx\n", hows[t->how].name,
		       (unsigned long long)v->value, (unsigned long long)t->got);
		t->steps = v->value;
		t->failed = true;
	} else {
		on_store(t, v);
	}
}

static bool is_over(const struct ghvm_vcpu *v)
{
	return (v->state == GHVM_VCPU_POWERED_OFF && v->for_good) || v->state == GHVM_VCPU_FAULT ||
	       v->state == GHVM_VCPU_SYSTEM_RESET;
}

/* It waits: for its timer, or, if that was asked for, for ever. True: nothing came. */
static bool sleeps_for_good(struct test *t)
{
	struct pollfd p = { .fd = t->wake, .events = POLLIN };
	bool last = t->how == HOW_WFI && t->n_stores == ARRAY_SIZE(stores) && t->steps > 1;
	eventfd_t n;

	if (poll(&p, 1, last ? 1000 : PATIENCE_MS) == 1) {
		(void)eventfd_read(t->wake, &n); /* there is one */
		return false;
	}
	if (!last)
		complain(t, "a wake-up", 0, 1);
	return true;
}

static void run_guest(struct test *t)
{
	struct ghvm_vcpu *v = &t->vcpu;

	for (;;) {
		must(ghvm_vcpu_run(v), "run", NULL);
		if (is_over(v))
			return;
		if (v->state == GHVM_VCPU_MMIO_READ)
			on_read(t, v);
		else if (v->state == GHVM_VCPU_MMIO_WRITE)
			on_write(t, v);
		else if ((v->state == GHVM_VCPU_EXPECTS_WAKEUP ||
			  v->state == GHVM_VCPU_POWERED_OFF) &&
			 sleeps_for_good(t))
			return;
	}
}

/* ---- and back ---- */

static void wait_exited(struct test *t)
{
	struct pollfd p = { .fd = ghvm_rm_fd(t->rm), .events = POLLIN };

	while (!t->has_exited) {
		must(poll(&p, 1, PATIENCE_MS) == 1 ? 0 : -ETIMEDOUT, "VM_EXITED", NULL);
		must(ghvm_rm_dispatch(t->rm), "RM", NULL);
	}
	if (t->exited.type != hows[t->how].exit_type)
		complain(t, "the exit type", t->exited.type, hows[t->how].exit_type);
	if (hows[t->how].reason_size && t->exited.reason_size != hows[t->how].reason_size)
		complain(t, "the size of the reason", t->exited.reason_size,
			 hows[t->how].reason_size);
}

static void wait_state(struct test *t, uint8_t want)
{
	struct ghvm_rm_vm_state st = {};
	struct ghvm_error err = {};

	for (int ms = 0; ms < PATIENCE_MS && st.status != want; ms += 5) {
		must(ghvm_rm_vm_get_state(t->rm, t->vmid, &st, &err), "state", &err);
		if (st.status != want)
			(void)poll(NULL, 0, 5);
	}
	if (st.status != want)
		complain(t, "the state", st.status, want);
}

static void end_guest(struct test *t)
{
	static const uint8_t tag[GHVM_TAG_SIZE];
	struct ghvm_error err = {};

	if (t->how == HOW_WFI) {
		wait_state(t, STATE_RUNNING);
		must(ghvm_rm_vm_stop(t->rm, t->vmid, &err), "stop", &err);
	}
	wait_exited(t);
	must(ghvm_vcpu_run(&t->vcpu), "run after the end", NULL);
	if (!is_over(&t->vcpu))
		complain(t, "the state after the end", t->vcpu.state, GHVM_VCPU_POWERED_OFF);
	must(t->host->ops->irq(t->host, GHVM_IRQ_VIRQ, t->virq.intid, -1), "unbind", NULL);
	(void)close(t->wake);
	must(ghvm_rm_vm_reset(t->rm, t->vmid, &err), "reset", &err);
	wait_state(t, STATE_RESET);
	must(ghvm_rm_mem_reclaim(t->rm, t->handle, true, RAM_SIZE, &err), "reclaim", &err);
	must(t->host->ops->pin_set(t->host, t->pin, GHVM_PIN_HELD, tag), "unguard", NULL);
	t->host->ops->pin_close(t->host, t->pin);
	must(ghvm_rm_vm_deallocate(t->rm, t->vmid, &err), "deallocate", &err);
}

static bool test(struct ghvm_host *host, struct ghvm_rm *rm, enum how how, uint64_t *steps)
{
	struct test t = { .host = host, .rm = rm, .how = how };

	ghvm_rm_set_on_notify(rm, on_notify, &t);
	start_guest(&t);
	run_guest(&t);
	end_guest(&t);
	ghvm_rm_set_on_notify(rm, NULL, NULL);
	if (t.n_stores != ARRAY_SIZE(stores))
		complain(&t, "the number of stores", t.n_stores, ARRAY_SIZE(stores));
	if (*steps && t.steps != *steps)
		complain(&t, "the number of steps", t.steps, *steps);
	*steps = t.steps;
	return !t.failed;
}

/* Memory that a guest only reads may be sealed against writing. Writes through its pin are refused. */
static bool test_sealed(struct ghvm_host *host)
{
	_cleanup_(closep) int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const struct ghvm_host_ops *ops = host->ops;
	bool ok;
	int pin;

	must(ftruncate(fd, 3 * GHVM_PAGE) < 0 ? -errno : 0, "memory", NULL);
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0 ? -errno : 0, "seal", NULL);
	ok = ops->pin(host, fd, 0, 3 * GHVM_PAGE, false) == -EPERM;
	pin = ops->pin(host, fd, 0, 3 * GHVM_PAGE, true);
	must(pin, "pin for reading", NULL);
	ok &= ops->pin_write(host, pin, 0, "x", 1) == -EPERM;
	ops->pin_close(host, pin);
	printf("selftest: a sealed memfd is pinned for reading only: %s\n", ok ? "fine" : "FAILED");
	return ok;
}

int main(int argc, char **argv)
{
	struct ghvm_error err = {};
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	uint64_t steps = 0;
	bool ok = true;

	must(ghvm_host_open(argc > 1 ? argv[1] : NULL, &host, &err), "open", &err);
	must(ghvm_rm_new(host, &rm, &err), "connect", &err);
	ok &= test_sealed(host);
	for (unsigned int how = 0; how < ARRAY_SIZE(hows); how++)
		ok &= test(host, rm, (enum how)how, &steps);
	printf("selftest: %llu steps, ended in %zu ways: %s\n", (unsigned long long)steps,
	       ARRAY_SIZE(hows), ok ? "fine" : "FAILED");
	ghvm_rm_free(rm);
	ghvm_host_close(host);
	return ok ? 0 : 1;
}
