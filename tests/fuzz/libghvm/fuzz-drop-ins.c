/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A descriptor and its drop-ins, as files: the parts of the input between lines of "---8<---". */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "ghvm/spec.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/messages.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CUT "---8<---\n"

static const char *const names[] = {
	"demo.yaml",
	"demo.yaml.d/10-a.yaml",
	"demo.yaml.d/20-b.yaml",
	"demo.yaml.d/30-c.yaml",
};
static const char *dirs[2];

static void prepare(void)
{
	char path[PATH_MAX];

	dirs[0] = messages_folder();
	(void)snprintf(path, sizeof(path), "%s/demo.yaml.d", dirs[0]);
	PROMISE(mkdir(path, 0700) == 0);
}

static void write_files(const uint8_t *data, size_t size)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const uint8_t *cut = data ? memmem(data, size, CUT, strlen(CUT)) : NULL;
		size_t n = cut ? (size_t)(cut - data) : size;

		(void)snprintf(path, sizeof(path), "%s/%s", dirs[0], names[i]);
		(void)unlink(path); /* of the input before */
		if (data)
			messages_file(dirs[0], names[i], data, n);
		size -= cut ? n + strlen(CUT) : size;
		data = cut ? cut + strlen(CUT) : NULL;
	}
}

static void check_complaints(const struct ghvm_complaints *c, int r)
{
	unsigned int errors = 0;

	for (size_t i = 0; i < c->n; i++) {
		PROMISE(strstr(c->v[i].file, "demo.yaml") && c->v[i].rule && *c->v[i].text);
		errors += c->v[i].severity == GHVM_SEVERITY_ERROR;
	}
	PROMISE(r < 0 || !errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {}, again = {};
	_cleanup_(freep) char *line = NULL, *twice = NULL;
	struct ghvm_error err = {};
	int r;

	if (!dirs[0])
		prepare();
	write_files(data, size);
	r = ghvm_spec_load("demo", dirs, &s, &c, &err);
	check_complaints(&c, r);
	if (r < 0) {
		PROMISE(*err.msg);
		return 0;
	}
	/* all of them together are one that says the same */
	line = ghvm_spec_to_yaml(&s);
	PROMISE(line &&
		ghvm_spec_parse("demo", "again", line, strlen(line), &again, NULL, &err) == 0);
	twice = ghvm_spec_to_yaml(&again);
	PROMISE(twice && !strcmp(line, twice));
	return 0;
}
