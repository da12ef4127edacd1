/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host in memory: calls, grants, and the state that tests examine.
 */
#include "libghvm/hyp/host.h"
#include "tests/fakes/rm-internal.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIRST_VIRQ 144
#define LAST_VIRQ 255

struct fake_rm *fake_rm_of(struct ghvm_host *h)
{
	return (struct fake_rm *)h;
}

void fake_rm_die(const char *why, uint64_t what)
{
	(void)fprintf(stderr, "fake-rm: %s (0x%llx)\n", why, (unsigned long long)what);
	abort();
}

/* ---- calls ---- */

/* Simulate the death of the process: this thread never returns and holds no lock. */
static void die_here(struct fake_rm *f)
{
	f->killed = true;
	(void)pthread_cond_broadcast(&f->on_kill);
	(void)pthread_mutex_unlock(&f->lock);
	for (;;)
		(void)pause();
}

/* Begin a call: calls are serialised, due work is done first, and the chosen call fails. */
int fake_rm_enter(struct ghvm_host *h)
{
	struct fake_rm *f = fake_rm_of(h);

	(void)pthread_mutex_lock(&f->lock);
	if (f->due && fake_rm_now() >= f->due) {
		f->due = 0;
		model_work(f->model);
	}
	f->calls++;
	if (f->calls == f->kill_at)
		die_here(f);
	if (f->dead_from && f->calls >= f->dead_from)
		return -ENODEV; /* EIO would be worth another try */
	return f->calls == f->fail_at ? -EIO : 0;
}

int fake_rm_leave(struct ghvm_host *h, int r)
{
	struct fake_rm *f = fake_rm_of(h);

	if (f->on_leave)
		f->on_leave(f->on_leave_data);
	(void)pthread_mutex_unlock(&f->lock);
	return r;
}

static int fake_info(struct ghvm_host *h, struct ghvm_info *ret)
{
	struct fake_rm *f = fake_rm_of(h);
	uint64_t x[8] = {};
	unsigned int slot, vcpu;
	int r = fake_rm_enter(h);

	if (r < 0)
		return fake_rm_leave(h, r);
	*ret = (struct ghvm_info){ .size = sizeof(*ret),
				   .flags = GHVM_INFO_RM_TX_VIRQ | GHVM_INFO_RM_RX_VIRQ,
				   .abi = GHVM_ABI_LEVEL,
				   .page_size = GHVM_PAGE };
	if (f->assigns)
		ret->flags |= GHVM_INFO_ASSIGN | GHVM_INFO_ASSIGN_NEEDED;
	model_uid(ret->uid);
	(void)model_hypercall(f->model, 0, x, &slot, &vcpu); /* hyp_identify is always answered */
	memcpy(ret->identify, x, sizeof(ret->identify));
	ret->rm_tx_capid = model_rm_tx_cap(f->model);
	ret->rm_rx_capid = model_rm_rx_cap(f->model);
	return fake_rm_leave(h, 0);
}

static void run_script(struct fake_rm *f, unsigned int slot, struct ghvm_hcall *call)
{
	static const struct fake_rm_exit idle = { .state = 1, .data = { 0, 1 } };
	const struct fake_rm_exit *e = &idle;

	if (f->script_at < f->n_script)
		e = &f->script[f->script_at++];
	if (e->ends)
		model_guest_ended(f->model, slot, e->type, NULL, 0);
	call->results[0] = 0;
	call->results[1] = e->state;
	memcpy(&call->results[2], e->data, sizeof(e->data));
}

static int fake_hcall(struct ghvm_host *h, struct ghvm_hcall *call)
{
	struct fake_rm *f = fake_rm_of(h);
	unsigned int slot = 0, vcpu = 0;
	uint64_t x[8] = {};
	int r = fake_rm_enter(h);

	if (r < 0)
		return fake_rm_leave(h, r);
	memcpy(&x[1], call->args, sizeof(call->args));
	if (model_hypercall(f->model, call->call, x, &slot, &vcpu) == MODEL_RUN_VCPU)
		run_script(f, slot, call);
	else
		memcpy(call->results, x, sizeof(call->results));
	if (f->assigns)
		fake_rm_check_assigned(f);
	return fake_rm_leave(h, 0);
}

static uint32_t irq_intid(const struct fake_rm *f, uint32_t kind, uint32_t virq)
{
	if (kind == GHVM_IRQ_RM_TX)
		return model_rm_tx_virq(f->model);
	if (kind == GHVM_IRQ_RM_RX)
		return model_rm_rx_virq(f->model);
	return virq;
}

static int fake_irq(struct ghvm_host *h, uint32_t kind, uint32_t virq, int eventfd)
{
	struct fake_rm *f = fake_rm_of(h);
	struct fake_irq *irq;
	int r = fake_rm_enter(h);

	if (r < 0)
		return fake_rm_leave(h, r);
	irq = fake_rm_irq(f, irq_intid(f, kind, virq), true);
	if (eventfd < 0) {
		closep(&irq->eventfd);
		irq->eventfd = -1;
		return fake_rm_leave(h, 0);
	}
	if (irq->eventfd >= 0)
		return fake_rm_leave(h, -EBUSY);
	irq->eventfd = fcntl(eventfd, F_DUPFD_CLOEXEC, 0);
	if (irq->eventfd < 0)
		return fake_rm_leave(h, -errno);
	fake_rm_signal(irq);
	return fake_rm_leave(h, 0);
}

/* ---- grants ---- */

static struct fake_grant *find_grant(struct fake_rm *f, uint64_t id)
{
	for (size_t i = 0; i < FAKE_RM_GRANTS_MAX; i++)
		if (f->grants[i].used && f->grants[i].id == id)
			return &f->grants[i];
	return NULL;
}

static int make_grant(struct fake_rm *f, uint64_t id)
{
	if (!id)
		return -EINVAL;
	if (find_grant(f, id))
		return -EEXIST;
	for (size_t i = 0; i < FAKE_RM_GRANTS_MAX; i++) {
		int fd;

		if (f->grants[i].used)
			continue;
		fd = eventfd(0, EFD_CLOEXEC); /* any descriptor */
		if (fd < 0)
			return -errno;
		f->grants[i] = (struct fake_grant){ .used = true, .id = id };
		return fd;
	}
	return -ENFILE;
}

static int fake_grant(struct ghvm_host *h, uint64_t id, const struct ghvm_grant_call *calls,
		      uint32_t n_calls, const uint32_t *virqs, uint32_t n_virqs)
{
	int r = fake_rm_enter(h);

	if (r == 0 && (!n_calls || n_calls > GHVM_GRANT_MAX || n_virqs > GHVM_GRANT_MAX))
		r = -EINVAL;
	if (r == 0)
		r = make_grant(fake_rm_of(h), id);
	return fake_rm_leave(h, r);
}

static int fake_revoke(struct ghvm_host *h, uint64_t id)
{
	struct fake_grant *g;
	int r = fake_rm_enter(h);

	if (r < 0)
		return fake_rm_leave(h, r);
	g = find_grant(fake_rm_of(h), id);
	if (!g)
		return fake_rm_leave(h, -ENOENT);
	g->used = false;
	return fake_rm_leave(h, 0);
}

static void fake_close(struct ghvm_host *h)
{
	/* owned by the test: fake_rm_free() */
}

static const struct ghvm_host_ops fake_ops = {
	.info = fake_info,
	.hcall = fake_hcall,
	.irq = fake_irq,
	.pin = fake_pin,
	.pin_status = fake_pin_status,
	.pin_extents = fake_pin_extents,
	.pin_set = fake_pin_set,
	.pin_write = fake_pin_write,
	.pin_close = fake_pin_close,
	.grant = fake_grant,
	.revoke = fake_revoke,
	.quarantine_list = fake_quarantine_list,
	.quarantine_adopt = fake_quarantine_adopt,
	.assign = fake_assign,
	.close = fake_close,
};

/* creation and state */

struct fake_rm *fake_rm_new(const struct fake_rm_options *options)
{
	static const struct fake_rm_options plain;
	const struct fake_rm_options *o = options ? options : &plain;
	struct fake_rm *f = calloc(1, sizeof(*f));
	struct model_config config = {
		.ram_base = FAKE_RM_RAM_BASE,
		.ram_size = o->ram_size ? o->ram_size : GHVM_MIB(64),
		.first_virq = FIRST_VIRQ,
		.last_virq = LAST_VIRQ,
		.cpus = 4,
		.delay_ns = o->delay_ns,
		.late_stop = o->late_stop,
		.production = o->production,
		.first_vmid = o->first_vmid,
		.presplit_quirk = o->presplit_quirk,
		.boot_context = o->boot_context,
		.address_layout = o->address_layout,
		.pas_id = o->pas_id,
		.firmware = o->firmware,
		.firmware_size = o->firmware_size,
	};
	size_t size = model_arena_size(&config);
	struct model_host host;

	if (!f)
		fake_rm_die("no memory", 0);
	f->host.ops = &fake_ops;
	f->ram_size = config.ram_size;
	f->chunk_pages = o->chunk_pages;
	f->assigns = o->assigns;
	(void)pthread_mutex_init(&f->lock, NULL); /* cannot fail with default attributes */
	(void)pthread_cond_init(&f->on_kill, NULL);
	f->ram = mmap(NULL, f->ram_size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	f->taken = calloc(f->ram_size / GHVM_PAGE, 1);
	f->dirty = calloc(f->ram_size / GHVM_PAGE, 1);
	f->arena = calloc(1, size);
	if (f->ram == MAP_FAILED || !f->taken || !f->dirty || !f->arena)
		fake_rm_die("no memory", size);
	for (size_t i = 0; i < FAKE_RM_IRQS_MAX; i++)
		f->irqs[i].eventfd = -1;
	host = fake_rm_below(f);
	f->model = model_new(&host, &config, f->arena, size);
	if (!f->model)
		fake_rm_die("no model", size);
	return f;
}

void fake_rm_free(struct fake_rm *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++)
		free(f->pins[i].extents);
	for (size_t i = 0; i < FAKE_RM_IRQS_MAX; i++)
		closep(&f->irqs[i].eventfd);
	(void)munmap(f->ram, f->ram_size); /* cannot fail */
	free(f->taken);
	free(f->dirty);
	free(f->arena);
	(void)pthread_cond_destroy(&f->on_kill);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

void fake_rm_freep(struct fake_rm **f)
{
	fake_rm_free(*f);
}

void fake_rm_crash(struct fake_rm *f)
{
	(void)pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++)
		if (f->pins[i].used && !f->pins[i].quarantined)
			fake_rm_close_pin(f, &f->pins[i]);
	for (size_t i = 0; i < FAKE_RM_IRQS_MAX; i++) {
		closep(&f->irqs[i].eventfd);
		f->irqs[i].eventfd = -1;
	}
	(void)pthread_mutex_unlock(&f->lock);
}

struct model_counts fake_rm_counts(struct fake_rm *f)
{
	struct model_counts c;

	(void)pthread_mutex_lock(&f->lock);
	model_counts(f->model, &c);
	(void)pthread_mutex_unlock(&f->lock);
	return c;
}

static unsigned int count_pins(struct fake_rm *f, bool named, bool quarantined, bool guarded_only)
{
	unsigned int n = 0;

	(void)pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < FAKE_RM_PINS_MAX; i++) {
		const struct fake_pin *p = &f->pins[i];

		if (p->used && (p->quarantined ? quarantined : named) &&
		    (!guarded_only || p->state == GHVM_PIN_GUARDED))
			n++;
	}
	(void)pthread_mutex_unlock(&f->lock);
	return n;
}

unsigned int fake_rm_pins(struct fake_rm *f)
{
	return count_pins(f, true, false, false);
}

unsigned int fake_rm_guarded(struct fake_rm *f)
{
	return count_pins(f, true, true, true);
}

unsigned int fake_rm_quarantined(struct fake_rm *f)
{
	return count_pins(f, false, true, false);
}

unsigned int fake_rm_grants(struct fake_rm *f)
{
	unsigned int n = 0;

	(void)pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < FAKE_RM_GRANTS_MAX; i++)
		n += f->grants[i].used;
	(void)pthread_mutex_unlock(&f->lock);
	return n;
}

unsigned int fake_rm_leftovers(struct fake_rm *f)
{
	struct model_counts c = fake_rm_counts(f);

	return c.vms + c.parcels + fake_rm_pins(f) + fake_rm_quarantined(f) + fake_rm_grants(f);
}

const uint8_t *fake_rm_ram(struct fake_rm *f, uint64_t pa)
{
	return fake_rm_bytes(f, pa, 1);
}
