/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Properties on the bus: the rows, the XML files that must agree with them, what the manager
 * makes of a row and what ghvmctl reads of that.
 */
#include "daemon/manager/bus/property.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/ctl/client/object.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

/* --- the XML files --- */

struct row {
	const char *name;
	const char *type;
	const char *news;
};

#define VALUE(id, name, type, news) { name, #type, #news },
#define OTHER(id, name, type, news) { name, type, #news },

static const struct row manager_rows[] = { BUS_MANAGER_PROPERTIES(VALUE, OTHER) };
static const struct row host_rows[] = { BUS_HOST_PROPERTIES(VALUE, OTHER) };
static const struct row vm_rows[] = { BUS_VM_PROPERTIES(VALUE, OTHER) };
static const struct row region_rows[] = { BUS_REGION_PROPERTIES(VALUE, OTHER) };
static const struct row transaction_rows[] = { BUS_TRANSACTION_PROPERTIES(VALUE, OTHER) };
static const struct row job_rows[] = { BUS_JOB_PROPERTIES(VALUE, OTHER) };

/* The annotation of an XML file that says so; CHANGES is what is meant without one. */
static const char *annotation_of(const char *news)
{
	if (!strcmp(news, "CHANGES"))
		return NULL;
	return strcmp(news, "CONST") ? "false" : "const";
}

/* As sd-bus writes them, with the indentation of test-interfaces.py. */
static void put_rows(FILE *to, const struct row *rows, size_t n)
{
	const char *annotation;

	for (size_t i = 0; i < n; i++) {
		annotation = annotation_of(rows[i].news);
		fprintf(to, "    <property name=\"%s\" type=\"%s\" access=\"read\"%s\n",
			rows[i].name, rows[i].type, annotation ? ">" : " />");
		if (annotation)
			fprintf(to,
				"      <annotation "
				"name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" "
				"value=\"%s\" />\n    </property>\n",
				annotation);
	}
}

static FILE *open_xml(const char *interface)
{
	const char *folder = getenv("GHVM_INTERFACES");
	char path[512];

	assert_non_null(folder);
	(void)snprintf(path, sizeof(path), "%s/org.gunyah.vmm1.%s.xml", folder, interface);
	return fopen(path, "r");
}

/* The lines of all its properties, and no others. */
static void put_properties(FILE *to, const char *interface)
{
	FILE *xml = open_xml(interface);
	char *line = NULL;
	bool within = false;
	size_t size = 0;

	assert_non_null(xml);
	while (getline(&line, &size, xml) >= 0) {
		within = within || strstr(line, "<property ");
		if (within)
			fputs(line, to);
		if (strstr(line, "</property>") ||
		    (strstr(line, "<property ") && strstr(line, "/>")))
			within = false;
	}
	free(line);
	(void)fclose(xml);
}

static void hold(const char *interface, const struct row *rows, size_t n)
{
	_cleanup_(freep) char *wanted = NULL, *found = NULL;
	size_t size;
	FILE *f = open_memstream(&wanted, &size);

	assert_non_null(f);
	put_rows(f, rows, n);
	assert_int_equal(fclose(f), 0);
	f = open_memstream(&found, &size);
	assert_non_null(f);
	put_properties(f, interface);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(found, wanted);
}

static void xml_files_have_the_same_rows(void **state)
{
	hold("Manager", manager_rows, ARRAY_SIZE(manager_rows));
	hold("Host", host_rows, ARRAY_SIZE(host_rows));
	hold("VM", vm_rows, ARRAY_SIZE(vm_rows));
	hold("Region", region_rows, ARRAY_SIZE(region_rows));
	hold("Transaction", transaction_rows, ARRAY_SIZE(transaction_rows));
	hold("Job", job_rows, ARRAY_SIZE(job_rows));
}

/* --- a table of each type --- */

struct thing {
	char text[32];
	bool truth;
	uint16_t small;
	int number;
	uint32_t word;
	uint64_t big;
};

#define THING_PROPERTIES(VALUE, OTHER)                                                             \
	VALUE(name, "Name", s, CONST)                                                              \
	VALUE(text, "Text", s, CHANGES)                                                            \
	VALUE(truth, "Truth", b, CHANGES)                                                          \
	VALUE(small, "Small", q, CHANGES)                                                          \
	VALUE(number, "Number", i, CHANGES)                                                        \
	OTHER(list, "List", "as", CHANGES)                                                         \
	VALUE(word, "Word", u, SILENT)                                                             \
	VALUE(big, "Big", t, CHANGES)

#define TEXT(id, value) PROPERTY_GETTER(id, const struct thing *t, text, value)
#define NUMBER(id, value) PROPERTY_GETTER(id, const struct thing *t, number, (uint64_t)(value))

TEXT(name, t->text)
TEXT(text, t->text)
NUMBER(truth, t->truth)
NUMBER(small, t->small)
NUMBER(number, t->number)
NUMBER(word, t->word)
NUMBER(big, t->big)

static const struct property rows[] = { THING_PROPERTIES(PROPERTY_ROW, PROPERTY_NO_ROW) };
static const struct property_table table = { "test.Thing", rows, ARRAY_SIZE(rows) };

struct told {
	THING_PROPERTIES(OBJECT_MEMBER, OBJECT_NO_MEMBER)
	unsigned int lists;
};

static int read_list(sd_bus_message *m, void *object)
{
	((struct told *)object)->lists++;
	return sd_bus_message_skip(m, "v");
}

#define OBJECT_STRUCT struct told
static const struct object_field fields[] = { THING_PROPERTIES(OBJECT_FIELD, OBJECT_FIELD_OTHER) };

static const struct thing example = { "words", true, 65535, -22, UINT32_MAX, UINT64_MAX - 1 };

/* --- messages, on a connection that nothing is sent on --- */

struct wire {
	sd_bus *bus;
	int peer;
	sd_bus_message *m;
};

static void wire_open(struct wire *w)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	w->peer = fds[1];
	assert_true(sd_bus_new(&w->bus) >= 0);
	assert_true(sd_bus_set_fd(w->bus, fds[0], fds[0]) >= 0);
	assert_true(sd_bus_start(w->bus) >= 0);
	assert_true(sd_bus_message_new_signal(w->bus, &w->m, "/", "test.Thing", "Told") >= 0);
}

static void wire_close(struct wire *w)
{
	(void)sd_bus_message_unref(w->m);
	(void)sd_bus_close_unref(w->bus);
	(void)close(w->peer);
}

static void put_property(sd_bus_message *m, const char *name, const char *type)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;

	assert_true(sd_bus_message_open_container(m, 'e', "sv") >= 0);
	assert_true(sd_bus_message_append(m, "s", name) >= 0);
	assert_true(sd_bus_message_open_container(m, 'v', type) >= 0);
	if (strcmp(type, "as"))
		assert_true(property_get(&table, name, &example, m, &e) >= 0);
	else
		assert_true(sd_bus_message_append(m, "as", 2, "one", "two") >= 0);
	assert_true(sd_bus_message_close_container(m) >= 0);
	assert_true(sd_bus_message_close_container(m) >= 0);
}

/* a{sv} of the example, one that no row knows, and @odd_type for one that is known, or NULL */
static void put_example(sd_bus_message *m, const char *odd_type)
{
	static const struct row all[] = { THING_PROPERTIES(VALUE, OTHER) };

	assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		put_property(m, all[i].name, all[i].type);
	assert_true(sd_bus_message_append(m, "{sv}", "Later", "(ss)", "a", "b") >= 0);
	if (odd_type)
		assert_true(sd_bus_message_append(m, "{sv}", "Text", odd_type, 7) >= 0);
	assert_true(sd_bus_message_close_container(m) >= 0);
	assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
	assert_true(sd_bus_message_rewind(m, 1) >= 0);
}

static void each_type_arrives(void **state)
{
	struct told told = {};
	struct wire w;

	wire_open(&w);
	put_example(w.m, NULL);
	assert_true(object_read(w.m, fields, ARRAY_SIZE(fields), &told) >= 0);
	assert_string_equal(told.name, "words");
	assert_string_equal(told.text, "words");
	assert_int_equal(told.truth, 1);
	assert_int_equal(told.small, 65535);
	assert_int_equal(told.number, -22);
	assert_int_equal(told.word, UINT32_MAX);
	assert_int_equal(told.big, UINT64_MAX - 1);
	assert_int_equal(told.lists, 1);
	object_done(fields, ARRAY_SIZE(fields), &told);
	assert_null(told.name);
	wire_close(&w);
}

/* Its texts until then are freed by object_done(). */
static void another_type_is_refused(void **state)
{
	struct told told = {};
	struct wire w;

	wire_open(&w);
	put_example(w.m, "u");
	assert_int_equal(object_read(w.m, fields, ARRAY_SIZE(fields), &told), -ENXIO);
	object_done(fields, ARRAY_SIZE(fields), &told);
	wire_close(&w);
}

static void an_unknown_name_is_an_error(void **state)
{
	static const char *const names[] = { "", "name", "Nam", "Names", "List" };
	sd_bus_error e = SD_BUS_ERROR_NULL;
	struct wire w;

	wire_open(&w);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_true(property_get(&table, names[i], &example, w.m, &e) < 0);
		assert_true(sd_bus_error_has_name(&e, SD_BUS_ERROR_UNKNOWN_PROPERTY));
		sd_bus_error_free(&e);
	}
	assert_true(sd_bus_message_is_empty(w.m));
	wire_close(&w);
}

/* --- changes --- */

static void expect(const struct thing *t, struct property_value *was, const char *wanted)
{
	const char *names[PROPERTIES_MAX + 1];
	char found[256] = "";

	property_differences(&table, t, was, names);
	for (size_t i = 0; names[i]; i++) {
		strcat(found, names[i]);
		strcat(found, " ");
	}
	assert_string_equal(found, wanted);
}

static void what_differs_is_told_once(void **state)
{
	struct property_value was[ARRAY_SIZE(rows)] = {};
	struct thing t = example;

	expect(&t, was, "Text Truth Small Number Big ");
	expect(&t, was, "");
	t.text[0] = 'W'; /* in place, and Name is constant */
	expect(&t, was, "Text ");
	t.number = 22;
	t.big--;
	t.word--;
	expect(&t, was, "Number Big ");
	expect(&t, was, "");
	property_forget(&table, was);
	t = (struct thing){};
	expect(&t, was, "Text "); /* "" is not what was told, zero is */
	property_forget(&table, was);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xml_files_have_the_same_rows),
		cmocka_unit_test(each_type_arrives),
		cmocka_unit_test(another_type_is_refused),
		cmocka_unit_test(an_unknown_name_is_an_error),
		cmocka_unit_test(what_differs_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
