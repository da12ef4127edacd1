/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tries one system call of each class that the runner's sandbox forbids, and one path of each kind that it hides.
 *
 *	ghvm-forbidden outside	all must be possible: else a try proves nothing
 *	ghvm-forbidden inside	none may be possible
 *
 * Most calls have arguments with which they fail even if they are permitted, but then with another error.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define BUS "/run/dbus/system_bus_socket"

struct call {
	const char *name; /* with the class, as systemd names it */
	long nr;
	long arg[5];
};

static const struct call calls[] = {
	{ "io_setup (@aio)", SYS_io_setup, { 0, 0 } },
	{ "fchown (@chown)", SYS_fchown, { -1, 0, 0 } },
	{ "clock_settime (@clock)", SYS_clock_settime, { 9999, 0 } },
	{ "ptrace (@debug)", SYS_ptrace, { PTRACE_TRACEME } },
	{ "process_vm_readv (@ipc)", SYS_process_vm_readv, { 0, 0, 0, 0, 0 } },
	{ "unlinkat (@file-system)", SYS_unlinkat, { -1, (long)"none", 0 } },
	{ "mkdirat (@file-system)", SYS_mkdirat, { -1, (long)"none", 0 } },
	{ "fchmod (@file-system)", SYS_fchmod, { -1, 04755 } },
	{ "keyctl (@keyring)", SYS_keyctl, { KEYCTL_GET_KEYRING_ID, -3, 1 } },
	{ "mlockall (@memlock)", SYS_mlockall, { 0 } },
	{ "finit_module (@module)", SYS_finit_module, { -1, (long)"", 0 } },
	{ "fsopen (@mount)", SYS_fsopen, { (long)"none", 0 } },
	{ "bpf (@privileged)", SYS_bpf, { -1, 0, 0 } },
	{ "sethostname (@privileged)", SYS_sethostname, { 0, 65536 } },
	{ "syslog", SYS_syslog, { 9999, 0, 0 } },
	{ "setns (@process)", SYS_setns, { -1, 0 } },
	{ "reboot (@reboot)", SYS_reboot, { 0, 0, 0, 0 } },
	{ "setpriority (@resources)", SYS_setpriority, { PRIO_PROCESS, 0, 0 } },
	{ "setuid (@setuid)", SYS_setuid, { 0 } },
	{ "swapoff (@swap)", SYS_swapoff, { (long)"/none" } },
	{ "perf_event_open", SYS_perf_event_open, { 0, 0, 0, 0, 0 } },
	{ "io_uring_setup", SYS_io_uring_setup, { 0, 0 } },
	{ "userfaultfd", SYS_userfaultfd, { -1 } },
	{ "socket of another family", SYS_socket, { AF_INET, SOCK_DGRAM, 0 } },
	{ "a new namespace", SYS_unshare, { CLONE_NEWNS } },
	{ "another personality", SYS_personality, { ADDR_NO_RANDOMIZE } },
	{ "memory to write and to execute",
	  SYS_mmap,
	  { 0, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1 } },
};

static const char *const paths[] = { "/sys/kernel",
				     "/sys/fs/cgroup",
				     "/proc/sys/kernel/hostname",
				     "/proc/kallsyms",
				     "/proc/interrupts",
				     "/dev/mem",
				     "/dev/kmsg",
				     "/root",
				     "/run/gunyah" };

static bool call_is_possible(const struct call *c)
{
	const long *a = c->arg;

	errno = 0;
	return syscall(c->nr, a[0], a[1], a[2], a[3], a[4], 0) >= 0 ||
	       (errno != EPERM && errno != EAFNOSUPPORT);
}

static bool path_is_readable(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return false;
	(void)close(fd);
	return true;
}

static bool bus_is_there(void)
{
	const struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = BUS };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool there = fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;

	if (fd >= 0)
		(void)close(fd);
	return there;
}

static int check(const char *what, bool possible, bool inside)
{
	if (possible != inside)
		return 0;
	printf("%s: %s\n", what,
	       possible ? "possible inside of the sandbox" : "not even possible outside");
	return 1;
}

int main(int argc, char **argv)
{
	const bool inside = argc == 2 && !strcmp(argv[1], "inside");
	int wrong = 0;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		wrong += check(paths[i], path_is_readable(paths[i]), inside);
	wrong += check(BUS, bus_is_there(), inside);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		wrong += check(calls[i].name, call_is_possible(&calls[i]), inside);
	return wrong > 0;
}
