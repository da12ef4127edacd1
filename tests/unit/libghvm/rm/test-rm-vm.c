/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each life cycle message: the bytes of request and reply, each reply cut short at every
 * byte and too long by one, each refusal; and what must never be sent.
 */
#include "libghvm/rm/rpc.h"
#include "libghvm/rm/vm-calls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/fakes/queue-peer.h"

static const struct ghvm_vmid vm = { 0x8f };
static const uint8_t v_request[] = { 0x8f, 0x00, 0x00, 0x00 };

static const struct ghvm_rm_image image = {
	.parcel = { 0x01020304 },
	.parcel_size = 0x10000000,
	.image_offset = 0x1000,
	.image_size = 0x2000,
	.dt_offset = 0x0f000000,
	.dt_size = 0x100000,
};
static const uint8_t image_request[] = {
	0x8f, 0x00, 0x00, 0x00, 0x04, 0x03, 0x02, 0x01, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0f,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00,
};

/* A doorbell, a vCPU, and a virtio-mmio; the unused fields are not zero. */
static const uint8_t resources_reply[] = {
	3,    0,    0,	  0, /* n */
	0,    0xee, 0x8f, 0x00, 0xaa, 0xaa, 0xaa, 0xaa, 1,    0,    0,	  0,	8,    7,    6,
	5,    4,    3,	  2,	0x81, 0xff, 0xff, 0xff, 0xff, 0,    0,	  0,	0,    0,    0,
	0,    0,    0,	  0,	0,    0,    0,	  0,	0,    0,    0,	  0,	0,    0,    4,
	0xee, 0x8f, 0x00, 0xaa, 0xaa, 0xaa, 0xaa, 2,	0,    0,    0,	  0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,    0,    0,
	0,    0,    0,	  0,	0,    0,    0,	  0,	0,    0,    0,	  0,	0,    6,    0,
	0x8f, 0x00, 0,	  0,	0,    0,    1,	  0,	0,    0,    0,	  0,	0,    0,    0,
	0,    0,    0,	  0xff, 0xff, 0xff, 0xff, 0x90, 0x01, 0,    0,	  0x00, 0x10, 0x20, 0x30,
	0,    0,    0,	  0,	0x00, 0x10, 0,	  0,	0,    0,    0,	  0,
};

struct fixture {
	struct script_host *s;
	struct ghvm_rm *rm;
	struct ghvm_error err;
	struct ghvm_vmid out_vmid;
	struct ghvm_rm_vm_state out_state;
	struct ghvm_rm_resources out_res;
	char out_crash[GHVM_CRASH_MESSAGE_SIZE];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->s = script_host_new();
	assert_int_equal(ghvm_rm_new(&f->s->host, &f->rm, NULL), 0);
	ghvm_rm_set_deadline(f->rm, 50, 50);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ghvm_rm_resources_done(&f->out_res);
	ghvm_rm_free(f->rm);
	script_host_free(f->s);
	free(f);
	return 0;
}

/* So that no probe is sent. */
static void know(struct fixture *f)
{
	ghvm_rm_fact_set(f->rm, vm, GHVM_RM_FACT_ALLOCATED);
	ghvm_rm_fact_set(f->rm, vm, GHVM_RM_FACT_CONFIGURED);
}

static int do_allocate(struct fixture *f)
{
	return ghvm_rm_vm_allocate(f->rm, &f->out_vmid, &f->err);
}

static int do_deallocate(struct fixture *f)
{
	know(f);
	return ghvm_rm_vm_deallocate(f->rm, vm, &f->err);
}

static int do_config(struct fixture *f)
{
	return ghvm_rm_vm_config_image(f->rm, vm, &image, &f->err);
}

static int do_init(struct fixture *f)
{
	return ghvm_rm_vm_init(f->rm, vm, &f->err);
}

static int do_start(struct fixture *f)
{
	return ghvm_rm_vm_start(f->rm, vm, &f->err);
}

static int do_stop(struct fixture *f)
{
	return ghvm_rm_vm_stop(f->rm, vm, &f->err);
}

static int do_reset(struct fixture *f)
{
	know(f);
	return ghvm_rm_vm_reset(f->rm, vm, &f->err);
}

static int do_get_state(struct fixture *f)
{
	return ghvm_rm_vm_get_state(f->rm, vm, &f->out_state, &f->err);
}

static int do_get_resources(struct fixture *f)
{
	ghvm_rm_resources_done(&f->out_res);
	return ghvm_rm_vm_get_hyp_resources(f->rm, vm, &f->out_res, &f->err);
}

static int do_get_crash(struct fixture *f)
{
	return ghvm_rm_vm_get_crash_msg(f->rm, vm, f->out_crash, &f->err);
}

static const uint8_t stop_request[] = { 0x8f, 0x00, 0x01, 0x00, 0x03, 0x00, 0x00, 0x00 };
static const uint8_t crash_reply[] = { 0x05, 0x00, 0x00, 0x00, 'p', 'a', 'n', 'i', 'c', 0, 0, 0 };
static const uint8_t zero_request[4];
static const uint8_t vmid_reply[] = { 0x8f, 0x00, 0x00, 0x00 };
static const uint8_t state_reply[] = { 0x03, 0x04, 0x34, 0x12 };

static const struct message {
	uint32_t id;
	const char *name;
	int (*call)(struct fixture *f);
	const uint8_t *request;
	size_t request_len;
	const uint8_t *reply;
	size_t reply_len;
} messages[] = {
	{ 0x56000001, "VM_ALLOCATE", do_allocate, zero_request, 4, vmid_reply, 4 },
	{ 0x56000002, "VM_DEALLOCATE", do_deallocate, v_request, 4, NULL, 0 },
	{ 0x56000009, "VM_CONFIG_IMAGE", do_config, image_request, 40, NULL, 0 },
	{ 0x5600000b, "VM_INIT", do_init, v_request, 4, NULL, 0 },
	{ 0x56000004, "VM_START", do_start, v_request, 4, NULL, 0 },
	{ 0x56000005, "VM_STOP", do_stop, stop_request, 8, NULL, 0 },
	{ 0x56000006, "VM_RESET", do_reset, v_request, 4, NULL, 0 },
	{ 0x56000017, "VM_GET_STATE", do_get_state, v_request, 4, state_reply, 4 },
	{ 0x56000019, "VM_GET_CRASH_MSG", do_get_crash, v_request, 4, crash_reply,
	  sizeof(crash_reply) },
	{ 0x56000020, "VM_GET_HYP_RESOURCES", do_get_resources, v_request, 4, resources_reply,
	  sizeof(resources_reply) },
};

static void golden_requests_and_replies(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		const struct message *m = &messages[i];
		size_t before = f->s->n_requests;

		script_answer(f->s, m->id, 0, m->reply, m->reply_len);
		assert_int_equal(m->call(f), 0);
		assert_int_equal(f->s->n_requests, before + 1); /* one message each */
		assert_int_equal(script_last(f->s)->id, m->id);
		assert_int_equal(script_last(f->s)->len, m->request_len);
		if (m->request_len)
			assert_memory_equal(script_last(f->s)->payload, m->request, m->request_len);
	}
	assert_int_equal(f->out_vmid.id, 0x8f);
	assert_int_equal(f->out_state.status, 3);
	assert_int_equal(f->out_state.os_status, 4);
	assert_int_equal(f->out_state.app_status, 0x1234);
	assert_string_equal(f->out_crash, "panic");
}

static void every_short_reply_is_rejected(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		for (size_t n = 0; n < messages[i].reply_len; n++) {
			_cleanup_(freep) uint8_t *cut = malloc(n + 1);

			memcpy(cut, messages[i].reply, n);
			script_answer(f->s, messages[i].id, 0, cut, n);
			f->out_vmid.id = 77;
			f->out_state.status = 77;
			assert_int_equal(messages[i].call(f), -EBADMSG);
			assert_int_equal(f->out_vmid.id, 77); /* untouched on failure */
			assert_int_equal(f->out_state.status, 77);
			assert_null(f->out_res.v);
			assert_non_null(strstr(f->err.msg, messages[i].name));
		}
}

static void every_trailing_byte_is_rejected(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		size_t n = messages[i].reply_len;
		_cleanup_(freep) uint8_t *more = calloc(1, n + 44);

		if (n)
			memcpy(more, messages[i].reply, n);
		for (size_t extra = 1; extra <= 44; extra += 43) { /* also by a whole entry */
			script_answer(f->s, messages[i].id, 0, more, n + extra);
			assert_int_equal(messages[i].call(f), -EBADMSG);
		}
	}
}

static void every_refusal_says_what_and_why(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		script_answer(f->s, messages[i].id, GHVM_RM_DENIED, NULL, 0);
		f->err = (struct ghvm_error){};
		assert_int_equal(messages[i].call(f), -EREMOTEIO);
		assert_int_equal(f->err.rm_message, messages[i].id);
		assert_int_equal(f->err.rm_code, GHVM_RM_DENIED);
		assert_non_null(strstr(f->err.msg, messages[i].name));
		assert_non_null(strstr(f->err.msg, "DENIED"));
	}
}

static void silence_comes_through(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct fixture *f;

		assert_int_equal(setup((void **)&f), 0);
		ghvm_rm_set_deadline(f->rm, 5, 50);
		assert_int_equal(messages[i].call(f), -ETIMEDOUT);
		assert_non_null(strstr(f->err.msg, messages[i].name));
		teardown((void **)&f);
	}
}

static void resources_are_decoded(void **state)
{
	struct fixture *f = *state;
	const struct ghvm_rm_resource *r;

	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, 0, resources_reply,
		      sizeof(resources_reply));
	assert_int_equal(do_get_resources(f), 0);
	assert_int_equal(f->out_res.n, 3);

	r = ghvm_rm_resources_find(&f->out_res, GHVM_RM_RESOURCE_DOORBELL_TX, 1);
	assert_non_null(r);
	assert_int_equal(r->partner.id, 0x8f);
	assert_int_equal(r->capid.id, 0x8102030405060708);
	assert_int_equal(r->virq.intid, 0);

	r = ghvm_rm_resources_find(&f->out_res, GHVM_RM_RESOURCE_VCPU, 2);
	assert_non_null(r);
	assert_int_equal(r->capid.id, GHVM_CAPID_NONE);
	assert_int_equal(r->virq.intid, 0); /* all ones: none */

	r = ghvm_rm_resources_find(&f->out_res, GHVM_RM_RESOURCE_VIRTIO_MMIO, 1);
	assert_non_null(r);
	assert_int_equal(r->virq.intid, 0x190);
	assert_int_equal(r->base, 0x30201000);
	assert_int_equal(r->size, 0x1000);

	assert_null(ghvm_rm_resources_find(&f->out_res, GHVM_RM_RESOURCE_VCPU, 1));
}

/* As many as a message holds, none, one more than there is, and a count that wraps. */
static void resource_counts(void **state)
{
	enum { MOST = (GHVM_RM_MSG_MAX - 8) / 44 };
	struct fixture *f = *state;
	_cleanup_(freep) uint8_t *p = calloc(1, 4 + MOST * 44);
	static const uint8_t wraps[4] = { 0xa3, 0x8b, 0x2e, 0xba }; /* * 44 is 4 in 32 bits */

	p[0] = MOST & 0xff;
	p[1] = MOST >> 8;
	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, 0, p, 4 + MOST * 44);
	assert_int_equal(do_get_resources(f), 0);
	assert_int_equal(f->out_res.n, MOST);

	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, 0, "\0\0\0\0", 4);
	assert_int_equal(do_get_resources(f), 0);
	assert_int_equal(f->out_res.n, 0);

	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, 0, "\1\0\0\0", 4);
	assert_int_equal(do_get_resources(f), -EBADMSG);
	memcpy(p, wraps, 4);
	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, 0, p, 8);
	assert_int_equal(do_get_resources(f), -EBADMSG);
	memset(p, 0xff, 4);
	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, 0, p, 48);
	assert_int_equal(do_get_resources(f), -EBADMSG);
}

static void allocate_rejects_impossible_vmids(void **state)
{
	static const uint8_t bad[][4] = {
		{ 0 }, { SCRIPT_VMID }, { 0, 0, 1 }, { 0x80, 0, 0, 0x80 }
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		script_answer(f->s, GHVM_RM_VM_ALLOCATE, 0, bad[i], 4);
		assert_int_equal(do_allocate(f), -EBADMSG);
	}
}

/* ---- what must not be sent ---- */

static void an_image_outside_its_parcel_is_not_sent(void **state)
{
	static const struct ghvm_rm_image bad[] = {
		{ .parcel_size = 0x1000, .dt_size = 0 },
		{ .parcel_size = 0x1000, .dt_size = 0x1001 },
		{ .parcel_size = 0x1000, .dt_offset = 0x1001, .dt_size = 1 },
		{ .parcel_size = 0x1000, .dt_offset = 0x800, .dt_size = 0x801 },
		{ .parcel_size = 0x1000, .dt_offset = 0x800, .dt_size = UINT64_MAX - 0x7ff },
		{ .parcel_size = 0x1000, .dt_size = 1, .image_size = 0x1001 },
		{ .parcel_size = 0x1000,
		  .dt_size = 1,
		  .image_offset = UINT64_MAX,
		  .image_size = 2 },
	};
	static const struct ghvm_rm_image edge = {
		.parcel_size = 0x1000, .image_offset = 0x1000, .dt_offset = 0xfff, .dt_size = 1
	};
	struct fixture *f = *state;
	size_t n = f->s->n_requests;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ghvm_rm_vm_config_image(f->rm, vm, &bad[i], &f->err), -EINVAL);
	assert_int_equal(f->s->n_requests, n);
	script_answer(f->s, GHVM_RM_VM_CONFIG_IMAGE, 0, NULL, 0);
	assert_int_equal(ghvm_rm_vm_config_image(f->rm, vm, &edge, &f->err), 0);
}

static void neither_ourselves_nor_anybody(void **state)
{
	static const struct ghvm_vmid wrong[] = { { 0 }, { SCRIPT_VMID } };
	struct fixture *f = *state;
	struct ghvm_rm_vm_state s;
	size_t n = f->s->n_requests;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(ghvm_rm_vm_deallocate(f->rm, wrong[i], &f->err), -EINVAL);
		assert_int_equal(ghvm_rm_vm_config_image(f->rm, wrong[i], &image, NULL), -EINVAL);
		assert_int_equal(ghvm_rm_vm_init(f->rm, wrong[i], NULL), -EINVAL);
		assert_int_equal(ghvm_rm_vm_start(f->rm, wrong[i], NULL), -EINVAL);
		assert_int_equal(ghvm_rm_vm_stop(f->rm, wrong[i], NULL), -EINVAL);
		assert_int_equal(ghvm_rm_vm_reset(f->rm, wrong[i], NULL), -EINVAL);
		assert_int_equal(ghvm_rm_vm_get_state(f->rm, wrong[i], &s, NULL), -EINVAL);
		assert_int_equal(ghvm_rm_vm_get_hyp_resources(f->rm, wrong[i], &f->out_res, NULL),
				 -EINVAL);
	}
	assert_int_equal(f->s->n_requests, n);
}

static bool was_sent(const struct fixture *f, uint32_t id)
{
	for (size_t i = 0; i < f->s->n_requests; i++)
		if (f->s->requests[i]->id == id)
			return true;
	return false;
}

static void script_no_such_vm(struct fixture *f)
{
	for (unsigned int i = 0; i < 2; i++)
		script_answer(f->s, GHVM_RM_VM_GET_STATE, GHVM_RM_NORESOURCE, NULL, 0);
}

/* abi I.7: DEALLOCATE of an unknown VMID kills RM. */
static void deallocate_asks_about_a_strangers_vmid(void **state)
{
	struct fixture *f = *state;

	script_answer(f->s, GHVM_RM_VM_GET_STATE, GHVM_RM_NORESOURCE, NULL, 0);
	script_answer(f->s, GHVM_RM_VM_GET_STATE, 0, "\0\0\0\0", 4); /* said twice */
	assert_int_equal(ghvm_rm_vm_deallocate(f->rm, vm, &f->err), -ENOENT);
	script_answer(f->s, GHVM_RM_VM_GET_STATE, GHVM_RM_DENIED, NULL, 0);
	assert_int_equal(ghvm_rm_vm_deallocate(f->rm, vm, &f->err), -EREMOTEIO);
	assert_int_equal(f->err.rm_code, GHVM_RM_DENIED);
	assert_false(was_sent(f, GHVM_RM_VM_DEALLOCATE));

	script_answer(f->s, GHVM_RM_VM_GET_STATE, 0, "\5\0\0\0", 4);
	script_answer(f->s, GHVM_RM_VM_DEALLOCATE, 0, NULL, 0);
	assert_int_equal(ghvm_rm_vm_deallocate(f->rm, vm, &f->err), 0);
	assert_true(was_sent(f, GHVM_RM_VM_DEALLOCATE));
}

static void deallocate_twice_is_sent_once(void **state)
{
	struct fixture *f = *state;

	script_answer(f->s, GHVM_RM_VM_ALLOCATE, 0, vmid_reply, 4);
	assert_int_equal(do_allocate(f), 0);
	script_answer(f->s, GHVM_RM_VM_DEALLOCATE, 0, NULL, 0); /* known: not asked */
	assert_int_equal(ghvm_rm_vm_deallocate(f->rm, vm, &f->err), 0);
	assert_false(was_sent(f, GHVM_RM_VM_GET_STATE));
	script_no_such_vm(f);
	assert_int_equal(ghvm_rm_vm_deallocate(f->rm, vm, &f->err), -ENOENT);
}

/* RM may have done it, whatever status it gives: DEALLOCATE once more would kill it then. */
static void a_deallocate_that_was_refused_is_asked_about(void **state)
{
	struct fixture *f = *state;

	script_answer(f->s, GHVM_RM_VM_ALLOCATE, 0, vmid_reply, 4);
	assert_int_equal(do_allocate(f), 0);
	script_answer(f->s, GHVM_RM_VM_DEALLOCATE, GHVM_RM_VM_STATE, NULL, 0);
	assert_int_equal(ghvm_rm_vm_deallocate(f->rm, vm, &f->err), -EREMOTEIO);
	script_no_such_vm(f);
	assert_int_equal(ghvm_rm_vm_deallocate(f->rm, vm, &f->err), -ENOENT);
}

static void a_deallocate_without_answer_is_asked_about(void **state)
{
	struct fixture *f = *state;

	know(f);
	assert_int_equal(ghvm_rm_vm_deallocate(f->rm, vm, &f->err), -ETIMEDOUT);
	script_no_such_vm(f);
	assert_int_equal(ghvm_rm_vm_deallocate(f->rm, vm, &f->err), -ENOENT);
}

/* abi K.6: RESET of a VM without configuration kills RM. */
static void reset_asks_about_a_configuration(void **state)
{
	static const uint8_t states[] = { GHVM_VM_NONE, GHVM_VM_LOAD, GHVM_VM_RESETTING,
					  GHVM_VM_RESET };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		uint8_t reply[4] = { states[i] };

		script_answer(f->s, GHVM_RM_VM_GET_STATE, 0, reply, 4);
		assert_int_equal(ghvm_rm_vm_reset(f->rm, vm, &f->err), -ENOENT);
	}
	script_answer(f->s, GHVM_RM_VM_GET_STATE, 0, "\x08\0\0\0", 4);
	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, GHVM_RM_NORESOURCE, NULL, 0);
	assert_int_equal(ghvm_rm_vm_reset(f->rm, vm, &f->err), -ENOENT);
	script_answer(f->s, GHVM_RM_VM_GET_STATE, GHVM_RM_NORESOURCE, NULL, 0);
	assert_int_equal(ghvm_rm_vm_reset(f->rm, vm, &f->err), -ENOENT);
	script_answer(f->s, GHVM_RM_VM_GET_STATE, 0, "\x08\0\0\0", 4);
	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, GHVM_RM_DENIED, NULL, 0);
	assert_int_equal(ghvm_rm_vm_reset(f->rm, vm, &f->err), -EREMOTEIO);
	assert_false(was_sent(f, GHVM_RM_VM_RESET));

	script_answer(f->s, GHVM_RM_VM_GET_STATE, 0, "\x09\0\0\0", 4);
	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, 0, "\0\0\0\0", 4);
	script_answer(f->s, GHVM_RM_VM_RESET, 0, NULL, 0);
	assert_int_equal(ghvm_rm_vm_reset(f->rm, vm, &f->err), 0);
}

static void reset_knows_its_own_configuration(void **state)
{
	struct fixture *f = *state;
	size_t n;

	script_answer(f->s, GHVM_RM_VM_ALLOCATE, 0, vmid_reply, 4);
	assert_int_equal(do_allocate(f), 0);
	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, 0, "\0\0\0\0", 4); /* it has one */
	assert_int_equal(ghvm_rm_vm_get_hyp_resources(f->rm, vm, &f->out_res, NULL), 0);
	n = f->s->n_requests;
	script_answer(f->s, GHVM_RM_VM_RESET, 0, NULL, 0);
	assert_int_equal(ghvm_rm_vm_reset(f->rm, vm, &f->err), 0);
	assert_int_equal(f->s->n_requests, n + 1); /* no question */

	script_answer(f->s, GHVM_RM_VM_GET_STATE, 0, "\x0b\0\0\0", 4); /* but for a second */
	assert_int_equal(ghvm_rm_vm_reset(f->rm, vm, &f->err), -ENOENT);
	script_answer(f->s, GHVM_RM_VM_DEALLOCATE, 0, NULL, 0); /* still known as ours */
	assert_int_equal(ghvm_rm_vm_deallocate(f->rm, vm, &f->err), 0);
	assert_int_equal(f->s->n_requests, n + 3);
}

/* RM may have done it all the same, and a RESET without configuration kills it. */
static void a_reset_that_was_refused_is_asked_about(void **state)
{
	struct fixture *f = *state;

	script_answer(f->s, GHVM_RM_VM_ALLOCATE, 0, vmid_reply, 4);
	assert_int_equal(do_allocate(f), 0);
	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, 0, "\0\0\0\0", 4);
	assert_int_equal(ghvm_rm_vm_get_hyp_resources(f->rm, vm, &f->out_res, NULL), 0);
	script_answer(f->s, GHVM_RM_VM_RESET, GHVM_RM_VM_STATE, NULL, 0);
	assert_int_equal(ghvm_rm_vm_reset(f->rm, vm, &f->err), -EREMOTEIO);
	script_answer(f->s, GHVM_RM_VM_GET_STATE, 0, "\x0b\0\0\0", 4);
	assert_int_equal(ghvm_rm_vm_reset(f->rm, vm, &f->err), -ENOENT);
}

/* What CONFIG_IMAGE is said to have left has not been seen: the next RESET must ask. */
static void a_refused_configuration_is_none(void **state)
{
	struct fixture *f = *state;

	script_answer(f->s, GHVM_RM_VM_ALLOCATE, 0, vmid_reply, 4);
	assert_int_equal(do_allocate(f), 0);
	script_answer(f->s, GHVM_RM_VM_CONFIG_IMAGE, GHVM_RM_MEM_INVALID, NULL, 0);
	assert_int_equal(do_config(f), -EREMOTEIO);
	script_answer(f->s, GHVM_RM_VM_GET_STATE, 0, "\x08\0\0\0", 4);
	script_answer(f->s, GHVM_RM_VM_GET_HYP_RESOURCES, GHVM_RM_NORESOURCE, NULL, 0);
	assert_int_equal(ghvm_rm_vm_reset(f->rm, vm, &f->err), -ENOENT);
	assert_false(was_sent(f, GHVM_RM_VM_RESET));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(golden_requests_and_replies),
		T(every_short_reply_is_rejected),
		T(every_trailing_byte_is_rejected),
		T(every_refusal_says_what_and_why),
		cmocka_unit_test(silence_comes_through),
		T(resources_are_decoded),
		T(resource_counts),
		T(allocate_rejects_impossible_vmids),
		T(an_image_outside_its_parcel_is_not_sent),
		T(neither_ourselves_nor_anybody),
		T(deallocate_asks_about_a_strangers_vmid),
		T(deallocate_twice_is_sent_once),
		T(a_deallocate_that_was_refused_is_asked_about),
		T(a_deallocate_without_answer_is_asked_about),
		T(reset_asks_about_a_configuration),
		T(reset_knows_its_own_configuration),
		T(a_reset_that_was_refused_is_asked_about),
		T(a_refused_configuration_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
