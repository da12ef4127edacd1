/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replies of the resource manager: the first byte chooses the call, the rest is the whole
 * payload of its reply. RM may say anything; only a well-formed OK may be a success.
 */
#include "libghvm/hyp/host.h"
#include "libghvm/rm/rpc.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "libghvm/base/printable.h"
#include "libghvm/rm/boot-calls.h"
#include "libghvm/rm/mem-calls.h"
#include "libghvm/rm/vm-calls.h"
#include "tests/fakes/queue-peer.h"

#define REPLY_MAX 14616 /* 63 packets */
#define CALLS 17

static const struct ghvm_vmid vm = { 0x80 };
static const struct ghvm_parcel_handle parcel = { 7 };
static const struct ghvm_extent page = { .pa = 0x80000000, .length = 0x1000 };
static const struct ghvm_mem_acl acl = { .vmid = { 0x80 }, .rights = GHVM_MEM_RWX };
static const struct ghvm_mem_create lend = {
	.trans = GHVM_MEM_LEND, .acl = &acl, .n_acl = 1, .extents = &page, .n_extents = 1
};
static const struct ghvm_rm_image image = { .parcel_size = 0x1000, .dt_size = 0x1000 };

static const uint32_t ids[CALLS] = {
	GHVM_RM_VM_ALLOCATE,
	GHVM_RM_VM_DEALLOCATE,
	GHVM_RM_VM_CONFIG_IMAGE,
	GHVM_RM_VM_INIT,
	GHVM_RM_VM_START,
	GHVM_RM_VM_STOP,
	GHVM_RM_VM_RESET,
	GHVM_RM_VM_GET_STATE,
	GHVM_RM_VM_GET_HYP_RESOURCES,
	GHVM_RM_MEM_LEND,
	GHVM_RM_MEM_RECLAIM,
	GHVM_RM_MEM_LOOKUP_SGL,
	GHVM_RM_VM_SET_ADDRESS_LAYOUT,
	GHVM_RM_VM_SET_BOOT_CONTEXT,
	GHVM_RM_VM_AUTH_IMAGE,
	GHVM_RM_VM_SET_FIRMWARE_MEM,
	GHVM_RM_VM_GET_CRASH_MSG,
};

static int resources(struct ghvm_rm *rm, size_t size, struct ghvm_error *err)
{
	struct ghvm_rm_resources res = {};
	int r = ghvm_rm_vm_get_hyp_resources(rm, vm, &res, err);

	if (r == 0)
		PROMISE(size == 8 + res.n * 44);
	for (size_t i = 0; i < res.n; i++)
		PROMISE(ghvm_rm_resources_find(&res, res.v[i].type, res.v[i].label));
	ghvm_rm_resources_done(&res);
	return r;
}

static int crash_message(struct ghvm_rm *rm, struct ghvm_error *err)
{
	char text[GHVM_CRASH_MESSAGE_SIZE], again[GHVM_CRASH_MESSAGE_SIZE];
	int r = ghvm_rm_vm_get_crash_msg(rm, vm, text, err);

	if (r < 0)
		return r;
	PROMISE(memchr(text, '\0', sizeof(text)));
	memcpy(again, text, sizeof(text));
	ghvm_make_printable(again);
	PROMISE(!strcmp(again, text)); /* it was printable */
	return 0;
}

static int call(struct ghvm_rm *rm, unsigned int which, size_t size, struct ghvm_error *err)
{
	struct ghvm_parcel_handle handle;
	struct ghvm_rm_vm_state state;
	struct ghvm_vmid vmid;

	switch (which) {
	case 0:
		return ghvm_rm_vm_allocate(rm, &vmid, err);
	case 1:
		return ghvm_rm_vm_deallocate(rm, vm, err);
	case 2:
		return ghvm_rm_vm_config_image(rm, vm, &image, err);
	case 3:
		return ghvm_rm_vm_init(rm, vm, err);
	case 4:
		return ghvm_rm_vm_start(rm, vm, err);
	case 5:
		return ghvm_rm_vm_stop(rm, vm, err);
	case 6:
		return ghvm_rm_vm_reset(rm, vm, err);
	case 7:
		return ghvm_rm_vm_get_state(rm, vm, &state, err);
	case 8:
		return resources(rm, size, err);
	case 9:
		return ghvm_rm_mem_create(rm, &lend, &handle, err);
	case 10:
		return ghvm_rm_mem_reclaim(rm, parcel, true, 4096, err);
	case 11:
		return ghvm_rm_mem_lookup_sgl(rm, &lend, &handle, err);
	case 12:
		return ghvm_rm_vm_set_address_layout(rm, vm, GHVM_RM_RANGE_IMAGE, 0x80000000,
						     0x200000, err);
	case 13:
		return ghvm_rm_vm_set_boot_context(rm, vm, GHVM_RM_REGISTER_PC, 0, 0x80000000, err);
	case 14:
		return ghvm_rm_vm_auth_image(rm, vm, 28, err);
	case 15:
		return ghvm_rm_vm_set_firmware_mem(rm, vm, parcel, 0x1000, 0x1000, err);
	default:
		return crash_message(rm, err);
	}
}

/* What any result must be like. */
static void check(int r, const uint8_t *reply, size_t size, const struct ghvm_error *err)
{
	static const uint8_t ok[4];
	uint32_t status;

	if (r == 0) {
		PROMISE(size >= 4 && !memcmp(reply, ok, 4));
		return;
	}
	PROMISE(r == -EBADMSG || r == -EREMOTEIO);
	PROMISE(err->code == r && *err->msg &&
		strnlen(err->msg, GHVM_ERROR_TEXT) < GHVM_ERROR_TEXT);
	if (r == -EREMOTEIO) {
		status = reply[0] | (uint32_t)reply[1] << 8 | (uint32_t)reply[2] << 16 |
			 (uint32_t)reply[3] << 24;
		PROMISE(size >= 4 && status && err->rm_code == status);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script_host *s;
	struct ghvm_error err = {};
	struct ghvm_rm *rm = NULL;
	unsigned int which;

	if (!size || size - 1 > REPLY_MAX)
		return 0;
	which = data[0] % CALLS;
	s = script_host_new();
	PROMISE(ghvm_rm_new(&s->host, &rm, &err) == 0);
	ghvm_rm_fact_set(rm, vm, GHVM_RM_FACT_ALLOCATED); /* no questions first */
	ghvm_rm_fact_set(rm, vm, GHVM_RM_FACT_CONFIGURED);
	script_answer(s, ids[which], -1, data + 1, size - 1);
	check(call(rm, which, size - 1, &err), data + 1, size - 1, &err);
	PROMISE(!ghvm_rm_dead(rm));
	ghvm_rm_free(rm);
	script_host_free(s);
	return 0;
}
