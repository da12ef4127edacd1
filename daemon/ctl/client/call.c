/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/client/call.h"

#include "daemon/ctl/client/agent.h"
#include "daemon/ctl/client/wait.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <string.h>

#define PROPERTIES "org.freedesktop.DBus.Properties"

#define NOT_YOURS                                                                                  \
	"permission denied: only members of the group gunyah and users authorized by polkit may "  \
	"do this (usermod -aG gunyah USER, then log in again)"

static const char *const absent[] = {
	SD_BUS_ERROR_SERVICE_UNKNOWN,
	SD_BUS_ERROR_NAME_HAS_NO_OWNER,
	SD_BUS_ERROR_NO_REPLY,
	SD_BUS_ERROR_TIMEOUT,
	"org.freedesktop.DBus.Error.TimedOut",
	"org.freedesktop.systemd1.NoSuchUnit",
	"org.freedesktop.DBus.Error.Spawn.ChildExited",
	"org.freedesktop.DBus.Error.Spawn.ServiceNotFound",
};

/* Errors of the manager that ghvmctl treats differently. */
static const struct {
	const char *name;
	int code;
} typed[] = {
	{ "org.gunyah.vmm1.Error.HostUnavailable", -ENODEV },
	{ "org.gunyah.vmm1.Error.NoSuchVM", -ENOENT },
	{ "org.gunyah.vmm1.Error.BadState", -ESRCH },
	{ "org.gunyah.vmm1.Error.Busy", -EBUSY },
};

/* The answer; owned. */
struct answer {
	sd_bus_message *m;
};

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct answer *a = userdata;

	a->m = sd_bus_message_ref(m);
	return 0;
}

static unsigned int limit_of(const struct call *c)
{
	return c->limit_s ? c->limit_s : CALL_LIMIT_S;
}

/* Convert an error reply; after the time limit, sd-bus itself generates one with ETIMEDOUT. */
static int check_answer(const struct call *c, sd_bus_message *answer, uint64_t ms, sd_bus_error *e)
{
	int r;

	if (!sd_bus_message_is_method_error(answer, NULL))
		return 0;
	r = -sd_bus_message_get_errno(answer);
	if (r == -ETIMEDOUT && ms >= limit_of(c) * 1000ULL)
		return sd_bus_error_setf(e, SD_BUS_ERROR_TIMEOUT,
					 "gave up waiting for %s after %u s: the service hangs or "
					 "is overloaded",
					 c->waits_for, limit_of(c));
	(void)sd_bus_error_copy(e, sd_bus_message_get_error(answer));
	return r ? r : -EIO;
}

static int send_call(sd_bus *bus, const struct call *c, sd_bus_message *m, sd_bus_message **ret,
		     sd_bus_error *e)
{
	struct answer a = {};
	struct agent agent = {};
	struct wait w = {};
	sd_bus_slot *slot = NULL;
	int r;

	(void)sd_bus_message_set_auto_start(m, !c->no_start);
	if (c->consent && sd_bus_get_allow_interactive_authorization(bus) > 0)
		agent_open(&agent);
	w.plain = agent.pid; /* a spinner would disturb the password prompt */
	r = sd_bus_call_async(bus, &slot, m, on_answer, &a, limit_of(c) * 1000000ULL);
	wait_for(&w, "%s", c->waits_for);
	while (r >= 0 && !a.m)
		r = wait_on(&w, bus);
	wait_clear(&w);
	agent_close(&agent);
	(void)sd_bus_slot_unref(slot);
	if (r < 0)
		return sd_bus_error_set_errno(e, r);
	r = check_answer(c, a.m, wait_ms(&w), e);
	if (r == 0 && ret)
		*ret = sd_bus_message_ref(a.m);
	(void)sd_bus_message_unref(a.m);
	return r;
}

static int new_call(sd_bus *bus, const struct call *c, sd_bus_message **ret)
{
	return sd_bus_message_new_method_call(bus, ret, c->service, c->path, c->interface,
					      c->member);
}

int call_methodv(sd_bus *bus, const struct call *c, sd_bus_message **ret, sd_bus_error *e,
		 const char *types, va_list ap)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r = new_call(bus, c, &m);

	if (r >= 0)
		r = sd_bus_message_appendv(m, types, ap);
	return r < 0 ? sd_bus_error_set_errno(e, r) : send_call(bus, c, m, ret, e);
}

int call_method(sd_bus *bus, const struct call *c, sd_bus_message **ret, sd_bus_error *e,
		const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = call_methodv(bus, c, ret, e, types, ap);
	va_end(ap);
	return r;
}

int call_with(sd_bus *bus, const struct call *c, sd_bus_message **ret, sd_bus_error *e,
	      call_append append, const void *data)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r = new_call(bus, c, &m);

	if (r >= 0)
		r = append(m, data);
	return r < 0 ? sd_bus_error_set_errno(e, r) : send_call(bus, c, m, ret, e);
}

int call_get(sd_bus *bus, const struct call *c, const char *name, const char *type,
	     sd_bus_message **ret, sd_bus_error *e)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct call get = *c;
	int r;

	get.interface = PROPERTIES;
	get.member = "Get";
	r = call_method(bus, &get, &reply, e, "ss", c->interface, name);
	if (r == 0)
		r = sd_bus_message_enter_container(reply, 'v', type);
	if (r < 0)
		return sd_bus_error_is_set(e) ? r : sd_bus_error_set_errno(e, r);
	*ret = TAKE_PTR(reply);
	return 0;
}

/* The manager's @text begins with @what already. */
static bool says_what(const char *text, const char *what)
{
	const size_t n = strlen(what);

	return n && !strncmp(text, what, n) && (text[n] == ' ' || text[n] == ':');
}

int call_error(struct ghvm_error *err, sd_bus_error *e, int r, const char *what)
{
	const char *text = e->message;
	int code = r;

	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		if (sd_bus_error_has_name(e, absent[i]))
			code = -EHOSTDOWN;
	for (size_t i = 0; i < ARRAY_SIZE(typed); i++)
		if (sd_bus_error_has_name(e, typed[i].name))
			code = typed[i].code;
	if (sd_bus_error_has_name(e,
				  SD_BUS_ERROR_ACCESS_DENIED)) /* by the bus, not by the manager */
		text = NOT_YOURS;
	if (code == -ENOENT || (text && says_what(text, what)))
		(void)ghvm_error_set(err, code, "%s", text ? text : what);
	else
		(void)ghvm_error_set(err, code, "%s: %s", what, text ? text : strerror(-r));
	sd_bus_error_free(e);
	return code;
}
