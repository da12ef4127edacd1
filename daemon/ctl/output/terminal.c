/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ctl/output/terminal.h"

#include "libghvm/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 4096
#define COLUMNS 80
#define COLUMNS_MIN 20

/*
 * Open the terminal or pipe a second time. O_NONBLOCK belongs to the open file, and standard input and
 * output share theirs with the shell. If a second open is not allowed, duplicate the descriptor, which
 * may block.
 */
static int open_again(int fd, int flags, bool *ret_blocks)
{
	char path[64];
	struct stat st;
	int again = -1;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* fits */
	if (fstat(fd, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
		again = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	*ret_blocks = again < 0;
	if (again < 0)
		again = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return again < 0 ? -errno : again;
}

static void set_of_signals(sigset_t *ret)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGCONT };

	sigemptyset(ret);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(ret, numbers[i]);
}

int terminal_open(struct terminal *t)
{
	bool blocks;
	sigset_t set;

	*t = (struct terminal){ .out = -1, .signals = -1, .tty = isatty(STDIN_FILENO) };
	(void)signal(SIGPIPE, SIG_IGN); /* write() returns EPIPE instead */
	t->in = open_again(STDIN_FILENO, O_RDONLY, &blocks);
	if (t->in < 0)
		return t->in;
	t->out = open_again(STDOUT_FILENO, O_WRONLY, &blocks);
	if (t->out < 0)
		return t->out;
	t->chunk = blocks ? 1 : CHUNK; /* writable means room for at least one byte */
	set_of_signals(&set);
	t->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return t->signals < 0 ? -errno : 0;
}

void terminal_close(struct terminal *t)
{
	terminal_restore(t);
	closep(&t->in);
	closep(&t->out);
	closep(&t->signals);
}

static void make_raw(struct terminal *t)
{
	struct termios raw = t->saved;

	cfmakeraw(&raw);
	if (t->keys)
		raw.c_lflag |= ISIG;
	/* TCSANOW: TCSADRAIN waits for pending output, perhaps forever */
	t->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

int terminal_take(struct terminal *t, bool keys)
{
	sigset_t set;

	set_of_signals(&set);
	(void)sigprocmask(SIG_BLOCK, &set, NULL); /* cannot fail */
	t->keys = keys;
	if (!t->tty)
		return 0;
	if (tcgetattr(STDIN_FILENO, &t->saved) < 0)
		return -errno;
	make_raw(t);
	return 0;
}

void terminal_restore(struct terminal *t)
{
	sigset_t set;

	if (t->raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &t->saved); /* the terminal may be gone */
	t->raw = false;
	set_of_signals(&set);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* cannot fail */
}

/* Stop, as the default action of SIGTSTP would, but with the terminal restored. */
static void stop_ourselves(struct terminal *t)
{
	bool raw = t->raw;

	if (raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &t->saved); /* the terminal may be gone */
	(void)raise(SIGSTOP);
	if (raw)
		make_raw(t);
}

bool terminal_signal(struct terminal *t)
{
	struct signalfd_siginfo info;

	while (read(t->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTSTP)
			stop_ourselves(t);
		else if (info.ssi_signo == SIGCONT && t->raw)
			make_raw(t); /* the shell has changed the mode in the meantime */
		else if (info.ssi_signo != SIGCONT)
			return true;
	}
	return false;
}

int terminal_columns(int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col < COLUMNS_MIN)
		return COLUMNS;
	return size.ws_col;
}

bool terminal_utf8(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool utf8;

	if (!locale)
		return false; /* one that is not installed */
	utf8 = !strcmp(nl_langinfo_l(CODESET, locale), "UTF-8");
	freelocale(locale);
	return utf8;
}
