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

#include "daemon/manager/store.h"
#include "libghvm/bits.h"

static const char golden[] = "version 1\nname demo\nvmid 129\nincarnation 18446744073709551615\n"
			     "on-reboot 1\non-crash 0\nstop-timeout-ms 30000\n"
			     "digest 0123456789abcdef\n";

static const struct store_record record = {
	.name = "demo",
	.vmid = 129,
	.incarnation = UINT64_MAX,
	.on_reboot = 1,
	.stop_timeout_ms = 30000,
	.digest = "0123456789abcdef",
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

static void writes_what_it_says(void **state)
{
	char path[PATH_MAX], text[512];
	struct stat st;
	FILE *f;
	size_t n;

	assert_int_equal(store_write(*state, &record), 0);
	path_in(path, *state, "demo");
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text), f);
	assert_int_equal(n, strlen(golden));
	assert_memory_equal(text, golden, n);
	assert_int_equal(fstat(fileno(f), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)fclose(f);
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
	struct store_record rec;

	assert_int_equal(store_write(*state, &record), 0);
	store_remove(*state, "demo");
	assert_int_equal(store_read(*state, "demo", &rec), -ENOENT);
	store_remove(*state, "demo");
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
		IN_DIR(replaces),
		IN_DIR(removes),
		IN_DIR(refuses_what_is_no_record),
		IN_DIR(refuses_every_cut),
		IN_DIR(refuses_zeroes_and_floods),
		IN_DIR(follows_no_link),
		cmocka_unit_test(says_that_a_folder_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
