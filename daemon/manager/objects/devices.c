/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices of a VM on the bus: asked of its runner, which has counted what they did.
 */
#include "daemon/manager/objects/interfaces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/core/log.h"
#include "daemon/manager/vm/vm.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/plan/devices.h"

struct devices_call {
	struct bus *bus;
	struct vm *vm;
	sd_bus_message *request;
};

static const char *const states[GHVM_LINK_DEVICE_STATES] = {
	[GHVM_LINK_DEVICE_SIMPLE] = "registers",
	[GHVM_LINK_DEVICE_IDLE] = "no-driver",
	[GHVM_LINK_DEVICE_RUNNING] = "running",
	[GHVM_LINK_DEVICE_BROKEN] = "broken",
};

static const char *const backend_states[GHVM_LINK_BACKENDS] = {
	[GHVM_LINK_BACKEND_NONE] = "",
	[GHVM_LINK_BACKEND_CONNECTED] = "connected",
	[GHVM_LINK_BACKEND_AWAY] = "reconnecting",
};

static int append_texts(sd_bus_message *m, const struct vm *vm, const struct ghvm_link_device *d)
{
	char backend[GHVM_DEVICE_BACKEND_SIZE] = "";

	if (vm->guest)
		ghvm_device_backend(&vm->guest->spec, d->kind, d->nth, backend, sizeof(backend));
	return sd_bus_message_append(m, "{sv}{sv}{sv}{sv}", "Kind", "s", d->kind, "State", "s",
				     states[d->state], "BackEnd", "s", backend, "BackEndState", "s",
				     backend_states[d->backend]);
}

static int append_numbers(sd_bus_message *m, const struct ghvm_link_device *d)
{
	const struct {
		const char *key;
		uint64_t value;
	} rows[] = {
		{ "Number", d->nth },
		{ "Address", d->ipa },
		{ "Doorbell", d->doorbell },
		{ "Queues", d->n_queues },
		{ "QueuesReady", d->n_ready },
		{ "Requests", d->requests },
		{ "BytesFromGuest", d->from_guest },
		{ "BytesToGuest", d->to_guest },
		{ "Errors", d->errors },
		{ "Faults", d->faults },
		{ "Losses", d->losses },
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(rows); i++)
		r = sd_bus_message_append(m, "{sv}", rows[i].key, "t", rows[i].value);
	return r;
}

static int append_devices(sd_bus_message *m, const struct vm *vm, const struct ghvm_link_device *v,
			  int n)
{
	int r = sd_bus_message_open_container(m, 'a', "a{sv}");

	for (int i = 0; r >= 0 && i < n; i++) {
		r = sd_bus_message_open_container(m, 'a', "{sv}");
		if (r >= 0)
			r = append_texts(m, vm, &v[i]);
		if (r >= 0)
			r = append_numbers(m, &v[i]);
		if (r >= 0)
			r = sd_bus_message_close_container(m);
	}
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int reply_devices(const struct devices_call *c, const struct ghvm_link_device *v, int n)
{
	sd_bus_message *reply = NULL;
	int r = sd_bus_message_new_method_return(c->request, &reply);

	if (r >= 0)
		r = append_devices(reply, c->vm, v, n);
	return bus_send_reply(reply, r);
}

static int refuse_devices(const struct devices_call *c, int error)
{
	if (error == -ETIMEDOUT)
		return sd_bus_reply_method_errorf(
			c->request, FAILURE_BAD_STATE,
			"the runner does not say what its devices do: it is of an earlier version "
			"until the VM is started again, or stopped by a debugger");
	return sd_bus_reply_method_errorf(c->request, FAILURE_BAD_STATE, "the runner has ended");
}

static void on_devices(void *data, const struct ghvm_link_device *v, int n)
{
	_cleanup_(freep) struct devices_call *c = data;
	int r = n >= 0 ? reply_devices(c, v, n) : refuse_devices(c, n);

	if (r < 0)
		log_warning(NULL, r, "Cannot reply");
	(void)sd_bus_message_unref(c->request);
	bus_kick(c->bus);
}

int bus_devices_ask(struct bus *b, struct vm *vm, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_(freep) struct devices_call *c = calloc(1, sizeof(*c));
	const struct vm_question q = { .data = c, .on_devices = on_devices };
	int r;

	if (!c)
		return -ENOMEM;
	*c = (struct devices_call){ b, vm, m };
	r = vm_ask_devices(vm, &q);
	if (r == -ESRCH)
		return sd_bus_error_setf(error, FAILURE_BAD_STATE, "%s is %s: it has no devices",
					 vm->name, vm_state_to_string(vm->state));
	if (r < 0)
		return sd_bus_error_set(error, FAILURE_BUSY,
					"too many clients ask for these devices: the runner does "
					"not reply");
	(void)sd_bus_message_ref(m); /* until on_devices() */
	(void)TAKE_PTR(c);
	return 1;
}
