/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identify the resource manager and select its row of quirks.
 */
#include "daemon/manager/host/rm-generation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/manager/core/log.h"
#include "daemon/manager/host/presplit-witness.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/hyp/host.h"
#include "libghvm/machine/orphans.h"
#include "libghvm/machine/presplit-probe.h"
#include "ghvm/machine.h"
#include "libghvm/rm/probe.h"

#define BOOT_ID_SIZE 64		    /* 36 characters and a newline */
#define STATE_FILE "presplit.probe" /* cannot be a VM: VM names have no dots */

static void choose_row(struct probe *p)
{
	p->quirks = *ghvm_quirks_choose(&p->facts, &p->why);
}

void probe_init(struct probe *p)
{
	*p = (struct probe){};
	choose_row(p);
}

void probe_identify(struct probe *p, struct ghvm_rm *rm, const struct ghvm_info *info)
{
	struct ghvm_error err = {};

	p->facts.rm_capid = info->rm_tx_capid;
	if (ghvm_rm_probe(rm, &p->facts, &err) < 0)
		log_warning(NULL, 0, "%s", err.msg);
	choose_row(p);
	log_info(NULL, "Resource manager recognised as %s: %s", p->quirks.generation, p->why);
}

/* --- does a LEND unmap? --- */

static const char *const answers[] = { "unneeded", "needed", "unclear" };

enum { UNNEEDED, NEEDED, UNCLEAR };

static int read_text(int dir, const char *path, char *ret, size_t size)
{
	_cleanup_(closep) int fd = ghvm_file_open(dir, path);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, ret, size - 1);
	if (n <= 0)
		return n < 0 ? -errno : -ENODATA;
	ret[n] = '\0';
	return 0;
}

/* What is kept: the boot that it is true of, a line, and the answer, another. */
static int kept_text(int answer, char *ret, size_t size)
{
	char boot[BOOT_ID_SIZE];
	int n, r;

	r = read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	if (r < 0)
		return r;
	n = snprintf(ret, size, "%s%s\n", boot, answers[answer]);
	return n < 0 || (size_t)n >= size ? -EOVERFLOW : 0;
}

/* UNNEEDED, NEEDED or UNCLEAR of this boot; else -ENODATA. */
static int recall(int dir)
{
	char kept[2 * BOOT_ID_SIZE], would[2 * BOOT_ID_SIZE];

	if (read_text(dir, STATE_FILE, kept, sizeof(kept)) < 0)
		return -ENODATA;
	for (int i = UNNEEDED; i <= UNCLEAR; i++)
		if (kept_text(i, would, sizeof(would)) == 0 && !strcmp(kept, would))
			return i;
	return -ENODATA;
}

static int keep_answer(int dir, int answer)
{
	_cleanup_(closep) int fd = -1;
	char text[2 * BOOT_ID_SIZE];
	int r = kept_text(answer, text, sizeof(text));

	if (r < 0)
		return r;
	fd = ghvm_file_create(dir, STATE_FILE ".new");
	if (fd < 0)
		return fd;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -EIO;
	return renameat(dir, STATE_FILE ".new", dir, STATE_FILE) < 0 ? -errno : 0;
}

static int try_it(struct ghvm_host *host, struct ghvm_rm *rm)
{
	struct witness w;
	const struct ghvm_presplit_witness ops = { &w, witness_open, witness_look, witness_close };
	_cleanup_(freep) struct ghvm_orphan *orphans = NULL;
	struct ghvm_error err = {};
	size_t n = 0;
	int r;

	r = ghvm_orphans_list(host, &orphans, &n, &err);
	if (r == 0 && n)
		r = ghvm_error_set(&err, -ENODATA,
				   "memory lent by an earlier manager is still lent");
	if (r == 0)
		r = ghvm_presplit_probe(host, rm, &ops, &err);
	if (r >= 0)
		return r ? NEEDED : UNNEEDED;
	log_warning(NULL, 0, "Cannot find out whether a LEND unmaps memory: %s", err.msg);
	return UNCLEAR;
}

void probe_presplit(struct probe *p, struct ghvm_host *host, struct ghvm_rm *rm,
		    const char *state_dir)
{
	_cleanup_(closep) int dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct ghvm_quirk_value *v = &p->quirks.v[GHVM_QUIRK_PRESPLIT];
	int answer = recall(dir), r;

	if (answer < 0) {
		answer = try_it(host, rm);
		r = keep_answer(dir, answer);
		if (r < 0)
			log_warning(NULL, r, "Cannot save the result of the LEND test");
	}
	if (answer == UNCLEAR)
		return;
	*v = (struct ghvm_quirk_value){ answer == NEEDED, "tried out on this host" };
	log_info(NULL, "A LEND alone %s",
		 answer == NEEDED ? "does not unmap memory" : "unmaps memory");
}
