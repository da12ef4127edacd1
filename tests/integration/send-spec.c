/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Send a descriptor to the manager, as clients do: send-spec BUS METHOD FILE SEALS [OPTION]...
 *
 * SEALS: good, none, shrink, write; or pipe: no memfd at all. OPTION: KEY=TEXT, or kernel=FILE.
 * Prints the complaints of Validate, a line each, or the text of Plan.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "libghvm/base/cleanup.h"

#define FILE_MAX (4 << 20)
#define NAME "org.gunyah.vmm1"

static ssize_t load(const char *path, char *ret)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : read(fd, ret, FILE_MAX);
}

static int make_fd(const char *path, const char *seals)
{
	_cleanup_(freep) char *text = malloc(FILE_MAX);
	ssize_t n = text ? load(path, text) : -1;
	int fd, add = F_SEAL_SHRINK | F_SEAL_WRITE, p[2];

	if (n < 0)
		return -errno;
	if (!strcmp(seals, "pipe"))
		return pipe(p) < 0 ? -errno : p[0];
	if (!strcmp(seals, "none"))
		add = 0;
	else if (!strcmp(seals, "shrink"))
		add = F_SEAL_SHRINK;
	else if (!strcmp(seals, "write"))
		add = F_SEAL_WRITE;
	fd = memfd_create("spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || write(fd, text, (size_t)n) != n || fcntl(fd, F_ADD_SEALS, add) < 0)
		return -errno;
	return fd;
}

/* "kernel-header" and "kernel-size" of a file */
static int append_kernel(sd_bus_message *m, const char *path)
{
	_cleanup_(freep) char *text = malloc(FILE_MAX);
	ssize_t n = text ? load(path, text) : -1;
	int r;

	if (n < 64)
		return -EINVAL;
	r = sd_bus_message_append(m, "{sv}", "kernel-size", "t", (uint64_t)n);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", "kernel-header");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', "ay");
	if (r >= 0)
		r = sd_bus_message_append_array(m, 'y', text, 64);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_options(sd_bus_message *m, char **options)
{
	int r = sd_bus_message_open_container(m, 'a', "{sv}");
	char *value;

	for (; *options && r >= 0; options++) {
		value = strchr(*options, '=');
		if (!value)
			return -EINVAL;
		*value++ = '\0';
		if (!strcmp(*options, "kernel"))
			r = append_kernel(m, value);
		else
			r = sd_bus_message_append(m, "{sv}", *options, "s", value);
	}
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int print_complaints(sd_bus_message *m)
{
	const char *severity, *rule, *path, *text;
	uint32_t line, column;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "(sssuus)");
	while (r >= 0) {
		r = sd_bus_message_read(m, "(sssuus)", &severity, &rule, &path, &line, &column,
					&text);
		if (r <= 0)
			break;
		printf("%s %s %s %u %u %s\n", severity, rule, path, line, column, text);
	}
	return r;
}

static int print_plan(sd_bus_message *m)
{
	const int wanted = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	char text[4096];
	ssize_t n;
	int fd, r;

	r = sd_bus_message_read(m, "h", &fd);
	if (r < 0)
		return r;
	if (fcntl(fd, F_GET_SEALS) != wanted)
		return -EPERM;
	while ((n = read(fd, text, sizeof(text))) > 0)
		(void)fwrite(text, 1, (size_t)n, stdout);
	return (int)n;
}

static int call(sd_bus *bus, char **argv, sd_bus_error *error)
{
	_cleanup_(closep) int fd = make_fd(argv[3], argv[4]);
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	if (fd < 0)
		return fd;
	r = sd_bus_message_new_method_call(bus, &m, NAME, "/org/gunyah/vmm1", NAME ".Manager",
					   argv[2]);
	if (r >= 0)
		r = sd_bus_message_append(m, "h", fd);
	if (r >= 0)
		r = append_options(m, argv + 5);
	if (r >= 0)
		r = sd_bus_call(bus, m, 0, error, &reply);
	if (r >= 0)
		r = strcmp(argv[2], "Plan") ? print_complaints(reply) : print_plan(reply);
	(void)sd_bus_message_unref(m);
	(void)sd_bus_message_unref(reply);
	return r;
}

int main(int argc, char **argv)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus *bus = NULL;
	int r;

	if (argc < 5)
		return EXIT_FAILURE;
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, argv[1]);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, true);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = call(bus, argv, &error);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", error.name ? error.name : "error",
			error.message ? error.message : strerror(-r));
	sd_bus_error_free(&error);
	(void)sd_bus_flush_close_unref(bus);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
