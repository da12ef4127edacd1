/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RM of the model: framing, life cycle up to a configuration, queries, knobs. */
#include "libghvm/base/cleanup.h"
#include "tests/fixtures/model.h"

#include <string.h>

#define UNIMPLEMENTED 0xffffffffU

#define ALLOCATE 0x56000001U
#define DEALLOCATE 0x56000002U
#define START 0x56000004U
#define STOP 0x56000005U
#define RESET 0x56000006U
#define CONFIG_IMAGE 0x56000009U
#define AUTH_IMAGE 0x5600000aU
#define INIT 0x5600000bU
#define GET_ID 0x56000010U
#define GET_OWNER 0x56000015U
#define GET_STATE 0x56000017U
#define GET_CRASH_MSG 0x56000019U
#define GET_RESOURCES 0x56000020U
#define GET_VMID 0x56000024U
#define GET_PEERS 0x56000025U
#define SET_TIME_BASE 0x56000030U
#define HOST_GET_TYPE 0x560000a0U
#define NOTE_STATUS 0x56100008U

#define STATE_LOAD 5
#define STATE_AUTH 6
#define STATE_INIT 1
#define STATE_INIT_FAILED 8

#define PAGE 4096

static const struct bench_range two_mib = { BENCH_RAM + (16ULL << 20), 2ULL << 20 };

static const uint8_t ask_vmid[] = { 0x21, 0x01, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 };

static void a_request_and_its_reply_byte_by_byte(void **state)
{
	static const uint8_t want[] = { 0x21, 0x02, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56,
					0,    0,    0,	  0,	3,    0,    0,	  0 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint8_t got[240];

	bench_send_packet(b, ask_vmid, sizeof(ask_vmid));
	assert_int_equal(b->virqs[model_rm_rx_virq(b->m)], 1);
	assert_int_equal(bench_receive_packet(b, got), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(bench_receive_packet(b, got), -1);
	assert_int_equal(b->traced, 2);
}

/* abi C.2: what is not a packet gets no answer, and harms nothing. */
static void malformed_packets_are_dropped(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t len;
	} bad[] = {
		{ { 0x21, 0x01, 0x34, 0x12, 0x24, 0x00, 0x00 }, 7 },	   /* short */
		{ { 0x22, 0x01, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 }, 8 }, /* version */
		{ { 0x31, 0x01, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 }, 8 }, /* words */
		{ { 0x21, 0xfd, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 }, 8 }, /* 63 fragments */
		{ { 0x21, 0x00, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 }, 8 }, /* no start */
		{ { 0x21, 0x02, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 }, 8 }, /* a reply */
		{ { 0x21, 0x03, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 }, 8 }, /* a notification */
	};
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint8_t got[240];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bench_send_packet(b, bad[i].bytes, bad[i].len);
		assert_int_equal(bench_receive_packet(b, got), -1);
	}
	assert_int_equal(bench_rm(b, GET_VMID, NULL, 0), OK);
}

/* Two packets where the second is not the first's. */
static void a_wrong_continuation_discards_the_message(void **state)
{
	static const uint8_t second[][8] = {
		{ 0x21, 0x04, 0x35, 0x12, 0x24, 0x00, 0x00, 0x56 }, /* sequence */
		{ 0x21, 0x04, 0x34, 0x12, 0x25, 0x00, 0x00, 0x56 }, /* id */
		{ 0x21, 0x08, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 }, /* fragments */
	};
	static const uint8_t first[] = { 0x21, 0x05, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 };
	static const uint8_t good[] = { 0x21, 0x04, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint8_t got[240];

	for (size_t i = 0; i < 3; i++) {
		bench_send_packet(b, first, sizeof(first));
		bench_send_packet(b, second[i], sizeof(second[i]));
		bench_send_packet(b, good, sizeof(good));
		assert_int_equal(bench_receive_packet(b, got), -1);
	}
	bench_send_packet(b, first, sizeof(first));
	bench_send_packet(b, good, sizeof(good));
	assert_int_equal(bench_receive_packet(b, got), 16);
}

static void a_new_request_discards_a_partial_one(void **state)
{
	static const uint8_t first[] = { 0x21, 0x09, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 };
	static const uint8_t rest[] = { 0x21, 0x08, 0x34, 0x12, 0x24, 0x00, 0x00, 0x56 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint8_t got[240];

	bench_send_packet(b, first, sizeof(first));
	assert_int_equal(bench_rm(b, GET_VMID, NULL, 0), OK);
	bench_send_packet(b, rest, sizeof(rest));
	bench_send_packet(b, rest, sizeof(rest));
	assert_int_equal(bench_receive_packet(b, got), -1);
}

/* The queue holds 8 replies, RM one more; of those that follow the newest stays. */
static void an_unread_reply_gives_way_to_a_newer_one(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint8_t packet[8], got[240];

	memcpy(packet, ask_vmid, 8);
	for (uint8_t i = 0; i < 12; i++) {
		packet[2] = i;
		bench_send_packet(b, packet, 8);
	}
	for (uint8_t i = 0; i < 9; i++) {
		assert_int_equal(bench_receive_packet(b, got), 16);
		assert_int_equal(got[2], i < 8 ? i : 11);
	}
	assert_int_equal(bench_receive_packet(b, got), -1);
}

static void lengths_and_unknown_messages(void **state)
{
	static const uint32_t fixed[] = { ALLOCATE,  DEALLOCATE,    START,	   STOP,
					  RESET,     CONFIG_IMAGE,  INIT,	   GET_ID,
					  GET_STATE, GET_CRASH_MSG, GET_RESOURCES, GET_VMID,
					  GET_OWNER, GET_PEERS,	    SET_TIME_BASE, HOST_GET_TYPE };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint8_t zero[64] = { 0 };

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		assert_int_equal(bench_rm(b, fixed[i], zero, 41), MSG_INVALID);
	assert_int_equal(bench_rm(b, AUTH_IMAGE, zero, 3), MSG_INVALID);
	assert_int_equal(bench_rm(b, AUTH_IMAGE, zero, 5), MSG_INVALID);
	assert_int_equal(bench_rm(b, 0x56000007, zero, 4), UNIMPLEMENTED);
	assert_int_equal(bench_rm(b, 0x56000031, zero, 16), UNIMPLEMENTED);
	assert_int_equal(bench_rm(b, 0, NULL, 0), UNIMPLEMENTED);
}

/* What only later ones have: without a payload it tells them apart (abi J). */
static void later_messages_are_known_to_later_ones(void **state)
{
	static const uint32_t ids[] = { 0x56000031, 0x56000033, 0x56000034 };
	static const unsigned int lens[] = { 16, 24, 24 };
	static const uint32_t refusals[] = { VMID_INVALID, DENIED, NORESOURCE };

	for (unsigned int later = 0; later < 3; later++) {
		struct model_config config = bench_config();
		_cleanup_(bench_freep) struct bench *b = NULL;
		uint8_t zero[64] = { 0 };

		config.boot_context = later > 0;
		config.address_layout = later > 1;
		b = bench_new(&config);
		for (unsigned int i = 0; i < 3; i++) {
			bool known = later > (i > 0);

			assert_int_equal(bench_rm(b, ids[i], NULL, 0),
					 known ? MSG_INVALID : UNIMPLEMENTED);
			assert_int_equal(bench_rm(b, ids[i], zero, lens[i]),
					 known ? refusals[i] : UNIMPLEMENTED);
		}
	}
}

static void queries(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid;

	assert_int_equal(bench_rm(b, HOST_GET_TYPE, NULL, 0), OK);
	assert_int_equal(bench_reply_u32(b, 0), 0x01000164);
	assert_int_equal(bench_rm(b, GET_OWNER, NULL, 0), OK);
	assert_int_equal(bench_reply_u32(b, 0), 255);
	assert_int_equal(bench_rm(b, GET_PEERS, NULL, 0), OK);
	assert_int_equal(bench_reply_u32(b, 0), 0);
	assert_int_equal(bench_state(b, 0), 3);
	assert_int_equal(bench_rm_vm(b, GET_ID, 0), OK);

	vmid = bench_allocate(b);
	assert_int_equal(bench_rm(b, GET_PEERS, NULL, 0), OK);
	assert_int_equal(b->reply_len, 8);
	assert_int_equal(bench_reply_u32(b, 4), vmid);
	assert_int_equal(bench_rm_vm(b, GET_ID, vmid), VM_STATE);
	assert_int_equal(bench_rm_vm(b, GET_ID, 190), NORESOURCE);
	assert_int_equal(bench_rm_vm(b, GET_STATE, 190), NORESOURCE);
	assert_int_equal(bench_rm_vm(b, GET_CRASH_MSG, 190), VMID_INVALID);
	assert_int_equal(bench_rm_vm(b, GET_CRASH_MSG, 3), VMID_INVALID);
	assert_int_equal(bench_rm_vm(b, GET_CRASH_MSG, vmid), OK);
	assert_int_equal(bench_reply_u32(b, 0), 0);
	assert_int_equal(bench_rm_vm(b, GET_RESOURCES, 190), ARGUMENT_INVALID);
	assert_int_equal(bench_rm_vm(b, GET_RESOURCES, vmid), NORESOURCE);
}

static void vmids_are_given_in_order_and_run_out(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	struct model_counts n;

	for (uint16_t v = 0x80; v <= 0xbe; v++)
		assert_int_equal(bench_allocate(b), v);
	assert_int_equal(bench_rm_vm(b, ALLOCATE, 0), NORESOURCE);
	model_counts(b->m, &n);
	assert_int_equal(n.vms, 63);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, 0x90), OK);
	assert_int_equal(bench_allocate(b), 0x90);

	assert_int_equal(bench_rm_vm(b, ALLOCATE, 4), OK);
	assert_int_equal(b->reply_len, 0);
	assert_int_equal(bench_rm_vm(b, ALLOCATE, 4), NORESOURCE);
	assert_int_equal(bench_rm_vm(b, ALLOCATE, 3), NORESOURCE);
	assert_int_equal(bench_rm_vm(b, ALLOCATE, 32), NORESOURCE);
	assert_int_equal(bench_rm_vm(b, ALLOCATE, 0xbf), NORESOURCE);
	for (uint16_t v = 5; v <= 31; v++)
		assert_int_equal(bench_rm_vm(b, ALLOCATE, v), OK);
}

static uint32_t stop(struct bench *b, uint16_t vmid, uint8_t flags)
{
	uint8_t p[8] = { vmid & 0xff, vmid >> 8, flags, 0, 3, 0, 0, 0 };

	return bench_rm(b, STOP, p, sizeof(p));
}

/* abi K.6, row LOAD; also for a VM of another owner, and for one that does not exist. */
static void wrong_requests_in_load(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint8_t time[20] = { vmid & 0xff };

	assert_int_equal(bench_state(b, vmid), STATE_LOAD);
	assert_int_equal(bench_rm_vm(b, START, vmid), VM_STATE);
	assert_int_equal(bench_rm_vm(b, START, 190), VMID_INVALID);
	assert_int_equal(bench_rm_vm(b, START, 3), DENIED);
	assert_int_equal(bench_rm_vm(b, INIT, vmid), VM_STATE);
	assert_int_equal(bench_rm_vm(b, INIT, 190), VMID_INVALID);
	assert_int_equal(bench_rm_vm(b, INIT, 3), DENIED);
	assert_int_equal(stop(b, vmid, 1), VM_STATE);
	assert_int_equal(stop(b, 190, 1), VMID_INVALID);
	assert_int_equal(stop(b, 3, 1), VMID_INVALID);
	assert_int_equal(bench_rm_vm(b, RESET, 190), VMID_INVALID);
	assert_int_equal(bench_rm_vm(b, RESET, 3), VMID_INVALID);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, 3), DENIED);
	assert_int_equal(bench_rm_vm(b, AUTH_IMAGE, vmid), VM_STATE);
	assert_int_equal(bench_rm(b, SET_TIME_BASE, time, sizeof(time)), VM_STATE);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), OK);
}

static void assert_dead(struct bench *b)
{
	struct model_counts n;

	assert_int_equal(bench_rm(b, GET_VMID, NULL, 0), BENCH_SILENCE);
	model_counts(b->m, &n);
	assert_true(n.rm_dead);
}

static void deallocate_of_an_unknown_vmid_kills(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);

	assert_int_equal(bench_rm_vm(b, DEALLOCATE, 190), BENCH_SILENCE);
	assert_dead(b);
}

static void reset_in_load_kills(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);

	assert_int_equal(bench_rm_vm(b, RESET, bench_allocate(b)), BENCH_SILENCE);
	assert_dead(b);
}

static uint32_t config_image(struct bench *b, uint16_t vmid, uint16_t auth, uint32_t handle,
			     const uint64_t v[4])
{
	uint8_t buf[40];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid);
	ghvm_put_u16(&w, auth);
	ghvm_put_u32(&w, handle);
	for (int i = 0; i < 4; i++)
		ghvm_put_u64(&w, v[i]);
	return bench_rm_put(b, CONFIG_IMAGE, &w);
}

static const uint64_t good_image[4] = { 0, 0, 1 << 20, 1 << 20 };

static uint32_t lend(struct bench *b, uint16_t vmid)
{
	assert_int_equal(bench_create(b, BENCH_LEND, vmid, 7, 0, 0, &two_mib, 1), OK);
	return bench_reply_u32(b, 0);
}

static void config_image_makes_init(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint32_t handle = lend(b, vmid);
	uint8_t time[20] = { vmid & 0xff };

	assert_int_equal(config_image(b, 190, 0, handle, good_image), VMID_INVALID);
	assert_int_equal(config_image(b, 3, 0, handle, good_image), DENIED);
	assert_int_equal(config_image(b, vmid, 0, handle, good_image), OK);
	assert_int_equal(bench_state(b, vmid), STATE_INIT);
	assert_int_equal(bench_note(b, NOTE_STATUS, 0)->payload[4], STATE_INIT);
	assert_int_equal(bench_rm_vm(b, GET_RESOURCES, vmid), OK);
	assert_int_equal(bench_reply_u32(b, 0), 0);
	assert_int_equal(bench_rm(b, SET_TIME_BASE, time, sizeof(time)), OK);

	/* abi K.6, row INIT */
	assert_int_equal(config_image(b, vmid, 0, handle, good_image), VM_STATE);
	assert_int_equal(stop(b, vmid, 1), VM_STATE);
	assert_int_equal(bench_rm_vm(b, RESET, vmid), VM_STATE);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), VM_STATE);
	assert_int_equal(bench_reclaim(b, handle, false), OK);
	assert_int_equal(bench_rm_vm(b, INIT, vmid), MEM_INVALID);
	assert_int_equal(bench_state(b, vmid), STATE_INIT_FAILED);
	assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
	assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), OK);
}

static void a_bad_image_leaves_a_stuck_vmid(void **state)
{
	static const struct {
		uint16_t auth;
		uint32_t status;
		uint64_t v[4];
		uint32_t handle;
	} bad[] = {
		{ 3, ARGUMENT_INVALID, { 0, 0, 0, PAGE }, 0 },
		{ 0, MEM_INVALID, { 0, 0, 0, PAGE }, 77 },
		{ 0, ARGUMENT_INVALID, { 0, 0, 2 << 20, 1 }, 0 },
		{ 0, ARGUMENT_INVALID, { 0, 0, UINT64_MAX, PAGE }, 0 },
		{ 0, ARGUMENT_INVALID, { 1, 2 << 20, 0, PAGE }, 0 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
		uint16_t vmid = bench_allocate(b);
		uint32_t handle = lend(b, vmid);

		assert_int_equal(
			config_image(b, vmid, bad[i].auth, handle + bad[i].handle, bad[i].v),
			bad[i].status);
		assert_int_equal(bench_state(b, vmid), STATE_INIT_FAILED);
		assert_int_equal(bench_rm_vm(b, GET_RESOURCES, vmid), NORESOURCE);
		assert_int_equal(bench_rm_vm(b, DEALLOCATE, vmid), VM_STATE);
		assert_int_equal(bench_reclaim(b, handle, false), OK);
		assert_int_equal(bench_rm_vm(b, RESET, vmid), BENCH_SILENCE);
		assert_dead(b);
	}
}

static void a_parcel_of_another_vm_is_no_image(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b), other = bench_allocate(b);

	assert_int_equal(config_image(b, vmid, 0, lend(b, other), good_image), MEM_INVALID);
}

static void nothing_can_be_authenticated(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);

	assert_int_equal(config_image(b, vmid, 1, lend(b, vmid), good_image), OK);
	assert_int_equal(bench_state(b, vmid), STATE_AUTH);
	assert_int_equal(bench_rm_vm(b, RESET, vmid), VM_STATE);
	assert_int_equal(bench_rm_vm(b, AUTH_IMAGE, 190), VMID_INVALID);
	assert_int_equal(bench_rm_vm(b, AUTH_IMAGE, 3), DENIED);
	assert_int_equal(bench_rm_vm(b, AUTH_IMAGE, vmid), ARGUMENT_INVALID);
	assert_int_equal(bench_state(b, vmid), STATE_INIT_FAILED);
	assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
	assert_int_equal(bench_state(b, vmid), 11);
}

/* u16 vmid, u16 0, u8 vm, u8 os, u16 application; numbered by RM, not by us. */
static void notifications_have_numbers_of_their_own(void **state)
{
	static const uint8_t want[8] = { 0x80, 0, 0, 0, STATE_INIT, 0, 0, 0 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b), other = bench_allocate(b);

	assert_int_equal(config_image(b, vmid, 0, lend(b, vmid), good_image), OK);
	assert_int_equal(config_image(b, other, 0, 99, good_image), MEM_INVALID);
	assert_int_equal(b->n_notes, 2);
	assert_int_equal(b->notes[0].len, sizeof(want));
	assert_memory_equal(b->notes[0].payload, want, sizeof(want));
	assert_int_equal(b->notes[0].seq, 0);
	assert_int_equal(b->notes[1].seq, 1);
}

static void a_reset_takes_its_time(void **state)
{
	struct model_config config = bench_config();
	_cleanup_(bench_freep) struct bench *b = NULL;
	uint16_t vmid;

	config.delay_ns = 1000;
	b = bench_new(&config);
	vmid = bench_allocate(b);
	assert_int_equal(config_image(b, vmid, 0, lend(b, vmid), good_image), OK);
	assert_int_equal(bench_rm_vm(b, INIT, vmid), MEM_INVALID); /* no tree */
	assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
	assert_int_equal(bench_state(b, vmid), 10);
	assert_int_equal(bench_rm_vm(b, RESET, vmid), VM_STATE);
	assert_int_equal(b->later, 1001);
	b->now = 1000;
	model_work(b->m);
	assert_int_equal(bench_state(b, vmid), 10);
	b->now = 1001;
	bench_forget_notes(b);
	model_work(b->m);
	assert_int_equal(b->later, 0);
	bench_drain(b);
	assert_int_equal(bench_note(b, NOTE_STATUS, 0)->payload[4], 11);
}

static void after_a_reset_the_vmid_is_silent(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint16_t vmid = bench_allocate(b);
	uint32_t handle = lend(b, vmid);

	assert_int_equal(config_image(b, vmid, 0, handle, good_image), OK);
	assert_int_equal(bench_rm_vm(b, INIT, vmid), MEM_INVALID);
	assert_int_equal(bench_rm_vm(b, RESET, vmid), OK);
	bench_forget_notes(b);
	assert_int_equal(config_image(b, vmid, 0, handle, good_image), OK);
	assert_int_equal(bench_state(b, vmid), STATE_INIT);
	assert_null(bench_note(b, NOTE_STATUS, 0));
}

static void buffers_that_are_not_there(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint64_t send[8] = { 0, model_rm_tx_cap(b->m), 8, 0, 1 };
	uint64_t receive[8] = { 0, model_rm_rx_cap(b->m), 0, 240 };
	uint8_t got[240];

	assert_int_equal(bench_call(b, 0x1b, send), 0);
	assert_int_equal(send[1], 1);
	assert_int_equal(bench_receive_packet(b, got), -1);
	bench_send_packet(b, ask_vmid, sizeof(ask_vmid));
	assert_int_equal(bench_call(b, 0x1c, receive), 0);
	assert_int_equal(receive[1], 0);
	assert_int_equal(receive[2], 1);
	assert_int_equal(bench_receive_packet(b, got), 16);
}

static void knobs(void **state)
{
	static const uint8_t forged[] = { 0, 0, 0, 0, 9 };
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);

	model_refuse(b->m, ALLOCATE, 5, 1);
	assert_int_equal(bench_allocate(b), 0x80);
	assert_int_equal(bench_rm(b, GET_VMID, NULL, 0), OK);
	assert_int_equal(bench_rm_vm(b, ALLOCATE, 0), 5);
	assert_int_equal(bench_allocate(b), 0x81);

	model_mute(b->m, ALLOCATE, 0);
	assert_int_equal(bench_rm_vm(b, ALLOCATE, 0), BENCH_SILENCE);
	assert_int_equal(bench_allocate(b), 0x83); /* it was done */

	model_drop(b->m, ALLOCATE, 1);
	assert_int_equal(bench_rm(b, GET_VMID, NULL, 0), OK);
	assert_int_equal(bench_allocate(b), 0x84);
	assert_int_equal(bench_rm_vm(b, ALLOCATE, 0), BENCH_SILENCE);
	assert_int_equal(bench_allocate(b), 0x85); /* it was not */

	model_reply(b->m, GET_VMID, forged, sizeof(forged), 0);
	assert_int_equal(bench_rm(b, GET_VMID, NULL, 0), OK);
	assert_int_equal(b->reply_len, 1);
	assert_int_equal(b->reply[0], 9);

	model_refuse(b->m, 0, 3, 1);
	assert_int_equal(bench_rm(b, GET_VMID, NULL, 0), OK);
	assert_int_equal(bench_rm(b, GET_OWNER, NULL, 0), 3);
	assert_int_equal(bench_rm(b, GET_OWNER, NULL, 0), OK);

	model_kill_rm(b->m);
	assert_dead(b);
}

static void a_held_rm_lets_the_queue_fill_up(void **state)
{
	_cleanup_(bench_freep) struct bench *b = bench_new(NULL);
	uint64_t x[8] = { 0, model_rm_tx_cap(b->m), 8, (uint64_t)(uintptr_t)ask_vmid, 1 };
	uint8_t got[240];

	model_hold_rm(b->m, true);
	for (int i = 0; i < 7; i++)
		bench_send_packet(b, ask_vmid, 8);
	assert_int_equal(bench_call(b, 0x1b, x), 0);
	assert_int_equal(x[1], 0); /* full now */
	x[1] = model_rm_tx_cap(b->m);
	assert_int_equal(bench_call(b, 0x1b, x), 61);
	assert_int_equal(bench_receive_packet(b, got), -1);
	assert_int_equal(b->virqs[model_rm_tx_virq(b->m)], 0);
	model_hold_rm(b->m, false);
	assert_int_equal(b->virqs[model_rm_tx_virq(b->m)], 1);
	for (int i = 0; i < 8; i++)
		assert_int_equal(bench_receive_packet(b, got), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_and_its_reply_byte_by_byte),
		cmocka_unit_test(malformed_packets_are_dropped),
		cmocka_unit_test(a_wrong_continuation_discards_the_message),
		cmocka_unit_test(a_new_request_discards_a_partial_one),
		cmocka_unit_test(an_unread_reply_gives_way_to_a_newer_one),
		cmocka_unit_test(lengths_and_unknown_messages),
		cmocka_unit_test(later_messages_are_known_to_later_ones),
		cmocka_unit_test(queries),
		cmocka_unit_test(vmids_are_given_in_order_and_run_out),
		cmocka_unit_test(wrong_requests_in_load),
		cmocka_unit_test(deallocate_of_an_unknown_vmid_kills),
		cmocka_unit_test(reset_in_load_kills),
		cmocka_unit_test(config_image_makes_init),
		cmocka_unit_test(a_bad_image_leaves_a_stuck_vmid),
		cmocka_unit_test(a_parcel_of_another_vm_is_no_image),
		cmocka_unit_test(nothing_can_be_authenticated),
		cmocka_unit_test(notifications_have_numbers_of_their_own),
		cmocka_unit_test(a_reset_takes_its_time),
		cmocka_unit_test(after_a_reset_the_vmid_is_silent),
		cmocka_unit_test(buffers_that_are_not_there),
		cmocka_unit_test(knobs),
		cmocka_unit_test(a_held_rm_lets_the_queue_fill_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
