/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections of start helpers: each is a start or a release.
 */
#include "daemon/manager/start/helpers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/manager/instance/admission.h"
#include "daemon/manager/core/log.h"
#include "libghvm/base/cleanup.h"
#include "daemon/ipc/permanent.h"
#include "daemon/ipc/queue.h"
#include "daemon/ipc/protocol.h"
#include "libghvm/base/name.h"

#define LISTEN_AGAIN_MS 200

enum helper_phase {
	HELPER_NEW,
	HELPER_WAITS, /* for the end of an earlier guest of the VM */
	HELPER_GIVES,
	HELPER_BUILDS,
	HELPER_RELEASES,
	HELPER_OVER,
};

/**
 * struct helper - a connection
 * @wanted: of a release: the unit was stopped on request
 * @waiter: used in HELPER_WAITS and HELPER_RELEASES
 * @builder: borrowed by the VM in HELPER_GIVES and HELPER_BUILDS
 * @queue: messages that wait for space in the socket; @again: timer to send them
 */
struct helper {
	struct prepare *prepare;
	struct helper *next;
	enum helper_phase phase;
	bool wanted;
	int fd;
	struct loop_watch watch;
	struct loop_watch again;
	struct ghvm_link_queue queue;
	char name[GHVM_NAME_SIZE];
	struct vm *vm;
	struct vm_waiter waiter;
	struct vm_builder builder;
};

static void abandon(struct helper *h)
{
	const struct ghvm_error gone = {
		.code = -EPIPE,
		.msg = "the start helper has ended before all was ready",
	};

	vm_abandon(h->vm, &gone);
}

static void helper_free(struct helper *h)
{
	struct helper **at = &h->prepare->first;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	h->prepare->n--;
	vm_unwait(&h->waiter);
	if (h->phase == HELPER_GIVES || h->phase == HELPER_BUILDS)
		abandon(h);
	loop_watch_done(&h->watch);
	loop_watch_done(&h->again);
	ghvm_link_queue_done(&h->queue);
	closep(&h->fd);
	free(h);
}

static void on_again(void *data);

/* @r: result of a post or flush. If the connection is broken, its end is read later. */
static void after_sending(struct helper *h, int r)
{
	const struct log_about a = { .vm = h->name };

	if (r == 0 && ghvm_link_waits(&h->queue)) {
		if (!loop_watching(&h->again))
			r = loop_watch_timer(h->prepare->manager->loop, &h->again, on_again, h);
		if (r == 0)
			r = loop_timer_arm(&h->again, GHVM_LINK_AGAIN_MS);
	}
	if (r == 0)
		return;
	log_warning(&a, r, "Cannot answer the start helper");
	(void)shutdown(h->fd, SHUT_RDWR);
}

static void on_again(void *data)
{
	struct helper *h = data;

	after_sending(h, ghvm_link_flush(&h->queue, h->fd));
}

static void send_to(struct helper *h, uint32_t type, const struct ghvm_put *payload, const int *fds,
		    size_t n_fds)
{
	after_sending(h, ghvm_link_post(&h->queue, h->fd, type, payload, fds, n_fds));
}

/* i32 errno, u8 permanent, text */
static void send_error(struct helper *h, const struct ghvm_error *err)
{
	uint8_t buf[GHVM_ERROR_TEXT + 16];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u32(&w, (uint32_t)err->code);
	ghvm_put_u8(&w, permanent_in(PERMANENT_MANAGER, err->code));
	ghvm_link_put_string(&w, err->msg);
	send_to(h, GHVM_LINK_ERROR, &w, NULL, 0);
}

/* u64 pages, text */
static void send_released(struct helper *h)
{
	const char *why;
	uint64_t pages = quarantine_pages(&h->prepare->manager->quarantine, h->name, &why);
	uint8_t buf[GHVM_ERROR_TEXT + 16];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u64(&w, pages);
	ghvm_link_put_string(&w, why);
	send_to(h, GHVM_LINK_RELEASED, &w, NULL, 0);
	h->phase = HELPER_OVER;
}

/* --- a start --- */

/* u16 n, n * name; n descriptors */
static void send_store(struct helper *h, const struct guest_fd *fds, size_t n)
{
	uint8_t buf[GHVM_LINK_FDS_MAX * 40];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int numbers[GHVM_LINK_FDS_MAX];

	ghvm_put_u16(&w, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		ghvm_link_put_string(&w, fds[i].name);
		numbers[i] = fds[i].fd;
	}
	send_to(h, GHVM_LINK_STORE, &w, numbers, n);
}

static void on_built(void *data, struct ghvm_vmid vmid, const struct guest_fd *fds, size_t n_fds)
{
	struct helper *h = data;
	uint8_t buf[2];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	size_t n;

	h->phase = HELPER_OVER;
	for (; n_fds; fds += n, n_fds -= n) {
		n = n_fds < GHVM_LINK_FDS_MAX ? n_fds : GHVM_LINK_FDS_MAX;
		send_store(h, fds, n);
	}
	ghvm_put_u16(&w, vmid.id);
	send_to(h, GHVM_LINK_BUILT, &w, NULL, 0);
}

static void on_failed(void *data, const struct ghvm_error *err)
{
	struct helper *h = data;

	send_error(h, err);
	h->phase = HELPER_OVER;
}

/* u16 n, n * need; without those that the manager has, of a transient VM */
static void send_need(struct helper *h)
{
	const struct guest *g = h->vm->guest;
	uint8_t buf[GHVM_LINK_MAX - 8];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	uint16_t n = 0;

	for (size_t i = 0; i < g->n_needs; i++)
		n += g->needs[i].fd < 0;
	ghvm_put_u16(&w, n);
	for (size_t i = 0; i < g->n_needs; i++)
		if (g->needs[i].fd < 0)
			ghvm_need_put(&w, &g->needs[i].is);
	send_to(h, GHVM_LINK_NEED, &w, NULL, 0);
}

static int load_spec(const struct helper *h, struct ghvm_spec *ret, struct ghvm_error *err)
{
	const struct transient *t = h->vm->transient;

	return t ? transient_spec(t, h->name, ret, NULL, err)
		 : manager_load_spec(h->prepare->manager, h->name, ret, NULL, err);
}

/* The helper finds no descriptor on disk, so it gets this one; the manager has its files. */
static int send_transient(struct helper *h, struct ghvm_error *err)
{
	const struct transient *t = h->vm->transient;
	uint8_t buf[4];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int r;

	if (!t)
		return 0;
	ghvm_put_u32(&w, t->uid);
	r = transient_give(t, h->vm->guest, err);
	if (r == 0)
		send_to(h, GHVM_LINK_SPEC, &w, &t->text, 1);
	return r;
}

static int begin_start(struct helper *h, struct ghvm_error *err)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	int r;

	if (vm_awaits_sent(h->vm))
		return ghvm_error_set(err, -EBUSY, "%s: its last runner has not sent its files yet",
				      h->name);
	r = quarantine_check_name(&h->prepare->manager->quarantine, h->name, err);
	if (r == 0)
		r = load_spec(h, &spec, err);
	if (r < 0)
		return r;
	h->builder = (struct vm_builder){
		.data = h,
		.on_built = on_built,
		.on_failed = on_failed,
	};
	r = vm_begin(h->vm, &spec, &h->builder, err);
	if (r < 0)
		return r;
	h->phase = HELPER_GIVES;
	r = admission_check(h->vm->guest, err);
	if (r == 0)
		r = send_transient(h, err);
	if (r < 0)
		return r;
	send_need(h);
	return 0;
}

static void give_up(struct helper *h, const struct ghvm_error *err)
{
	const struct log_about a = { .vm = *h->name ? h->name : NULL, .err = err };
	bool building = h->phase == HELPER_GIVES || h->phase == HELPER_BUILDS;
	bool waits = h->phase == HELPER_WAITS; /* the VM exists and is now vacant */

	log_error(&a, 0, "Start refused: %s", err->msg);
	h->phase = HELPER_OVER;
	if (building)
		vm_abandon(h->vm, err);
	else if (waits)
		vm_refused(h->vm, "descriptor", err);
}

static void refuse_helper(struct helper *h, const struct ghvm_error *err)
{
	send_error(h, err);
	give_up(h, err);
}

static void on_vacant(void *data)
{
	struct helper *h = data;
	struct ghvm_error err = {};

	if (begin_start(h, &err) < 0)
		refuse_helper(h, &err);
}

static int take_hello(struct helper *h, struct ghvm_error *err)
{
	struct manager *m = h->prepare->manager;
	int r;

	h->vm = manager_find(m, h->name);
	if (!h->vm)
		return ghvm_spec_absent(h->name, m->options->vms_dirs, err);
	r = manager_check_host(m, err);
	if (r < 0) {
		vm_refused(h->vm, "host", err);
		return r;
	}
	if (!vm_vacant(h->vm) && h->vm->state != VM_STOPPING)
		return ghvm_error_set(err, -EBUSY, "%s is %s", h->name,
				      vm_state_to_string(h->vm->state));
	h->phase = HELPER_WAITS;
	h->waiter = (struct vm_waiter){ .data = h, .on_vacant = on_vacant };
	vm_wait_vacant(h->vm, &h->waiter);
	return 0;
}

/* u8 kind, u8 0, u16 index; 1 descriptor */
static int take_give(struct helper *h, struct ghvm_link_message *m, struct ghvm_error *err)
{
	uint8_t kind = ghvm_get_u8(&m->payload);
	uint16_t index;
	int r;

	ghvm_get_skip(&m->payload, 1);
	index = ghvm_get_u16(&m->payload);
	if (ghvm_get_end(&m->payload) < 0 || m->n_fds != 1 || h->phase != HELPER_GIVES)
		return ghvm_error_set(err, -EBADMSG, "malformed message from the start helper");
	r = guest_give(h->vm->guest, (enum ghvm_link_kind)kind, index, m->fds[0], err);
	if (r == 0)
		(void)TAKE_FD(m->fds[0]);
	return r;
}

static int take_given(struct helper *h, struct ghvm_error *err)
{
	int r;

	if (h->phase != HELPER_GIVES)
		return ghvm_error_set(err, -EBADMSG, "unexpected message from the start helper");
	r = vm_build(h->vm, err);
	if (r == 0)
		h->phase = HELPER_BUILDS;
	return r;
}

/* i32 errno, u8 permanent, text: the helper has failed and logs the error itself */
static int take_failure(struct helper *h, struct ghvm_link_message *m, struct ghvm_error *err)
{
	int code = ghvm_link_get_errno(&m->payload);
	struct ghvm_error why = {};
	char text[GHVM_ERROR_TEXT];

	ghvm_get_skip(&m->payload, 1);
	ghvm_link_get_string(&m->payload, text, sizeof(text));
	if (ghvm_get_end(&m->payload) < 0 || h->phase != HELPER_GIVES)
		return ghvm_error_set(err, -EBADMSG, "malformed message from the start helper");
	(void)ghvm_error_set(&why, code, "%s", text);
	ghvm_spec_locate(&h->vm->guest->spec, &why);
	give_up(h, &why);
	return 0;
}

/* --- a release --- */

static void on_released(void *data)
{
	send_released(data);
}

static int take_release(struct helper *h)
{
	struct manager *m = h->prepare->manager;

	h->phase = HELPER_RELEASES;
	h->vm = manager_known(m, h->name);
	if (h->vm)
		vm_release(h->vm, h->wanted);
	if (!h->vm || m->host_state == MANAGER_HOST_UNAVAILABLE) {
		send_released(h);
		return 0;
	}
	h->waiter = (struct vm_waiter){ .data = h, .on_vacant = on_released };
	vm_wait_vacant(h->vm, &h->waiter);
	return 0;
}

/* --- connections --- */

static int take_name(struct helper *h, struct ghvm_link_message *m, struct ghvm_error *err)
{
	if (h->phase != HELPER_NEW)
		return ghvm_error_set(err, -EBADMSG, "unexpected message from the start helper");
	ghvm_link_get_string(&m->payload, h->name, sizeof(h->name));
	if (ghvm_get_end(&m->payload) < 0 || !ghvm_name_valid(h->name))
		return ghvm_error_set(err, -EINVAL, "invalid name of a virtual machine");
	return m->type == GHVM_LINK_HELLO ? take_hello(h, err) : take_release(h);
}

static int take_message(struct helper *h, struct ghvm_link_message *m, struct ghvm_error *err)
{
	switch (m->type) {
	case GHVM_LINK_HELLO:
	case GHVM_LINK_RELEASE:
		return take_name(h, m, err);
	case GHVM_LINK_GIVE:
		return take_give(h, m, err);
	case GHVM_LINK_GIVEN:
		return take_given(h, err);
	case GHVM_LINK_ERROR:
		return take_failure(h, m, err);
	case GHVM_LINK_WANTED:
		h->wanted = true;
		return 0;
	}
	return 0;
}

static void on_readable(void *data)
{
	struct helper *h = data;
	struct ghvm_link_message m;
	struct ghvm_error err = {};
	int r;

	r = ghvm_link_recv(h->fd, &m);
	if (ghvm_link_try_later(r))
		return;
	if (r == -EMFILE) { /* the message is lost */
		(void)ghvm_error_set(&err, r,
				     "the manager has too many open files: try later, or raise"
				     " LimitNOFILE= of gunyah-vmd.service");
		refuse_helper(h, &err);
		return;
	}
	if (r <= 0) {
		helper_free(h);
		return;
	}
	if (h->prepare->on_activity)
		h->prepare->on_activity(h->prepare->data);
	r = h->phase == HELPER_OVER ? 0 : take_message(h, &m, &err);
	ghvm_link_message_done(&m);
	if (r < 0)
		refuse_helper(h, &err);
}

static bool is_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

static int helper_new(struct prepare *p, int fd)
{
	struct helper *h;
	int r;

	if (!is_allowed(fd))
		return -EPERM;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->prepare = p;
	r = loop_watch_read(p->manager->loop, &h->watch, fd, on_readable, h);
	if (r < 0) {
		free(h);
		return r;
	}
	h->fd = fd;
	h->next = p->first;
	p->first = h;
	p->n++;
	return 0;
}

/* Accept later: waiting connections keep the socket readable, and the loop would spin. */
static void pause_listening(struct prepare *p, int why)
{
	if (!p->pauses)
		log_warning(NULL, why, "Cannot accept start helpers for now; they wait");
	p->pauses = true;
	loop_watch_done(&p->watch);
	(void)loop_timer_arm(&p->later, LISTEN_AGAIN_MS); /* failure: done when a helper ends */
}

static void on_connection(void *data)
{
	struct prepare *p = data;
	int fd, r;

	if (p->n >= PREPARE_HELPERS_MAX) {
		pause_listening(p, -EUSERS);
		return;
	}
	fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_listening(p, -errno);
		return;
	}
	p->pauses = false;
	r = helper_new(p, fd);
	if (r == 0)
		return;
	log_warning(NULL, r, "Cannot accept a start helper");
	(void)close(fd);
}

static void listen_again(void *data)
{
	struct prepare *p = data;

	if (!loop_watching(&p->watch) &&
	    loop_watch_read(p->manager->loop, &p->watch, p->fd, on_connection, p) < 0)
		(void)loop_timer_arm(&p->later, LISTEN_AGAIN_MS); /* see above */
}

int prepare_init(struct prepare *p, struct manager *m, int fd)
{
	int r;

	*p = (struct prepare){ .manager = m, .fd = -1 };
	p->fd = fd;
	r = loop_watch_timer(m->loop, &p->later, listen_again, p);
	return r < 0 ? r : loop_watch_read(m->loop, &p->watch, fd, on_connection, p);
}

void prepare_done(struct prepare *p)
{
	while (p->first)
		helper_free(p->first);
	loop_watch_done(&p->watch);
	loop_watch_done(&p->later);
	closep(&p->fd);
	p->fd = -1;
}

int prepare_bind(const char *path)
{
	_cleanup_(closep) int fd =
		socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	(void)unlink(path); /* left by an earlier run */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 64) < 0)
		return -errno;
	return TAKE_FD(fd);
}
