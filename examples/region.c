/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region: talk to a guest through memory that it shares with the host.
 *
 *     region NAME LABEL [TEXT]
 *
 * Opens a region of the running VM NAME, writes TEXT to its first bytes, then prints what they are
 * each time the guest changes them. Ends with the guest: the manager then announces that the
 * region is gone, and the memory stays as the guest left it.
 *
 * It needs systemd's sd-bus, and permission for org.gunyah.vmm1.region, as members of the group
 * gunyah have it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>

#define MANAGER "org.gunyah.vmm1"
#define LOOK_USEC 50000
#define LINE 64

struct window {
	char *path;
	sd_bus *bus;
	volatile char *at;
	size_t size;
	bool gone;
};

/* InterfacesRemoved(o path, as interfaces) */
static int on_removed(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct window *w = data;
	const char *path;

	if (sd_bus_message_read(m, "o", &path) >= 0 && !strcmp(path, w->path))
		w->gone = true;
	return 0;
}

/* Ask for the signal before the region is opened, so that its end cannot be missed. */
static int listen_for_end(struct window *w)
{
	return sd_bus_match_signal(w->bus, NULL, MANAGER, "/org/gunyah/vmm1",
				   "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved",
				   on_removed, w);
}

/* Map it for reading and writing; one that the host may only read, for reading. */
static int map_memory(struct window *w, int fd)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return -1;
	w->size = (size_t)st.st_size;
	p = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		p = mmap(NULL, w->size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	w->at = p; /* stays mapped when the file descriptor is closed */
	return 0;
}

static int open_region(struct window *w)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int fd, r;

	r = sd_bus_call_method(w->bus, MANAGER, w->path, MANAGER ".Region", "Open", &e, &reply,
			       "a{sv}", 0);
	if (r < 0)
		fprintf(stderr, "region: %s: %s\n", e.name ? e.name : "no answer",
			e.message ? e.message : strerror(-r));
	if (r >= 0 && (sd_bus_message_read(reply, "h", &fd) < 0 || map_memory(w, fd) < 0)) {
		fprintf(stderr, "region: cannot map the memory\n");
		r = -1;
	}
	sd_bus_error_free(&e);
	sd_bus_message_unref(reply);
	return r;
}

static void read_line(const struct window *w, char ret[LINE])
{
	size_t i = 0;

	while (i < LINE - 1 && i < w->size && w->at[i] >= ' ' && w->at[i] <= '~') {
		ret[i] = w->at[i];
		i++;
	}
	ret[i] = '\0';
}

static void write_line(struct window *w, const char *text)
{
	for (size_t i = 0; i < w->size && i <= strlen(text); i++)
		w->at[i] = text[i];
}

static void print_change(const struct window *w, char before[LINE])
{
	char now[LINE];

	read_line(w, now);
	if (!strcmp(now, before))
		return;
	printf("%s\n", now);
	fflush(stdout);
	memcpy(before, now, LINE);
}

/* Until the guest has ended. Return: negative: the bus is gone. */
static int watch_memory(struct window *w, const char *written)
{
	char line[LINE] = "";
	int r = 0;

	(void)snprintf(line, sizeof(line), "%s", written); /* or what fits */
	while (r >= 0 && !w->gone) {
		print_change(w, line);
		while ((r = sd_bus_process(w->bus, NULL)) > 0)
			;
		if (r == 0)
			r = sd_bus_wait(w->bus, LOOK_USEC);
	}
	print_change(w, line);
	return r;
}

/* /org/gunyah/vmm1/vm/NAME/region/LABEL, where NAME is encoded. Return: owned, or NULL. */
static char *make_path(const char *name, const char *label)
{
	char *vm = NULL, *path = NULL;

	if (sd_bus_path_encode("/org/gunyah/vmm1/vm", name, &vm) < 0)
		return NULL;
	if (asprintf(&path, "%s/region/%s", vm, label) < 0)
		path = NULL;
	free(vm);
	return path;
}

int main(int argc, char **argv)
{
	struct window w = {};
	int r;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: region NAME LABEL [TEXT]\n");
		return 2;
	}
	w.path = make_path(argv[1], argv[2]);
	r = w.path ? sd_bus_open_system(&w.bus) : -1;
	if (r >= 0)
		r = listen_for_end(&w);
	if (r >= 0)
		r = open_region(&w);
	if (r >= 0 && argc == 4)
		write_line(&w, argv[3]);
	if (r >= 0)
		r = watch_memory(&w, argc == 4 ? argv[3] : "");
	if (w.gone)
		printf("the guest has ended\n");
	sd_bus_flush_close_unref(w.bus);
	free(w.path);
	return r < 0;
}
