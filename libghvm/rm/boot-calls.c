/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages about how a VM boots: encoding and calls.
 */
#include "libghvm/rm/boot-calls.h"

#include "libghvm/rm/vm-calls.h"

/* u16 vmid, u8 register set, u8 index, u32 0, u64 value -> nothing */
int ghvm_rm_vm_set_boot_context(struct ghvm_rm *rm, struct ghvm_vmid vmid,
				enum ghvm_rm_register_set set, uint8_t index, uint64_t value,
				struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid.id);
	ghvm_put_u8(&w, (uint8_t)set);
	ghvm_put_u8(&w, index);
	ghvm_put_zero(&w, 4);
	ghvm_put_u64(&w, value);
	return ghvm_rm_vm_tell(rm, GHVM_RM_VM_SET_BOOT_CONTEXT, vmid, "set a register of", &w, err);
}

/* u16 vmid, u16 0, u32 range, u64 base, u64 size -> nothing */
int ghvm_rm_vm_set_address_layout(struct ghvm_rm *rm, struct ghvm_vmid vmid,
				  enum ghvm_rm_range range, uint64_t ipa, uint64_t size,
				  struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid.id);
	ghvm_put_zero(&w, 2);
	ghvm_put_u32(&w, (uint32_t)range);
	ghvm_put_u64(&w, ipa);
	ghvm_put_u64(&w, size);
	return ghvm_rm_vm_tell(rm, GHVM_RM_VM_SET_ADDRESS_LAYOUT, vmid, "set the addresses of", &w,
			       err);
}

/* u16 vmid, u16 n, n * { u32 type, u32 value } -> nothing */
int ghvm_rm_vm_auth_image(struct ghvm_rm *rm, struct ghvm_vmid vmid, uint32_t pas_id,
			  struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid.id);
	ghvm_put_u16(&w, pas_id ? 1 : 0);
	if (pas_id) {
		ghvm_put_u32(&w, GHVM_RM_AUTH_PAS_ID);
		ghvm_put_u32(&w, pas_id);
	}
	return ghvm_rm_vm_tell(rm, GHVM_RM_VM_AUTH_IMAGE, vmid, "authenticate the image of", &w,
			       err);
}

/* u16 vmid, u16 0, u32 handle, u64 offset, u64 size -> nothing */
int ghvm_rm_vm_set_firmware_mem(struct ghvm_rm *rm, struct ghvm_vmid vmid,
				struct ghvm_parcel_handle parcel, uint64_t offset, uint64_t size,
				struct ghvm_error *err)
{
	uint8_t buf[GHVM_RM_MSG_MAX];
	struct ghvm_put w = { .buf = buf, .cap = sizeof(buf) };

	ghvm_put_u16(&w, vmid.id);
	ghvm_put_zero(&w, 2);
	ghvm_put_u32(&w, parcel.id);
	ghvm_put_u64(&w, offset);
	ghvm_put_u64(&w, size);
	return ghvm_rm_vm_tell(rm, GHVM_RM_VM_SET_FIRMWARE_MEM, vmid, "place the firmware of", &w,
			       err);
}
