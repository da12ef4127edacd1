/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests: the module's ioctls of kmod/uapi/ghvm.h.
 */
#include "libghvm/hyp/host.h"
#include "tests/model/sock/server.h"

#include "libghvm/hyp/sock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

bool request_put(struct request *rq, const void *p, size_t n)
{
	if (n > GHVM_SOCK_PACKET_MAX - rq->out_len)
		return false;
	if (n)
		memcpy(rq->out + rq->out_len, p, n);
	rq->out_len += n;
	return true;
}

/* Arrays may follow the structure, so a longer request is accepted. */
int request_arg(struct request *rq, void *arg, size_t size)
{
	uint32_t said;

	if (rq->len < size)
		return -EINVAL;
	memcpy(arg, rq->arg, size);
	memcpy(&said, arg, sizeof(said));
	return said == size ? 0 : -EINVAL;
}

/* What a command of the control socket says is in the way, with texts as the module gives them. */
static void info_obstacle(const struct server *s, struct ghvm_info *arg)
{
	arg->obstacle = s->obstacle;
	if (s->assigns)
		arg->flags |= GHVM_INFO_ASSIGN_NEEDED;
	if (s->obstacle == GHVM_OBSTACLE_FOREIGN)
		arg->uid[0] = 1;
	if (s->obstacle != GHVM_OBSTACLE_DRIVER)
		return;
	(void)snprintf(arg->driver, sizeof(arg->driver), "gunyah_rsc_mgr");    /* fits */
	(void)snprintf(arg->device, sizeof(arg->device), "hypervisor:rm-rpc"); /* fits */
}

static int info(struct server *s, struct request *rq)
{
	struct ghvm_info arg;
	uint64_t x[8] = { 0 };
	unsigned int slot, vcpu;
	int error = request_arg(rq, &arg, sizeof(arg));

	if (error < 0)
		return error;
	arg.flags = GHVM_INFO_RM_TX_VIRQ | GHVM_INFO_RM_RX_VIRQ;
	arg.abi = GHVM_ABI_LEVEL;
	arg.page_size = SERVER_PAGE;
	model_uid(arg.uid);
	(void)model_hypercall(s->model, GHVM_CALL_IDENTIFY, x, &slot, &vcpu); /* no vCPU in it */
	memcpy(arg.identify, x, sizeof(arg.identify));
	arg.rm_tx_capid = model_rm_tx_cap(s->model);
	arg.rm_rx_capid = model_rm_rx_cap(s->model);
	arg.quarantined_pages = quarantine_pages(s);
	info_obstacle(s, &arg);
	(void)request_put(rq, &arg, sizeof(arg)); /* the reply is empty */
	return 0;
}

static void hypercall(struct server *s, struct ghvm_hcall *call, uint64_t x[8])
{
	unsigned int slot, vcpu;

	memcpy(x + 1, call->args, sizeof(call->args));
	if (model_hypercall(s->model, call->call, x, &slot, &vcpu) == MODEL_RUN_VCPU)
		puppet_run(s, &s->vms[slot], vcpu, call->args[1], x);
	memcpy(call->results, x, sizeof(call->results));
}

static int plain_call(struct server *s, struct ghvm_hcall *call, struct request *rq)
{
	uint64_t x[8] = { 0 };

	hypercall(s, call, x);
	(void)request_put(rq, call, sizeof(*call)); /* the reply is empty */
	return 0;
}

/* The core gets the address of this buffer; the caller's address is put back afterwards. */
static int queue_send(struct server *s, struct ghvm_hcall *call, struct request *rq)
{
	uint64_t x[8] = { 0 }, address = call->args[2];
	size_t n = rq->len - sizeof(*call);

	if (call->args[0] != model_rm_tx_cap(s->model))
		return -EPERM;
	if (!n || n > GHVM_SOCK_BUFFER_MAX || call->args[1] != n)
		return -EINVAL;
	call->args[2] = (uintptr_t)(rq->arg + sizeof(*call));
	s->counters.rm_requests++;
	hypercall(s, call, x);
	call->args[2] = address;
	(void)request_put(rq, call, sizeof(*call)); /* the reply is empty */
	return 0;
}

static int queue_receive(struct server *s, struct ghvm_hcall *call, struct request *rq)
{
	uint8_t buf[GHVM_SOCK_BUFFER_MAX];
	uint64_t x[8] = { 0 }, address = call->args[1], room = call->args[2];

	if (call->args[0] != model_rm_rx_cap(s->model))
		return -EPERM;
	if (!room || room > sizeof(buf))
		return -EINVAL;
	call->args[1] = (uintptr_t)buf;
	hypercall(s, call, x);
	call->args[1] = address;
	(void)request_put(rq, call, sizeof(*call)); /* there is room for both */
	if (!(int32_t)call->results[0])
		(void)request_put(rq, buf, (size_t)call->results[1]);
	return 0;
}

static int hcall(struct server *s, struct file *f, struct request *rq)
{
	struct ghvm_hcall call;
	int error = request_arg(rq, &call, sizeof(call));

	if (error < 0)
		return error;
	if (call.__reserved)
		return -EINVAL;
	if (f->grant && !grant_has_call(f->grant, call.call, call.args[0]))
		return -EPERM;
	switch (call.call) {
	case GHVM_CALL_IDENTIFY:
	case GHVM_CALL_DOORBELL_SEND:
	case GHVM_CALL_DOORBELL_RECEIVE:
	case GHVM_CALL_DOORBELL_RESET:
	case GHVM_CALL_DOORBELL_MASK:
	case GHVM_CALL_VPM_GROUP_GET_STATE:
	case GHVM_CALL_VCPU_RUN:
		return plain_call(s, &call, rq);
	case GHVM_CALL_MSGQUEUE_SEND:
		return f != s->rm_holder ? -EPERM : queue_send(s, &call, rq);
	case GHVM_CALL_MSGQUEUE_RECEIVE:
		return f != s->rm_holder ? -EPERM : queue_receive(s, &call, rq);
	default:
		return -EPERM;
	}
}

static int irq(struct server *s, struct file *f, struct request *rq)
{
	struct ghvm_irq arg;
	int error = request_arg(rq, &arg, sizeof(arg));

	if (error < 0)
		return error;
	if (f->grant && (arg.kind != GHVM_IRQ_VIRQ || !grant_has_virq(f->grant, arg.virq)))
		return -EPERM;
	return irq_bind(s, f, &arg, rq);
}

static int host_request(struct server *s, struct file *f, struct request *rq)
{
	switch (rq->op) {
	case GHVM_INFO:
		return info(s, rq);
	case GHVM_HCALL:
		return hcall(s, f, rq);
	case GHVM_IRQ:
		return irq(s, f, rq);
	case GHVM_PIN:
		return pin_create(s, rq);
	case GHVM_GRANT:
		return grant_create(s, rq);
	case GHVM_REVOKE:
		return grant_revoke(s, rq);
	case GHVM_QUARANTINE_LIST:
		return quarantine_list(s, rq);
	case GHVM_QUARANTINE_ADOPT:
		return quarantine_adopt(s, rq);
	case GHVM_ASSIGN:
		return -EOPNOTSUPP;
	default:
		return -ENOTTY;
	}
}

static int grant_request(struct server *s, struct file *f, struct request *rq)
{
	if (f->grant->revoked)
		return -ESTALE;
	if (rq->op == GHVM_HCALL)
		return hcall(s, f, rq);
	return rq->op == GHVM_IRQ ? irq(s, f, rq) : -ENOTTY;
}

/* True if the armed fault is meant for this request. */
static bool fault_acts(struct server *s, const struct file *file, uint32_t op)
{
	enum fault_client client = file->kind == FILE_GRANT ? FAULT_RUNNER : FAULT_MANAGER;
	struct fault *f = &s->fault;

	if (!f->armed || (f->op && f->op != op) || (f->client && f->client != client) ||
	    (s->spared && file->pid == s->spared))
		return false;
	if (f->skip) {
		f->skip--;
		return false;
	}
	f->armed = false;
	return true;
}

static int perform_request(struct server *s, struct file *f, struct request *rq)
{
	if (f->kind == FILE_HOST)
		return host_request(s, f, rq);
	return f->kind == FILE_PIN ? pin_request(s, f->pin, rq) : grant_request(s, f, rq);
}

int dispatch(struct server *s, struct file *f, struct request *rq)
{
	const struct fault *fault = &s->fault;

	s->counters.requests++;
	s->caller = f->pid;
	if (!fault_acts(s, f, rq->op))
		return perform_request(s, f, rq);
	if (fault->kind == FAULT_ERROR)
		return fault->error;
	if (fault->kind == FAULT_KILL_AFTER)
		(void)perform_request(s, f, rq); /* done, but not answered */
	if (f->pid > 1)
		(void)kill(f->pid, SIGKILL); /* may be gone already */
	return DISPATCH_KILLED;
}
