/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run: a transient VM, from a descriptor or from options.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/client/job.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/output/complaints.h"
#include "daemon/ctl/verbs/define.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"
#include "libghvm/spec/paths.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FROM_OPTIONS "options" /* the file of their text, in the places of its errors */

/**
 * struct order - what is run
 * @file: NULL: @text is made of options
 */
struct order {
	char name[GHVM_NAME_SIZE];
	const char *file;
	char *text;
	size_t len;
};

/* ---- a descriptor of options ---- */

/* "  image: '/boot/Image'"; the path, which @option gives, is made absolute. */
static int put_path(FILE *f, const char *key, const char *option, const char *path)
{
	_cleanup_(freep) char *real = path ? realpath(path, NULL) : NULL;

	if (!path)
		return CTL_OK;
	if (!real)
		return ctl_fail(CTL_FAILED, "%s: %s: %s", option, path, strerror(errno));
	fprintf(f, "  %s: ", key);
	spec_put_quoted(f, real);
	fputc('\n', f);
	return CTL_OK;
}

static bool has_control_character(const char *s)
{
	while (*s && !iscntrl((unsigned char)*s))
		s++;
	return *s;
}

static int put_descriptor(FILE *f, const struct ctl *ctl)
{
	int r;

	if (ctl->cmdline && has_control_character(ctl->cmdline))
		return ctl_fail(CTL_FAILED, "--cmdline: has a control character");
	fputs("version: 1\nkernel:\n", f);
	r = put_path(f, "image", "--kernel", ctl->kernel);
	if (r == CTL_OK)
		r = put_path(f, "initrd", "--initrd", ctl->initrd);
	if (r != CTL_OK)
		return r;
	if (ctl->cmdline) {
		fputs("  cmdline: ", f);
		spec_put_quoted(f, ctl->cmdline);
		fputc('\n', f);
	}
	fputs("memory: {size: ", f);
	spec_put_quoted(f, ctl->memory);
	fputs("}\n", f);
	return CTL_OK;
}

static int text_of_options(const struct ctl *ctl, char **ret, size_t *ret_len)
{
	FILE *f = open_memstream(ret, ret_len);
	int r;

	if (!f)
		return ctl_fail(CTL_FAILED, "out of memory");
	r = put_descriptor(f, ctl);
	if (ferror(f) && r == CTL_OK)
		r = ctl_fail(CTL_FAILED, "out of memory");
	if (fclose(f) != 0 && r == CTL_OK)
		r = ctl_fail(CTL_FAILED, "out of memory");
	return r;
}

/* ---- errors of options ---- */

/* What the user has written for the key that is the first @n bytes of @key. */
static const char *option_of(const char *key, size_t n)
{
	static const struct {
		const char *key;
		const char *option;
	} all[] = {
		{ "kernel.image", "--kernel: " },
		{ "kernel.initrd", "--initrd: " },
		{ "kernel.cmdline", "--cmdline: " },
		{ "memory.size", "--memory: " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (strlen(all[i].key) == n && !strncmp(all[i].key, key, n))
			return all[i].option;
	return "";
}

static bool print_complaints(const struct ghvm_complaints *all)
{
	bool bad = false;

	for (size_t i = 0; i < all->n; i++) {
		const struct ghvm_complaint *c = &all->v[i];
		const bool error = c->severity == GHVM_SEVERITY_ERROR;

		(void)ctl_fail(0, "%s%s%s",
			       error ? "" : "warning: ", option_of(c->key, strlen(c->key)),
			       c->text);
		bad |= error;
	}
	return bad;
}

/* "options:3:10: kernel.image: ...": the user has written neither this file nor this key. */
static int print_error(const char *text)
{
	const char *key = text, *end;

	if (!strncmp(text, FROM_OPTIONS ":", strlen(FROM_OPTIONS ":")) && strstr(text, ": "))
		key = strstr(text, ": ") + 2;
	end = strstr(key, ": ");
	if (!end || !*option_of(key, (size_t)(end - key)))
		return ctl_fail(CTL_FAILED, "%s", key);
	return ctl_fail(CTL_FAILED, "%s%s", option_of(key, (size_t)(end - key)), end + 2);
}

static int send_options(const char *name, const char *text, size_t len, struct descriptor_sent *ret)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	struct ghvm_error err = {};
	int r = descriptor_send(name, FROM_OPTIONS, text, len, NULL, ret, &all, &err);
	const bool told = print_complaints(&all);

	if (r == 0)
		return CTL_OK;
	return told ? CTL_FAILED : print_error(err.msg);
}

/* ---- errors of the manager ---- */

/* "fd:file-3" is what this process has called the fourth path of the descriptor: say that path. */
static void name_files(const struct ghvm_spec *spec, struct ghvm_error *err)
{
	for (size_t i = 0; i < spec->n_paths; i++) {
		const struct ghvm_error was = *err;
		char sent[32];
		const int n = snprintf(sent, sizeof(sent), SPEC_FD "file-%zu", i);
		const char *at = strstr(was.msg, sent);

		if (at && !isdigit((unsigned char)at[n]))
			(void)ghvm_error_set(err, was.code, "%.*s%s%s", (int)(at - was.msg),
					     was.msg, spec->paths[i].value, at + n);
	}
}

/* "demo.yaml:3:10: kernel.image: ...": the place is one in the text that was sent. Return: whether there is one. */
static bool cut_place(const char *name, struct ghvm_error *err)
{
	const struct ghvm_error was = *err;
	const size_t n = strlen(name);
	int end = 0;

	if (strncmp(was.msg, name, n) != 0 || sscanf(was.msg + n, ".yaml:%*u:%*u: %n", &end) < 0 ||
	    !end)
		return false;
	(void)ghvm_error_set(err, was.code, "%s", was.msg + n + end);
	return true;
}

/* Say what is wrong with what the user has written: with a file and its place in it, or with an option. */
static int print_refusal(const struct order *o, struct ghvm_error *err)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error ignored;
	const bool placed = cut_place(o->name, err);

	if (ghvm_spec_parse(o->name, o->file ?: FROM_OPTIONS, o->text, o->len, &spec, NULL,
			    &ignored) == 0)
		name_files(&spec, err);
	if (placed && o->file && ghvm_spec_complain(&spec, err, &all) == 0)
		complaints_print(&all, stderr);
	else if (placed && !o->file)
		(void)print_error(err->msg);
	else
		(void)ctl_fail(0, "%s: %s", o->name, err->msg);
	return CTL_FAILED;
}

/* ---- what is run ---- */

static int check_usage(const struct ctl *ctl, int n)
{
	const bool options = ctl->kernel || ctl->initrd || ctl->cmdline || ctl->memory;

	if (n && options)
		return ctl_fail(CTL_USAGE, "a descriptor says what --kernel, --initrd, --cmdline "
					   "and --memory say: give one or the other");
	if (n || (ctl->kernel && ctl->memory && ctl->name))
		return CTL_OK;
	return ctl_fail(CTL_USAGE, "usage: ghvmctl run [--name NAME] FILE, or\n"
				   "  ghvmctl run --kernel FILE [--initrd FILE] [--cmdline TEXT] "
				   "--memory SIZE --name NAME");
}

static int read_text(const struct ctl *ctl, const char *file, char **ret, size_t *ret_len)
{
	struct ghvm_error err = {};

	if (!file)
		return text_of_options(ctl, ret, ret_len);
	return descriptor_read(file, ret, ret_len, &err) < 0 ? ctl_fail(CTL_FAILED, "%s", err.msg)
							     : CTL_OK;
}

static int choose_name(const struct ctl *ctl, const char *file, char ret[GHVM_NAME_SIZE])
{
	if (!ctl->name)
		return descriptor_name(file, ret) < 0
			       ? ctl_fail(CTL_FAILED,
					  "%s: the file name is too long for a VM "
					  "name: give one with --name",
					  file)
			       : CTL_OK;
	if (!ghvm_name_valid(ctl->name))
		return ctl_fail(CTL_FAILED,
				"--name: '%s' is not a VM's name: 1 to 27 of a-z, 0-9 and -, no "
				"dash first or last",
				ctl->name);
	memcpy(ret, ctl->name, strlen(ctl->name) + 1);
	return CTL_OK;
}

/* ---- the run ---- */

static void tell_start(void *name, sd_bus *bus, struct wait *w)
{
	wait_for(w, "%s to start", (const char *)name);
}

static int run_vm(struct order *o, const struct descriptor_sent *sent)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *job = NULL;
	struct ghvm_error err = {};
	int r = client_open(&bus, &err);

	if (r == 0)
		r = descriptor_run(bus, o->name, sent, &job, &err);
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	r = job_follow(bus, job, tell_start, o->name, &err);
	if (r == 0)
		return CTL_OK;
	r = print_refusal(o, &err);
	fprintf(stderr, "see: journalctl -u gunyah-vm@%s\n", o->name);
	return r;
}

int verb_run(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(descriptor_sent_done) struct descriptor_sent sent = { .spec = -1 };
	struct order o = { .file = n ? args[0] : NULL };
	int r = check_usage(ctl, n);

	if (r == CTL_OK)
		r = choose_name(ctl, o.file, o.name);
	if (r == CTL_OK)
		r = read_text(ctl, o.file, &o.text, &o.len);
	if (r == CTL_OK)
		r = o.file ? define_send(o.name, o.file, o.text, o.len, &sent)
			   : send_options(o.name, o.text, o.len, &sent);
	if (r == CTL_OK)
		r = run_vm(&o, &sent);
	free(o.text);
	return r;
}
