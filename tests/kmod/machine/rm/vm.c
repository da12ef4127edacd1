// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/kmod/machine/rm/vm.h"
#include "tests/kmod/machine/t.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TREE_OFFSET (1UL << 20)
#define TREE_ROOM (64UL << 10)
#define BRANCH_TO_SELF 0x14000000u

#define STATE_EXITED 9
#define STATE_RESET 11
#define RESOURCE_VCPU 4

static void must(long r, const char *what)
{
	if (r < 0)
		t_die("%s: %ld", what, r);
}

static void request(struct rpc *rpc, uint32_t id, uint32_t vmid)
{
	char what[32];

	snprintf(what, sizeof(what), "request %#x", id);
	must(rpc_call(rpc, id, &vmid, 4, NULL, 0), what);
}

/* Pinned pages of the guest, with what it runs; no mapping is left. */
static int memory(int dev, const char *tag, const struct code *code)
{
	int tree = open("/guest.dtb", O_RDONLY | O_CLOEXEC);
	int memfd = memfd_create("guest", MFD_CLOEXEC | MFD_HUGETLB);
	uint8_t *p;
	long pin;

	if (tree < 0 || memfd < 0 || ftruncate(memfd, VM_SIZE) < 0)
		t_die("guest memory");
	p = mmap(NULL, VM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memfd, 0);
	if (p == MAP_FAILED)
		t_die("guest memory, mapped");
	memcpy(p, code->bytes, code->size);
	if (read(tree, p + TREE_OFFSET, TREE_ROOM) <= 0)
		t_die("guest tree");
	pin = t_pin(dev, p, VM_SIZE);
	must(pin, "PIN of the guest");
	munmap(p, VM_SIZE);
	close(memfd);
	close(tree);
	must(t_set((int)pin, GHVM_PIN_GUARDED, tag), "guard of the guest");
	return (int)pin;
}

void vm_lend_code(struct vm *vm, struct rpc *rpc, const char *tag, const struct code *code)
{
	struct ghvm_extent x;
	struct ghvm_pin_extents e = { .count = 1 };
	uint8_t lend[40] = { [8] = 1, [14] = 7, [16] = 1 };
	uint32_t any = 0;

	must(rpc_call(rpc, RM_VM_ALLOCATE, &any, 4, &vm->vmid, 4), "ALLOCATE");
	vm->pin = memory(rpc->dev, tag, code);
	e.extents = (uintptr_t)&x;
	if (t_call(vm->pin, GHVM_PIN_EXTENTS, &e) || e.count != 1 || x.length != VM_SIZE)
		t_die("a huge page is one extent");
	memcpy(lend + 12, &vm->vmid, 2);
	memcpy(lend + 20, &x.pa, 8);
	memcpy(lend + 28, &x.length, 8);
	must(rpc_call(rpc, RM_MEM_LEND, lend, sizeof(lend), &vm->handle, 4), "LEND");
}

void vm_lend(struct vm *vm, struct rpc *rpc, const char *tag)
{
	static const uint32_t spin = BRANCH_TO_SELF;

	vm_lend_code(vm, rpc, tag, &(struct code){ &spin, sizeof(spin) });
}

static void resources(struct vm *vm, struct rpc *rpc)
{
	uint8_t reply[232];
	uint32_t n;

	must(rpc_call(rpc, RM_GET_HYP_RESOURCES, &vm->vmid, 4, reply, sizeof(reply)), "RESOURCES");
	memcpy(&n, reply, 4);
	for (uint32_t i = 0; i < n && i < 5; i++) {
		const uint8_t *p = reply + 4 + 44 * i;

		if (p[0] != RESOURCE_VCPU)
			continue;
		memcpy(&vm->capid, p + 12, 8);
		memcpy(&vm->virq, p + 24, 4);
		return;
	}
	t_die("no vCPU");
}

void vm_start(struct vm *vm, struct rpc *rpc)
{
	uint64_t image[5] = { vm->vmid | (uint64_t)vm->handle << 32, 0, VM_SIZE, TREE_OFFSET,
			      TREE_ROOM };

	must(rpc_call(rpc, RM_VM_CONFIG_IMAGE, image, sizeof(image), NULL, 0), "CONFIG_IMAGE");
	request(rpc, RM_VM_INIT, vm->vmid);
	resources(vm, rpc);
	request(rpc, RM_VM_START, vm->vmid);
}

uint8_t vm_state(struct vm *vm, struct rpc *rpc)
{
	uint8_t state[4];

	must(rpc_call(rpc, RM_GET_STATE, &vm->vmid, 4, state, 4), "GET_STATE");
	return state[0];
}

static void wait_state(struct vm *vm, struct rpc *rpc, uint8_t state)
{
	for (int i = 0; i < 500 && vm_state(vm, rpc) != state; i++)
		t_ms(10);
	if (vm_state(vm, rpc) != state)
		t_die("state %d", state);
}

void vm_stop(struct vm *vm, struct rpc *rpc)
{
	uint32_t stop[2] = { vm->vmid | 1 << 16, 3 };

	must(rpc_call(rpc, RM_VM_STOP, stop, sizeof(stop), NULL, 0), "STOP");
	wait_state(vm, rpc, STATE_EXITED);
	request(rpc, RM_VM_RESET, vm->vmid);
	wait_state(vm, rpc, STATE_RESET);
}

long vm_reclaim(struct vm *vm, struct rpc *rpc)
{
	uint32_t reclaim[2] = { vm->handle, 1 };

	return rpc_call(rpc, RM_MEM_RECLAIM, reclaim, sizeof(reclaim), NULL, 0);
}

void vm_free(struct vm *vm, struct rpc *rpc)
{
	must(t_set(vm->pin, GHVM_PIN_HELD, ""), "unguard");
	close(vm->pin);
	request(rpc, RM_VM_DEALLOCATE, vm->vmid);
}
