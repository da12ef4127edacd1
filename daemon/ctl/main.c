/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ghvmctl: VMs from the command line. A verb a file; here are the options.
 */
#include "daemon/ctl/ctl.h"

#include "libghvm/bits.h"
#include "libghvm/near.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRS_MAX 8

struct verb {
	const char *name;
	ctl_verb run;
	int min;
	int max;
	const char *args;
	const char *what;
};

static const struct verb verbs[] = {
	{ "list", verb_list, 0, 0, "", "all VMs: those with a descriptor and those that run" },
	{ "status", verb_status, 1, 1, "NAME", "everything about one VM" },
	{ "start", verb_start, 1, 1, "NAME", "start its unit, and wait" },
	{ "stop", verb_stop, 1, 1, "NAME", "power it off, and wait; --force: at once" },
	{ "console", verb_console, 1, 1, "NAME", "talk to its console; Ctrl-] leaves" },
	{ "validate", verb_validate, 1, 1, "NAME|FILE", "look for mistakes in a descriptor" },
	{ "plan", verb_plan, 1, 1, "NAME|FILE", "show what a start would do" },
	{ "why", verb_why, 1, 1, "NAME", "what failed, what it means and what to try" },
	{ "host", verb_host, 0, 0, "", "the hypervisor, its resource manager and the budget" },
	{ "quarantine", verb_quarantine, 0, 0, "",
	  "memory that a guest may still own; --retry: try to get it back" },
	{ "region", verb_region, 2, 2, "list|add|remove NAME",
	  "its guest's memory; add and remove: while it runs" },
	{ "trace", verb_trace, 0, 1, "[NAME]", "messages to and from the resource manager" },
};

enum option_id { OPTION_VERSION = 256 };

static const struct option options[] = {
	{ "address", required_argument, NULL, 'a' },
	{ "dir", required_argument, NULL, 'd' },
	{ "file", required_argument, NULL, 'i' },
	{ "follow", no_argument, NULL, 'F' },
	{ "force", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ "label", required_argument, NULL, 'l' },
	{ "offline", no_argument, NULL, 'O' },
	{ "pcapng", required_argument, NULL, 'p' },
	{ "read-only", no_argument, NULL, 'o' },
	{ "readonly", no_argument, NULL, 'o' },
	{ "retry", no_argument, NULL, 'r' },
	{ "running", no_argument, NULL, 'R' },
	{ "size", required_argument, NULL, 's' },
	{ "wait", no_argument, NULL, 'w' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{},
};

int ctl_fail(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("ghvmctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

static void help(void)
{
	puts("usage: ghvmctl [OPTIONS] VERB [NAME]\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-10s %-9s  %s\n", verbs[i].name, verbs[i].args, verbs[i].what);
	puts("\n"
	     "  --json      for programs\n"
	     "  --dir=DIR   look for descriptors there (again for more)\n"
	     "  --force     with stop: do not ask the guest; with console: take it over\n"
	     "  --read-only with console: watch, beside the one who types\n"
	     "  --wait      with console: for a VM that is not up\n"
	     "  --offline   with validate: look at nothing but the descriptor\n"
	     "  --running   with plan: what it was started by\n"
	     "  --retry     with quarantine: try again now\n"
	     "  --follow    with trace: go on as more come\n"
	     "  --pcapng=FILE  with trace: write a capture\n"
	     "  --label=N   with region: which\n"
	     "  --address=A, --size=S, --readonly, --file=FILE  with region add: where, how\n"
	     "              big, not to be written, and what is in it\n"
	     "  --version\n"
	     "\n"
	     "exit status: 0 done, 1 failed, 2 wrong usage, 3 no such VM, 4 the manager is not "
	     "there");
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static int no_verb(const char *name)
{
	struct ghvm_near near = ghvm_near_begin(name);
	char text[GHVM_NEAR_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		ghvm_near_offer(&near, verbs[i].name);
	return ctl_fail(CTL_USAGE, "there is no verb '%s'%s", name,
			near.best ? ghvm_near_text(&near, text) : "; see ghvmctl --help");
}

static bool wants_color(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && term && strcmp(term, "dumb");
}

/* Those that are only noted. Return: was it one? */
static bool note_option(int c, struct ctl *ctl)
{
	const char **const texts[] = {
		['a'] = &ctl->address, ['i'] = &ctl->file, ['l'] = &ctl->label,
		['p'] = &ctl->pcapng,  ['s'] = &ctl->size,
	};
	bool *const flags[] = {
		['F'] = &ctl->follow,	['f'] = &ctl->force,   ['j'] = &ctl->json,
		['o'] = &ctl->readonly, ['R'] = &ctl->running, ['O'] = &ctl->offline,
		['r'] = &ctl->retry,	['w'] = &ctl->wait,
	};

	if ((size_t)c < ARRAY_SIZE(texts) && texts[c])
		*texts[c] = optarg;
	else if ((size_t)c < ARRAY_SIZE(flags) && flags[c])
		*flags[c] = true;
	else
		return false;
	return true;
}

/* "--foo=bar", of which getopt knows only that it is none. */
static int no_option(const char *given)
{
	char word[GHVM_NEAR_WORD + 1];
	struct ghvm_near near;

	(void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(given, "="), given); /* or cut */
	near = ghvm_near_begin(word + strspn(word, "-"));
	for (size_t i = 0; options[i].name; i++)
		ghvm_near_offer(&near, options[i].name);
	if (near.best)
		return ctl_fail(CTL_USAGE, "there is no option '%s'; did you mean '--%s'?", word,
				near.best);
	return ctl_fail(CTL_USAGE, "there is no option '%s'; see ghvmctl --help", word);
}

/* Return: CTL_USAGE. */
static int bad_option(int c, char **argv)
{
	const char *given = argv[optind - 1];

	if (optopt && c == '?' && optopt < 256 && strncmp(given, "--", 2))
		return ctl_fail(CTL_USAGE, "there is no option '-%c'; see ghvmctl --help", optopt);
	if (c == ':')
		return ctl_fail(CTL_USAGE, "option '%s' needs a value; see ghvmctl --help", given);
	if (optopt)
		return ctl_fail(CTL_USAGE, "option '%s' takes no value; see ghvmctl --help", given);
	return no_option(given);
}

/* Return: -1 go on; else the exit status. */
static int read_options(int argc, char **argv, struct ctl *ctl, const char *dirs[DIRS_MAX + 1])
{
	size_t n_dirs = 0;
	int c;

	while ((c = getopt_long(argc, argv, ":hj", options, NULL)) >= 0) {
		switch (c) {
		case 'd':
			if (n_dirs == DIRS_MAX)
				return ctl_fail(CTL_USAGE, "more than %d --dir", DIRS_MAX);
			dirs[n_dirs++] = optarg;
			ctl->dirs = dirs;
			break;
		case 'h':
			help();
			return CTL_OK;
		case OPTION_VERSION:
			puts("ghvmctl " GHVM_VERSION);
			return CTL_OK;
		default:
			if (!note_option(c, ctl))
				return bad_option(c, argv);
		}
	}
	return -1;
}

/* A disk that is full is noticed here, not before. */
static int finish(int status)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return ctl_fail(CTL_FAILED, "cannot write the output");
	return status;
}

int main(int argc, char **argv)
{
	const char *dirs[DIRS_MAX + 1] = {};
	struct ctl ctl = { .color = wants_color() };
	const struct verb *verb;
	int n, r = read_options(argc, argv, &ctl, dirs);

	if (r >= 0)
		return finish(r);
	if (optind == argc) {
		help();
		return finish(CTL_USAGE);
	}
	verb = find_verb(argv[optind]);
	if (!verb)
		return no_verb(argv[optind]);
	n = argc - optind - 1;
	if (n < verb->min || n > verb->max)
		return ctl_fail(CTL_USAGE, "usage: ghvmctl %s %s", verb->name, verb->args);
	return finish(verb->run(&ctl, argv + optind + 1, n));
}
