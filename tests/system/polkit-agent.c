/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * polkit-agent PID ANSWER: who polkit asks for an administrator's password on behalf of process
 * PID. Needs root, which polkit lets say that the password was right. ANSWER: yes, or no, which is
 * a person who closes the window. Prints "ready", then what is asked; ends when it is told to.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-bus.h>

#define POLKIT "org.freedesktop.PolicyKit1"
#define AUTHORITY_PATH "/org/freedesktop/PolicyKit1/Authority"
#define AUTHORITY POLKIT ".Authority"
#define AGENT_PATH "/org/gunyah/test/agent"
#define AGENT POLKIT ".AuthenticationAgent"

static const char *answer;

/* Field 22 of its stat: what tells it from another process of that number. */
static uint64_t start_time(const char *pid)
{
	char path[64], text[1024];
	uint64_t time = 0;
	const char *at;
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		(void)sscanf(at, "%" SCNu64, &time);
	return time;
}

static int on_answered(sd_bus_message *m, void *data, sd_bus_error *error)
{
	sd_bus_message *request = data;
	const sd_bus_error *e = sd_bus_message_get_error(m);

	if (e)
		printf("polkit says: %s\n", e->message);
	(void)sd_bus_reply_method_return(request, "");
	(void)sd_bus_message_unref(request);
	return 1;
}

/* The first who may say yes does. */
static int say_yes(sd_bus_message *m, const char *cookie)
{
	sd_bus_message *call = NULL;
	const char *kind, *key;
	uint32_t id;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "(sa{sv})");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'r', "sa{sv}");
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &kind);
	if (r >= 0)
		r = sd_bus_message_read(m, "a{sv}", 1, &key, "u", &id);
	if (r < 0)
		return r;
	r = sd_bus_message_new_method_call(sd_bus_message_get_bus(m), &call, POLKIT, AUTHORITY_PATH,
					   AUTHORITY, "AuthenticationAgentResponse2");
	if (r >= 0)
		r = sd_bus_message_append(call, "us(sa{sv})", 0, cookie, kind, 1, key, "u", id);
	if (r >= 0)
		r = sd_bus_call_async(sd_bus_message_get_bus(m), NULL, call, on_answered,
				      sd_bus_message_ref(m), 0);
	(void)sd_bus_message_unref(call);
	return r < 0 ? r : 1;
}

/* (s action, s message, s icon, a{ss} details, s cookie, a(sa{sv}) identities) */
static int method_begin(sd_bus_message *m, void *data, sd_bus_error *error)
{
	const char *action, *message, *icon, *cookie;
	int r = sd_bus_message_read(m, "sss", &action, &message, &icon);

	if (r >= 0)
		r = sd_bus_message_skip(m, "a{ss}");
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &cookie);
	if (r < 0)
		return r;
	printf("asked: %s: %s\n", action, message);
	if (strcmp(answer, "yes") != 0)
		return sd_bus_error_set(error, POLKIT ".Error.Cancelled", "closed");
	return say_yes(m, cookie);
}

static int method_cancel(sd_bus_message *m, void *data, sd_bus_error *error)
{
	printf("cancelled\n");
	return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("BeginAuthentication", "sssa{ss}sa(sa{sv})", "", method_begin,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("CancelAuthentication", "s", "", method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int serve(sd_bus *bus, const char *pid)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r;

	r = sd_bus_add_object_vtable(bus, NULL, AGENT_PATH, AGENT, vtable, NULL);
	if (r >= 0)
		r = sd_bus_call_method(bus, POLKIT, AUTHORITY_PATH, AUTHORITY,
				       "RegisterAuthenticationAgent", &e, NULL, "(sa{sv})ss",
				       "unix-process", 2, "pid", "u",
				       (uint32_t)strtoul(pid, NULL, 10), "start-time", "t",
				       start_time(pid), "C", AGENT_PATH);
	if (r < 0) {
		fprintf(stderr, "polkit-agent: %s\n", e.message ? e.message : strerror(-r));
		return r;
	}
	puts("ready");
	while (r >= 0) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	}
	return r;
}

int main(int argc, char **argv)
{
	sd_bus *bus = NULL;
	int r;

	if (argc != 3)
		return EXIT_FAILURE;
	answer = argv[2];
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = serve(bus, argv[1]);
	(void)sd_bus_flush_close_unref(bus);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
