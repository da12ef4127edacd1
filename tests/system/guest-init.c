// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The user space of the guests that the tests run: PID 1, static, alone but for busybox.
 *
 * It says that it is up, then obeys the power key and what is typed on the console, one
 * word a line: echo TEXT, cpus, busy, sleep, off, reboot, crash, sh. The kernel's command line may
 * have testbed.guest=off or testbed.guest=reboot, to do that at once, or testbed.guest=deaf, not to
 * obey the power key.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYS_MAX 4

static void mount_all(void)
{
	static const char *const what[][2] = {
		{ "proc", "/proc" },
		{ "sysfs", "/sys" },
		{ "devtmpfs", "/dev" },
	};

	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		(void)mkdir(what[i][1], 0755);
		if (mount(what[i][0], what[i][1], what[i][0], 0, NULL) < 0 && errno != EBUSY)
			printf("guest: cannot mount %s: %s\n", what[i][1], strerror(errno));
	}
}

/* In the order of the list that guest.sh has written. A kernel without modules has no such file. */
static void load_modules(void)
{
	FILE *list = access("/proc/modules", F_OK) == 0 ? fopen("/modules/order", "r") : NULL;
	char name[128];
	char path[160];

	while (list && fscanf(list, "%127s", name) == 1) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
			printf("guest: cannot load %s: %s\n", name, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (list)
		fclose(list);
}

static void say_up(void)
{
	struct utsname u;

	uname(&u);
	printf("guest: user space reached: %s %s, %ld CPUs, %ld MiB\n", u.sysname, u.release,
	       sysconf(_SC_NPROCESSORS_ONLN),
	       sysconf(_SC_PHYS_PAGES) / (1024 * 1024 / sysconf(_SC_PAGESIZE)));
}

static void end(int how)
{
	sync();
	reboot(how);
	printf("guest: cannot end: %s\n", strerror(errno));
}

static void crash(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "c", 1) != 1)
		printf("guest: cannot crash: %s\n", strerror(errno));
}

/* s2idle, until something wakes us. */
static void fall_asleep(void)
{
	int fd = open("/sys/power/state", O_WRONLY | O_CLOEXEC);

	printf("guest: falls asleep\n");
	fflush(stdout);
	if (fd < 0 || write(fd, "freeze", 6) != 6)
		printf("guest: cannot sleep: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
	printf("guest: is awake\n");
}

static void busy(void)
{
	for (long n = sysconf(_SC_NPROCESSORS_ONLN); n > 0; n--) {
		if (fork() == 0)
			for (volatile unsigned long i = 0;; i++)
				;
	}
	printf("guest: busy\n");
}

static void shell(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/busybox", "sh", "-i", NULL);
		_exit(127);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

static void obey(const char *line)
{
	if (!strncmp(line, "echo ", 5))
		printf("guest: %s\n", line + 5);
	else if (!strcmp(line, "cpus"))
		printf("guest: %ld CPUs\n", sysconf(_SC_NPROCESSORS_ONLN));
	else if (!strcmp(line, "busy"))
		busy();
	else if (!strcmp(line, "sleep"))
		fall_asleep();
	else if (!strcmp(line, "off"))
		end(RB_POWER_OFF);
	else if (!strcmp(line, "reboot"))
		end(RB_AUTOBOOT);
	else if (!strcmp(line, "crash"))
		crash();
	else if (!strcmp(line, "sh"))
		shell();
	else if (*line)
		printf("guest: echo TEXT, cpus, busy, off, reboot, crash, or sh\n");
}

static void read_console(void)
{
	static char line[256];
	static size_t used;
	ssize_t n = read(STDIN_FILENO, line + used, sizeof(line) - 1 - used);
	char *newline;

	if (n <= 0)
		return;
	used += (size_t)n;
	line[used] = '\0';
	while ((newline = strchr(line, '\n'))) {
		*newline = '\0';
		obey(line);
		used -= (size_t)(newline + 1 - line);
		memmove(line, newline + 1, used + 1);
	}
	if (used == sizeof(line) - 1)
		used = 0;
}

static void read_keys(int fd, bool deaf)
{
	struct input_event ev;

	if (read(fd, &ev, sizeof(ev)) != sizeof(ev) || ev.type != EV_KEY || ev.value != 1)
		return;
	if (ev.code != KEY_POWER)
		return;
	printf("guest: power key\n");
	if (deaf)
		return;
	end(RB_POWER_OFF);
}

static size_t open_keys(struct pollfd *ret)
{
	size_t n = 0;

	for (int i = 0; i < KEYS_MAX; i++) {
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/dev/input/event%d", i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			ret[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
	return n;
}

static bool told(const char *word)
{
	char text[2048] = "";
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		close(fd);
	}
	return strstr(text, word);
}

int main(void)
{
	struct pollfd fds[1 + KEYS_MAX] = { { .fd = STDIN_FILENO, .events = POLLIN } };
	bool deaf;
	size_t n;

	setvbuf(stdout, NULL, _IONBF, 0);
	mount_all();
	load_modules();
	signal(SIGCHLD, SIG_DFL);
	n = 1 + open_keys(fds + 1);
	printf("guest: %zu input devices\n", n - 1);
	say_up();
	deaf = told("testbed.guest=deaf");
	if (told("testbed.guest=off"))
		end(RB_POWER_OFF);
	if (told("testbed.guest=reboot"))
		end(RB_AUTOBOOT);

	for (;;) {
		if (poll(fds, n, -1) < 0)
			continue;
		if (fds[0].revents)
			read_console();
		for (size_t i = 1; i < n; i++)
			if (fds[i].revents)
				read_keys(fds[i].fd, deaf);
	}
}
