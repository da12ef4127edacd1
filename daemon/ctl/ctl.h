/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interface of the verbs of ghvmctl.
 */
#pragma once

#include "ghvm/error.h"

#include <stdbool.h>

/* Exit statuses, documented in ghvmctl(1). */
enum ctl_status {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NO_VM = 3,
	CTL_NO_MANAGER = 4,
};

/**
 * struct ctl - the options; all pointers borrowed
 * @color: use colour on standard output
 * @force: of stop, console and define
 * @wait: of console
 * @retry: of quarantine
 * @running: of plan, validate and cat
 * @offline: of validate
 * @follow: of trace
 * @pcapng: of trace; NULL: not given
 * @label, @address, @size, @file: of region; NULL: not given
 * @readonly: of region and console
 * @kernel, @initrd, @cmdline, @memory, @name: of run; NULL: not given
 * @given: letters of all of these on the command line, without --dir
 * @dirs: --dir, folders of descriptors, with a NULL at the end; NULL: the default folders
 */
struct ctl {
	bool json;
	bool color;
	bool force;
	bool wait;
	bool retry;
	bool running;
	bool offline;
	bool follow;
	const char *pcapng;
	const char *label;
	const char *address;
	const char *size;
	const char *file;
	bool readonly;
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	const char *memory;
	const char *name;
	char given[32];
	const char *const *dirs;
};

/* @args: the @n arguments after the verb. Return: enum ctl_status. */
typedef int (*ctl_verb)(const struct ctl *ctl, char **args, int n);

int verb_list(const struct ctl *ctl, char **args, int n);
int verb_status(const struct ctl *ctl, char **args, int n);
int verb_start(const struct ctl *ctl, char **args, int n);
int verb_stop(const struct ctl *ctl, char **args, int n);
int verb_console(const struct ctl *ctl, char **args, int n);
int verb_validate(const struct ctl *ctl, char **args, int n);
int verb_plan(const struct ctl *ctl, char **args, int n);
int verb_cat(const struct ctl *ctl, char **args, int n);
int verb_define(const struct ctl *ctl, char **args, int n);
int verb_edit(const struct ctl *ctl, char **args, int n);
int verb_run(const struct ctl *ctl, char **args, int n);
int verb_undefine(const struct ctl *ctl, char **args, int n);
int verb_why(const struct ctl *ctl, char **args, int n);
int verb_host(const struct ctl *ctl, char **args, int n);
int verb_quarantine(const struct ctl *ctl, char **args, int n);
int verb_region(const struct ctl *ctl, char **args, int n);
int verb_trace(const struct ctl *ctl, char **args, int n);

/* Print "ghvmctl: ..." to standard error. Return: @status. */
int ctl_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Refuse the first option of the command line that is not among @used, the letters of main.c: it would have no
 * effect. @verb: as it is called in the message. Return: enum ctl_status.
 */
int ctl_check_options(const struct ctl *ctl, const char *verb, const char *used);
