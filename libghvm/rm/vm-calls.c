/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Life cycle messages: encoding, decoding and calls.
 */
#include "libghvm/rm/vm-calls.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/printable.h"
#include "libghvm/rm/rpc.h"

#define STOP_FORCE 0x1
#define RESOURCE_SIZE 44
#define VIRQ_NONE UINT32_MAX

/* Send a request. @ret: the reply after its status. @what: verb for error messages. */
static int vm_call(struct ghvm_rm *rm, uint32_t id, struct ghvm_vmid vmid, const char *what,
		   const struct ghvm_put *w, struct ghvm_get *ret, struct ghvm_error *err)
{
	struct ghvm_error e;
	int r;

	r = ghvm_rm_call(rm, id, w, ret, &e);
	if (r == -EREMOTEIO)
		return ghvm_error_set_rm(err, id, e.rm_code, "%s VM %u", what, vmid.id);
	if (r < 0)
		return ghvm_error_set_unanswered(err, id, r, "cannot %s VM %u: %s", what, vmid.id,
						 e.msg);
	return 0;
}

static int check_end(const struct ghvm_get *g, uint32_t id, struct ghvm_vmid vmid,
		     struct ghvm_error *err)
{
	if (ghvm_get_end(g) < 0)
		return ghvm_error_set_unanswered(err, id, -EBADMSG, "VM %u: malformed reply to %s",
						 vmid.id, ghvm_rm_message_to_string(id));
	return 0;
}

static bool is_guest(const struct ghvm_rm *rm, struct ghvm_vmid vmid)
{
	return ghvm_vmid_is_guest(vmid) && vmid.id != ghvm_rm_vmid(rm).id;
}

/* To RM 0 means "any" or "the caller", which no caller of this library means. */
static int check_vmid(const struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	if (!is_guest(rm, vmid))
		return ghvm_error_set(err, -EINVAL, "VMID %u is not that of a guest", vmid.id);
	return 0;
}

int ghvm_rm_vm_tell(struct ghvm_rm *rm, uint32_t id, struct ghvm_vmid vmid, const char *what,
		    const struct ghvm_put *w, struct ghvm_error *err)
{
	struct ghvm_get g;
	int r = check_vmid(rm, vmid, err);

	if (r == 0)
		r = vm_call(rm, id, vmid, what, w, &g, err);
	return r < 0 ? r : check_end(&g, id, vmid, err);
}

/* u16 vmid, u16 0 */
static void put_vmid(struct ghvm_put *w, struct ghvm_vmid vmid)
{
	ghvm_put_u16(w, vmid.id);
	ghvm_put_zero(w, 2);
}

/* u16 vmid, u16 0 -> *ret. @buf: of the request and the reply */
static int vm_query(struct ghvm_rm *rm, uint32_t id, struct ghvm_vmid vmid, const char *what,
		    uint8_t buf[GHVM_RM_MSG_MAX], struct ghvm_get *ret, struct ghvm_error *err)
{
	struct ghvm_put w = { .buf = buf, .cap = GHVM_RM_MSG_MAX };
	int r;

	r = check_vmid(rm, vmid, err);
	if (r < 0)
		return r;
	put_vmid(&w, vmid);
	return vm_call(rm, id, vmid, what, &w, ret, err);
}

/* u16 vmid, u16 0 -> nothing */
static int vm_simple(struct ghvm_rm *rm, uint32_t id, struct ghvm_vmid vmid, const char *what,
		     struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	put_vmid(&w, vmid);
	return ghvm_rm_vm_tell(rm, id, vmid, what, &w, err);
}

/* u16 0, u16 0 -> u32 vmid */
int ghvm_rm_vm_allocate(struct ghvm_rm *rm, struct ghvm_vmid *ret, struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	struct ghvm_vmid any = {};
	struct ghvm_error e;
	struct ghvm_get g;
	uint32_t vmid;
	int r;

	put_vmid(&w, any);
	r = ghvm_rm_call(rm, GHVM_RM_VM_ALLOCATE, &w, &g, &e);
	if (r == -EREMOTEIO)
		return ghvm_error_set_rm(err, GHVM_RM_VM_ALLOCATE, e.rm_code, "allocate a VMID");
	if (r < 0)
		return ghvm_error_set_unanswered(err, GHVM_RM_VM_ALLOCATE, r,
						 "cannot allocate a VMID: %s", e.msg);

	vmid = ghvm_get_u32(&g);
	if (ghvm_get_end(&g) < 0 || vmid > UINT16_MAX)
		return ghvm_error_set_unanswered(err, GHVM_RM_VM_ALLOCATE, -EBADMSG,
						 "malformed reply to VM_ALLOCATE");
	if (!is_guest(rm, (struct ghvm_vmid){ (uint16_t)vmid }))
		return ghvm_error_set_unanswered(err, GHVM_RM_VM_ALLOCATE, -EBADMSG,
						 "the resource manager allocated VMID %u, which is "
						 "not that of a guest",
						 vmid);

	*ret = (struct ghvm_vmid){ (uint16_t)vmid };
	ghvm_rm_fact_clear(rm, *ret);
	ghvm_rm_fact_set(rm, *ret, GHVM_RM_FACT_ALLOCATED);
	return 0;
}

static bool no_such_vm(int r, const struct ghvm_error *e, const struct ghvm_rm_vm_state *state)
{
	return r == -EREMOTEIO ? e->rm_code == GHVM_RM_NORESOURCE
			       : r == 0 && state->status == GHVM_VM_NONE;
}

/* -ENOENT: sending DEALLOCATE would kill RM. */
static int check_allocated(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	struct ghvm_rm_vm_state state;
	struct ghvm_error e;
	int r;

	if (ghvm_rm_fact(rm, vmid, GHVM_RM_FACT_ALLOCATED))
		return 0;
	for (unsigned int i = 0; i < 2; i++) { /* only two equal answers prove that there is none */
		r = ghvm_rm_vm_get_state(rm, vmid, &state, &e);
		if (!no_such_vm(r, &e, &state))
			break;
	}
	if (no_such_vm(r, &e, &state))
		return ghvm_error_set(err, -ENOENT, "there is no VM %u", vmid.id);
	if (r < 0 && err)
		*err = e;
	return r;
}

int ghvm_rm_vm_deallocate(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	int r = check_allocated(rm, vmid, err);

	if (r < 0)
		return r;
	ghvm_rm_fact_clear(rm, vmid); /* even if it fails: the next call has to ask RM */
	return vm_simple(rm, GHVM_RM_VM_DEALLOCATE, vmid, "give back", err);
}

static bool range_inside(uint64_t offset, uint64_t size, uint64_t whole)
{
	return offset <= whole && size <= whole - offset;
}

static int check_image(struct ghvm_vmid vmid, const struct ghvm_rm_image *m, struct ghvm_error *err)
{
	if (!range_inside(m->image_offset, m->image_size, m->parcel_size))
		return ghvm_error_set(err, -EINVAL,
				      "VM %u: image (%" PRIu64 " bytes at %#" PRIx64
				      ") is not inside its parcel of %" PRIu64 " bytes",
				      vmid.id, m->image_size, m->image_offset, m->parcel_size);
	if (!m->dt_size || !range_inside(m->dt_offset, m->dt_size, m->parcel_size))
		return ghvm_error_set(err, -EINVAL,
				      "VM %u: device tree (%" PRIu64 " bytes at %#" PRIx64
				      ") is not inside its parcel of %" PRIu64 " bytes",
				      vmid.id, m->dt_size, m->dt_offset, m->parcel_size);
	return 0;
}

/*
 * u16 vmid, u16 auth, u32 handle, u64 image offset, u64 image size, u64 tree offset,
 * u64 tree size
 */
static void put_image(struct ghvm_put *w, struct ghvm_vmid vmid, const struct ghvm_rm_image *m)
{
	ghvm_put_u16(w, vmid.id);
	ghvm_put_u16(w, (uint16_t)m->auth);
	ghvm_put_u32(w, m->parcel.id);
	ghvm_put_u64(w, m->image_offset);
	ghvm_put_u64(w, m->image_size);
	ghvm_put_u64(w, m->dt_offset);
	ghvm_put_u64(w, m->dt_size);
}

int ghvm_rm_vm_config_image(struct ghvm_rm *rm, struct ghvm_vmid vmid,
			    const struct ghvm_rm_image *image, struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };
	int r = check_image(vmid, image, err);

	if (r < 0)
		return r;
	put_image(&w, vmid, image);
	return ghvm_rm_vm_tell(rm, GHVM_RM_VM_CONFIG_IMAGE, vmid, "configure", &w, err);
}

int ghvm_rm_vm_init(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	return vm_simple(rm, GHVM_RM_VM_INIT, vmid, "initialise", err);
}

int ghvm_rm_vm_start(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	return vm_simple(rm, GHVM_RM_VM_START, vmid, "start", err);
}

/* u16 vmid, u8 flags, u8 0, u32 reason -> nothing */
int ghvm_rm_vm_stop(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid.id);
	ghvm_put_u8(&w, STOP_FORCE);
	ghvm_put_zero(&w, 1);
	ghvm_put_u32(&w, GHVM_RM_STOP_REASON);
	return ghvm_rm_vm_tell(rm, GHVM_RM_VM_STOP, vmid, "stop", &w, err);
}

/* True for states in which RM may have no configuration, or may lose it soon. */
static bool state_without_config(uint8_t status)
{
	return status == GHVM_VM_NONE || status == GHVM_VM_LOAD || status == GHVM_VM_RESETTING ||
	       status == GHVM_VM_RESET;
}

/* -ENOENT: sending RESET would, or could, kill RM (abi K.6). */
static int check_configured(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	_cleanup_(ghvm_rm_resources_done) struct ghvm_rm_resources res = {};
	struct ghvm_rm_vm_state state;
	struct ghvm_error e;
	int r;

	if (ghvm_rm_fact(rm, vmid, GHVM_RM_FACT_CONFIGURED))
		return 0;
	r = ghvm_rm_vm_get_state(rm, vmid, &state, &e);
	if (r == 0 && state_without_config(state.status))
		return ghvm_error_set(err, -ENOENT, "VM %u: nothing to reset", vmid.id);
	if (r == 0)
		r = ghvm_rm_vm_get_hyp_resources(rm, vmid, &res, &e);
	if (r == -EREMOTEIO && e.rm_code == GHVM_RM_NORESOURCE)
		return ghvm_error_set(err, -ENOENT, "VM %u has no configuration to reset", vmid.id);
	if (r < 0 && err)
		*err = e;
	return r;
}

int ghvm_rm_vm_reset(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_error *err)
{
	bool allocated = ghvm_rm_fact(rm, vmid, GHVM_RM_FACT_ALLOCATED);
	int r;

	r = check_configured(rm, vmid, err);
	if (r < 0)
		return r;

	/* A reset removes the configuration; perhaps a refused one does too. */
	ghvm_rm_fact_clear(rm, vmid);
	if (allocated)
		ghvm_rm_fact_set(rm, vmid, GHVM_RM_FACT_ALLOCATED);
	return vm_simple(rm, GHVM_RM_VM_RESET, vmid, "reset", err);
}

/* u8 vm status, u8 os status, u16 app status */
static struct ghvm_rm_vm_state get_state(struct ghvm_get *g)
{
	struct ghvm_rm_vm_state s = {};

	s.status = ghvm_get_u8(g);
	s.os_status = ghvm_get_u8(g);
	s.app_status = ghvm_get_u16(g);
	return s;
}

int ghvm_rm_vm_get_state(struct ghvm_rm *rm, struct ghvm_vmid vmid, struct ghvm_rm_vm_state *ret,
			 struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_rm_vm_state s;
	struct ghvm_get g;
	int r = vm_query(rm, GHVM_RM_VM_GET_STATE, vmid, "get the state of", buf, &g, err);

	if (r < 0)
		return r;
	s = get_state(&g);
	r = check_end(&g, GHVM_RM_VM_GET_STATE, vmid, err);
	if (r < 0)
		return r;
	*ret = s;
	return 0;
}

/*
 * u8 type, u8 0, u16 partner, u32 handle, u32 label, u64 capid, u32 virq handle,
 * u32 virq, u64 base, u64 size
 */
static struct ghvm_rm_resource get_resource(struct ghvm_get *g)
{
	struct ghvm_rm_resource res = {};
	uint32_t virq;

	res.type = ghvm_get_u8(g);
	ghvm_get_skip(g, 1);
	res.partner = (struct ghvm_vmid){ ghvm_get_u16(g) };
	ghvm_get_skip(g, 4);
	res.label = ghvm_get_u32(g);
	res.capid = (struct ghvm_capid){ ghvm_get_u64(g) };
	ghvm_get_skip(g, 4);
	virq = ghvm_get_u32(g);
	res.virq = (struct ghvm_virq){ virq == VIRQ_NONE ? 0 : virq };
	res.base = ghvm_get_u64(g);
	res.size = ghvm_get_u64(g);
	return res;
}

/* u32 n, n * resource */
static int get_resources(struct ghvm_get *g, struct ghvm_rm_resources *ret)
{
	uint32_t n = ghvm_get_u32(g);
	struct ghvm_rm_resource *v;

	if (g->bad || n > g->len / RESOURCE_SIZE)
		return -EBADMSG;
	v = calloc(n ? n : 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		v[i] = get_resource(g);
	if (ghvm_get_end(g) < 0) {
		free(v);
		return -EBADMSG;
	}
	*ret = (struct ghvm_rm_resources){ .v = v, .n = n };
	return 0;
}

int ghvm_rm_vm_get_hyp_resources(struct ghvm_rm *rm, struct ghvm_vmid vmid,
				 struct ghvm_rm_resources *ret, struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_get g;
	int r = vm_query(rm, GHVM_RM_VM_GET_HYP_RESOURCES, vmid, "get the resources of", buf, &g,
			 err);

	if (r < 0)
		return r;
	r = get_resources(&g, ret);
	if (r < 0)
		return ghvm_error_set(err, r, "VM %u: %s", vmid.id,
				      r == -ENOMEM ? strerror(ENOMEM)
						   : "malformed reply to VM_GET_HYP_RESOURCES");
	ghvm_rm_fact_set(rm, vmid, GHVM_RM_FACT_CONFIGURED); /* RM has just shown it */
	return 0;
}

void ghvm_rm_resources_done(struct ghvm_rm_resources *r)
{
	free(r->v);
	*r = (struct ghvm_rm_resources){};
}

const struct ghvm_rm_resource *ghvm_rm_resources_find(const struct ghvm_rm_resources *r,
						      enum ghvm_rm_resource_type type,
						      uint32_t label)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].type == type && r->v[i].label == label)
			return &r->v[i];
	return NULL;
}

/* A text of @size bytes from a guest. What is longer than any of RM's is cut. */
static void take_text(const uint8_t *text, size_t size, char ret[GHVM_CRASH_MESSAGE_SIZE])
{
	size_t n = size < GHVM_CRASH_MESSAGE_SIZE ? size : GHVM_CRASH_MESSAGE_SIZE - 1;

	memcpy(ret, text, n);
	while (n && (!ret[n - 1] || isspace((unsigned char)ret[n - 1])))
		n--;
	ret[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (!ret[i])
			ret[i] = '?'; /* nothing is hidden behind a NUL */
		else if (isspace((unsigned char)ret[i]))
			ret[i] = ' ';
	ghvm_make_printable(ret);
}

/* u16 size, u16 0, bytes, padded to 4 */
int ghvm_rm_vm_get_crash_msg(struct ghvm_rm *rm, struct ghvm_vmid vmid,
			     char ret[GHVM_CRASH_MESSAGE_SIZE], struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_get g;
	size_t size;
	int r = vm_query(rm, GHVM_RM_VM_GET_CRASH_MSG, vmid, "get the crash message of", buf, &g,
			 err);

	if (r < 0)
		return r;
	size = ghvm_get_u16(&g);
	ghvm_get_skip(&g, 2);
	if (g.bad || g.len != (size + 3) / 4 * 4)
		return ghvm_error_set_unanswered(err, GHVM_RM_VM_GET_CRASH_MSG, -EBADMSG,
						 "VM %u: malformed reply to VM_GET_CRASH_MSG",
						 vmid.id);
	take_text(g.buf, size, ret);
	return 0;
}

/* u16 vmid, u16 type, u32 reason size, reason */
int ghvm_rm_vm_decode_exited(const struct ghvm_rm_notification *n, struct ghvm_rm_vm_exited *ret)
{
	struct ghvm_rm_vm_exited e = {};
	struct ghvm_get g = n->payload;
	uint32_t size;

	if (n->id != GHVM_RM_NOTIFY_VM_EXITED)
		return -ENOMSG;
	e.vmid = (struct ghvm_vmid){ ghvm_get_u16(&g) };
	e.type = ghvm_get_u16(&g);
	size = ghvm_get_u32(&g);
	if (g.bad || size != g.len)
		return -EBADMSG;
	e.reason_size = size < sizeof(e.reason) ? size : sizeof(e.reason);
	ghvm_get_bytes(&g, e.reason, e.reason_size);
	*ret = e;
	return 0;
}

/* u16 vmid, u16 0, state */
int ghvm_rm_vm_decode_status(const struct ghvm_rm_notification *n, struct ghvm_rm_vm_status *ret)
{
	struct ghvm_rm_vm_status s = {};
	struct ghvm_get g = n->payload;

	if (n->id != GHVM_RM_NOTIFY_VM_STATUS)
		return -ENOMSG;
	s.vmid = (struct ghvm_vmid){ ghvm_get_u16(&g) };
	ghvm_get_skip(&g, 2);
	s.state = get_state(&g);
	if (ghvm_get_end(&g) < 0)
		return -EBADMSG;
	*ret = s;
	return 0;
}
