/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the verbs of ghvmctl share: how they are called, and what they return.
 */
#pragma once

#include "libghvm/error.h"

#include <stdbool.h>

/* Exit statuses, as ghvmctl(1) promises them. */
enum ctl_status {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NO_VM = 3,
	CTL_NO_MANAGER = 4,
};

/**
 * struct ctl - one call of the program
 * @json: --json
 * @color: standard output is a terminal that wants it
 * @force: --force, of stop and console; @wait: --wait, of console
 * @offline: --offline, of validate
 * @retry: --retry, of quarantine; @running: --running, of plan
 * @follow: --follow, and @pcapng: --pcapng=FILE or NULL, both of trace. Borrowed
 * @label, @address, @size, @file: of region; NULL: not given. Borrowed
 * @readonly: of region and console
 * @dirs: --dir, folders of descriptors; NULL: the usual ones. Borrowed
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
	const char *const *dirs;
};

/* @args: what follows the verb, @n of them. Return: enum ctl_status. */
typedef int (*ctl_verb)(const struct ctl *ctl, char **args, int n);

int verb_list(const struct ctl *ctl, char **args, int n);
int verb_status(const struct ctl *ctl, char **args, int n);
int verb_start(const struct ctl *ctl, char **args, int n);
int verb_stop(const struct ctl *ctl, char **args, int n);
int verb_console(const struct ctl *ctl, char **args, int n);
int verb_validate(const struct ctl *ctl, char **args, int n);
int verb_plan(const struct ctl *ctl, char **args, int n);
int verb_why(const struct ctl *ctl, char **args, int n);
int verb_host(const struct ctl *ctl, char **args, int n);
int verb_quarantine(const struct ctl *ctl, char **args, int n);
int verb_region(const struct ctl *ctl, char **args, int n);
int verb_trace(const struct ctl *ctl, char **args, int n);

/* Print "ghvmctl: ..." to standard error. Return: @status. */
int ctl_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
