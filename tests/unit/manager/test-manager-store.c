/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State files: what is written is read, and nothing else is.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/manager/state/file.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

static const char golden[] = "version 1\nname demo\nvmid 129\nincarnation 18446744073709551615\n"
			     "on-reboot 1\non-crash 0\nstop-timeout-ms 30000\n"
			     "digest 0123456789abcdef\n";

/* A record without a plan: what an older manager has left. */
static const struct store_record record = {
	.name = "demo",
	.vmid = 129,
	.incarnation = UINT64_MAX,
	.on_reboot = 1,
	.stop_timeout_ms = 30000,
	.digest = "0123456789abcdef",
};

#define ZEROES_27 "000000000000000000000000000000000000000000000000000000"
#define HEADER_HEX "4d5a" ZEROES_27 ZEROES_27 "41524d64000000ff"
#define PLAN_OF(spec)                                                                              \
	"version 2\nname demo\nvmid 129\nincarnation 5\non-reboot 1\non-crash 0\n"                 \
	"stop-timeout-ms 30000\ndigest 0123456789abcdef\n"                                         \
	"spec " spec                                                                               \
	"\nkernel 1 2 3 1700000000000000004\ninitrd 0 0 0 0\nkernel-header " HEADER_HEX            \
	"\noverlay d00dfeed\n"
static const char golden_plan[] = PLAN_OF(
	"{version: 1, kernel: {image: \"/boot/Image\", cmdline: \"a b\", dtb-overlay: \"/o\", "
	"format: image}, "
	"memory: {size: 8388608, protection: protected, hugepages: never}, cpus: {count: 2}, "
	"auth: {type: none, pas-id: 0}, "
	"devices: [{console: {enabled: true, logging: journal, log-size: 65536, log-count: 8}}, "
	"{power-key: {enabled: false}}], "
	"regions: [{label: 3, size: 4096, readonly: true, access: read-write, address: "
	"1073741824}], "
	"lifecycle: {on-reboot: restart, on-crash: stop, on-watchdog: stop, stop-timeout: "
	"30000ms}, rm-rpc: true}");

static uint8_t overlay[] = { 0xd0, 0x0d, 0xfe, 0xed };

static const struct store_record planned = {
	.name = "demo",
	.vmid = 129,
	.incarnation = 5,
	.on_reboot = 1,
	.stop_timeout_ms = 30000,
	.digest = "0123456789abcdef",
	.planned = true,
	.spec = {
		.name = "demo",
		.kernel = (char[]){ "/boot/Image" },
		.cmdline = (char[]){ "a b" },
		.dtb_overlay = (char[]){ "/o" },
		.memory = GHVM_MIB(8),
		.hugepages = GHVM_HUGEPAGES_NEVER,
		.cpus = 2,
		.console = true,
		.logging = GHVM_LOGGING_JOURNAL,
		.log_size = 65536,
		.log_count = 8,
		.rm_rpc = true,
		.on_reboot = GHVM_ON_END_RESTART,
		.stop_timeout_ms = 30000,
		.regions = { { .label = 3, .readonly = true, .size = 4096, .address = GHVM_GIB(1) } },
		.n_regions = 1,
	},
	.origin = {
		.kernel = { 1, 2, 3, 1700000000000000004 },
		.kernel_header = { 'M', 'Z', [56] = 'A', 'R', 'M', 'd', [63] = 0xff },
		.overlay = overlay,
		.overlay_size = sizeof(overlay),
	},
};

static int make_dir(void **state)
{
	static char dir[64];

	strcpy(dir, "/tmp/ghvm-store-XXXXXX");
	*state = mkdtemp(dir);
	return *state ? 0 : -1;
}

static void path_in(char *ret, const char *dir, const char *name)
{
	(void)snprintf(ret, PATH_MAX, "%s/%s", dir, name);
}

static int remove_dir(void **state)
{
	char path[PATH_MAX];

	path_in(path, *state, "demo");
	(void)unlink(path);
	return rmdir(*state);
}

static void put_file(const char *dir, const void *text, size_t len)
{
	char path[PATH_MAX];
	FILE *f;

	path_in(path, dir, "demo");
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void assert_writes(const char *dir, const struct store_record *rec, const char *want)
{
	char path[PATH_MAX], text[4096];
	struct stat st;
	FILE *f;
	size_t n;

	assert_int_equal(store_write(dir, rec), 0);
	path_in(path, dir, "demo");
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	assert_string_equal(text, want);
	assert_int_equal(fstat(fileno(f), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)fclose(f);
}

static void writes_what_it_says(void **state)
{
	assert_writes(*state, &record, golden);
	assert_writes(*state, &planned, golden_plan);
}

static void reads_the_plan_back(void **state)
{
	_cleanup_(store_record_done) struct store_record rec = {};

	assert_int_equal(store_write(*state, &planned), 0);
	assert_int_equal(store_read(*state, "demo", &rec), 0);
	assert_true(rec.planned);
	assert_string_equal(rec.spec.kernel, "/boot/Image");
	assert_null(rec.spec.initrd);
	assert_int_equal(rec.spec.n_regions, 1);
	assert_true(rec.spec.rm_rpc);
	assert_memory_equal(&rec.origin.kernel, &planned.origin.kernel, sizeof(struct store_file));
	assert_memory_equal(&rec.origin.initrd, &planned.origin.initrd, sizeof(struct store_file));
	assert_memory_equal(rec.origin.kernel_header, planned.origin.kernel_header,
			    sizeof(rec.origin.kernel_header));
	assert_int_equal(rec.origin.overlay_size, sizeof(overlay));
	assert_memory_equal(rec.origin.overlay, overlay, sizeof(overlay));
	/* and is written again as it was */
	assert_writes(*state, &rec, golden_plan);
}

static void put_changed(const char *dir, const char *what, const char *with)
{
	char text[4096];
	const char *at = strstr(golden_plan, what);

	assert_non_null(at);
	(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - golden_plan), golden_plan, with,
		       at + strlen(what));
	put_file(dir, text, strlen(text));
}

/* Its user, and paths that are none of the host. */
static void a_transient_vm(void **state)
{
	_cleanup_(store_record_done) struct store_record rec = {};
	struct store_record sent = planned;

	sent.transient = true;
	sent.transient_uid = 1000;
	sent.spec.kernel = (char[]){ "fd:kernel" };
	assert_int_equal(store_write(*state, &sent), 0);
	assert_int_equal(store_read(*state, "demo", &rec), 0);
	assert_true(rec.planned && rec.transient);
	assert_int_equal(rec.transient_uid, 1000);
	assert_string_equal(rec.spec.kernel, "fd:kernel");
	put_changed(*state, "version 2", "version 3");
	assert_int_equal(store_read(*state, "demo", &sent), -EBADMSG);
}

static void reads_it_back(void **state)
{
	struct store_record rec;

	memset(&rec, 0, sizeof(rec));
	assert_int_equal(store_write(*state, &record), 0);
	assert_int_equal(store_read(*state, "demo", &rec), 0);
	assert_memory_equal(&rec, &record, sizeof(rec));
}

static void replaces(void **state)
{
	struct store_record other = record, rec;

	other.vmid = 7;
	assert_int_equal(store_write(*state, &record), 0);
	assert_int_equal(store_write(*state, &other), 0);
	assert_int_equal(store_read(*state, "demo", &rec), 0);
	assert_int_equal(rec.vmid, 7);
}

static void removes(void **state)
{
	char path[PATH_MAX];
	struct store_record rec;
	FILE *f;

	assert_int_equal(store_write(*state, &record), 0);
	store_remove(*state, "demo");
	assert_int_equal(store_read(*state, "demo", &rec), -ENOENT);
	path_in(path, *state, ".demo.new");
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fclose(f);
	store_remove(*state, "demo");
	assert_int_equal(access(path, F_OK), -1);
}

/* Neither to be read, nor in the way of one that is written. */
static void waits_for_no_fifo(void **state)
{
	struct store_record rec;
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/demo", (char *)*state);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(store_read(*state, "demo", &rec), -EBADMSG);
	(void)snprintf(path, sizeof(path), "%s/.demo.new", (char *)*state);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(store_write(*state, &record), 0);
	assert_int_equal(store_read(*state, "demo", &rec), 0);
	store_record_done(&rec);
}

/* What killed one manager does not kill the next. */
static void one_that_was_not_survived_is_not_tried_again(void **state)
{
	assert_int_equal(store_write(*state, &record), 0);
	assert_int_equal(store_try(*state, "demo"), 0);
	store_tried(*state, "demo");
	assert_int_equal(store_try(*state, "demo"), 0); /* and here it dies */
	assert_int_equal(store_try(*state, "demo"), -EEXIST);
	assert_int_equal(store_write(*state, &record), 0); /* another one */
	assert_int_equal(store_try(*state, "demo"), 0);
	store_remove(*state, "demo");
	assert_int_equal(store_try(*state, "demo"), 0);
	store_tried(*state, "demo");
	assert_int_equal(store_try("/nonexistent", "demo"), -ENOENT);
}

static void refuses_what_is_no_record(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"version 1\n",
		"version 2\nname demo\nvmid 129\nincarnation 1\non-reboot 1\non-crash 0\n"
		"stop-timeout-ms 30000\ndigest 0\n",
		"version 1\nname other\nvmid 129\nincarnation 1\non-reboot 1\non-crash 0\n"
		"stop-timeout-ms 30000\ndigest 0\n",
		"version 1\nname demo\nvmid 65536\nincarnation 1\non-reboot 1\non-crash 0\n"
		"stop-timeout-ms 30000\ndigest 0\n",
		"version 1\nname demo\nvmid -1\nincarnation 1\non-reboot 1\non-crash 0\n"
		"stop-timeout-ms 30000\ndigest 0\n",
		"version 1\nname demo\nvmid 1\nincarnation 18446744073709551616\non-reboot 1\n"
		"on-crash 0\nstop-timeout-ms 30000\ndigest 0\n",
		"version 1\nname demo\nvmid 1\nincarnation 1\non-reboot 2\non-crash 0\n"
		"stop-timeout-ms 30000\ndigest 0\n",
		"version 1\nname demo\nvmid 1\nincarnation 1\non-reboot 1\non-crash 0\n"
		"stop-timeout-ms 30000\ndigest 0123456789abcdef0\n",
		"version 1\nname demo\nvmid 1\nvmid 1\nincarnation 1\non-reboot 1\non-crash 0\n"
		"stop-timeout-ms 30000\ndigest 0\n",
		"version 1\nname demo\nvmid 1\nincarnation 1\non-reboot 1\non-crash 0\n"
		"stop-timeout-ms 30000\ndigest 0\nmore 1\n",
		"version 1\nname demo\nvmid\nincarnation 1\non-reboot 1\non-crash 0\n"
		"stop-timeout-ms 30000\ndigest 0\n",
	};
	struct store_record rec = { .vmid = 77 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_file(*state, bad[i], strlen(bad[i]));
		assert_int_equal(store_read(*state, "demo", &rec), -EBADMSG);
		assert_int_equal(rec.vmid, 77);
	}
}

/* A manager that knows less, or more, of specs than the one that wrote it. */
static void a_spec_not_understood_costs_only_the_plan(void **state)
{
	static const char text[] = PLAN_OF("{version: 1, flux-capacitor: true}");
	struct store_record rec;

	put_file(*state, text, strlen(text));
	assert_int_equal(store_read(*state, "demo", &rec), 0);
	assert_false(rec.planned);
	assert_int_equal(rec.vmid, 129);
	store_record_done(&rec);
}

static void refuses_a_plan_that_is_none(void **state)
{
	static const char *const changes[][2] = {
		{ "version 2", "version 3" }, /* without the user */
		{ "version 2", "version 4" },
		{ "overlay d00dfeed\n", "overlay d00dfeed\ntransient 0\n" },
		{ "version 2", "version 0" },
		{ "version 2", "version 1" },
		{ "kernel 1 2 3 1700000000000000004", "kernel 1 2 3" },
		{ "kernel 1 2 3 1700000000000000004", "kernel 1 2 3 4 5" },
		{ "kernel 1 2 3 1700000000000000004", "kernel 1 2  4" },
		{ "kernel 1 2 3 1700000000000000004", "kernel 1 2 -3 4" },
		{ "initrd 0 0 0 0\n", "" },
		{ "kernel-header 4d", "kernel-header 4g" },
		{ "kernel-header 4d", "kernel-header 4D" },
		{ "kernel-header 4d", "kernel-header " },
		{ "kernel-header 4d", "kernel-header 4d00" },
		{ "overlay d0", "overlay d" },
		{ "overlay d00dfeed", "overlay d" },
		{ "\noverlay ", "\noverlie " },
	};
	struct store_record rec = { .vmid = 77 };

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		put_changed(*state, changes[i][0], changes[i][1]);
		if (store_read(*state, "demo", &rec) != -EBADMSG)
			fail_msg("taken: %s", changes[i][1]);
		assert_int_equal(rec.vmid, 77);
	}
}

static void refuses_every_cut_of_a_plan(void **state)
{
	struct store_record rec;

	for (size_t n = 0; n < strlen(golden_plan); n++) {
		put_file(*state, golden_plan, n);
		assert_int_equal(store_read(*state, "demo", &rec), -EBADMSG);
	}
}

static void takes_overlays_up_to_the_limit(void **state)
{
	uint8_t *big = calloc(1, GHVM_OVERLAY_MAX + 1);
	struct store_record rec = planned, found;

	assert_non_null(big);
	rec.origin.overlay = big;
	rec.origin.overlay_size = GHVM_OVERLAY_MAX;
	assert_int_equal(store_write(*state, &rec), 0);
	assert_int_equal(store_read(*state, "demo", &found), 0);
	assert_int_equal(found.origin.overlay_size, GHVM_OVERLAY_MAX);
	store_record_done(&found);
	rec.origin.overlay_size = GHVM_OVERLAY_MAX + 1;
	assert_int_equal(store_write(*state, &rec), 0);
	assert_int_equal(store_read(*state, "demo", &found), -EBADMSG);
	free(big);
}

static void refuses_every_cut(void **state)
{
	struct store_record rec;

	for (size_t n = 0; n < strlen(golden); n++) {
		put_file(*state, golden, n);
		assert_int_equal(store_read(*state, "demo", &rec), -EBADMSG);
	}
	put_file(*state, golden, strlen(golden));
	assert_int_equal(store_read(*state, "demo", &rec), 0);
}

static void refuses_zeroes_and_floods(void **state)
{
	char text[4096] = {};
	struct store_record rec;

	put_file(*state, text, 200);
	assert_int_equal(store_read(*state, "demo", &rec), -EBADMSG);
	memset(text, 'x', sizeof(text));
	put_file(*state, text, sizeof(text));
	assert_int_equal(store_read(*state, "demo", &rec), -EBADMSG);
}

static void follows_no_link(void **state)
{
	char path[PATH_MAX];
	struct store_record rec;

	path_in(path, *state, "demo");
	assert_int_equal(symlink("/etc/hostname", path), 0);
	assert_int_equal(store_read(*state, "demo", &rec), -ELOOP);
}

static void says_that_a_folder_is_missing(void **state)
{
	struct store_record rec;

	assert_int_equal(store_write("/nonexistent", &record), -ENOENT);
	assert_int_equal(store_read("/nonexistent", "demo", &rec), -ENOENT);
	store_remove("/nonexistent", "demo");
}

#define IN_DIR(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(writes_what_it_says),
		IN_DIR(reads_it_back),
		IN_DIR(reads_the_plan_back),
		IN_DIR(a_transient_vm),
		IN_DIR(a_spec_not_understood_costs_only_the_plan),
		IN_DIR(refuses_a_plan_that_is_none),
		IN_DIR(refuses_every_cut_of_a_plan),
		IN_DIR(takes_overlays_up_to_the_limit),
		IN_DIR(replaces),
		IN_DIR(removes),
		IN_DIR(waits_for_no_fifo),
		IN_DIR(one_that_was_not_survived_is_not_tried_again),
		IN_DIR(refuses_what_is_no_record),
		IN_DIR(refuses_every_cut),
		IN_DIR(refuses_zeroes_and_floods),
		IN_DIR(follows_no_link),
		cmocka_unit_test(says_that_a_folder_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
