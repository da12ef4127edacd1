/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ghvmctl: control VMs from the command line. Each verb has a file of its own; this one parses the
 * command line.
 */
#include "daemon/ctl/ctl.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/near.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRS_MAX 8

/**
 * struct verb - a verb
 * @options: letters of those that it uses, see options[]. --dir, which aliases set, is taken by all
 */
struct verb {
	const char *name;
	ctl_verb run;
	int min;
	int max;
	const char *args;
	const char *options;
	const char *what;
};

static const struct verb verbs[] = {
	{ "list", verb_list, 0, 0, "", "j", "list VMs and descriptors" },
	{ "status", verb_status, 1, 1, "NAME", "j", "show one VM" },
	{ "start", verb_start, 1, 1, "NAME", "", "start a VM and wait until it runs" },
	{ "stop", verb_stop, 1, 1, "NAME", "f", "power off a VM and wait; --force: kill it" },
	{ "console", verb_console, 1, 1, "NAME", "fowy",
	  "connect to the console; Ctrl-] disconnects" },
	{ "validate", verb_validate, 1, 1, "NAME|FILE", "ORj", "check a descriptor" },
	{ "plan", verb_plan, 1, 1, "NAME|FILE", "Rj", "show what a start would do" },
	{ "cat", verb_cat, 1, 1, "NAME", "Rj", "show a descriptor with its drop-ins applied" },
	{ "define", verb_define, 1, 1, "FILE", "f",
	  "define a VM; --force: replace its definition" },
	{ "edit", verb_edit, 1, 1, "NAME", "", "change a descriptor in an editor" },
	{ "run", verb_run, 0, 1, "[FILE]", "cknmN",
	  "run a VM that is gone with its end, of a descriptor, or with --kernel and --memory" },
	{ "undefine", verb_undefine, 1, 1, "NAME", "", "remove what define has made" },
	{ "why", verb_why, 1, 1, "NAME", "j", "show what failed last and what to try" },
	{ "host", verb_host, 0, 0, "", "j",
	  "show the hypervisor, the resource manager and its limits" },
	{ "quarantine", verb_quarantine, 0, 0, "", "rj",
	  "list memory that a guest may still own; --retry: try to get it back" },
	{ "region", verb_region, 2, 4, "list|add|remove|dump|load NAME", "jlasyoi",
	  "show, change or copy memory regions of a guest" },
	{ "trace", verb_trace, 0, 1, "[NAME]", "Fpj",
	  "show messages to and from the resource manager" },
};

enum option_id { OPTION_VERSION = 256 };

static const struct option options[] = {
	{ "address", required_argument, NULL, 'a' },
	{ "cmdline", required_argument, NULL, 'c' },
	{ "dir", required_argument, NULL, 'd' },
	{ "file", required_argument, NULL, 'i' },
	{ "follow", no_argument, NULL, 'F' },
	{ "force", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "initrd", required_argument, NULL, 'n' },
	{ "json", no_argument, NULL, 'j' },
	{ "kernel", required_argument, NULL, 'k' },
	{ "label", required_argument, NULL, 'l' },
	{ "memory", required_argument, NULL, 'm' },
	{ "name", required_argument, NULL, 'N' },
	{ "offline", no_argument, NULL, 'O' },
	{ "pcapng", required_argument, NULL, 'p' },
	{ "read-only", no_argument, NULL, 'o' },
	{ "readonly", no_argument, NULL, 'y' },
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
	     "  --json      print JSON\n"
	     "  --dir=DIR   look for descriptors in DIR (may be repeated)\n"
	     "  --force     stop: kill the guest; console: disconnect the current client;\n"
	     "              define: replace an earlier definition\n"
	     "  --read-only console: watch only\n"
	     "  --wait      console: wait for a VM that does not run\n"
	     "  --offline   validate: check only the descriptor itself\n"
	     "  --running   plan: show the plan of the running guest; cat, validate: the\n"
	     "              descriptor that it was started with\n"
	     "  --retry     quarantine: try again now\n"
	     "  --follow    trace: continue with new messages\n"
	     "  --pcapng=FILE  trace: write a capture file\n"
	     "  --label=N   region add, remove: number of the region\n"
	     "  --address=A, --size=S, --readonly, --file=FILE  region add: guest-physical\n"
	     "              address, size, access of the guest, initial contents\n"
	     "  --kernel=FILE, --initrd=FILE, --cmdline=TEXT, --memory=SIZE  run: what a\n"
	     "              descriptor would say\n"
	     "  --name=NAME run: name of the VM\n"
	     "  --version   print the version\n"
	     "\n"
	     "exit status: 0 success, 1 failure, 2 wrong usage, 3 no such VM, 4 no manager or no "
	     "hypervisor");
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
	return ctl_fail(CTL_USAGE, "unknown verb '%s'%s", name,
			near.best ? ghvm_near_text(&near, text) : "; see ghvmctl --help");
}

static bool wants_color(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && term && strcmp(term, "dumb");
}

/* Store the value of an option in @ctl. Return: false if option @c needs more work. */
static bool note_option(int c, struct ctl *ctl)
{
	const size_t n = strlen(ctl->given);
	const char **const texts[] = {
		['a'] = &ctl->address, ['c'] = &ctl->cmdline, ['i'] = &ctl->file,
		['k'] = &ctl->kernel,  ['l'] = &ctl->label,   ['m'] = &ctl->memory,
		['n'] = &ctl->initrd,  ['N'] = &ctl->name,    ['p'] = &ctl->pcapng,
		['s'] = &ctl->size,
	};
	bool *const flags[] = {
		['F'] = &ctl->follow,	['f'] = &ctl->force,   ['j'] = &ctl->json,
		['o'] = &ctl->readonly, ['R'] = &ctl->running, ['O'] = &ctl->offline,
		['r'] = &ctl->retry,	['w'] = &ctl->wait,    ['y'] = &ctl->readonly,
	};

	if ((size_t)c < ARRAY_SIZE(texts) && texts[c])
		*texts[c] = optarg;
	else if ((size_t)c < ARRAY_SIZE(flags) && flags[c])
		*flags[c] = true;
	else
		return false;
	if (!strchr(ctl->given, c) && n < sizeof(ctl->given) - 1)
		ctl->given[n] = (char)c;
	return true;
}

/* @given: an unknown option, perhaps with a value: "--foo=bar" */
static int no_option(const char *given)
{
	char word[GHVM_NEAR_WORD + 1];
	struct ghvm_near near;

	(void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(given, "="), given); /* or cut */
	near = ghvm_near_begin(word + strspn(word, "-"));
	for (size_t i = 0; options[i].name; i++)
		ghvm_near_offer(&near, options[i].name);
	if (near.best)
		return ctl_fail(CTL_USAGE, "unknown option '%s'; did you mean '--%s'?", word,
				near.best);
	return ctl_fail(CTL_USAGE, "unknown option '%s'; see ghvmctl --help", word);
}

/* Return: CTL_USAGE. */
static int bad_option(int c, char **argv)
{
	const char *given = argv[optind - 1];

	if (optopt && c == '?' && optopt < 256 && strncmp(given, "--", 2))
		return ctl_fail(CTL_USAGE, "unknown option '-%c'; see ghvmctl --help", optopt);
	if (c == ':')
		return ctl_fail(CTL_USAGE, "option '%s' needs a value; see ghvmctl --help", given);
	if (optopt)
		return ctl_fail(CTL_USAGE, "option '%s' takes no value; see ghvmctl --help", given);
	return no_option(given);
}

/* Return: -1 continue; otherwise the exit status. */
static int read_options(int argc, char **argv, struct ctl *ctl, const char *dirs[DIRS_MAX + 1])
{
	size_t n_dirs = 0;
	int c;

	while ((c = getopt_long(argc, argv, ":hj", options, NULL)) >= 0) {
		switch (c) {
		case 'd':
			if (n_dirs == DIRS_MAX)
				return ctl_fail(CTL_USAGE, "--dir given more than %d times",
						DIRS_MAX);
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

static const char *name_option(char letter)
{
	size_t i = 0;

	while (options[i].name && options[i].val != letter)
		i++;
	return options[i].name;
}

/* "stop, console, define" */
static void list_users(char letter, char *ret, size_t size)
{
	size_t n = 0;

	*ret = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(verbs) && n < size; i++)
		if (strchr(verbs[i].options, letter))
			n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? ", " : "",
					      verbs[i].name);
}

int ctl_check_options(const struct ctl *ctl, const char *verb, const char *used)
{
	char users[128];

	for (const char *c = ctl->given; *c; c++) {
		if (strchr(used, *c))
			continue;
		list_users(*c, users, sizeof(users));
		return ctl_fail(CTL_USAGE, "%s does not take --%s, which is an option of: %s", verb,
				name_option(*c), users);
	}
	return CTL_OK;
}

/* Flush standard output; a write error, as of a full disk, is noticed only here. */
static int flush_output(int status)
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
		return flush_output(r);
	if (optind == argc) {
		help();
		return flush_output(CTL_USAGE);
	}
	verb = find_verb(argv[optind]);
	if (!verb)
		return no_verb(argv[optind]);
	n = argc - optind - 1;
	if (n < verb->min || n > verb->max)
		return ctl_fail(CTL_USAGE, "usage: ghvmctl %s %s", verb->name, verb->args);
	r = ctl_check_options(&ctl, verb->name, verb->options);
	if (r != CTL_OK)
		return r;
	return flush_output(verb->run(&ctl, argv + optind + 1, n));
}
