/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the manager and ghvmctl expect of systemd and of polkit, on a private bus: units of VMs
 * are started by running the real helper and the real runner, again after 133, and polkit says
 * what it was told.
 *
 * stand-in BUS HELPER RUNNER SOCKET LOG-DIR VMS-DIR POLKIT [TRIES [PAUSE]]
 * POLKIT: yes, no, challenge, absent, or silent: who asks waits until ANSWER is called, as if a
 * person were asked for a password. TRIES: how often a start is tried in all, 1 if not said; PAUSE:
 * between two of them, in milliseconds. Prints "ready" when its names are taken.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "libghvm/base/cleanup.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define POLKIT "org.freedesktop.PolicyKit1"
#define UNITS_MAX 8
#define QUESTIONS_MAX 128

#define STATUS_RESTART 133
#define STATUS_PREVENT 134

/**
 * struct unit - a VM's, kept after its end
 * @pid: 0: it does not run
 * @job: that waits for READY=1, or for the end; 0: none
 * @ready: READY=1 has come
 * @stopping: StopUnit was called
 * @again: RestartUnit was called
 * @status: how its process ended
 * @restarts: how often it was started by itself since
 * @later: of the next of these
 * @notify: its socket
 * @said: what it says of itself
 */
struct unit {
	struct world *world;
	char name[64];
	pid_t pid;
	bool ready;
	bool stopping;
	bool again;
	int32_t status;
	uint32_t restarts;
	sd_event_source *later;
	uint32_t job;
	int notify;
	char notify_path[108];
	sd_event_source *on_notify;
	char said[256];
};

struct world {
	sd_event *event;
	sd_bus *bus;
	int argc;
	char **argv;
	uint32_t last_job;
	struct unit units[UNITS_MAX];
	sd_bus_message *questions[QUESTIONS_MAX];
	uint32_t n_questions;
	char *last_name;
};

static const char *arg(const struct world *w, int i)
{
	return w->argv[i];
}

static void job_path(char *ret, size_t cap, uint32_t id)
{
	(void)snprintf(ret, cap, SYSTEMD_PATH "/job/%u", id);
}

static void end_job(struct unit *u, const char *result)
{
	char path[64];

	if (!u->job)
		return;
	job_path(path, sizeof(path), u->job);
	(void)sd_bus_emit_signal(u->world->bus, SYSTEMD_PATH, SYSTEMD ".Manager", "JobRemoved",
				 "uoss", u->job, path, u->name, result);
	u->job = 0;
}

static int on_notify(sd_event_source *s, int fd, uint32_t events, void *data)
{
	struct unit *u = data;
	const char *said;
	char text[512];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	said = strstr(text, "STATUS=");
	if (said)
		(void)snprintf(u->said, sizeof(u->said), "%.*s", (int)strcspn(said + 7, "\n"),
			       said + 7);
	if (!strstr(text, "READY=1"))
		return 0;
	u->ready = true;
	if (!u->stopping && !u->again)
		end_job(u, "done");
	return 0;
}

static void forget(struct unit *u)
{
	u->on_notify = sd_event_source_unref(u->on_notify);
	(void)close(u->notify);
	(void)unlink(u->notify_path);
	u->pid = 0;
	u->ready = false;
	*u->said = '\0';
}

/* ExecStopPost= */
static void release(const struct unit *u, const char *vm)
{
	const struct world *w = u->world;
	pid_t pid = fork();

	if (pid == 0) {
		(void)setenv("SERVICE_RESULT", u->stopping || !u->status ? "success" : "exit-code",
			     1);
		(void)execl(arg(w, 2), arg(w, 2), "--socket", arg(w, 4), "--release", vm, NULL);
		_exit(127);
	}
	(void)waitpid(pid, NULL, 0);
}

/* "gunyah-vm@NAME.service" */
static bool vm_of(const char *unit, char *ret, size_t cap)
{
	static const char prefix[] = "gunyah-vm@", suffix[] = ".service";
	size_t len = strlen(unit), extra = strlen(prefix) + strlen(suffix);

	if (len <= extra || len - extra >= cap || strncmp(unit, prefix, strlen(prefix)) ||
	    strcmp(unit + len - strlen(suffix), suffix))
		return false;
	memcpy(ret, unit + strlen(prefix), len - extra);
	ret[len - extra] = '\0';
	return true;
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *data);

static int open_notify(struct unit *u)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	u->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (u->notify < 0)
		return -errno;
	(void)snprintf(u->notify_path, sizeof(u->notify_path), "%s/notify-%u", arg(u->world, 5),
		       u->job);
	memcpy(addr.sun_path, u->notify_path, sizeof(u->notify_path));
	if (bind(u->notify, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return sd_event_add_io(u->world->event, &u->on_notify, u->notify, EPOLLIN, on_notify, u);
}

/* Only the runner talks to systemd: with --exec the helper keeps the descriptors. */
/* The manager keeps definitions beside its socket. */
static void definitions_of(const struct world *w, char *ret, size_t cap)
{
	const char *socket = arg(w, 4), *slash = strrchr(socket, '/');

	(void)snprintf(ret, cap, "%.*s/lib/vms", (int)(slash - socket), socket);
}

static int spawn(struct unit *u, const char *vm)
{
	const struct world *w = u->world;
	char defined[256];

	u->pid = fork();
	if (u->pid < 0)
		return -errno;
	if (u->pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL); /* ours is not theirs */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);	     /* units do not outlive their world */
		(void)setenv("NOTIFY_SOCKET", u->notify_path, 1);
		definitions_of(w, defined, sizeof(defined));
		(void)execl(arg(w, 2), arg(w, 2), "--socket", arg(w, 4), "--log-dir", arg(w, 5),
			    "--vms-dir", arg(w, 6), "--vms-dir", defined, "--exec", arg(w, 3), vm,
			    NULL);
		_exit(127);
	}
	return sd_event_add_child(w->event, NULL, u->pid, WEXITED, on_child, u);
}

static int start(struct unit *u, const char *vm)
{
	int r;

	u->status = 0;
	r = open_notify(u);
	return r < 0 ? r : spawn(u, vm);
}

static uint32_t tries(const struct world *w)
{
	return w->argc > 8 ? (uint32_t)atoi(arg(w, 8)) : 1;
}

/* RestartSec= */
static uint64_t pause_usec(const struct world *w)
{
	return w->argc > 9 ? 1000 * (uint64_t)atoi(arg(w, 9)) : 500000;
}

/* Restart=on-failure */
static int on_later(sd_event_source *s, uint64_t usec, void *data)
{
	struct unit *u = data;
	char vm[64];

	u->later = sd_event_source_disable_unref(u->later);
	u->restarts++;
	return vm_of(u->name, vm, sizeof(vm)) ? start(u, vm) : 0;
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *data)
{
	struct unit *u = data;
	char vm[64];

	if (!vm_of(u->name, vm, sizeof(vm)))
		return 0;
	u->status = si->si_status;
	forget(u);
	release(u, vm);
	if (u->again || (u->status == STATUS_RESTART && !u->stopping)) {
		u->again = false;
		return start(u, vm);
	}
	end_job(u, u->stopping ? "done" : "failed");
	return !u->stopping && u->status && u->status != STATUS_PREVENT &&
			       u->restarts + 1 < tries(u->world)
		       ? sd_event_add_time_relative(u->world->event, &u->later, CLOCK_MONOTONIC,
						    pause_usec(u->world), 1, on_later, u)
		       : 0;
}

static struct unit *find_unit(struct world *w, const char *name)
{
	for (int i = 0; i < UNITS_MAX; i++)
		if (!strcmp(w->units[i].name, name))
			return &w->units[i];
	return NULL;
}

/* What runs is started already; what runs and shall start anew is stopped first. */
static int queue_start(struct unit *u, const char *vm, bool again)
{
	if (!u->pid)
		return start(u, vm);
	u->again = again;
	if (!again) {
		end_job(u, "done");
		return 0;
	}
	(void)kill(u->pid, SIGTERM);
	(void)kill(u->pid, SIGCONT);
	return 0;
}

static int method_start(sd_bus_message *m, void *data, sd_bus_error *error)
{
	bool again = !strcmp(sd_bus_message_get_member(m), "RestartUnit");
	struct world *w = data;
	const char *name, *mode;
	char vm[64], path[64];
	struct unit *u;
	int r;

	r = sd_bus_message_read(m, "ss", &name, &mode);
	if (r < 0)
		return r;
	if (!strcmp(arg(w, 7), "no-units"))
		return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "not for you");
	u = find_unit(w, name) ?: find_unit(w, "");
	if (!vm_of(name, vm, sizeof(vm)) || !u || u->job)
		return sd_bus_error_set(error, SYSTEMD ".TransactionIsDestructive", "no");
	(void)snprintf(u->name, sizeof(u->name), "%s", name);
	u->world = w;
	u->stopping = false;
	u->restarts = 0;
	u->later = sd_event_source_disable_unref(u->later);
	u->job = ++w->last_job;
	job_path(path, sizeof(path), u->job);
	r = sd_bus_reply_method_return(m, "o", path);
	return r < 0 ? r : queue_start(u, vm, again);
}

static int method_stop(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct unit none = {}, *u;
	struct world *w = data;
	const char *name, *mode;
	char path[64];
	int r;

	r = sd_bus_message_read(m, "ss", &name, &mode);
	if (r < 0)
		return r;
	none.world = w;
	u = find_unit(w, name) ?: &none;
	if (!u->stopping || !u->job) {
		end_job(u, "canceled"); /* of a start */
		u->job = ++w->last_job;
	}
	u->stopping = true;
	u->later = sd_event_source_disable_unref(u->later);
	job_path(path, sizeof(path), u->job);
	r = sd_bus_reply_method_return(m, "o", path);
	if (u->pid)
		(void)kill(u->pid, SIGTERM); /* it may be dying already */
	else
		end_job(u, "done");
	return r;
}

/* --- units as objects --- */

static int find_object(sd_bus *bus, const char *path, const char *interface, void *data, void **ret,
		       sd_bus_error *error)
{
	char *name = NULL;
	int r = sd_bus_path_decode(path, SYSTEMD_PATH "/unit", &name);

	if (r <= 0 || !*name)
		r = 0;
	else
		*ret = find_unit(data, name);
	free(name);
	return r > 0 && *ret;
}

static int get_active(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *data, sd_bus_error *error)
{
	const struct unit *u = data;
	const char *running = u->stopping ? "deactivating" : u->ready ? "active" : "activating";

	if (u->later)
		running = "activating";
	return sd_bus_message_append(reply, "s",
				     u->pid || u->later		 ? running
				     : u->status && !u->stopping ? "failed"
								 : "inactive");
}

static int get_sub(sd_bus *bus, const char *path, const char *interface, const char *property,
		   sd_bus_message *reply, void *data, sd_bus_error *error)
{
	const struct unit *u = data;

	return sd_bus_message_append(reply, "s", u->later ? "auto-restart" : "");
}

static int get_burst(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *data, sd_bus_error *error)
{
	const struct unit *u = data;

	return sd_bus_message_append(reply, "u", tries(u->world));
}

static int get_pause(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *data, sd_bus_error *error)
{
	const struct unit *u = data;

	return sd_bus_message_append(reply, "t", pause_usec(u->world));
}

static int get_said(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct unit *u = userdata;

	return sd_bus_message_append(reply, "s", u->said);
}

static int get_result(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *data, sd_bus_error *error)
{
	const struct unit *u = data;

	return sd_bus_message_append(reply, "s", u->status ? "exit-code" : "success");
}

static const sd_bus_vtable unit_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("ActiveState", "s", get_active, 0, 0),
	SD_BUS_PROPERTY("SubState", "s", get_sub, 0, 0),
	SD_BUS_PROPERTY("StartLimitBurst", "u", get_burst, 0, 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable service_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Result", "s", get_result, 0, 0),
	SD_BUS_PROPERTY("StatusText", "s", get_said, 0, 0),
	SD_BUS_PROPERTY("ExecMainStatus", "i", NULL, offsetof(struct unit, status), 0),
	SD_BUS_PROPERTY("NRestarts", "u", NULL, offsetof(struct unit, restarts), 0),
	SD_BUS_PROPERTY("RestartUSec", "t", get_pause, 0, 0),
	SD_BUS_VTABLE_END,
};

static int method_subscribe(sd_bus_message *m, void *data, sd_bus_error *error)
{
	return sd_bus_reply_method_return(m, "");
}

/* The detail "name" of a question. */
static void note_name(struct world *w, sd_bus_message *m)
{
	const char *key, *value;

	free(w->last_name);
	w->last_name = NULL;
	if (sd_bus_message_skip(m, "(sa{sv})s") >= 0 &&
	    sd_bus_message_enter_container(m, 'a', "{ss}") >= 0 &&
	    sd_bus_message_read(m, "{ss}", &key, &value) > 0 && !strcmp(key, "name"))
		w->last_name = strdup(value);
}

static int method_check(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct world *w = data;

	note_name(w, m);
	if (!strcmp(arg(w, 7), "silent") && w->n_questions < QUESTIONS_MAX) {
		w->questions[w->n_questions++] = sd_bus_message_ref(m);
		return 1;
	}
	return sd_bus_reply_method_return(m, "(bba{ss})", !strcmp(arg(w, 7), "yes"),
					  !strcmp(arg(w, 7), "challenge"), 0);
}

/* Its last argument: by which it can be cancelled. */
static const char *id_of(sd_bus_message *m)
{
	const char *id = "";

	if (sd_bus_message_rewind(m, true) >= 0 && sd_bus_message_skip(m, "(sa{sv})sa{ss}u") >= 0)
		(void)sd_bus_message_read(m, "s", &id); /* else it stays empty */
	return id;
}

static sd_bus_message *take_question(struct world *w, uint32_t i)
{
	sd_bus_message *m = w->questions[i];

	w->questions[i] = w->questions[--w->n_questions];
	return m;
}

static int method_cancel(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct world *w = data;
	sd_bus_message *q;
	const char *id;
	int r = sd_bus_message_read(m, "s", &id);

	for (uint32_t i = 0; r >= 0 && i < w->n_questions; i++) {
		if (strcmp(id_of(w->questions[i]), id) != 0)
			continue;
		q = take_question(w, i);
		(void)sd_bus_reply_method_errorf(q, POLKIT ".Error.Cancelled", "cancelled");
		(void)sd_bus_message_unref(q);
		break;
	}
	return r < 0 ? r : sd_bus_reply_method_return(m, "");
}

/* ANSWER(b): to all that wait. */
static int method_answer(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct world *w = data;
	sd_bus_message *q;
	int yes;
	int r = sd_bus_message_read(m, "b", &yes);

	while (r >= 0 && w->n_questions) {
		q = take_question(w, 0);
		r = sd_bus_reply_method_return(q, "(bba{ss})", yes, 0, 0);
		(void)sd_bus_message_unref(q);
	}
	return r < 0 ? r : sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable systemd_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("StartUnit", "ss", "o", method_start, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("RestartUnit", "ss", "o", method_start, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("StopUnit", "ss", "o", method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Subscribe", "", "", method_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL("JobRemoved", "uoss", 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable polkit_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", method_check,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("CancelCheckAuthorization", "s", "", method_cancel,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ANSWER", "b", "", method_answer, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("LastName", "s", NULL, offsetof(struct world, last_name), 0),
	SD_BUS_PROPERTY("Waiting", "u", NULL, offsetof(struct world, n_questions), 0),
	SD_BUS_VTABLE_END,
};

static int connect_bus(struct world *w)
{
	int r;

	r = sd_bus_new(&w->bus);
	if (r >= 0)
		r = sd_bus_set_address(w->bus, arg(w, 1));
	if (r >= 0)
		r = sd_bus_set_bus_client(w->bus, true);
	if (r >= 0)
		r = sd_bus_start(w->bus);
	if (r >= 0)
		r = sd_bus_attach_event(w->bus, w->event, 0);
	if (r >= 0)
		r = sd_bus_add_object_vtable(w->bus, NULL, SYSTEMD_PATH, SYSTEMD ".Manager",
					     systemd_vtable, w);
	if (r >= 0)
		r = sd_bus_add_fallback_vtable(w->bus, NULL, SYSTEMD_PATH "/unit", SYSTEMD ".Unit",
					       unit_vtable, find_object, w);
	if (r >= 0)
		r = sd_bus_add_fallback_vtable(w->bus, NULL, SYSTEMD_PATH "/unit",
					       SYSTEMD ".Service", service_vtable, find_object, w);
	if (r >= 0)
		r = sd_bus_add_object_vtable(w->bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
					     POLKIT ".Authority", polkit_vtable, w);
	if (r >= 0)
		r = sd_bus_request_name(w->bus, SYSTEMD, 0);
	if (r >= 0 && strcmp(arg(w, 7), "absent"))
		r = sd_bus_request_name(w->bus, POLKIT, 0);
	return r;
}

int main(int argc, char **argv)
{
	struct world w = { .argc = argc, .argv = argv };
	sigset_t set;
	int r;

	if (argc < 8 || argc > 10)
		return EXIT_FAILURE;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	r = sd_event_new(&w.event);
	if (r >= 0)
		r = sd_event_add_signal(w.event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = connect_bus(&w);
	if (r < 0) {
		fprintf(stderr, "stand-in: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	puts("ready");
	(void)fflush(stdout);
	r = sd_event_loop(w.event);
	(void)sd_bus_flush_close_unref(w.bus);
	(void)sd_event_unref(w.event);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
