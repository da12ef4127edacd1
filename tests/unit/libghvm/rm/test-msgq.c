/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libghvm/rm/msgq.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "libghvm/base/cleanup.h"
#include "tests/fakes/queue-peer.h"

#define MS 1000000ULL

static uint64_t in_ms(unsigned int ms)
{
	return ghvm_msgq_now() + ms * MS;
}

static void binds_and_lets_go(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_msgq q;

	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), 0);
	assert_int_equal(q.tx.id, SCRIPT_TX_CAP);
	assert_int_equal(q.rx.id, SCRIPT_RX_CAP);
	assert_int_equal(q.rx_fd, s->rx_event);
	assert_int_equal(q.tx_fd, s->tx_event);
	ghvm_msgq_done(&q);
	assert_int_equal(s->rx_event, -1);
	assert_int_equal(s->tx_event, -1);
	ghvm_msgq_done(&q); /* twice is harmless */
}

static void needs_queues_and_the_rx_virq(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_msgq q;

	s->info.flags = GHVM_INFO_RM_TX_VIRQ;
	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), -ENODEV);
	ghvm_msgq_done(&q);

	s->info.flags = GHVM_INFO_RM_RX_VIRQ;
	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), 0);
	assert_int_equal(q.tx_fd, -1);
	ghvm_msgq_done(&q);

	s->info.rm_rx_capid = GHVM_CAPID_NONE;
	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), -ENODEV);
	ghvm_msgq_done(&q);

	s->info.rm_rx_capid = SCRIPT_RX_CAP;
	s->irq_errno = -EBUSY;
	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), -EBUSY);
	ghvm_msgq_done(&q);
}

static void sends_what_it_is_given(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	uint8_t p[240];
	struct ghvm_msgq q;

	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), 0);
	(void)script_packet(p, 1, 1, 4, 0x51000012, NULL, 0);
	memset(p + 8, 0xaa, 232);
	assert_int_equal(ghvm_msgq_send(&q, p, 240, false, in_ms(100)), 0);
	assert_int_equal(s->pushes, 0);
	p[1] = 1 << 2;
	assert_int_equal(ghvm_msgq_send(&q, p, 9, true, in_ms(100)), 0);
	assert_int_equal(s->pushes, 1);
	assert_int_equal(script_last(s)->len, 233);

	assert_int_equal(ghvm_msgq_send(&q, p, 0, true, in_ms(100)), -EINVAL);
	assert_int_equal(ghvm_msgq_send(&q, p, 241, true, in_ms(100)), -EINVAL);
	assert_int_equal(s->sends, 2);
	ghvm_msgq_done(&q);
}

/* abi K.1: the TX virq may never come, so a full queue is tried every 10 ms. */
static void a_full_queue_is_tried_again(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	uint64_t begin, took;
	struct ghvm_msgq q;
	eventfd_t n;
	uint8_t p[8];

	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), 0);
	(void)eventfd_read(q.tx_fd, &n);
	(void)script_packet(p, 1, 0, 4, 0x56000024, NULL, 0);
	s->full = 3;
	begin = ghvm_msgq_now();
	assert_int_equal(ghvm_msgq_send(&q, p, 8, true, in_ms(2000)), 0);
	took = ghvm_msgq_now() - begin;
	assert_true(took >= 25 * MS);
	assert_true(took < 1000 * MS);
	assert_int_equal(s->full, 0);
	assert_int_equal(s->sends, 1);
	ghvm_msgq_done(&q);
}

static void the_virq_ends_the_wait(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_msgq q;
	eventfd_t n;
	uint8_t p[8];

	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), 0);
	assert_int_equal(eventfd_write(q.tx_fd, 1), 0);
	(void)script_packet(p, 1, 0, 4, 0x56000024, NULL, 0);
	s->full = 1;
	assert_int_equal(ghvm_msgq_send(&q, p, 8, true, in_ms(2000)), 0);
	assert_int_equal(eventfd_read(q.tx_fd, &n), -1); /* it was taken */
	ghvm_msgq_done(&q);
}

static void gives_up_at_the_deadline(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_msgq q;
	uint8_t p[8] = {};

	s->info.flags &= ~GHVM_INFO_RM_TX_VIRQ;
	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), 0);
	s->full = UINT32_MAX;
	assert_int_equal(ghvm_msgq_send(&q, p, 8, true, in_ms(35)), -ETIMEDOUT);
	assert_in_range(UINT32_MAX - s->full, 2, 10);
	assert_int_equal(ghvm_msgq_send(&q, p, 8, true, 0), -ETIMEDOUT); /* but tried once */
	ghvm_msgq_done(&q);
}

static void send_errors(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	struct ghvm_msgq q;
	uint8_t p[8] = {};

	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), 0);
	s->send_status = 50;
	assert_int_equal(ghvm_msgq_send(&q, p, 8, true, in_ms(100)), -EREMOTEIO);
	s->send_status = -2; /* RETRY for ever */
	assert_int_equal(ghvm_msgq_send(&q, p, 8, true, in_ms(5)), -ETIMEDOUT);
	s->send_errno = -EPERM;
	assert_int_equal(ghvm_msgq_send(&q, p, 8, true, in_ms(100)), -EPERM);
	s->send_errno = -EINTR;
	assert_int_equal(ghvm_msgq_send(&q, p, 8, true, in_ms(5)), -ETIMEDOUT);
	ghvm_msgq_done(&q);
}

static void receives_until_empty(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	uint8_t buf[GHVM_MSGQUEUE_BYTES], p[240];
	struct ghvm_msgq q;
	size_t len = 77;
	bool more;

	memset(p, 0x5a, sizeof(p));
	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), 0);
	script_push_raw(s, p, 1);
	script_push_raw(s, p, 240);
	assert_int_equal(ghvm_msgq_receive(&q, buf, &len, &more), 1);
	assert_int_equal(len, 1);
	assert_true(more);
	assert_int_equal(ghvm_msgq_receive(&q, buf, &len, &more), 1);
	assert_int_equal(len, 240);
	assert_false(more);
	assert_memory_equal(buf, p, 240);
	assert_int_equal(ghvm_msgq_receive(&q, buf, &len, &more), 0);
	assert_int_equal(len, 240); /* untouched */
	ghvm_msgq_done(&q);
}

static void receive_errors(void **state)
{
	_cleanup_(script_host_freep) struct script_host *s = script_host_new();
	uint8_t buf[GHVM_MSGQUEUE_BYTES];
	struct ghvm_msgq q;
	size_t len;
	bool more;

	assert_int_equal(ghvm_msgq_init_rm(&q, &s->host), 0);
	s->receive_size = UINT64_MAX; /* OK, but nothing: abi B.3, would spin */
	assert_int_equal(ghvm_msgq_receive(&q, buf, &len, &more), -EPROTO);
	s->receive_size = 241;
	assert_int_equal(ghvm_msgq_receive(&q, buf, &len, &more), -EPROTO);
	s->receive_status = 51;
	assert_int_equal(ghvm_msgq_receive(&q, buf, &len, &more), -EREMOTEIO);
	s->receive_errno = -ENODEV;
	assert_int_equal(ghvm_msgq_receive(&q, buf, &len, &more), -ENODEV);
	s->receive_errno = -EINTR; /* once: asked again, and it is empty */
	assert_int_equal(ghvm_msgq_receive(&q, buf, &len, &more), 0);
	s->receive_status = -2;
	assert_int_equal(ghvm_msgq_receive(&q, buf, &len, &more), 0);
	ghvm_msgq_done(&q);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(binds_and_lets_go),
		cmocka_unit_test(needs_queues_and_the_rx_virq),
		cmocka_unit_test(sends_what_it_is_given),
		cmocka_unit_test(a_full_queue_is_tried_again),
		cmocka_unit_test(the_virq_ends_the_wait),
		cmocka_unit_test(gives_up_at_the_deadline),
		cmocka_unit_test(send_errors),
		cmocka_unit_test(receives_until_empty),
		cmocka_unit_test(receive_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
