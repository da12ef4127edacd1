/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scripted guests of ghvm-model: what their runner sees, from the first run to the end. */
#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/rpc.h"
#include "libghvm/rm/vm-calls.h"
#include "ghvm/vcpu.h"
#include "tests/fixtures/model-tree.h"
#include "tests/fixtures/sock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define UART 0x10000000ULL
#define GPIO 0x10001000ULL
#define CPUS 2
#define GRANT 9

/* A VM, its runner's handle, and what it printed. */
struct machine {
	struct sock_bench *b;
	struct ghvm_rm *rm;
	struct ghvm_host *grant;
	struct ghvm_vmid vmid;
	struct ghvm_parcel_handle handle;
	int pin;
	int wake[CPUS];
	struct ghvm_vcpu vcpus[CPUS];
	struct ghvm_capid bells[2];
	struct ghvm_rm_vm_exited exited;
	bool has_exited;
	char out[256];
	size_t out_len;
	const char *in; /* what the UART has for the guest */
	uint8_t ier;
};

static void on_notify(void *data, const struct ghvm_rm_notification *n)
{
	struct machine *m = data;

	if (ghvm_rm_vm_decode_exited(n, &m->exited) == 0)
		m->has_exited = true;
}

static void write_image(struct machine *m, const char *script)
{
	static const struct tree t = { .cpus = CPUS, .bells = 2 };
	static uint8_t image[64 + 4096], tree[DT_SIZE];
	struct ghvm_host *h = m->b->host;
	size_t n = strlen(script);

	memset(image, 0, sizeof(image));
	memcpy(image + 56, "ARM\x64", 4);
	memcpy(image + 64, script, n);
	tree_make(tree, &t);
	assert_int_equal(h->ops->pin_write(h, m->pin, 0, image, sizeof(image)), 0);
	assert_int_equal(h->ops->pin_write(h, m->pin, DT_OFF, tree, sizeof(tree)), 0);
}

static void lend(struct machine *m)
{
	static const uint8_t tag[GHVM_TAG_SIZE];
	struct ghvm_host *h = m->b->host;
	struct ghvm_extent e[8];
	struct ghvm_mem_acl acl = { .vmid = m->vmid, .rights = GHVM_MEM_RWX };
	struct ghvm_mem_create create = { .trans = GHVM_MEM_LEND, .acl = &acl, .n_acl = 1 };
	int n;

	n = h->ops->pin_extents(h, m->pin, 0, e, 8);
	assert_int_equal(n, 1);
	create.extents = e;
	create.n_extents = (size_t)n;
	assert_int_equal(h->ops->pin_set(h, m->pin, GHVM_PIN_GUARDED, tag), 0);
	assert_int_equal(ghvm_rm_mem_create(m->rm, &create, &m->handle, NULL), 0);
}

static void bind_virq(struct machine *m, unsigned int i, struct ghvm_virq virq)
{
	m->wake[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(m->wake[i] >= 0);
	assert_int_equal(m->grant->ops->irq(m->grant, GHVM_IRQ_VIRQ, virq.intid, m->wake[i]), 0);
}

/* As the manager does: only what is in the resources may be used by the runner. */
static void make_grant(struct machine *m)
{
	_cleanup_(ghvm_rm_resources_done) struct ghvm_rm_resources res = {};
	const struct ghvm_rm_resource *r[CPUS];
	struct ghvm_grant_call calls[CPUS + 2] = {};
	uint32_t virqs[CPUS];
	struct ghvm_host *h = m->b->host;
	int fd;

	assert_int_equal(ghvm_rm_vm_get_hyp_resources(m->rm, m->vmid, &res, NULL), 0);
	for (uint32_t i = 0; i < CPUS; i++) {
		const struct ghvm_rm_resource *bell =
			ghvm_rm_resources_find(&res, GHVM_RM_RESOURCE_DOORBELL_TX, i);

		r[i] = ghvm_rm_resources_find(&res, GHVM_RM_RESOURCE_VCPU, i);
		assert_true(r[i] && bell);
		m->bells[i] = bell->capid;
		virqs[i] = r[i]->virq.intid;
		calls[i].call = 0x65;
		calls[i].capid = r[i]->capid.id;
		calls[CPUS + i].call = 0x12;
		calls[CPUS + i].capid = bell->capid.id;
	}
	fd = h->ops->grant(h, GRANT, calls, CPUS + 2, virqs, CPUS);
	assert_true(fd >= 0);
	assert_int_equal(ghvm_host_from_fd(fd, &m->grant, NULL), 0);
	for (unsigned int i = 0; i < CPUS; i++) {
		bind_virq(m, i, r[i]->virq);
		m->vcpus[i] = (struct ghvm_vcpu){ .host = m->grant, .cap = r[i]->capid };
	}
}

/* Started, with nothing run yet. */
static struct machine *machine_new(const char *script)
{
	struct machine *m = calloc(1, sizeof(*m));
	_cleanup_(closep) int memfd = sock_bench_memfd(RAM_SIZE, 0);
	struct ghvm_rm_image image = { .parcel_size = RAM_SIZE };

	assert_non_null(m);
	m->b = sock_bench_new("--delay=1", NULL);
	m->pin = m->b->host->ops->pin(m->b->host, memfd, 0, RAM_SIZE, false);
	assert_true(m->pin >= 0);
	write_image(m, script);
	assert_int_equal(ghvm_rm_new(m->b->host, &m->rm, NULL), 0);
	ghvm_rm_set_on_notify(m->rm, on_notify, m);
	assert_int_equal(ghvm_rm_vm_allocate(m->rm, &m->vmid, NULL), 0);
	lend(m);
	image.parcel = m->handle;
	image.dt_offset = DT_OFF;
	image.dt_size = DT_SIZE;
	assert_int_equal(ghvm_rm_vm_config_image(m->rm, m->vmid, &image, NULL), 0);
	assert_int_equal(ghvm_rm_vm_init(m->rm, m->vmid, NULL), 0);
	make_grant(m);
	assert_int_equal(ghvm_rm_vm_start(m->rm, m->vmid, NULL), 0);
	return m;
}

static void wait_for(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, ms) != 1)
		fail_msg("nothing happened for %d ms", ms);
}

static void drain(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count)); /* or there was none */
}

static void wait_exited(struct machine *m, unsigned int type)
{
	while (!m->has_exited) {
		wait_for(ghvm_rm_fd(m->rm), 5000);
		assert_true(ghvm_rm_dispatch(m->rm) >= 0);
	}
	assert_int_equal(m->exited.vmid.id, m->vmid.id);
	assert_int_equal(m->exited.type, type);
}

static void wait_reset(struct machine *m)
{
	struct ghvm_rm_vm_state st = { 0 };

	for (int i = 0; i < 1000 && st.status != STATE_RESET; i++) {
		assert_int_equal(ghvm_rm_vm_get_state(m->rm, m->vmid, &st, NULL), 0);
		(void)poll(NULL, 0, 1);
	}
	assert_int_equal(st.status, STATE_RESET);
}

/* The whole undo; then nothing is left in the model. */
static void machine_freep(struct machine **p)
{
	static const uint8_t tag[GHVM_TAG_SIZE];
	struct machine *m = *p;
	struct ghvm_host *h = m->b->host;

	if (!m->has_exited) {
		assert_int_equal(ghvm_rm_vm_stop(m->rm, m->vmid, NULL), 0);
		wait_exited(m, 7);
	}
	assert_int_equal(h->ops->revoke(h, GRANT), 0);
	assert_int_equal(ghvm_rm_vm_reset(m->rm, m->vmid, NULL), 0);
	wait_reset(m);
	assert_int_equal(ghvm_rm_mem_reclaim(m->rm, m->handle, true, RAM_SIZE, NULL), 0);
	assert_int_equal(h->ops->pin_set(h, m->pin, GHVM_PIN_HELD, tag), 0);
	h->ops->pin_close(h, m->pin);
	assert_int_equal(ghvm_rm_vm_deallocate(m->rm, m->vmid, NULL), 0);
	ghvm_host_close(m->grant);
	for (unsigned int i = 0; i < CPUS; i++)
		(void)close(m->wake[i]);
	assert_int_equal(sock_bench_count(m->b, "violations"), 0);
	assert_int_equal(sock_bench_count(m->b, "vms"), 0);
	assert_int_equal(sock_bench_count(m->b, "parcels"), 0);
	assert_int_equal(sock_bench_count(m->b, "pins"), 0);
	assert_int_equal(sock_bench_count(m->b, "caps"), 2);
	ghvm_rm_free(m->rm);
	sock_bench_freep(&m->b);
	free(m);
}

/* The runner's devices: a UART with @in, and a key that is always down. */
static void on_mmio(struct machine *m, struct ghvm_vcpu *v)
{
	if (v->state == GHVM_VCPU_MMIO_WRITE) {
		if (v->ipa == UART && m->out_len < sizeof(m->out) - 1)
			m->out[m->out_len++] = (char)v->value;
		if (v->ipa == UART + 1)
			m->ier = (uint8_t)v->value;
		return;
	}
	v->read = 0;
	if (v->ipa == UART + 5)
		v->read = 0x60 | (m->in && *m->in ? 1 : 0);
	else if (v->ipa == UART && m->in)
		v->read = (uint8_t)*m->in++;
	else if (v->ipa == GPIO + 0x3fc)
		v->read = 8;
}

static bool is_mmio(const struct ghvm_vcpu *v)
{
	return v->state == GHVM_VCPU_MMIO_READ || v->state == GHVM_VCPU_MMIO_WRITE;
}

/* Until there is something that is no MMIO and not READY. */
static struct ghvm_vcpu *run(struct machine *m, unsigned int i)
{
	struct ghvm_vcpu *v = &m->vcpus[i];

	for (int n = 0; n < 10000; n++) {
		assert_int_equal(ghvm_vcpu_run(v), 0);
		if (is_mmio(v))
			on_mmio(m, v);
		else if (v->state != GHVM_VCPU_READY)
			return v;
	}
	fail_msg("the guest runs for ever");
	return v;
}

/* A run loop as the runner has it, until the vCPU is off for good. */
static void run_to_the_end(struct machine *m, unsigned int i)
{
	struct ghvm_vcpu *v;

	for (v = run(m, i); v->state != GHVM_VCPU_POWERED_OFF || !v->for_good; v = run(m, i)) {
		wait_for(m->wake[i], 5000);
		drain(m->wake[i]);
	}
}

static void prints_and_turns_off(void **state)
{
	_cleanup_(machine_freep) struct machine *m =
		machine_new("GHVM-SCRIPT\n# a comment\nprint hello, world\nloop 3\noff\n");
	struct ghvm_vcpu *v;

	wait_for(m->wake[0], 1000); /* START is a wake-up */
	drain(m->wake[0]);
	v = run(m, 0);
	assert_string_equal(m->out, "hello, world\n");
	assert_int_equal(v->state, GHVM_VCPU_POWERED_OFF);
	assert_false(v->for_good);
	wait_for(m->wake[0], 1000);
	v = run(m, 0);
	assert_int_equal(v->state, GHVM_VCPU_POWERED_OFF);
	assert_true(v->for_good);
	wait_exited(m, 1);
	v = run(m, 0); /* and so on after EXITED */
	assert_true(v->for_good);
	v = run(m, 1);
	assert_true(v->for_good);
}

static void every_exit_in_its_words(void **state)
{
	_cleanup_(machine_freep) struct machine *m =
		machine_new("GHVM-SCRIPT\n"
			    "mmio-write 0x10010000 4 0x1234567890\n"
			    "mmio-read 0x10010004 2\n"
			    "loop 1\n"
			    "wfi\n"
			    "mmio-write 0x10010008 8 0x1234567890\n");
	struct ghvm_vcpu *v = &m->vcpus[0];

	assert_int_equal(ghvm_vcpu_run(v), 0);
	assert_int_equal(v->state, GHVM_VCPU_MMIO_WRITE);
	assert_int_equal(v->ipa, 0x10010000);
	assert_int_equal(v->size, 4);
	assert_int_equal(v->value, 0x34567890);
	assert_int_equal(ghvm_vcpu_run(v), 0);
	assert_int_equal(v->state, GHVM_VCPU_MMIO_READ);
	assert_int_equal(v->ipa, 0x10010004);
	assert_int_equal(v->size, 2);
	assert_int_equal(ghvm_vcpu_run(v), 0);
	assert_int_equal(v->state, GHVM_VCPU_READY);
	assert_int_equal(ghvm_vcpu_run(v), 0);
	assert_int_equal(v->state, GHVM_VCPU_EXPECTS_WAKEUP);
	drain(m->wake[0]);
	assert_int_equal(ghvm_vcpu_run(v), 0); /* nothing came: still waiting */
	assert_int_equal(v->state, GHVM_VCPU_EXPECTS_WAKEUP);
	assert_int_equal(ghvm_doorbell_ring(m->grant, m->bells[1]), 0);
	wait_for(m->wake[0], 1000);
	assert_int_equal(ghvm_vcpu_run(v), 0);
	assert_int_equal(v->state, GHVM_VCPU_MMIO_WRITE);
	assert_int_equal(v->size, 8);
	assert_int_equal(v->value, 0x1234567890);
	assert_int_equal(run(m, 0)->state, GHVM_VCPU_POWERED_OFF); /* the end is off */
	wait_exited(m, 1);
}

static void console_input(void **state)
{
	_cleanup_(machine_freep) struct machine *m =
		machine_new("GHVM-SCRIPT\nprint login:\nexpect root\nread\nprint welcome\noff\n");
	struct ghvm_vcpu *v = run(m, 0);

	assert_string_equal(m->out, "login:\n");
	assert_int_equal(v->state, GHVM_VCPU_EXPECTS_WAKEUP);
	assert_int_equal(m->ier, 1);
	drain(m->wake[0]);
	m->in = "roo\nroot\n";
	assert_int_equal(ghvm_doorbell_ring(m->grant, m->bells[0]), 0);
	wait_for(m->wake[0], 1000);
	v = run(m, 0);
	assert_int_equal(v->state, GHVM_VCPU_EXPECTS_WAKEUP); /* read: all is eaten */
	assert_string_equal(m->out, "login:\n");
	m->in = "x";
	assert_int_equal(ghvm_doorbell_ring(m->grant, m->bells[0]), 0);
	run_to_the_end(m, 0);
	assert_string_equal(m->out, "login:\nwelcome\n");
	wait_exited(m, 1);
}

static void the_power_key(void **state)
{
	_cleanup_(machine_freep) struct machine *m =
		machine_new("GHVM-SCRIPT\npowerkey\nprint no\n");
	struct ghvm_vcpu *v = run(m, 0);

	assert_int_equal(v->state, GHVM_VCPU_EXPECTS_WAKEUP);
	assert_int_equal(ghvm_doorbell_ring(m->grant, m->bells[0]), 0); /* not this one */
	v = run(m, 0);
	assert_int_equal(v->state, GHVM_VCPU_EXPECTS_WAKEUP);
	assert_int_equal(ghvm_doorbell_ring(m->grant, m->bells[1]), 0);
	run_to_the_end(m, 0);
	wait_exited(m, 1);
	assert_int_equal(m->out_len, 0);
}

static void a_sleep_ends_by_itself(void **state)
{
	_cleanup_(machine_freep) struct machine *m =
		machine_new("GHVM-SCRIPT\nsleep 50\nprint awake\noff\n");
	struct ghvm_vcpu *v = run(m, 0);

	assert_int_equal(v->state, GHVM_VCPU_EXPECTS_WAKEUP);
	drain(m->wake[0]);
	v = run(m, 0);
	assert_int_equal(v->state, GHVM_VCPU_EXPECTS_WAKEUP);
	wait_for(m->wake[0], 5000);
	run_to_the_end(m, 0);
	assert_string_equal(m->out, "awake\n");
	wait_exited(m, 1);
}

static void two_vcpus(void **state)
{
	_cleanup_(machine_freep) struct machine *m = machine_new("GHVM-SCRIPT\n"
								 "cpu-on 1\nwfi\noff\n"
								 "cpu 1\nprint two\n");
	struct ghvm_vcpu *v = run(m, 1);

	assert_int_equal(v->state, GHVM_VCPU_POWERED_OFF);
	assert_false(v->for_good);
	drain(m->wake[1]);
	assert_int_equal(run(m, 0)->state, GHVM_VCPU_EXPECTS_WAKEUP);
	wait_for(m->wake[1], 1000);
	drain(m->wake[1]);
	v = run(m, 1);
	assert_string_equal(m->out, "two\n");
	assert_int_equal(v->state, GHVM_VCPU_POWERED_OFF);
	assert_false(v->for_good);
	assert_int_equal(ghvm_doorbell_ring(m->grant, m->bells[0]), 0);
	run_to_the_end(m, 0);
	wait_for(m->wake[1], 1000); /* the end of the VM wakes all */
	run_to_the_end(m, 1);
	wait_exited(m, 1);
}

static void a_reset(void **state)
{
	_cleanup_(machine_freep) struct machine *m = machine_new("GHVM-SCRIPT\nreset\n");
	struct ghvm_hcall call = { .call = 0x65, .args = { m->vcpus[0].cap.id } };

	for (int i = 0; i < 2; i++) { /* repeated, until RM has noticed */
		assert_int_equal(m->grant->ops->hcall(m->grant, &call), 0);
		if (call.results[1] != GHVM_VCPU_SYSTEM_RESET)
			break;
		assert_int_equal(call.results[2], 1ULL << 63);
	}
	wait_exited(m, 2);
	assert_int_equal(run(m, 0)->state, GHVM_VCPU_POWERED_OFF);
}

static void faults(void **state)
{
	static const char *const scripts[] = {
		"GHVM-SCRIPT\nfault\n",	      "GHVM-SCRIPT\nsing a song\n",
		"GHVM-SCRIPT\nsleep a\n",     "GHVM-SCRIPT\nmmio-read 0x40000000 4\n",
		"GHVM-SCRIPT\ncpu-on 2\n",    "GHVM-SCRIPT\nmmio-write 0x10000000 3 1\n",
		"an operating system of old",
	};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		_cleanup_(machine_freep) struct machine *m = machine_new(scripts[i]);

		assert_int_equal(run(m, 0)->state, GHVM_VCPU_FAULT);
		wait_exited(m, 5);
	}
}

static void stopped_while_it_runs(void **state)
{
	_cleanup_(machine_freep) struct machine *m = machine_new("GHVM-SCRIPT\nforever\n");

	for (int i = 0; i < 100; i++) {
		assert_int_equal(ghvm_vcpu_run(&m->vcpus[0]), 0);
		assert_int_equal(m->vcpus[0].state, GHVM_VCPU_READY);
	}
	assert_int_equal(ghvm_rm_vm_stop(m->rm, m->vmid, NULL), 0);
	run_to_the_end(m, 0);
	wait_exited(m, 7);
}

static void nobody_is_needed_for_a_stop(void **state)
{
	_cleanup_(machine_freep) struct machine *m = machine_new("GHVM-SCRIPT\nwfi\n");

	assert_int_equal(run(m, 0)->state, GHVM_VCPU_EXPECTS_WAKEUP);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_and_turns_off),
		cmocka_unit_test(every_exit_in_its_words),
		cmocka_unit_test(console_input),
		cmocka_unit_test(the_power_key),
		cmocka_unit_test(a_sleep_ends_by_itself),
		cmocka_unit_test(two_vcpus),
		cmocka_unit_test(a_reset),
		cmocka_unit_test(faults),
		cmocka_unit_test(stopped_while_it_runs),
		cmocka_unit_test(nobody_is_needed_for_a_stop),
	};

	sock_bench_program(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
