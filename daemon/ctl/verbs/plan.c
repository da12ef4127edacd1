/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * validate and plan: done by the library in this process, with the rights of the caller. The manager is asked only
 * for the plan of a running VM, and about a descriptor that is in no file.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/client/descriptor.h"
#include "daemon/ctl/output/complaints.h"
#include "daemon/ctl/output/terminal.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/kernel/config.h"
#include "daemon/ctl/kernel/lint.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/plan/disk-image.h"
#include "libghvm/plan/dt.h"
#include "ghvm/plan.h"
#include "libghvm/plan/plan.h"
#include "libghvm/base/name.h"
#include "libghvm/spec/complain.h"
#include "libghvm/spec/files.h"
#include "libghvm/spec/pair.h"
#include "libghvm/spec/paths.h"
#include "ghvm/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_MAX 4096

/* ---- descriptors ---- */

/* Is there a folder DIR/NAME.yaml.d beside DIR/NAME.yaml? It may be unreadable. */
static bool has_drop_ins(const char *path)
{
	const size_t len = strlen(path), end = strlen(".yaml");
	char folder[PATH_MAX];
	struct stat st;

	return len > end && !strcmp(path + len - end, ".yaml") &&
	       (size_t)snprintf(folder, sizeof(folder), "%s.d", path) < sizeof(folder) &&
	       lstat(folder, &st) == 0;
}

/* Load a file together with its drop-ins: its folder replaces the descriptor folders of the host. */
static int load_with_drop_ins(const char *path, const char *name, struct ghvm_spec *spec,
			      struct ghvm_complaints *complaints, struct ghvm_error *err)
{
	const char *slash = strrchr(path, '/');
	_cleanup_(freep) char *dir =
		slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	const char *const dirs[] = { dir, NULL };

	if (!dir)
		return ghvm_error_set(err, -ENOMEM, "out of memory");
	return ghvm_spec_load(name, dirs, spec, complaints, err);
}

static int load_descriptor(const struct ctl *ctl, const char *arg, struct ghvm_spec *spec,
			   struct descriptor_told *told, struct ghvm_complaints *complaints,
			   struct ghvm_error *err)
{
	_cleanup_(freep) char *text = NULL;
	char name[GHVM_NAME_SIZE];
	size_t len = 0;
	int r;

	if (ctl->running || !descriptor_is_file(arg))
		return descriptor_load(ctl, arg, told, spec, complaints, err);
	if (descriptor_name(arg, name) < 0)
		return ghvm_error_set(err, -EINVAL, "%s: the file name is too long for a VM name",
				      arg);
	if (ghvm_name_valid(name) && has_drop_ins(arg))
		return load_with_drop_ins(arg, name, spec, complaints, err);
	r = descriptor_read(arg, &text, &len, err);
	return r < 0 ? r : ghvm_spec_parse(name, arg, text, len, spec, complaints, err);
}

/* ---- files that a descriptor names ---- */

static int read_overlay(const char *path, uint8_t *buf, size_t *ret_size, struct ghvm_error *err)
{
	uint64_t size;
	_cleanup_(closep) int fd = descriptor_open("kernel.dtb-overlay", path, &size, err);
	ssize_t n;

	if (fd < 0)
		return fd;
	if (!size || size > GHVM_OVERLAY_MAX)
		return ghvm_error_set(err, -EFBIG,
				      "kernel.dtb-overlay: %s: has %" PRIu64
				      " bytes, the limit is %u",
				      path, size, GHVM_OVERLAY_MAX);
	n = pread(fd, buf, GHVM_OVERLAY_MAX, 0);
	if (n < 0)
		return ghvm_error_set(err, -errno, "kernel.dtb-overlay: %s: %s", path,
				      strerror(errno));
	*ret_size = (size_t)n;
	return 0;
}

/* Is @path a file that came with the call of a transient VM? Then the manager has told of it, if it has it. */
static bool is_told(const char *path)
{
	return spec_path_key(path);
}

static int not_told(const char *key, const char *path, struct ghvm_error *err)
{
	return ghvm_error_set(
		err, -EINVAL,
		"%s: '%s': the manager does not have this file: it was restarted, and "
		"the runner has not sent the file",
		key, path);
}

/* @buf: HEADER_MAX bytes */
static int add_kernel(const struct ghvm_spec *spec, uint8_t *buf, struct ghvm_plan_input *in,
		      struct ghvm_error *err)
{
	_cleanup_(closep) int fd = -1;
	ssize_t n;

	if (is_told(spec->kernel))
		return in->kernel_header ? 0 : not_told("kernel.image", spec->kernel, err);
	fd = descriptor_open("kernel.image", spec->kernel, &in->kernel_size, err);
	if (fd < 0)
		return fd;
	n = pread(fd, buf, HEADER_MAX, 0);
	if (n < 0)
		return ghvm_error_set(err, -errno, "kernel.image: %s: %s", spec->kernel,
				      strerror(errno));
	in->kernel_header = buf;
	in->kernel_header_size = (size_t)n;
	return 0;
}

static int add_initrd(const struct ghvm_spec *spec, struct ghvm_plan_input *in,
		      struct ghvm_error *err)
{
	_cleanup_(closep) int fd = -1;

	if (!spec->initrd)
		return 0;
	if (is_told(spec->initrd))
		return in->initrd_size ? 0 : not_told("kernel.initrd", spec->initrd, err);
	fd = descriptor_open("kernel.initrd", spec->initrd, &in->initrd_size, err);
	return fd < 0 ? fd : 0;
}

/* @buf: GHVM_OVERLAY_MAX bytes */
static int add_overlay(const struct ghvm_spec *spec, uint8_t *buf, struct ghvm_plan_input *in,
		       struct ghvm_error *err)
{
	int r;

	if (!spec->dtb_overlay)
		return 0;
	if (is_told(spec->dtb_overlay))
		return in->overlay ? 0 : not_told("kernel.dtb-overlay", spec->dtb_overlay, err);
	r = read_overlay(spec->dtb_overlay, buf, &in->overlay_size, err);
	in->overlay = buf;
	return r;
}

static int make_plan(const struct ghvm_spec *spec, const struct descriptor_told *told,
		     struct ghvm_plan *ret, struct ghvm_error *err)
{
	_cleanup_(freep) uint8_t *overlay = malloc(GHVM_OVERLAY_MAX);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct ghvm_plan_input in = told->input;
	uint8_t header[HEADER_MAX];
	int r;

	if (!overlay)
		return ghvm_error_set(err, -ENOMEM, "out of memory");
	in.host_cpus = cpus > 0 ? (unsigned int)cpus : 0;
	r = add_kernel(spec, header, &in, err);
	if (r == 0)
		r = add_initrd(spec, &in, err);
	if (r == 0)
		r = add_overlay(spec, overlay, &in, err);
	return r < 0 ? r : ghvm_plan_make(spec, &in, ret, err);
}

/* ---- the other VM of a region ---- */

/* Does a start of the VM that @arg names find the other VM's descriptor, and do they agree? A file may be nowhere yet. */
static int check_peer(const struct ctl *ctl, const char *arg, const struct ghvm_spec *spec,
		      struct ghvm_error *err)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(descriptor_told_done) struct descriptor_told told = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec other = {};
	struct ghvm_error why = {};
	int r;

	if (!spec_peer(spec) || ctl->offline || ctl->running || descriptor_is_file(arg))
		return 0;
	r = descriptor_load(ctl, spec_peer(spec), &told, &other, &all, &why);
	return r < 0 ? spec_refuse_peer(spec, r, why.msg, err) : spec_check_pair(spec, &other, err);
}

/* ---- verbs ---- */

static int report_error(int r, const struct ghvm_error *err)
{
	return ctl_fail(client_status(r), "%s", err->msg);
}

/* Check the other VM and make the plan; an error about a key of the descriptor is added to @all. */
static int add_plan(const struct ctl *ctl, const char *arg, const struct ghvm_spec *spec,
		    const struct descriptor_told *told, struct ghvm_complaints *all,
		    struct ghvm_error *err)
{
	_cleanup_(ghvm_plan_done) struct ghvm_plan plan = {};
	int r = check_peer(ctl, arg, spec, err);

	if (r == 0)
		r = ctl->offline ? ghvm_plan_check(spec, NULL, err)
				 : make_plan(spec, told, &plan, err);
	if (r < 0 && ghvm_spec_complain(spec, err, all) == 0)
		err->msg[0] = '\0'; /* the complaint has the message */
	return r;
}

/* Warn of what the kernel lacks, if it has a configuration. A program of another format has none. */
static int lint_kernel(const struct ghvm_spec *spec, struct ghvm_complaints *all,
		       struct ghvm_error *err)
{
	_cleanup_(freep) char *config = NULL;
	uint64_t size;
	int r;

	if (is_told(spec->kernel) || spec->format != GHVM_KERNEL_IMAGE)
		return 0;

	_cleanup_(closep) int fd = descriptor_open("kernel.image", spec->kernel, &size, err);

	r = fd < 0 ? fd : kernel_config_find(spec->kernel, fd, &config, err);
	return r == 1 ? kernel_lint(spec, config, all) : r;
}

/* The start opens an image with the rights of the descriptor's owner, which may be more than those of the caller. */
static int check_disk(const struct ghvm_spec *spec, size_t nth, struct ghvm_complaints *all,
		      struct ghvm_error *err)
{
	const struct ghvm_spec_disk *d = &spec->disks[nth];
	const struct ghvm_spec_place *place = spec_device_place(spec, SPEC_DISK_IMAGE, nth);
	const char *key = place ? place->key : SPEC_DISK_IMAGE;
	uint64_t size;
	_cleanup_(closep) int fd = descriptor_open(key, d->image, &size, err);

	if (fd == -EACCES) {
		(void)spec_warn(spec, err, "unreadable", all); /* or there is no place to name */
		err->msg[0] = '\0';
		return 0;
	}
	return fd < 0 ? fd : ghvm_disk_image_check(key, fd, d, err);
}

static int check_disks(const struct ghvm_spec *spec, struct ghvm_complaints *all,
		       struct ghvm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ghvm_spec_count_disks(spec); i++)
		r = check_disk(spec, i, all, err);
	if (r < 0 && ghvm_spec_complain(spec, err, all) == 0)
		err->msg[0] = '\0'; /* the complaint has the message */
	return r;
}

/* What cannot be read keeps no guest from running. */
static void add_lint(const struct ghvm_spec *spec, struct ghvm_complaints *all)
{
	struct ghvm_error err = {};

	if (lint_kernel(spec, all, &err) < 0 && *err.msg)
		(void)spec_warn(spec, &err, "kernel-config",
				all); /* or there is no place to name */
}

/* Warn of what keeps its vsock from this host: no module, or another VM of the same address. */
static void add_vsock_lint(const struct ctl *ctl, const struct ghvm_spec *spec,
			   struct ghvm_complaints *all)
{
	const struct ghvm_spec_place *place = spec_device_place(spec, "devices[].vsock", 0);
	const char *key = place ? place->key : "devices[].vsock";
	char other[GHVM_NAME_SIZE];
	struct ghvm_error err = {};

	if (!spec->vsock)
		return;
	if (access("/dev/vhost-vsock", F_OK) < 0) {
		(void)ghvm_error_set(&err, -ENOENT,
				     "%s: this host has no /dev/vhost-vsock: modprobe vhost_vsock",
				     key);
		(void)spec_warn(spec, &err, "vsock-module", all); /* or out of memory */
	}
	spec_find_cid(spec, ctl->dirs, other);
	if (!*other)
		return;
	(void)ghvm_error_set(&err, -EEXIST, "%s: %s has the CID %u, too: only one of them can run",
			     key, other, ghvm_spec_cid(spec));
	(void)spec_warn(spec, &err, "vsock-cid", all); /* likewise */
}

int verb_validate(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(descriptor_told_done) struct descriptor_told told = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error err = {};
	bool parsed;
	int r = load_descriptor(ctl, args[0], &spec, &told, &all, &err);

	parsed = r == 0;
	if (parsed)
		r = add_plan(ctl, args[0], &spec, &told, &all, &err);
	if (r == 0 && !ctl->offline)
		r = check_disks(&spec, &all, &err);
	if (r == 0 && !ctl->offline)
		add_lint(&spec, &all);
	if (r == 0 && !ctl->offline)
		add_vsock_lint(ctl, &spec, &all);
	if (ctl->json)
		complaints_print_json(&all);
	else
		complaints_print(&all, stdout);
	/* print an error that is not among the complaints */
	if (r < 0 && (parsed ? *err.msg : !all.n))
		return report_error(parsed ? -EINVAL : r, &err);
	if (r == 0 && !ctl->json)
		printf("%s: no errors\n", spec.name);
	return r < 0 ? CTL_FAILED : CTL_OK;
}

static int print_file(int fd)
{
	char buffer[4096];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		(void)fwrite(buffer, 1, (size_t)n, stdout); /* flush_output() checks stdout */
	return n < 0 ? -errno : 0;
}

static int plan_of_running(const struct ctl *ctl, const char *name)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(freep) char *path = NULL;
	struct ghvm_error err = {};
	struct call c;
	int fd, r = client_open(&bus, &err);

	if (r == 0)
		r = client_path(bus, name, &path, &err);
	c = client_verb(path, CLIENT_MANAGER ".VM", "Plan");
	if (r == 0)
		r = client_call(bus, &c, &reply, &err, "cannot read the plan", "a{sv}", 1, "text",
				"b", !ctl->json);
	if (r < 0)
		return ctl_fail(client_status(r), "%s", err.msg);
	r = sd_bus_message_read(reply, "h", &fd);
	if (r >= 0)
		r = print_file(fd);
	return r < 0 ? ctl_fail(CTL_FAILED, "cannot read the plan: %s", strerror(-r)) : CTL_OK;
}

int verb_plan(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(descriptor_told_done) struct descriptor_told told = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	_cleanup_(ghvm_plan_done) struct ghvm_plan plan = {};
	_cleanup_(freep) char *text = NULL;
	const struct plan_look look = {
		.columns = (size_t)terminal_columns(STDOUT_FILENO),
		.utf8 = terminal_utf8(),
	};
	struct ghvm_error err = {};
	int r;

	if (ctl->running)
		return plan_of_running(ctl, args[0]);
	r = load_descriptor(ctl, args[0], &spec, &told, &all, &err);
	complaints_print(&all, stderr);
	if (r < 0)
		return all.n ? CTL_FAILED : report_error(r, &err);
	r = check_peer(ctl, args[0], &spec, &err);
	if (r == 0)
		r = make_plan(&spec, &told, &plan, &err);
	ghvm_spec_locate(&spec, &err);
	if (r < 0)
		return report_error(-EINVAL, &err);
	text = ctl->json ? ghvm_plan_to_json(&plan) : plan_to_text(&plan, &look);
	if (!text)
		return ctl_fail(CTL_FAILED, "out of memory");
	fputs(text, stdout);
	return CTL_OK;
}
