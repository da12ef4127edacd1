// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What all the tests have left behind, and what the debug kernel has seen: nothing. Unloads the
 * module, as only then what it forgot is without a reference.
 */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REFERENCES "/sys/module/ghvm/refcnt"
#define LEAKS "/sys/kernel/debug/kmemleak"

/* Each CPU counts for itself; this adds its share up. */
static void refresh(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		t_die("stat_refresh");
	close(fd);
}

static void pages(void)
{
	long pinned = -1;

	/* pages that were pinned go with the process that had them; the last may still be at it */
	for (int i = 0; i < 500 && pinned; i++) {
		refresh();
		pinned = t_proc("/proc/vmstat", "nr_foll_pin_acquired") -
			 t_proc("/proc/vmstat", "nr_foll_pin_released");
		t_ms(20);
	}
	t_eq(pinned, 0, "left: no page is pinned");
}

static void module_goes(void)
{
	int dev = t_open();

	t_eq((int64_t)t_info(dev).quarantined_pages, 0, "left: nothing is quarantined");
	close(dev);
	for (int i = 0; i < 500 && t_proc(REFERENCES, ""); i++)
		t_ms(20); /* a killed process may still be at its end */
	t_eq(t_proc(REFERENCES, ""), 0, "left: no reference to the module");
	t_eq(syscall(SYS_delete_module, "ghvm", O_NONBLOCK) < 0 ? -errno : 0, 0,
	     "left: the module goes");
}

static void scan(void)
{
	int fd = open(LEAKS, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "scan", 4) != 4)
		t_die("kmemleak");
	close(fd);
}

/* It looks at what is older than five seconds, and believes the second scan. */
static void leaks(void)
{
	char line[256];
	int n = 0;
	FILE *f;

	t_ms(6000);
	scan();
	scan();
	f = fopen(LEAKS, "r");
	if (!f)
		t_die("kmemleak");
	while (fgets(line, sizeof(line), f)) {
		printf("# %s", line);
		n++;
	}
	fclose(f);
	t_eq(n, 0, "left: kmemleak has found nothing");
}

void test_left(void)
{
	pages();
	module_goes();
	leaks();
	t_eq(t_proc("/proc/lockdep_stats", " debug_locks:"), 1, "left: lockdep is still awake");
}
