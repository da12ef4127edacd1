/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where descriptors lie, what lies over them, and what cannot be read. */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/spec.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "version: 1\nkernel: {image: /boot/Image}\n"
#define GOOD HEAD "memory: {size: 512M}\n"

struct folders {
	char root[FOLDER_SIZE];
	char a[48];
	char b[48];
	const char *dirs[3];
};

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make_folders(void **state)
{
	struct folders *f = calloc(1, sizeof(*f));

	folder_make(f->root);
	snprintf(f->a, sizeof(f->a), "%s/a", f->root);
	snprintf(f->b, sizeof(f->b), "%s/b", f->root);
	assert_int_equal(mkdir(f->a, 0755), 0);
	assert_int_equal(mkdir(f->b, 0755), 0);
	f->dirs[0] = f->a;
	f->dirs[1] = f->b;
	*state = f;
	return 0;
}

static int drop_folders(void **state)
{
	struct folders *f = *state;

	folder_remove(f->root);
	free(f);
	return 0;
}

static int load(struct folders *f, const char *name, struct ghvm_spec *s, struct ghvm_error *err)
{
	*err = (struct ghvm_error){};
	return ghvm_spec_load(name, f->dirs, s, NULL, err);
}

static void finds_the_first(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct folders *f = *state;
	struct ghvm_error err;

	write_file(f->b, "demo.yaml", GOOD "cpus: {count: 2}\n");
	assert_int_equal(load(f, "demo", &s, &err), 0);
	assert_int_equal(s.cpus, 2);
	ghvm_spec_done(&s);
	write_file(f->a, "demo.yaml", GOOD "cpus: {count: 3}\n");
	assert_int_equal(load(f, "demo", &s, &err), 0);
	assert_int_equal(s.cpus, 3);
	ghvm_spec_done(&s);
	assert_int_equal(load(f, "nosuch", &s, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "nosuch"));
}

/* Where it was looked for, which one is near, and nothing that a terminal would obey. */
static void says_what_there_is_instead(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct folders *f = *state;
	struct ghvm_error err;
	char text[256];

	write_file(f->b, "demo.yaml", GOOD);
	assert_int_equal(load(f, "dmeo", &s, &err), -ENOENT);
	snprintf(text, sizeof(text),
		 "there is no virtual machine 'dmeo': no dmeo.yaml in %s or %s; did you mean "
		 "'demo'?",
		 f->a, f->b);
	assert_string_equal(err.msg, text);
	assert_int_equal(load(f, "../de\033mo", &s, &err), -ENOENT);
	assert_string_equal(err.msg,
			    "'../de?mo' cannot name a virtual machine: 1 to 27 of a-z, 0-9 "
			    "and -, no dash first or last");
}

static void lays_drop_ins_over_it(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct folders *f = *state;
	struct ghvm_error err;
	char dir[64];

	write_file(f->b, "demo.yaml", GOOD "cpus: {count: 2}\n");
	snprintf(dir, sizeof(dir), "%s/demo.yaml.d", f->b);
	assert_int_equal(mkdir(dir, 0755), 0);
	write_file(dir, "20-b.yaml", "cpus: {count: 4}\n");
	write_file(dir, "10-a.yaml",
		   "version: 1\ncpus: {count: 3}\nlifecycle: {on-crash: restart}\n");
	write_file(dir, "notes.txt", "no YAML [");
	assert_int_equal(load(f, "demo", &s, &err), 0);
	assert_int_equal(s.cpus, 4);
	assert_int_equal(s.on_crash, GHVM_ON_END_RESTART);
	assert_int_equal(s.memory, GHVM_MIB(512));
	ghvm_spec_done(&s);

	/* the same name further up hides it */
	snprintf(dir, sizeof(dir), "%s/demo.yaml.d", f->a);
	assert_int_equal(mkdir(dir, 0755), 0);
	write_file(dir, "20-b.yaml", "cpus: {count: 5}\n");
	assert_int_equal(load(f, "demo", &s, &err), 0);
	assert_int_equal(s.cpus, 5);
	ghvm_spec_done(&s);

	/* a part of a mapping, and the whole of a list */
	write_file(dir, "40-d.yaml",
		   "memory: {hugepages: never}\ndevices: [{power-key: {enabled: false}}]\n");
	write_file(dir, "50-e.yaml", "devices: [{console: {enabled: false}}]\n");
	assert_int_equal(load(f, "demo", &s, &err), 0);
	assert_int_equal(s.hugepages, GHVM_HUGEPAGES_NEVER);
	assert_int_equal(s.memory, GHVM_MIB(512));
	assert_true(s.power_key);
	assert_false(s.console);
	ghvm_spec_done(&s);

	write_file(dir, "30-c.yaml", "cpus: {cuont: 5}\n");
	assert_int_equal(load(f, "demo", &s, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "demo.yaml.d/30-c.yaml:1:8: cpus.cuont: unknown key"));
}

/* A template with only false conditions leaves nothing, or comments, or keys without a value. */
static void an_empty_drop_in_changes_nothing(void **state)
{
	static const char *const nothing[] = {
		"",
		"\n",
		"# only this\n",
		"---\n",
		"--- # or this\n...\n",
		"~\n",
		"null\n",
		"memory:\n",
		"memory: {protection: ~, hugepages: }\n",
		"regions:\ndevices: null\n",
	};
	struct folders *f = *state;
	char dir[64];

	write_file(f->a, "demo.yaml",
		   HEAD
		   "memory: {size: 512M, protection: none, hugepages: never}\n"
		   "regions: [{label: 1, size: 4K}]\ndevices: [{console: {enabled: false}}]\n");
	snprintf(dir, sizeof(dir), "%s/demo.yaml.d", f->a);
	assert_int_equal(mkdir(dir, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(nothing); i++) {
		_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
		struct ghvm_error err;

		write_file(dir, "1.yaml", nothing[i]);
		if (load(f, "demo", &s, &err) < 0)
			fail_msg("%s for: %s", err.msg, nothing[i]);
		assert_int_equal(s.memory, GHVM_MIB(512));
		assert_int_equal(s.protection, GHVM_PROTECTION_NONE);
		assert_int_equal(s.hugepages, GHVM_HUGEPAGES_NEVER);
		assert_int_equal(s.n_regions, 1);
		assert_false(s.console);
	}
}

/* What depends on two keys is judged by what all files make of them together. */
static void checks_what_the_files_make_together(void **state)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct folders *f = *state;
	struct ghvm_error err;
	char dir[64];

	snprintf(dir, sizeof(dir), "%s/demo.yaml.d", f->a);
	assert_int_equal(mkdir(dir, 0755), 0);
	write_file(f->a, "demo.yaml", HEAD "memory: {size: 1536M, hugepages: 1G}\n");
	write_file(dir, "1.yaml", "memory: {size: 2G}\n");
	assert_int_equal(load(f, "demo", &s, &err), 0);
	ghvm_spec_done(&s);
	write_file(f->a, "demo.yaml", GOOD);
	write_file(dir, "1.yaml", "memory: {hugepages: 1G}\n");
	assert_int_equal(load(f, "demo", &s, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "/a/demo.yaml:3:16: memory.size: 512M is not"));

	/* and all of them are complained about */
	write_file(f->a, "demo.yaml", GOOD "colour: blue\n");
	write_file(dir, "1.yaml", "memory: {size: x}\n");
	assert_int_equal(ghvm_spec_load("demo", f->dirs, &s, &c, &err), -EINVAL);
	assert_int_equal(c.n, 2);
	assert_string_equal(c.v[0].key, "colour");
	assert_non_null(strstr(c.v[1].file, "/a/demo.yaml.d/1.yaml"));
}

static void reads_only_regular_files(void **state)
{
	struct folders *f = *state;
	struct ghvm_error err;
	struct ghvm_spec s;
	char path[64];

	snprintf(path, sizeof(path), "%s/dir.yaml", f->a);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(load(f, "dir", &s, &err), -EINVAL);
	snprintf(path, sizeof(path), "%s/link.yaml", f->a);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(load(f, "link", &s, &err), -ELOOP);
	assert_non_null(strstr(err.msg, "link.yaml: is a symbolic link; name the file itself: "
					"/etc/passwd"));
	snprintf(path, sizeof(path), "%s/lost.yaml", f->a);
	assert_int_equal(symlink("/nonexistent/x", path), 0);
	assert_int_equal(load(f, "lost", &s, &err), -ELOOP);
	assert_non_null(strstr(err.msg, "lost.yaml: is a symbolic link without a target"));
	snprintf(path, sizeof(path), "%s/fifo.yaml", f->a);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(load(f, "fifo", &s, &err), -EINVAL);
}

static void lists_names(void **state)
{
	struct folders *f = *state;
	struct ghvm_error err;
	char **v;

	assert_int_equal(ghvm_spec_list(f->dirs, &v, &err), 0);
	assert_null(v[0]);
	free(v);
	write_file(f->a, "zeta.yaml", "");
	write_file(f->b, "zeta.yaml", "");
	write_file(f->b, "alpha.yaml", "");
	write_file(f->b, "Bad_Name.yaml", "");
	write_file(f->b, "other.yml", "");
	assert_int_equal(ghvm_spec_list(f->dirs, &v, &err), 0);
	assert_string_equal(v[0], "alpha");
	assert_string_equal(v[1], "zeta");
	assert_null(v[2]);
	free(v[0]);
	free(v[1]);
	free(v);
}

/* ---- what is there and cannot be read ---- */

/* root reads everything, but no link that leads nowhere or to itself, and no file as a folder */
static void put_unreadable(const char *path, const char *kind)
{
	FILE *file;

	if (!strcmp(kind, "file")) {
		file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(fclose(file), 0);
	} else if (!strcmp(kind, "closed")) {
		assert_int_equal(mkdir(path, geteuid() ? 0000 : 0755), 0);
	} else {
		assert_int_equal(symlink(!strcmp(kind, "loop") ? path : "/nonexistent/x", path), 0);
	}
}

static const char *const unreadable[] = { "file", "closed", "loop", "dangling" };

static bool is_readable(const char *kind)
{
	return !strcmp(kind, "closed") && geteuid() == 0;
}

/* "memory.protection" may be what gets lost. */
static void a_folder_of_drop_ins_that_cannot_be_read_is_an_error(void **state)
{
	struct folders *f = *state;
	struct ghvm_error err;
	struct ghvm_spec s;
	char path[64], text[96];

	write_file(f->b, "demo.yaml", HEAD "memory: {size: 512M, protection: none}\n");
	snprintf(path, sizeof(path), "%s/demo.yaml.d", f->a);
	snprintf(text, sizeof(text), "%s: cannot be read", path);
	for (size_t i = 0; i < ARRAY_SIZE(unreadable); i++) {
		if (is_readable(unreadable[i]))
			continue;
		put_unreadable(path, unreadable[i]);
		if (load(f, "demo", &s, &err) >= 0)
			fail_msg("%s: taken for no drop-ins", unreadable[i]);
		assert_non_null(strstr(err.msg, text));
		assert_int_equal(remove(path), 0);
	}
}

static void a_drop_in_that_cannot_be_read_is_an_error(void **state)
{
	struct folders *f = *state;
	struct ghvm_error err;
	struct ghvm_spec s;
	char dir[64], path[80];

	write_file(f->a, "demo.yaml", GOOD);
	snprintf(dir, sizeof(dir), "%s/demo.yaml.d", f->a);
	assert_int_equal(mkdir(dir, 0755), 0);
	snprintf(path, sizeof(path), "%s/1.yaml", dir);
	for (size_t i = 1; i < ARRAY_SIZE(unreadable); i++) {
		put_unreadable(path, unreadable[i]);
		if (load(f, "demo", &s, &err) >= 0)
			fail_msg("%s: taken for no drop-in", unreadable[i]);
		assert_non_null(strstr(err.msg, path));
		assert_int_equal(remove(path), 0);
	}
	write_file(dir, "1.yaml", "memory: {protection: protected}\n");
	if (geteuid()) {
		assert_int_equal(chmod(path, 0000), 0);
		assert_int_equal(load(f, "demo", &s, &err), -EACCES);
	}
}

static void a_folder_that_cannot_be_read_empties_no_list(void **state)
{
	struct folders *f = *state;
	struct ghvm_error err;
	char **v;

	write_file(f->b, "demo.yaml", GOOD);
	for (size_t i = 0; i < ARRAY_SIZE(unreadable); i++) {
		if (is_readable(unreadable[i]))
			continue;
		assert_int_equal(remove(f->a), 0);
		put_unreadable(f->a, unreadable[i]);
		err = (struct ghvm_error){};
		assert_true(ghvm_spec_list(f->dirs, &v, &err) < 0);
		assert_non_null(strstr(err.msg, f->a));
		assert_string_equal(v[0], "demo");
		assert_null(v[1]);
		free(v[0]);
		free(v);
	}
	assert_int_equal(remove(f->a), 0);
	assert_int_equal(ghvm_spec_list(f->dirs, &v, &err), 0); /* not there: nothing in it */
	free(v[0]);
	free(v);
}

/* Parse a descriptor with @n unknown keys more. */
static void parse_keys(unsigned int n, struct ghvm_error *err)
{
	_cleanup_(freep) char *text = NULL;
	struct ghvm_spec s = {};
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	fputs(GOOD, f);
	for (unsigned int i = 0; i < n; i++)
		fprintf(f, "key-%u:\n", i);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(ghvm_spec_parse("demo", "demo.yaml", text, len, &s, NULL, err), -EINVAL);
}

static void refuses_more_keys_than_a_descriptor_needs(void **state)
{
	struct ghvm_error err = {};

	parse_keys(2000, &err);
	assert_non_null(strstr(err.msg, "demo.yaml:4:1: key-0: unknown key"));
	parse_keys(32000, &err);
	assert_non_null(strstr(err.msg, "demo.yaml:2044:"));
	assert_non_null(strstr(err.msg, "too many keys and values"));
}

#define WITH_FOLDERS(t) cmocka_unit_test_setup_teardown(t, make_folders, drop_folders)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDERS(finds_the_first),
		WITH_FOLDERS(says_what_there_is_instead),
		WITH_FOLDERS(lays_drop_ins_over_it),
		WITH_FOLDERS(an_empty_drop_in_changes_nothing),
		WITH_FOLDERS(checks_what_the_files_make_together),
		WITH_FOLDERS(reads_only_regular_files),
		WITH_FOLDERS(lists_names),
		WITH_FOLDERS(a_folder_of_drop_ins_that_cannot_be_read_is_an_error),
		WITH_FOLDERS(a_drop_in_that_cannot_be_read_is_an_error),
		WITH_FOLDERS(a_folder_that_cannot_be_read_empties_no_list),
		cmocka_unit_test(refuses_more_keys_than_a_descriptor_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
