/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rings of messages, and what they say. */
#include "libghvm/base/bits.h"
#include "libghvm/base/rm-abi.h"
#include "ghvm/trace.h"
#include "libghvm/base/wire.h"
#include "libghvm/trace/attribution.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void keeps_the_last_in_order(void **state)
{
	struct ghvm_trace_message m;
	struct ghvm_trace *t;

	assert_int_equal(ghvm_trace_new(&t), 0);
	assert_int_equal(ghvm_trace_next(t, NULL, 0, &m), 0);
	for (unsigned int i = 1; i <= GHVM_TRACE_MESSAGES + 10; i++)
		ghvm_trace_add(t, "", '>', i, (uint16_t)i, NULL, 0);

	/* ten were lost */
	assert_int_equal(ghvm_trace_next(t, NULL, 0, &m), 1);
	assert_int_equal(m.number, 11);
	assert_int_equal(m.id, 11);
	for (uint64_t after = 11; after < GHVM_TRACE_MESSAGES + 10; after++) {
		uint64_t before = m.usec;

		assert_int_equal(ghvm_trace_next(t, NULL, after, &m), 1);
		assert_int_equal(m.number, after + 1);
		assert_true(m.usec >= before);
	}
	assert_int_equal(ghvm_trace_next(t, NULL, m.number, &m), 0);
	/* a number that is not of this ring: from its beginning */
	assert_int_equal(ghvm_trace_next(t, NULL, UINT64_MAX, &m), 1);
	assert_int_equal(m.number, 11);
	ghvm_trace_free(t);
	ghvm_trace_free(NULL);
}

static void cuts_what_is_long(void **state)
{
	uint8_t payload[GHVM_TRACE_BYTES + 100];
	struct ghvm_trace_message m;
	struct ghvm_trace *t;

	memset(payload, 0xab, sizeof(payload));
	assert_int_equal(ghvm_trace_new(&t), 0);
	ghvm_trace_add(t, "", '<', 1, 2, payload, sizeof(payload));
	assert_int_equal(ghvm_trace_next(t, NULL, 0, &m), 1);
	assert_int_equal(m.len, sizeof(payload));
	assert_memory_equal(m.data, payload, GHVM_TRACE_BYTES);
	ghvm_trace_free(t);
}

static unsigned int count(struct ghvm_trace *t, const char *vm, struct ghvm_trace_message *last)
{
	uint64_t after = 0;
	unsigned int n = 0;

	while (ghvm_trace_next(t, vm, after, last)) {
		assert_true(last->number > after);
		after = last->number;
		n++;
	}
	return n;
}

/* Messages of one VM are kept, whatever other messages follow. */
static void each_vm_has_its_own(void **state)
{
	struct ghvm_trace_message m;
	struct ghvm_trace *t;

	assert_int_equal(ghvm_trace_new(&t), 0);
	assert_int_equal(ghvm_trace_next(t, "quiet", 0, &m), 0);
	ghvm_trace_add(t, "quiet", '>', 7, 1, (const uint8_t *)"ab", 2);
	ghvm_trace_add(t, "quiet", '<', 7, 1, NULL, 0);
	for (unsigned int i = 1; i <= GHVM_TRACE_MESSAGES; i++) {
		ghvm_trace_add(t, "busy", '>', i, (uint16_t)i, NULL, 0);
		ghvm_trace_add(t, "", '!', i, 0, NULL, 0);
	}
	assert_int_equal(count(t, NULL, &m), GHVM_TRACE_MESSAGES);
	assert_string_equal(m.vm, "");
	assert_int_equal(count(t, "busy", &m), GHVM_TRACE_VM_MESSAGES);
	assert_string_equal(m.vm, "busy");
	assert_int_equal(m.number, GHVM_TRACE_MESSAGES);
	assert_int_equal(m.id, GHVM_TRACE_MESSAGES);
	assert_int_equal(count(t, "quiet", &m), 2);
	assert_int_equal(m.dir, '<');
	assert_int_equal(ghvm_trace_next(t, "quiet", 0, &m), 1);
	assert_string_equal(m.vm, "quiet");
	assert_int_equal(m.len, 2);
	assert_memory_equal(m.data, "ab", 2);
	assert_int_equal(count(t, "nobody", &m), 0);
	assert_int_equal(count(t, "", &m), 0);
	ghvm_trace_free(t);
}

/* There are never more than so many: that of who was silent for the longest makes room. */
static void the_rings_are_bounded(void **state)
{
	struct ghvm_trace_message m;
	char name[GHVM_NAME_SIZE];
	struct ghvm_trace *t;

	assert_int_equal(ghvm_trace_new(&t), 0);
	for (unsigned int i = 0; i < GHVM_TRACE_VMS; i++) {
		(void)snprintf(name, sizeof(name), "vm%u", i);
		ghvm_trace_add(t, name, '>', i, 0, NULL, 0);
	}
	ghvm_trace_add(t, "vm0", '>', 100, 0, NULL, 0);
	for (unsigned int i = 0; i < GHVM_TRACE_VMS; i++) {
		(void)snprintf(name, sizeof(name), "vm%u", i);
		assert_int_equal(count(t, name, &m), i ? 1 : 2);
	}
	ghvm_trace_add(t, "new", '>', 101, 0, NULL, 0);
	assert_int_equal(count(t, "new", &m), 1);
	assert_int_equal(count(t, "vm0", &m), 2);
	assert_int_equal(count(t, "vm1", &m), 0);
	assert_int_equal(count(t, "vm2", &m), 1);
	for (unsigned int i = 0; i < 10 * GHVM_TRACE_VMS; i++) {
		(void)snprintf(name, sizeof(name), "more%u", i);
		ghvm_trace_add(t, name, '>', i, 0, NULL, 0);
		assert_int_equal(count(t, name, &m), 1);
	}
	assert_int_equal(count(t, "vm0", &m), 0);
	assert_int_equal(count(t, "new", &m), 0);
	ghvm_trace_free(t);
}

#define WRITERS 4
#define EACH 500

struct writer {
	struct ghvm_trace *t;
	char name[8];
};

static void *write_many(void *data)
{
	struct writer *w = data;

	for (unsigned int i = 0; i < EACH; i++)
		ghvm_trace_add(w->t, w->name, '>', i, 0, (const uint8_t *)w->name, 2);
	return NULL;
}

/* Any thread may add while another looks. */
static void many_threads_at_once(void **state)
{
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	struct ghvm_trace_message m;
	struct ghvm_trace *t;

	assert_int_equal(ghvm_trace_new(&t), 0);
	for (unsigned int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ t, { (char)('a' + i) } };
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
	}
	for (uint64_t seen = 0; seen < WRITERS * EACH;) {
		if (!ghvm_trace_next(t, NULL, seen, &m))
			continue;
		assert_true(m.number > seen);
		assert_string_equal((const char *)m.data, m.vm);
		seen = m.number;
	}
	for (unsigned int i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(count(t, writers[i].name, &m), GHVM_TRACE_VM_MESSAGES);
		assert_int_equal(m.number, EACH);
		assert_int_equal(m.id, EACH - 1);
	}
	ghvm_trace_free(t);
}

#define BYTES(...) { __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static const struct {
	const char *text;
	char dir;
	uint32_t id;
	uint8_t data[64];
	uint32_t len;
} messages[] = {
	{ "> 0102 VM_ALLOCATE vmid 0", '>', GHVM_RM_VM_ALLOCATE, BYTES(0, 0, 0, 0) },
	{ "< 0102 VM_ALLOCATE: OK vmid 130", '<', GHVM_RM_VM_ALLOCATE,
	  BYTES(0, 0, 0, 0, 0x82, 0, 0, 0) },
	{ "< 0102 VM_ALLOCATE: NORESOURCE", '<', GHVM_RM_VM_ALLOCATE, BYTES(2, 0, 0, 0) },
	{ "< 0102 VM_ALLOCATE: 0x77", '<', GHVM_RM_VM_ALLOCATE, BYTES(0x77, 0, 0, 0) },
	{ "> 0102 MEM_LEND label 7 for 130 rwx 1 entries 8192 bytes sanitise", '>',
	  GHVM_RM_MEM_LEND,
	  BYTES(0, 0, 1, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0x82, 0, 7, 0, 1, 0, 0, 0, 0, 0, 0, 0x80, 0, 0,
		0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) },
	{ "> 0102 MEM_SHARE io label 7 for 3 rw 130 r 2 entries 4097 bytes more-follow", '>',
	  GHVM_RM_MEM_SHARE,
	  BYTES(1, 0, 2, 0, 7, 0, 0, 0, 2, 0, 0, 0, 3, 0, 6, 0, 0x82, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0,
		0x80, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0, 0, 0, 1, 0, 0, 0,
		0, 0, 0, 0) },
	{ "> 0102 MEM_SHARE label 7 for 1 r 2 r 3 r 4 r and 1 more 0 entries 0 bytes", '>',
	  GHVM_RM_MEM_SHARE,
	  BYTES(0, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 1, 0, 4, 0, 2, 0, 4, 0, 3, 0, 4, 0, 4, 0, 4, 0,
		5, 0, 4, 0, 0, 0, 0, 0) },
	{ "< 0102 MEM_LEND: OK handle 33", '<', GHVM_RM_MEM_LEND, BYTES(0, 0, 0, 0, 33, 0, 0, 0) },
	{ "< 0102 MEM_LEND: MEM_INVALID", '<', GHVM_RM_MEM_LEND, BYTES(10, 0, 0, 0) },
	{ "> 0102 MEM_APPEND handle 33 1 entries 4096 bytes last", '>', GHVM_RM_MEM_APPEND,
	  BYTES(33, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0,
		0, 0) },
	{ "> 0102 MEM_RECLAIM handle 33 sanitise", '>', GHVM_RM_MEM_RECLAIM,
	  BYTES(33, 0, 0, 0, 1, 0, 0, 0) },
	{ "> 0102 MEM_NOTIFY handle 33 shared tag 0x99 vmid 130", '>', GHVM_RM_MEM_NOTIFY,
	  BYTES(33, 0, 0, 0, 1, 0, 0, 0, 0x99, 0, 0, 0, 1, 0, 0, 0, 0x82, 0, 0, 0) },
	{ "> 0102 MEM_NOTIFY handle 33 released tag 0x99", '>', GHVM_RM_MEM_NOTIFY,
	  BYTES(33, 0, 0, 0, 2, 0, 0, 0, 0x99, 0, 0, 0) },
	{ "> 0102 MEM_NOTIFY handle 33 0xff tag 0x99", '>', GHVM_RM_MEM_NOTIFY,
	  BYTES(33, 0, 0, 0, 0xff, 0, 0, 0, 0x99, 0, 0, 0) },
	{ "> 0102 VM_STOP vmid 130 force reason 2", '>', GHVM_RM_VM_STOP,
	  BYTES(0x82, 0, 1, 0, 2, 0, 0, 0) },
	{ "> 0102 VM_CONFIG_IMAGE vmid 130 handle 33 image 0x80000+0x1234 tree 0x0+0x1000", '>',
	  GHVM_RM_VM_CONFIG_IMAGE,
	  BYTES(0x82, 0, 0, 0, 33, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0) },
	{ "> 0102 VM_SET_BOOT_CONTEXT vmid 130 sp 1 0x80004000", '>', GHVM_RM_VM_SET_BOOT_CONTEXT,
	  BYTES(0x82, 0, 2, 1, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0) },
	{ "> 0102 VM_SET_BOOT_CONTEXT vmid 130 0x3 0 0x0", '>', GHVM_RM_VM_SET_BOOT_CONTEXT,
	  BYTES(0x82, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) },
	{ "> 0102 VM_SET_ADDRESS_LAYOUT vmid 130 image 0x80000000+0x200000", '>',
	  GHVM_RM_VM_SET_ADDRESS_LAYOUT,
	  BYTES(0x82, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0) },
	{ "> 0102 VM_SET_FIRMWARE_MEM vmid 130 handle 33 firmware 0x200000+0x1000", '>',
	  GHVM_RM_VM_SET_FIRMWARE_MEM,
	  BYTES(0x82, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0) },
	{ "> 0102 VM_AUTH_IMAGE vmid 130 parameter 0 0x1c", '>', GHVM_RM_VM_AUTH_IMAGE,
	  BYTES(0x82, 0, 1, 0, 0, 0, 0, 0, 28, 0, 0, 0) },
	{ "> 0102 VM_AUTH_IMAGE vmid 130 parameter 0 0x1c (short)", '>', GHVM_RM_VM_AUTH_IMAGE,
	  BYTES(0x82, 0, 2, 0, 0, 0, 0, 0, 28, 0, 0, 0) },
	{ "< 0102 VM_GET_STATE: OK state running", '<', GHVM_RM_VM_GET_STATE,
	  BYTES(0, 0, 0, 0, 3, 0, 0, 0) },
	{ "< 0102 VM_GET_STATE: OK state 0x63", '<', GHVM_RM_VM_GET_STATE,
	  BYTES(0, 0, 0, 0, 99, 0, 0, 0) },
	{ "> 0102 VM_GET_VMID", '>', GHVM_RM_VM_GET_VMID, BYTES(0) },
	{ "! 0102 VM_EXITED vmid 130 exit off reason 0x20001", '!', GHVM_RM_NOTIFY_VM_EXITED,
	  BYTES(0x82, 0, 1, 0, 4, 0, 0, 0, 1, 0, 2, 0) },
	{ "! 0102 VM_STATUS vmid 130 state reset", '!', GHVM_RM_NOTIFY_VM_STATUS,
	  BYTES(0x82, 0, 0, 0, 11, 0, 0, 0) },
	{ "! 0102 MEM_ACCEPTED handle 33 vmid 130 tag 0x99", '!', GHVM_RM_NOTIFY_MEM_ACCEPTED,
	  BYTES(33, 0, 0, 0, 0x82, 0, 0, 0, 0x99, 0, 0, 0) },
	{ "! 0102 0x12345678", '!', 0x12345678, BYTES(1, 2, 3) },
	/* lies */
	{ "< 0102 VM_START: no status (short)", '<', GHVM_RM_VM_START, BYTES(0, 0) },
	{ "< 0102 VM_GET_STATE: OK (short)", '<', GHVM_RM_VM_GET_STATE, BYTES(0, 0, 0, 0) },
	{ "> 0102 MEM_LEND label 7 for 130 rwx and 65531 more (short)", '>', GHVM_RM_MEM_LEND,
	  BYTES(0, 0, 2, 0, 7, 0, 0, 0, 0xff, 0xff, 0, 0, 0x82, 0, 7, 0) },
	{ "> 0102 MEM_APPEND handle 33 65535 entries at least 4096 bytes (short)", '>',
	  GHVM_RM_MEM_APPEND,
	  BYTES(33, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0x10, 0, 0,
		0, 0, 0, 0) },
	{ "! 0102 VM_EXITED vmid 130 exit off reason 0x1 (short)", '!', GHVM_RM_NOTIFY_VM_EXITED,
	  BYTES(0x82, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 2) },
	{ "< 0102 VM_GET_HYP_RESOURCES: OK 4294967295 resources (short)", '<',
	  GHVM_RM_VM_GET_HYP_RESOURCES, BYTES(0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 4) },
};

static void says_what_is_in_them(void **state)
{
	char text[GHVM_TRACE_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct ghvm_trace_message m = {
			.dir = messages[i].dir,
			.id = messages[i].id,
			.seq = 0x102,
			.len = messages[i].len,
		};

		memcpy(m.data, messages[i].data, messages[i].len);
		ghvm_trace_to_text(&m, text);
		assert_string_equal(text, messages[i].text);
	}
}

/* Whatever is in it and however long it says it is, a line ends, and is one. */
static void a_line_has_an_end(void **state)
{
	struct ghvm_trace_message m = { .dir = '>', .id = GHVM_RM_MEM_SHARE, .len = UINT32_MAX };
	char text[GHVM_TRACE_TEXT];

	memset(m.data, 0xff, sizeof(m.data));
	ghvm_trace_to_text(&m, text);
	assert_non_null(strstr(text, "label 4294967295 for 65535 rwx 65535 rwx 65535 rwx"));
	assert_non_null(strstr(text, "(cut)"));
}

static void no_bytes_do_harm(void **state)
{
	static const char dirs[] = { '>', '<', '!' };
	char text[GHVM_TRACE_TEXT];
	uint32_t x = 1;

	for (unsigned int i = 0; i < 60000; i++) {
		struct ghvm_trace_message m = { .dir = dirs[i % 3],
						.id = messages[i % ARRAY_SIZE(messages)].id };

		for (size_t k = 0; k < 96; k++) {
			x = x * 1664525 + 1013904223;
			m.data[k] = x >> 31 ? (uint8_t)(x >> 16) : 0;
		}
		m.len = x % 100;
		ghvm_trace_to_text(&m, text);
		assert_non_null(memchr(text, '\0', sizeof(text)));
		for (const char *c = text; *c; c++)
			assert_true(*c >= ' ' && *c < 0x7f);
	}
}

/**
 * struct worker - a thread that works for the VM "b" between two barriers
 */
struct worker {
	struct ghvm_callers *callers;
	pthread_barrier_t barrier;
	char seen[GHVM_NAME_SIZE];
};

static void *work(void *data)
{
	struct worker *w = data;

	(void)ghvm_callers_enter(w->callers, "b");
	(void)pthread_barrier_wait(&w->barrier);
	(void)pthread_barrier_wait(&w->barrier);
	ghvm_callers_current(w->callers, w->seen);
	(void)ghvm_callers_enter(w->callers, NULL);
	return NULL;
}

/* However threads come and go, each keeps its VM, and no slot is searched behind the last one in use. */
static void threads_come_and_go(void **state)
{
	struct ghvm_callers c;
	struct worker w = { .callers = &c };
	char name[GHVM_NAME_SIZE];
	pthread_t thread;

	ghvm_callers_init(&c);
	assert_int_equal(pthread_barrier_init(&w.barrier, NULL, 2), 0);
	assert_null(ghvm_callers_enter(&c, "a"));
	assert_int_equal(pthread_create(&thread, NULL, work, &w), 0);
	(void)pthread_barrier_wait(&w.barrier);
	assert_int_equal(c.n_threads, 2);
	assert_string_equal(ghvm_callers_enter(&c, NULL), "a");
	assert_int_equal(c.n_threads, 2);
	ghvm_callers_current(&c, name);
	assert_string_equal(name, "");
	assert_null(ghvm_callers_enter(&c, "c"));
	(void)pthread_barrier_wait(&w.barrier);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_string_equal(w.seen, "b");
	assert_int_equal(c.n_threads, 1);
	ghvm_callers_current(&c, name);
	assert_string_equal(name, "c");
	(void)ghvm_callers_enter(&c, NULL);
	assert_int_equal(c.n_threads, 0);
	(void)pthread_barrier_destroy(&w.barrier);
	ghvm_callers_done(&c);
}

/* A longer name than a VM can have is cut. */
static void a_long_name_is_cut(void **state)
{
	char longer[GHVM_NAME_SIZE + 8], name[GHVM_NAME_SIZE];
	struct ghvm_callers c;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	ghvm_callers_init(&c);
	(void)ghvm_callers_enter(&c, longer);
	ghvm_callers_current(&c, name);
	assert_int_equal(strlen(name), GHVM_NAME_SIZE - 1);
	ghvm_callers_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_last_in_order), cmocka_unit_test(cuts_what_is_long),
		cmocka_unit_test(each_vm_has_its_own),	   cmocka_unit_test(the_rings_are_bounded),
		cmocka_unit_test(many_threads_at_once),	   cmocka_unit_test(says_what_is_in_them),
		cmocka_unit_test(a_line_has_an_end),	   cmocka_unit_test(no_bytes_do_harm),
		cmocka_unit_test(threads_come_and_go),	   cmocka_unit_test(a_long_name_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
