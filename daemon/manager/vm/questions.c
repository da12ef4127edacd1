/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients that wait for an answer of the runner: for a socket to a VM's console, or for what its devices have done.
 */
#include "daemon/manager/vm/internal.h"

#include <errno.h>

#define QUESTION_PATIENCE_MS 5000

static bool is_asked(const struct vm_question *q)
{
	return q->on_console || q->on_devices;
}

/* @devices: NULL unless @n is a number of devices */
static void answer_question(struct vm_question *q, int n, const struct ghvm_link_device *devices)
{
	struct vm_question taken = *q;

	*q = (struct vm_question){};
	if (taken.on_console)
		taken.on_console(taken.data, n);
	else
		taken.on_devices(taken.data, devices, n);
}

static void fail_all(struct vm_questions *all, int error)
{
	for (size_t i = 0; i < VM_QUESTIONS_MAX; i++)
		if (is_asked(&all->v[i]))
			answer_question(&all->v[i], error, NULL);
}

void vm_fail_questions(struct vm *vm, int error)
{
	loop_timer_disarm(&vm->question_patience);
	fail_all(&vm->consoles, error);
	fail_all(&vm->devices, error);
}

void vm_on_question_patience(void *data)
{
	vm_fail_questions(data, -ETIMEDOUT);
}

void vm_forget_questions(struct vm *vm)
{
	vm->consoles.answered = vm->consoles.asked;
	vm->devices.answered = vm->devices.asked;
}

/*
 * No more questions to a runner that does not answer: other messages need space in its socket. A runner of an
 * earlier version answers none about its devices, which must not keep clients from its console.
 */
static struct vm_question *find_place(struct vm *vm, struct vm_questions *all)
{
	if (all->asked - all->answered >= VM_QUESTIONS_MAX)
		return NULL;
	for (size_t i = 0; i < VM_QUESTIONS_MAX; i++)
		if (!is_asked(&all->v[i]))
			return &all->v[i];
	return NULL;
}

static int add_question(struct vm *vm, struct vm_questions *all, const struct vm_question *q)
{
	struct vm_question *place;

	if (!vm_has_runner(vm))
		return -ESRCH;
	place = find_place(vm, all);
	if (!place)
		return -EBUSY;
	*place = *q;
	place->serial = ++all->asked;
	return loop_timer_arm(&vm->question_patience, QUESTION_PATIENCE_MS);
}

int vm_open_console(struct vm *vm, const struct vm_question *q)
{
	int r = add_question(vm, &vm->consoles, q);

	if (r == 0)
		control_ask_console(&vm->control, vm->consoles.asked, q->flags);
	return r;
}

int vm_ask_devices(struct vm *vm, const struct vm_question *q)
{
	int r = add_question(vm, &vm->devices, q);

	if (r == 0)
		control_ask_devices(&vm->control, vm->devices.asked);
	return r;
}

static void take_answer(struct vm_questions *all, uint32_t serial, int n,
			const struct ghvm_link_device *devices)
{
	if (all->asked - serial < all->asked - all->answered)
		all->answered = serial; /* and all earlier questions */
	for (size_t i = 0; i < VM_QUESTIONS_MAX; i++)
		if (is_asked(&all->v[i]) && all->v[i].serial == serial)
			answer_question(&all->v[i], n, devices);
}

void vm_on_console(void *data, uint32_t serial, int fd)
{
	struct vm *vm = data;

	take_answer(&vm->consoles, serial, fd, NULL);
}

void vm_on_devices(void *data, uint32_t serial, const struct ghvm_link_device *v, int n)
{
	struct vm *vm = data;

	take_answer(&vm->devices, serial, n, v);
}
