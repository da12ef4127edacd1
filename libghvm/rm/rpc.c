/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls to the resource manager (RM), over a pair of message queues.
 *
 *	caller's thread                         RM                    dispatcher, or the caller
 *	  packets of <= 240 bytes  ---tx queue--->
 *	  (packet.c)                               executes in order
 *	                                           <---rx queue---  packets of a reply, or of a
 *	                                                            notification: assemble (packet.c)
 *	  wakes, decodes  <------------------------ reply -------------------|
 *	                                            notification: handler, or backlog.c
 *
 * RM keeps only one reply for each client, so one call is outstanding at a time (abi C.2). A
 * reply belongs to the call if both sequence number and message id match; all others are traced
 * and dropped.
 *
 * The rx queue is read by a dispatcher, which is an event loop's thread, or without one by the
 * thread that waits for a reply. A notification never waits for a call, nor the other way round.
 *
 * If no reply comes within the deadline, the outcome of the call is unknown, and RM may be dead.
 * A GET_VMID with a new sequence number tells (decision 26 and 27): RM works in order, so its
 * answer proves that RM is done with everything before. Unanswered, RM counts as dead, which is
 * final for this connection: further calls fail with -EHOSTDOWN and are not sent. A call that
 * timed out stays registered until this synchronisation has ended, so a late reply is still
 * delivered.
 *
 * A single host call that fails does not end the connection. A failed receive is repeated. A
 * packet that could not be sent is not, as RM may have got it: the synchronisation makes RM drop
 * an incomplete message. If the last packet was never tried, the message is sent anew.
 *
 * Locks: call_lock (one call at a time), rx_lock (one thread at a time receives and assembles),
 * state (what callers and the receiving thread share). Order: call_lock, rx_lock, state.
 */
#include "libghvm/rm/internal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/rpc.h"

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL
#define DISPATCH_MAX 256   /* packets per dispatch */
#define RECEIVE_AGAIN_MS 1 /* between a receive that failed and the next try */

struct ghvm_vmid ghvm_rm_vmid(const struct ghvm_rm *rm)
{
	return rm->vmid;
}

bool ghvm_rm_dead(const struct ghvm_rm *rm)
{
	return atomic_load(&rm->dead);
}

int ghvm_rm_fd(const struct ghvm_rm *rm)
{
	return rm->q.rx_fd;
}

void ghvm_rm_set_dispatched(struct ghvm_rm *rm, bool dispatched)
{
	pthread_mutex_lock(&rm->state);
	atomic_store(&rm->dispatched, dispatched);
	pthread_cond_broadcast(&rm->cond); /* waiters must now read the queue themselves */
	pthread_mutex_unlock(&rm->state);
}

void ghvm_rm_set_deadline(struct ghvm_rm *rm, unsigned int call_ms, unsigned int sync_ms)
{
	pthread_mutex_lock(&rm->state);
	rm->call_ms = call_ms;
	rm->sync_ms = sync_ms;
	pthread_mutex_unlock(&rm->state);
}

void ghvm_rm_set_on_trace(struct ghvm_rm *rm, ghvm_rm_on_trace fn, void *data)
{
	rm->on_trace = fn;
	rm->on_trace_data = data;
}

void ghvm_rm_set_on_notify(struct ghvm_rm *rm, ghvm_rm_on_notify fn, void *data)
{
	pthread_mutex_lock(&rm->rx_lock);
	rm->on_notify = fn;
	rm->on_notify_data = data;
	if (fn && rm->backlog.n)
		(void)eventfd_write(rm->q.rx_fd,
				    1); /* causes a dispatch, which delivers the backlog */
	pthread_mutex_unlock(&rm->rx_lock);
}

void ghvm_rm_fact_set(struct ghvm_rm *rm, struct ghvm_vmid vmid, enum ghvm_rm_fact fact)
{
	if (vmid.id < GHVM_RM_FACTS)
		atomic_fetch_or(&rm->facts[vmid.id], (unsigned char)fact);
}

void ghvm_rm_fact_clear(struct ghvm_rm *rm, struct ghvm_vmid vmid)
{
	if (vmid.id < GHVM_RM_FACTS)
		atomic_store(&rm->facts[vmid.id], 0);
}

bool ghvm_rm_fact(const struct ghvm_rm *rm, struct ghvm_vmid vmid, enum ghvm_rm_fact fact)
{
	return vmid.id < GHVM_RM_FACTS && atomic_load(&rm->facts[vmid.id]) & fact;
}

struct ghvm_rm_scope ghvm_rm_enter(struct ghvm_rm *rm, const char *name)
{
	return (struct ghvm_rm_scope){ rm, ghvm_callers_enter(&rm->callers, name) };
}

void ghvm_rm_leave(struct ghvm_rm_scope *s)
{
	(void)ghvm_callers_enter(&s->rm->callers, s->before); /* nothing to restore */
}

void ghvm_rm_name_vmid(struct ghvm_rm *rm, struct ghvm_vmid vmid, const char *name)
{
	ghvm_callers_name_vmid(&rm->callers, vmid, name);
}

static void trace_message(struct ghvm_rm *rm, const char *vm, char dir, uint32_t id, uint16_t seq,
			  const uint8_t *payload, size_t len)
{
	if (rm->on_trace)
		rm->on_trace(rm->on_trace_data, vm, dir, id, seq, payload, len);
}

static void mark_dead(struct ghvm_rm *rm)
{
	pthread_mutex_lock(&rm->state);
	atomic_store(&rm->dead, true);
	pthread_cond_broadcast(&rm->cond);
	if (rm->polling)
		(void)eventfd_write(rm->wake_fd, 1); /* cannot fail: it is at most 1 */
	pthread_mutex_unlock(&rm->state);
}

/* Transient: the same host call may succeed if repeated. */
static bool is_transient(int r)
{
	return r == -EIO || r == -EAGAIN || r == -ENOMEM;
}

/* ---- receiving; rx_lock is held ---- */

static bool is_awaited(const struct ghvm_rm_waiter *w, const struct ghvm_assembly *m)
{
	return w->used && !w->done && w->id == m->id && w->seq == m->seq;
}

/* Copies the VM's name, since the waiting thread may time out and leave. */
static void trace_reply(struct ghvm_rm *rm, const struct ghvm_assembly *m)
{
	char vm[GHVM_NAME_SIZE] = "";

	pthread_mutex_lock(&rm->state);
	if (is_awaited(&rm->call, m))
		memcpy(vm, rm->call.vm, sizeof(vm));
	else if (is_awaited(&rm->sync, m))
		memcpy(vm, rm->sync.vm, sizeof(vm));
	pthread_mutex_unlock(&rm->state);
	trace_message(rm, vm, '<', m->id, m->seq, m->buf, m->len);
}

static bool take_reply(struct ghvm_rm_waiter *w, const struct ghvm_assembly *m)
{
	if (!is_awaited(w, m))
		return false;
	w->done = true;
	w->too_long = m->len > w->cap;
	if (!w->too_long && m->len)
		memcpy(w->buf, m->buf, m->len);
	w->len = m->len;
	return true;
}

static void on_reply(struct ghvm_rm *rm, const struct ghvm_assembly *m)
{
	trace_reply(rm, m);

	pthread_mutex_lock(&rm->state);
	if (take_reply(&rm->call, m) || take_reply(&rm->sync, m)) {
		pthread_cond_broadcast(&rm->cond);
		if (rm->polling)
			(void)eventfd_write(rm->wake_fd, 1); /* cannot fail: it is at most 2 */
	}
	pthread_mutex_unlock(&rm->state); /* other replies are stale or malformed: dropped */
}

static void deliver(struct ghvm_rm *rm, uint32_t id, const uint8_t *payload, size_t len)
{
	struct ghvm_rm_notification n = { .id = id, .payload = { .buf = payload, .len = len } };

	rm->on_notify(rm->on_notify_data, &n);
}

static void deliver_backlog(struct ghvm_rm *rm)
{
	if (!rm->on_notify)
		return;
	for (size_t i = 0; i < rm->backlog.n; i++)
		deliver(rm, rm->backlog.v[i]->id, rm->backlog.v[i]->payload, rm->backlog.v[i]->len);
	ghvm_backlog_done(&rm->backlog);
}

static void on_message(struct ghvm_rm *rm, const struct ghvm_assembly *m)
{
	char vm[GHVM_NAME_SIZE];

	if (m->type == GHVM_PACKET_REPLY) {
		on_reply(rm, m);
		return;
	}
	ghvm_callers_notified(&rm->callers, m->id, m->buf, m->len, vm);
	trace_message(rm, vm, '!', m->id, m->seq, m->buf, m->len);
	if (rm->on_notify)
		deliver(rm, m->id, m->buf, m->len);
	else
		ghvm_backlog_add(&rm->backlog, m->id, m->buf, m->len);
}

/*
 * A receive failed in the host, for lack of memory for example, which says nothing of RM. No packet
 * is lost. Try again for as long as RM's silence is borne, and let the caller do other work between.
 */
static int receive_again(struct ghvm_rm *rm, int r)
{
	const uint64_t now = ghvm_msgq_now();

	if (!rm->receive_fails_since)
		rm->receive_fails_since = now;
	if (now - rm->receive_fails_since > (uint64_t)rm->sync_ms * NS_PER_MS)
		return r;
	(void)poll(NULL, 0, RECEIVE_AGAIN_MS);
	(void)eventfd_write(rm->q.rx_fd, 1); /* cannot fail: it was read */
	return 0;
}

/* Read what is queued, at most DISPATCH_MAX packets; if there may be more, raise another event. */
static int drain_queue(struct ghvm_rm *rm)
{
	const struct ghvm_assembly *m;
	uint8_t packet[GHVM_MSGQUEUE_BYTES];
	bool more;
	size_t len;
	int r;

	for (unsigned int i = 0; i < DISPATCH_MAX; i++) {
		r = ghvm_msgq_receive(&rm->q, packet, &len, &more);
		if (is_transient(r))
			return receive_again(rm, r);
		rm->receive_fails_since = 0;
		if (r <= 0)
			return r;
		m = ghvm_assembler_feed(&rm->assembler, packet, len);
		if (m)
			on_message(rm, m);
		if (!more)
			return 0;
	}
	(void)eventfd_write(rm->q.rx_fd, 1); /* cannot fail: it was read */
	return 0;
}

int ghvm_rm_receive(struct ghvm_rm *rm)
{
	eventfd_t n;
	int r;

	pthread_mutex_lock(&rm->rx_lock);
	(void)eventfd_read(rm->q.rx_fd, &n); /* before reading the queue, so that no edge is lost */
	deliver_backlog(rm);
	r = drain_queue(rm);
	pthread_mutex_unlock(&rm->rx_lock);
	if (r < 0)
		mark_dead(rm);
	return r;
}

int ghvm_rm_dispatch(struct ghvm_rm *rm)
{
	if (atomic_load(&rm->dispatched)) {
		pthread_mutex_lock(&rm->state);
		rm->dispatcher = pthread_self();
		rm->has_dispatcher = true;
		pthread_mutex_unlock(&rm->state);
	}
	return ghvm_rm_receive(rm);
}

bool ghvm_rm_listen(struct ghvm_rm *rm, unsigned int ms)
{
	struct pollfd p = { .fd = rm->q.rx_fd, .events = POLLIN };

	if (atomic_load(&rm->dispatched))
		return false;
	if (poll(&p, 1, ms < INT32_MAX ? (int)ms : INT32_MAX) > 0)
		(void)ghvm_rm_receive(rm); /* an error has marked it dead */
	return true;
}

/* ---- calling; call_lock is held ---- */

static uint64_t deadline_in(unsigned int ms)
{
	return ghvm_msgq_now() + ms * NS_PER_MS;
}

/* Read the queue in this thread until an event or @until. state is not held. */
static void wait_polling(struct ghvm_rm *rm, uint64_t until)
{
	struct pollfd p[2] = {
		{ .fd = rm->q.rx_fd, .events = POLLIN },
		{ .fd = rm->wake_fd, .events = POLLIN },
	};
	uint64_t now = ghvm_msgq_now();
	uint64_t ms = until > now ? (until - now) / NS_PER_MS + 1 : 0;
	eventfd_t n;

	if (poll(p, ARRAY_SIZE(p), ms < INT32_MAX ? (int)ms : INT32_MAX) <= 0)
		return;
	if (p[0].revents)
		(void)ghvm_rm_receive(rm); /* an error has marked it dead */
	if (p[1].revents)
		(void)eventfd_read(rm->wake_fd, &n); /* only to clear it */
}

/* True if @w was answered. */
static bool wait_for(struct ghvm_rm *rm, struct ghvm_rm_waiter *w, uint64_t until)
{
	struct timespec ts = { .tv_sec = (time_t)(until / NS_PER_S),
			       .tv_nsec = (long)(until % NS_PER_S) };
	bool done;

	pthread_mutex_lock(&rm->state);
	while (!w->done && !ghvm_rm_dead(rm) && ghvm_msgq_now() < until) {
		if (atomic_load(&rm->dispatched)) {
			(void)pthread_cond_timedwait(&rm->cond, &rm->state,
						     &ts); /* waits for the dispatcher */
			continue;
		}
		rm->polling = true;
		pthread_mutex_unlock(&rm->state);
		wait_polling(rm, until);
		pthread_mutex_lock(&rm->state);
		rm->polling = false;
	}
	done = w->done;
	pthread_mutex_unlock(&rm->state);
	return done;
}

/* As wait_for(), but a reply that arrived while this process was not scheduled is not late. */
static bool await_reply(struct ghvm_rm *rm, struct ghvm_rm_waiter *w, uint64_t until)
{
	if (wait_for(rm, w, until))
		return true;
	if (!atomic_load(&rm->dispatched) && !ghvm_rm_dead(rm))
		(void)ghvm_rm_receive(rm); /* an error has marked it dead */
	return wait_for(rm, w, 0);
}

/*
 * Register @slot: from here on a reply is delivered. Not before the last packet, since the reply
 * goes into the buffer that the request is sent from.
 */
static void register_waiter(struct ghvm_rm *rm, struct ghvm_rm_waiter *slot,
			    const struct ghvm_rm_waiter *w)
{
	pthread_mutex_lock(&rm->state);
	*slot = *w;
	slot->used = true;
	pthread_mutex_unlock(&rm->state);
}

static struct ghvm_rm_waiter unregister_waiter(struct ghvm_rm *rm, struct ghvm_rm_waiter *slot)
{
	struct ghvm_rm_waiter w;

	pthread_mutex_lock(&rm->state);
	w = *slot;
	*slot = (struct ghvm_rm_waiter){};
	pthread_mutex_unlock(&rm->state);
	return w;
}

/* @w: the reply to wait for; its buffer holds the request of @len bytes. */
static int send_request(struct ghvm_rm *rm, struct ghvm_rm_waiter *slot, struct ghvm_rm_waiter *w,
			size_t len, uint64_t until)
{
	unsigned int n = ghvm_packet_count(len);
	uint8_t packet[GHVM_PACKET_SIZE];
	size_t size;
	bool last;
	int r;

	w->seq = rm->next_seq++;
	ghvm_callers_current(&rm->callers, w->vm);
	trace_message(rm, w->vm, '>', w->id, w->seq, w->buf, len);
	for (unsigned int i = 0; i < n; i++) {
		last = i + 1 == n;
		size = ghvm_packet_build(w->id, w->seq, w->buf, len, i, packet);
		if (last)
			register_waiter(rm, slot, w);
		r = ghvm_msgq_send(&rm->q, packet, size, last, until);
		if (r < 0)
			return r;
	}
	return 0;
}

int ghvm_rm_synchronise(struct ghvm_rm *rm, struct ghvm_vmid *ret)
{
	uint8_t buf[16];
	struct ghvm_rm_waiter w = { .id = GHVM_RM_VM_GET_VMID, .buf = buf, .cap = sizeof(buf) };
	struct ghvm_get g = { .buf = buf };
	uint32_t status, vmid;
	unsigned int ms;
	uint64_t until;
	int r;

	pthread_mutex_lock(&rm->state);
	ms = rm->sync_ms;
	pthread_mutex_unlock(&rm->state);
	until = deadline_in(ms);
	r = send_request(rm, &rm->sync, &w, 0, until);
	if (r == 0 && !await_reply(rm, &rm->sync, until))
		r = -ETIMEDOUT;
	w = unregister_waiter(rm, &rm->sync);
	if (r < 0) {
		mark_dead(rm);
		return r;
	}

	g.len = w.too_long ? 0 : w.len;
	status = ghvm_get_u32(&g);
	vmid = ghvm_get_u32(&g);
	if (ghvm_get_end(&g) < 0 || status != GHVM_RM_OK || vmid > UINT16_MAX)
		return -EBADMSG;
	*ret = (struct ghvm_vmid){ (uint16_t)vmid };
	return 0;
}

/*
 * Send a request and wait for its reply; without a reply, synchronise. Return: 0, *ret has the
 * reply; -EAGAIN, RM got only a part of the request and has dropped it.
 */
static int exchange_once(struct ghvm_rm *rm, uint32_t id, unsigned int ms,
			 const struct ghvm_put *req, struct ghvm_rm_waiter *ret)
{
	struct ghvm_rm_waiter w = { .id = id, .buf = req->buf, .cap = req->cap };
	uint64_t until = deadline_in(ms);
	struct ghvm_vmid vmid;
	int r;

	if (ghvm_rm_dead(rm))
		return -EHOSTDOWN;
	r = send_request(rm, &rm->call, &w, req->len, until);
	if (r < 0 && r != -ETIMEDOUT && !is_transient(r)) {
		mark_dead(rm);
		w = unregister_waiter(rm, &rm->call);
		return w.used ? -ETIMEDOUT : -EHOSTDOWN; /* the last packet may be out */
	}
	if (r < 0 || !await_reply(rm, &rm->call, until))
		(void)ghvm_rm_synchronise(rm, &vmid); /* all outcomes are handled alike */

	*ret = unregister_waiter(rm, &rm->call);
	ret->failed = r < 0 && is_transient(r) ? r : 0;
	if (ret->done)
		return 0;
	return ret->failed && !ret->used && !ghvm_rm_dead(rm) ? -EAGAIN : -ETIMEDOUT;
}

/* A request that RM got only in part was not executed, so it may be sent once more. */
static int exchange_retried(struct ghvm_rm *rm, uint32_t id, unsigned int ms,
			    const struct ghvm_put *req, struct ghvm_rm_waiter *ret)
{
	int r = exchange_once(rm, id, ms, req, ret);

	if (r == -EAGAIN)
		r = exchange_once(rm, id, ms, req, ret);
	if (r != -EAGAIN)
		return r;
	mark_dead(rm);
	return -EHOSTDOWN;
}

static int explain_failure(struct ghvm_rm *rm, uint32_t id, unsigned int ms, int r, int failed,
			   struct ghvm_error *err)
{
	const char *name = ghvm_rm_message_to_string(id);

	if (r == -EHOSTDOWN)
		return ghvm_error_set(err, r,
				      "%s was not sent: the resource manager does not answer any "
				      "more, only a reboot of the host helps",
				      name);
	if (ghvm_rm_dead(rm))
		return ghvm_error_set(err, r,
				      "no answer to %s within %u ms, and none to a test after it: "
				      "the resource manager is dead, outcome unknown",
				      name, ms);
	if (failed)
		return ghvm_error_set(err, r, "sending %s failed (%s): outcome unknown", name,
				      strerror(-failed));
	return ghvm_error_set(err, r, "no answer to %s within %u ms: outcome unknown", name, ms);
}

static int open_reply(uint32_t id, const struct ghvm_rm_waiter *w, struct ghvm_get *ret,
		      struct ghvm_error *err)
{
	struct ghvm_get g = { .buf = w->buf, .len = w->too_long ? 0 : w->len };
	uint32_t status = ghvm_get_u32(&g);

	if (g.bad)
		return ghvm_error_set(err, -EBADMSG, "%s: malformed reply of %zu bytes",
				      ghvm_rm_message_to_string(id), w->len);
	if (status != GHVM_RM_OK) {
		if (err)
			*err = (struct ghvm_error){ .code = -EREMOTEIO,
						    .rm_message = id,
						    .rm_code = status };
		return -EREMOTEIO;
	}
	*ret = g;
	return 0;
}

int ghvm_rm_call_slow(struct ghvm_rm *rm, uint32_t id, unsigned int extra_ms,
		      const struct ghvm_put *req, struct ghvm_get *ret, struct ghvm_error *err)
{
	struct ghvm_rm_waiter w;
	unsigned int ms;
	int r;

	if (req->bad || req->len > GHVM_RM_MSG_MAX)
		return ghvm_error_set(err, -EMSGSIZE, "%s: request too long",
				      ghvm_rm_message_to_string(id));

	pthread_mutex_lock(&rm->call_lock);
	pthread_mutex_lock(&rm->state);
	assert(!atomic_load(&rm->dispatched) || !rm->has_dispatcher ||
	       !pthread_equal(rm->dispatcher, pthread_self()));
	if (__builtin_add_overflow(rm->call_ms, extra_ms, &ms))
		ms = UINT32_MAX;
	pthread_mutex_unlock(&rm->state);
	r = exchange_retried(rm, id, ms, req, &w);
	pthread_mutex_unlock(&rm->call_lock);

	return r < 0 ? explain_failure(rm, id, ms, r, w.failed, err) : open_reply(id, &w, ret, err);
}

int ghvm_rm_call(struct ghvm_rm *rm, uint32_t id, const struct ghvm_put *req, struct ghvm_get *ret,
		 struct ghvm_error *err)
{
	return ghvm_rm_call_slow(rm, id, 0, req, ret, err);
}
