/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main loop: signals, messages of the manager, the console, and exits of vCPUs.
 *
 * The manager decides what the end of a guest means, because only the resource manager knows how the
 * guest ended. Without a manager the runner waits some seconds for a new one.
 */
#include "daemon/runner/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/runner/manager-link.h"
#include "daemon/runner/halt.h"
#include "daemon/runner/power.h"
#include "daemon/runner/quiet.h"
#include "daemon/runner/regions.h"
#include "libghvm/base/cleanup.h"
#include "daemon/ipc/protocol.h"
#include "libghvm/base/printable.h"

#define STOP_GRACE_MS 10000 /* from the stop timeout until systemd may kill the runner */

enum runner_phase {
	RUNNER_STARTING,   /* READY sent, STARTED not yet received */
	RUNNER_RUNNING,	   /* vCPUs run */
	RUNNER_ENDED,	   /* the guest has ended; waiting for the manager's decision */
	RUNNER_REBUILDING, /* the manager is rebuilding the VM for a reboot in place */
	RUNNER_OVER,
};

/**
 * struct runner - the state of the main loop
 * @status: exit status, valid in RUNNER_OVER
 * @end_state, @end_data0: how the guest ended, as seen by its vCPUs
 * @orphan: when to give up waiting for a manager
 * @reboot: the requested power-off is the first half of a reboot
 */
struct runner {
	const struct runner_config *config;
	struct control control;
	struct guest guest;
	struct power power;
	int signals;
	enum runner_phase phase;
	int status;
	uint64_t end_state;
	uint64_t end_data0;
	uint64_t orphan;
	struct halt halt;
	struct quiet quiet;
	bool reboot;
	bool told_systemd;
	bool owes_ready;
};

enum {
	POLL_SIGNALS,
	POLL_CONTROL,
	POLL_LISTEN,
	POLL_ENDED,
	POLL_DEVICES,
	POLL_COUNT = POLL_DEVICES + DEVICES_POLLFDS,
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void finish_runner(struct runner *r, int status)
{
	if (r->phase == RUNNER_OVER)
		return;
	r->phase = RUNNER_OVER;
	r->status = status;
}

static void fail_runner(struct runner *r, const struct ghvm_error *err)
{
	fprintf(stderr, SD_ERR "%s\n", err->msg);
	finish_runner(r, RUNNER_EXIT_FAILED);
}

/* The time limit applies while there is neither a manager nor a running guest. */
static void update_orphan(struct runner *r)
{
	bool orphan = r->control.fd < 0 && r->phase != RUNNER_RUNNING;

	if (!orphan)
		r->orphan = POWER_NEVER;
	else if (r->orphan == POWER_NEVER)
		r->orphan = now_ms() + r->config->orphan_ms;
}

/* The exit status without a manager: decided by the vCPUs' exits and the descriptor. */
static int orphan_status(const struct runner *r)
{
	const struct ghvm_runinfo *info = &r->guest.info;

	if (r->phase == RUNNER_REBUILDING)
		return RUNNER_EXIT_RESTART;
	if (r->phase == RUNNER_STARTING)
		return RUNNER_EXIT_FAILED;
	switch (r->end_state) {
	case GHVM_VCPU_POWERED_OFF:
		return r->reboot ? RUNNER_EXIT_RESTART : RUNNER_EXIT_OK;
	case GHVM_VCPU_SYSTEM_RESET:
		if (r->power.asked && !r->reboot)
			return RUNNER_EXIT_OK;
		return info->on_reboot == GHVM_ON_END_RESTART ? RUNNER_EXIT_RESTART
							      : RUNNER_EXIT_OK;
	case GHVM_VCPU_FAULT:
		return info->on_crash == GHVM_ON_END_RESTART ? RUNNER_EXIT_FAILED
							     : RUNNER_EXIT_STOP;
	case GHVM_LINK_BITTEN:
		return info->on_watchdog == GHVM_ON_END_RESTART ? RUNNER_EXIT_FAILED
								: RUNNER_EXIT_STOP;
	}
	return RUNNER_EXIT_FAILED;
}

static void give_up(struct runner *r)
{
	fprintf(stderr, SD_WARNING "The guest has ended, and there was no manager for %u s\n",
		r->config->orphan_ms / 1000);
	finish_runner(r, orphan_status(r));
}

/* --- the guest --- */

static void on_key(void *data, bool down)
{
	struct runner *r = data;

	devices_press_key(&r->guest.devices, down);
}

static void connect_guest(struct runner *r, int grant)
{
	struct ghvm_error err = {};

	if (guest_connect(&r->guest, grant, r->config->open_host, &err) < 0) {
		fail_runner(r, &err);
		return;
	}
	r->phase = RUNNER_STARTING;
	control_ready(&r->control);
}

/* READY=1 is repeated if the socket was full, because otherwise the start of the unit times out. */
static void tell_running(struct runner *r)
{
	int n = sd_notify(0, r->told_systemd ? "STATUS=Running" : "READY=1\nSTATUS=Running");

	r->owes_ready = !r->told_systemd && ghvm_link_try_later(n);
	r->told_systemd |= !r->owes_ready;
}

static void start_guest(struct runner *r)
{
	struct ghvm_error err = {};

	if (guest_start(&r->guest, &err) < 0) {
		fail_runner(r, &err);
		return;
	}
	r->phase = RUNNER_RUNNING;
	tell_running(r);
}

static void note_end(struct runner *r, uint64_t state, uint64_t data0)
{
	r->phase = RUNNER_ENDED;
	r->end_state = state;
	r->end_data0 = data0;
	(void)sd_notify(0, "STATUS=Ended");
	control_exited(&r->control, state, data0);
}

/* Has the guest ended? A manager that died during a rebuild has not told its successor how. */
static bool is_over(const struct runner *r)
{
	return r->phase == RUNNER_ENDED || r->phase == RUNNER_REBUILDING;
}

static void check_halt(struct runner *r)
{
	bool runs = r->phase == RUNNER_RUNNING;

	if (!halt_check(&r->halt, &r->guest, runs, now_ms(), r->config->halt_ms))
		return;
	fprintf(stderr, SD_NOTICE "All vCPUs are off: the guest has ended\n");
	note_end(r, GHVM_VCPU_POWERED_OFF, 0);
}

static void check_quiet(struct runner *r)
{
	char what[128];

	if (r->phase != RUNNER_RUNNING)
		r->quiet = (struct quiet){};
	else if (quiet_look(&r->quiet, &r->guest, now_ms(), r->config->quiet_ms, what,
			    sizeof(what)))
		(void)sd_notifyf(0, "STATUS=Running%s%s", *what ? "; " : "", what);
}

static void on_ended(struct runner *r)
{
	uint64_t state, data0;

	if (!guest_ended(&r->guest, &state, &data0))
		return;
	if (r->phase == RUNNER_ENDED && (state == VCPU_THREAD_STOPPED || state == r->end_state))
		return; /* other vCPUs of the guest that has ended */
	if (r->phase != RUNNER_RUNNING && r->phase != RUNNER_ENDED)
		return;
	if (state == VCPU_THREAD_STOPPED && data0 != ESTALE) {
		/* the grant is valid, so the guest exists but cannot run */
		fprintf(stderr, SD_ERR "Cannot run a vCPU: %s\n", strerror((int)data0));
		finish_runner(r, RUNNER_EXIT_FAILED);
		return;
	}
	note_end(r, state, data0);
}

/* --- stopping --- */

static void stop_by_force(struct runner *r)
{
	control_stopping(&r->control, GHVM_LINK_FORCE);
	finish_runner(r, r->reboot ? RUNNER_EXIT_RESTART : RUNNER_EXIT_OK);
}

static void ask_power_off(struct runner *r, bool reboot)
{
	if (r->phase == RUNNER_STARTING || r->phase == RUNNER_REBUILDING) {
		finish_runner(r, reboot ? RUNNER_EXIT_RESTART : RUNNER_EXIT_OK);
		return;
	}
	r->reboot = reboot;
	if (r->phase == RUNNER_RUNNING && !devices_have_key(&r->guest.devices)) {
		fprintf(stderr, SD_NOTICE "The guest has no power key: killing it\n");
		stop_by_force(r);
		return;
	}
	power_ask(&r->power, now_ms(), r->guest.info.stop_timeout_ms);
}

static void on_signal(struct runner *r)
{
	struct signalfd_siginfo info;
	bool reboot;

	if (read(r->signals, &info, sizeof(info)) != sizeof(info))
		return;
	reboot = info.ssi_signo == SIGINT;
	if (!reboot)
		(void)sd_notifyf(0, "STATUS=Asked the guest to power off\nEXTEND_TIMEOUT_USEC=%llu",
				 1000ULL * (r->guest.info.stop_timeout_ms + STOP_GRACE_MS));
	control_stopping(&r->control, reboot ? GHVM_LINK_REBOOT : GHVM_LINK_GRACEFUL);
	ask_power_off(r, reboot);
}

static void tick(struct runner *r)
{
	uint64_t now = now_ms();

	if (power_tick(&r->power, now)) {
		if (r->phase == RUNNER_ENDED)
			fprintf(stderr, SD_NOTICE "The guest has ended, and the manager has not "
						  "decided what to do\n");
		else
			fprintf(stderr,
				SD_NOTICE "The guest did not power off within %u ms: killing it\n",
				r->guest.info.stop_timeout_ms);
		stop_by_force(r);
	}
	if (r->owes_ready)
		tell_running(r);
	check_halt(r);
	check_quiet(r);
	if (now >= r->orphan)
		give_up(r);
}

/* --- the manager --- */

static void on_refused(struct runner *r, struct ghvm_link_message *m)
{
	char text[GHVM_ERROR_TEXT];

	ghvm_link_get_string(&m->payload, text, sizeof(text));
	ghvm_make_printable(text);
	fprintf(stderr, SD_ERR "The manager refused: %s\n",
		m->payload.bad ? "(no reason given)" : text);
	finish_runner(r, RUNNER_EXIT_FAILED);
}

static void await_rebuild(struct runner *r)
{
	guest_stop(&r->guest);
	power_init(&r->power, on_key, r);
	r->reboot = false;
	r->phase = RUNNER_REBUILDING;
	(void)sd_notify(0, "STATUS=Rebooting");
}

/* A requested end is a success, whatever lifecycle.* says. */
static void on_verdict(struct runner *r, uint32_t action)
{
	bool asked = r->power.asked && !r->reboot;

	switch (action) {
	case GHVM_LINK_EXIT_OK:
		finish_runner(r, r->reboot ? RUNNER_EXIT_RESTART : RUNNER_EXIT_OK);
		break;
	case GHVM_LINK_EXIT_RESTART:
		finish_runner(r, asked ? RUNNER_EXIT_OK : RUNNER_EXIT_RESTART);
		break;
	case GHVM_LINK_EXIT_STOP:
		finish_runner(r, RUNNER_EXIT_STOP);
		break;
	case GHVM_LINK_WAIT:
		if (asked)
			finish_runner(r, RUNNER_EXIT_OK);
		else
			await_rebuild(r);
		break;
	default:
		finish_runner(r, RUNNER_EXIT_FAILED);
	}
}

static void on_manager_ended(struct runner *r, struct ghvm_link_message *m)
{
	uint32_t type = ghvm_get_u32(&m->payload);
	uint32_t action = ghvm_get_u32(&m->payload);

	if (m->payload.bad || (r->phase != RUNNER_RUNNING && !is_over(r)))
		return;
	fprintf(stderr, SD_INFO "The guest has ended: %s\n",
		ghvm_exit_type_to_string((enum ghvm_exit_type)type));
	on_verdict(r, action);
}

static void on_rebuilt(struct runner *r, struct ghvm_link_message *m)
{
	_cleanup_(closep) int machine = -1, grant = -1;
	struct ghvm_error err = {};

	if ((r->phase != RUNNER_REBUILDING && r->phase != RUNNER_STARTING) || m->n_fds != 2)
		return;
	if (r->phase == RUNNER_STARTING) /* its first VM was refused: the virqs are another's */
		guest_stop(&r->guest);
	machine = TAKE_FD(m->fds[0]);
	grant = TAKE_FD(m->fds[1]);
	if (guest_rebuild(&r->guest, machine, &err) < 0) {
		fail_runner(r, &err);
		return;
	}
	connect_guest(r, TAKE_FD(grant));
}

static void on_stop(struct runner *r, struct ghvm_link_message *m)
{
	uint8_t how = ghvm_get_u8(&m->payload);

	if (m->payload.bad)
		return;
	if (how == GHVM_LINK_FORCE)
		finish_runner(r, RUNNER_EXIT_OK);
	else
		ask_power_off(r, how == GHVM_LINK_REBOOT);
}

static void on_console(struct runner *r, struct ghvm_link_message *m)
{
	_cleanup_(closep) int fd = -ENOTTY;
	uint32_t serial = ghvm_get_u32(&m->payload);
	bool plain = !m->payload.len;
	uint8_t flags = plain ? 0 : ghvm_get_u8(&m->payload);
	struct console *console = devices_console(&r->guest.devices);

	if (m->payload.bad)
		return;
	if (console)
		fd = console_attach(console, flags & GHVM_LINK_CONSOLE_READ_ONLY,
				    flags & GHVM_LINK_CONSOLE_FORCE);
	control_console_is(&r->control, serial, fd, plain);
}

static void on_message(struct runner *r, struct ghvm_link_message *m)
{
	switch (m->type) {
	case GHVM_LINK_STARTED:
		if (r->phase == RUNNER_STARTING)
			start_guest(r);
		break;
	case GHVM_LINK_REFUSED:
		on_refused(r, m);
		break;
	case GHVM_LINK_ENDED:
		on_manager_ended(r, m);
		break;
	case GHVM_LINK_REBUILT:
		on_rebuilt(r, m);
		break;
	case GHVM_LINK_STOP:
		on_stop(r, m);
		break;
	case GHVM_LINK_CONSOLE:
		on_console(r, m);
		break;
	case GHVM_LINK_PING:
		control_pong(&r->control, m);
		break;
	case GHVM_LINK_DEVICES:
		control_devices(&r->control, m, &r->guest.devices);
		break;
	default:
		regions_on_message(r->config->fds, &r->control, m);
	}
}

static void on_control(struct runner *r)
{
	struct ghvm_link_message m;
	int n;

	n = control_receive(&r->control, &m);
	if (n < 0) {
		fprintf(stderr, SD_NOTICE "Lost the manager%s\n",
			r->phase == RUNNER_RUNNING ? "; the guest continues to run" : "");
		control_drop(&r->control);
	} else if (n > 0) {
		on_message(r, &m);
		ghvm_link_message_done(&m);
	}
}

static void on_dialled(struct runner *r)
{
	if (!control_accept(&r->control))
		return;
	fprintf(stderr, SD_NOTICE "Connected to a new manager\n");
	control_hello(&r->control, r->guest.info.vmid, r->guest.info.incarnation);
	if (is_over(r))
		control_exited(&r->control, r->end_state, r->end_data0);
}

/* --- the loop --- */

/* The earlier of @next and @now + @ms; @ms -1: never. */
static uint64_t sooner(uint64_t next, uint64_t now, int ms)
{
	return ms >= 0 && now + (uint64_t)ms < next ? now + (uint64_t)ms : next;
}

static int poll_timeout(const struct runner *r)
{
	uint64_t next = power_next(&r->power), now = now_ms();

	next = sooner(next, now, devices_timeout(&r->guest.devices));
	next = sooner(next, now, control_timeout(&r->control));
	next = sooner(next, now, r->owes_ready ? GHVM_LINK_AGAIN_MS : -1);
	if (r->orphan < next)
		next = r->orphan;
	if (r->halt.next < next)
		next = r->halt.next;
	if (r->phase == RUNNER_RUNNING && r->quiet.next < next)
		next = r->quiet.next;
	if (next == POWER_NEVER)
		return -1;
	if (next <= now)
		return 0;
	return next - now > 60000 ? 60000 : (int)(next - now);
}

static void wait_for_events(struct runner *r, struct pollfd fds[POLL_COUNT])
{
	size_t n;

	fds[POLL_SIGNALS] = (struct pollfd){ .fd = r->signals, .events = POLLIN };
	fds[POLL_CONTROL] = (struct pollfd){ .fd = r->control.fd, .events = POLLIN };
	fds[POLL_LISTEN] = (struct pollfd){ .fd = r->control.listen, .events = POLLIN };
	fds[POLL_ENDED] = (struct pollfd){ .fd = r->guest.ended, .events = POLLIN };
	n = POLL_DEVICES + devices_poll(&r->guest.devices, &fds[POLL_DEVICES]);
	if (poll(fds, n, poll_timeout(r)) < 0) /* EINTR: nothing fired */
		for (size_t i = 0; i < n; i++)
			fds[i].revents = 0;
}

static void loop_once(struct runner *r)
{
	struct pollfd fds[POLL_COUNT];

	update_orphan(r);
	wait_for_events(r, fds);
	control_flush(&r->control);
	guest_process(&r->guest);
	if (fds[POLL_ENDED].revents)
		on_ended(r);
	if (fds[POLL_CONTROL].revents)
		on_control(r);
	if (fds[POLL_LISTEN].revents)
		on_dialled(r);
	if (fds[POLL_SIGNALS].revents)
		on_signal(r);
	tick(r);
}

static void set_of_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGRTMIN + 4);
}

void runner_block_signals(void)
{
	sigset_t set;

	set_of_signals(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* cannot fail with these arguments */
}

static int set_up(struct runner *r, struct ghvm_error *err)
{
	struct fds *fds = r->config->fds;
	sigset_t set;
	int n;

	set_of_signals(&set);
	r->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	n = r->signals < 0 ? -errno : vcpu_thread_setup();
	if (n < 0)
		return ghvm_error_set(err, n, "cannot set up signals: %s", strerror(-n));
	n = guest_init(&r->guest, fds, err);
	closep(&fds->ram);
	fds->ram = -1;
	if (n < 0)
		return n;
	if (strcmp(r->guest.info.name, r->config->name))
		return ghvm_error_set(err, -EBADMSG,
				      "the file descriptors belong to '%s', not '%s'",
				      r->guest.info.name, r->config->name);
	power_init(&r->power, on_key, r);
	return 0;
}

static void run_vm(struct runner *r)
{
	struct fds *fds = r->config->fds;
	struct ghvm_error err = {};

	if (set_up(r, &err) < 0) {
		fail_runner(r, &err);
		return;
	}
	control_hello(&r->control, r->guest.info.vmid, r->guest.info.incarnation);
	connect_guest(r, TAKE_FD(fds->grant));
	while (r->phase != RUNNER_OVER)
		loop_once(r);
}

int runner_run(const struct runner_config *config)
{
	struct runner *r = calloc(1, sizeof(*r));
	int status;

	if (!r)
		return RUNNER_EXIT_FAILED;
	r->config = config;
	r->signals = r->guest.ended = -1;
	r->orphan = POWER_NEVER;
	halt_init(&r->halt);
	control_init(&r->control, TAKE_FD(config->fds->control), TAKE_FD(config->fds->listen));
	run_vm(r);
	status = r->status;
	guest_done(&r->guest);
	control_done(&r->control);
	closep(&r->signals);
	free(r);
	fds_done(config->fds);
	return status;
}
