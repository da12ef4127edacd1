/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which resource manager is this?
 */
#include "libghvm/rm/probe.h"

#include <errno.h>

#include "libghvm/base/rm-abi.h"
#include "libghvm/rm/rpc.h"

/*
 * Send @id without a payload. Return: 1, RM knows it and *ret_code is its status; 0,
 * UNIMPLEMENTED.
 */
static int send_query(struct ghvm_rm *rm, uint32_t id, uint8_t buf[GHVM_RM_MSG_MAX],
		      struct ghvm_get *ret, uint32_t *ret_code, struct ghvm_error *err)
{
	struct ghvm_put w = { .buf = buf, .cap = GHVM_RM_MSG_MAX };
	struct ghvm_error e;
	int r;

	r = ghvm_rm_call(rm, id, &w, ret, &e);
	if (r == -EREMOTEIO) {
		*ret_code = e.rm_code;
		return e.rm_code != GHVM_RM_UNIMPLEMENTED;
	}
	if (r < 0)
		return ghvm_error_set(err, r, "cannot find out which resource manager this is: %s",
				      e.msg);
	*ret_code = GHVM_RM_OK;
	return 1;
}

/* nothing -> u32 type */
static int query_type(struct ghvm_rm *rm, struct ghvm_quirks_facts *f, struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_get g;
	uint32_t code = GHVM_RM_OK;
	int r;

	r = send_query(rm, GHVM_RM_VM_HOST_GET_TYPE, buf, &g, &code, err);
	if (r <= 0 || code != GHVM_RM_OK)
		return r;
	f->host_type = ghvm_get_u32(&g);
	if (ghvm_get_end(&g) < 0)
		return ghvm_error_set(err, -EBADMSG, "malformed reply to VM_HOST_GET_TYPE");
	f->has_host_type = true;
	return 0;
}

static int query_known(struct ghvm_rm *rm, uint32_t id, bool *ret, struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_get g;
	uint32_t code;
	int r;

	r = send_query(rm, id, buf, &g, &code, err);
	if (r >= 0)
		*ret = r > 0;
	return r;
}

int ghvm_rm_probe(struct ghvm_rm *rm, struct ghvm_quirks_facts *ret, struct ghvm_error *err)
{
	struct ghvm_quirks_facts f = { .rm_capid = ret->rm_capid };
	int r;

	r = query_type(rm, &f, err);
	if (r >= 0)
		r = query_known(rm, GHVM_RM_VM_SET_BOOT_CONTEXT, &f.has_boot_context, err);
	if (r >= 0)
		r = query_known(rm, GHVM_RM_VM_SET_ADDRESS_LAYOUT, &f.has_address_layout, err);
	f.answered = r >= 0;
	*ret = f;
	return r < 0 ? r : 0;
}
