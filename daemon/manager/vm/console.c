/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients that wait for a socket to a VM's console.
 */
#include "daemon/manager/vm/internal.h"

#include <errno.h>

#define CONSOLE_PATIENCE_MS 5000

static void answer_console(struct vm_console *c, int fd)
{
	struct vm_console taken = *c;

	*c = (struct vm_console){};
	taken.on_console(taken.data, fd);
}

void vm_fail_consoles(struct vm *vm, int error)
{
	loop_timer_disarm(&vm->console_patience);
	for (size_t i = 0; i < VM_CONSOLES_MAX; i++)
		if (vm->consoles[i].on_console)
			answer_console(&vm->consoles[i], error);
}

void vm_on_console_patience(void *data)
{
	vm_fail_consoles(data, -ETIMEDOUT);
}

int vm_open_console(struct vm *vm, const struct vm_console *c)
{
	if (!vm_has_runner(vm))
		return -ESRCH;
	/* no more requests to a runner that does not reply: other messages need space in its socket */
	if (vm->console_serial - vm->console_answered >= VM_CONSOLES_MAX)
		return -EBUSY;
	for (size_t i = 0; i < VM_CONSOLES_MAX; i++) {
		if (vm->consoles[i].on_console)
			continue;
		vm->consoles[i] = *c;
		vm->consoles[i].serial = ++vm->console_serial;
		control_ask_console(&vm->control, vm->console_serial, c->flags);
		return loop_timer_arm(&vm->console_patience, CONSOLE_PATIENCE_MS);
	}
	return -EBUSY;
}

void vm_on_console(void *data, uint32_t serial, int fd)
{
	struct vm *vm = data;

	if (vm->console_serial - serial < vm->console_serial - vm->console_answered)
		vm->console_answered = serial; /* and all earlier requests */
	for (size_t i = 0; i < VM_CONSOLES_MAX; i++)
		if (vm->consoles[i].on_console && vm->consoles[i].serial == serial)
			answer_console(&vm->consoles[i], fd);
}
