/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manager is killed, by a real SIGKILL, before or right after any of its requests;
 * another process finds what is left and gives it back. All the while the model watches
 * that no page of a guest is written, unguarded or unpinned.
 */
#include "libghvm/base/cleanup.h"
#include "ghvm/machine.h"
#include "libghvm/machine/internal.h"
#include "libghvm/machine/orphans.h"
#include "tests/fixtures/demo-plan.h"
#include "tests/fixtures/sock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RAM 0x90000ULL
#define INCARNATION 7
#define PATIENCE_MS 5000
#define HEIRS_MAX 8
#define STEP 7 /* every so many requests: each point costs a process */

struct life {
	struct ghvm_host *host;
	struct ghvm_rm *rm;
	struct ghvm_ledger ledger;
};

/* Exits with 1 when it fails: the parent looks. */
static void must(int r, const char *what, const struct ghvm_error *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, err->msg);
	_exit(1);
}

static void be_born(struct life *l, const char *uri)
{
	struct ghvm_error err = {};

	ghvm_ledger_init(&l->ledger, ghvm_quirks_unknown());
	must(ghvm_host_open(uri, &l->host, &err), "open", &err);
	must(ghvm_rm_new(l->host, &l->rm, &err), "connect", &err);
}

/* A VM from nothing to nothing, with a reboot in between. */
static void live(const char *uri)
{
	static const struct demo_options options = { .memory = RAM, .window = true };
	struct ghvm_error err = {};
	struct ghvm_machine *m;
	struct demo demo;
	struct life l;

	be_born(&l, uri);
	demo_init(&demo, &options);
	must(ghvm_machine_new(l.host, l.rm, &demo.plan, INCARNATION, &m), "new", &err);
	ghvm_machine_set_ledger(m, &l.ledger);
	ghvm_machine_set_patience(m, PATIENCE_MS);
	must(ghvm_machine_build(m, &demo.files, NULL, &err), "build", &err);
	must(ghvm_machine_start(m, &err), "start", &err);
	must(ghvm_machine_rebuild(m, &demo.files, NULL, &err), "rebuild", &err);
	must(ghvm_machine_start(m, &err), "start again", &err);
	must(ghvm_machine_teardown(m, &err), "teardown", &err);
	_exit(0);
}

/* Orphans come sorted by VMID. */
static size_t adopt_orphans(struct life *l, struct ghvm_machine **m)
{
	_cleanup_(freep) struct ghvm_orphan *v = NULL;
	struct ghvm_error err = {};
	size_t n = 0, n_m = 0, first, end;

	must(ghvm_orphans_list(l->host, &v, &n, &err), "list", &err);
	for (first = 0; first < n; first = end) {
		for (end = first + 1; end < n && v[end].tag.vmid.id == v[first].tag.vmid.id;)
			end++;
		must(n_m == HEIRS_MAX || !v[first].readable ? -1 : 0, "odd orphans", &err);
		must(ghvm_machine_adopt(l->host, l->rm, &l->ledger, NULL, v + first, end - first,
					&m[n_m++], &err),
		     "adopt", &err);
	}
	return n_m;
}

static size_t adopt_strays(struct life *l, struct ghvm_machine **m, size_t room)
{
	struct ghvm_vmid vmids[GHVM_VMIDS];
	struct ghvm_error err = {};
	size_t n = 0;

	must(ghvm_machine_strays(l->rm, &l->ledger, vmids, &n, &err), "strays", &err);
	must(n > room ? -1 : 0, "too many strays", &err);
	for (size_t i = 0; i < n; i++)
		must(ghvm_machine_adopt_stray(l->host, l->rm, &l->ledger, vmids[i], &m[i]),
		     "adopt a stray", &err);
	return n;
}

static void recover(const char *uri)
{
	struct ghvm_machine *m[HEIRS_MAX];
	struct ghvm_error err = {};
	struct life l;
	size_t n;

	be_born(&l, uri);
	n = adopt_orphans(&l, m);
	n += adopt_strays(&l, m + n, HEIRS_MAX - n);
	for (size_t i = 0; i < n; i++) {
		ghvm_machine_set_patience(m[i], PATIENCE_MS);
		must(ghvm_machine_teardown(m[i], &err), "teardown of what was left", &err);
		ghvm_machine_free(m[i]);
	}
	_exit(0);
}

/* Its wait status. */
static int in_child(void (*fn)(const char *uri), const char *uri)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		fn(uri);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_clean(struct sock_bench *b, unsigned int nth)
{
	static const char *const keys[] = { "vms",    "slots",	 "parcels",    "entries",   "pins",
					    "grants", "rm_dead", "violations", "irqs_bound" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (sock_bench_count(b, keys[i]))
			fail_msg("killed at request %u: %s is not 0", nth, keys[i]);
	}
}

/* False: it was through before its nth request. */
static bool kill_at(struct sock_bench *b, const char *how, unsigned int nth)
{
	char command[64];
	int status;

	(void)snprintf(command, sizeof(command), "%s %u", how, nth);
	sock_bench_command(b, command);
	status = in_child(live, b->uri);
	if (status == 0) {
		sock_bench_command(b, "no-fault");
		return false;
	}
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(in_child(recover, b->uri), 0);
	return true;
}

static void sweep(const char *how, unsigned int first, const char *option)
{
	_cleanup_(sock_bench_freep) struct sock_bench *b =
		sock_bench_new("--delay=0", "--ram=16", option, NULL);
	unsigned int nth;

	ghvm_host_close(b->host); /* RM rx is for the victims */
	b->host = NULL;
	for (nth = first; kill_at(b, how, nth); nth += STEP)
		assert_clean(b, nth);
	assert_clean(b, 0);
	assert_true(nth > 50);
}

static void before_a_request(void **state)
{
	sweep("kill-client", 1, NULL);
}

static void after_a_request(void **state)
{
	sweep("kill-client-after", 2, NULL);
}

static void with_scattered_memory(void **state)
{
	sweep("kill-client-after", 5, "--fragment=1");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_a_request),
		cmocka_unit_test(after_a_request),
		cmocka_unit_test(with_scattered_memory),
	};

	sock_bench_program(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
