/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * validate and plan: done by the library in this process, with the rights of the caller. Only the plan
 * of a running VM comes from the manager.
 */
#include "daemon/ctl/client/client.h"
#include "daemon/ctl/client/descriptor.h"
#include "daemon/ctl/output/complaints.h"
#include "daemon/ctl/ctl.h"

#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "libghvm/plan/dt.h"
#include "ghvm/plan.h"
#include "libghvm/base/name.h"
#include "libghvm/spec/files.h"
#include "ghvm/spec.h"

#include <errno.h>
#include <fcntl.h>
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
			   struct ghvm_complaints *complaints, struct ghvm_error *err)
{
	_cleanup_(freep) char *text = NULL;
	char name[GHVM_NAME_SIZE];
	size_t len = 0;
	int r;

	if (!descriptor_is_file(arg))
		return ghvm_spec_load(arg, ctl->dirs, spec, complaints, err);
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

static int make_plan(const struct ghvm_spec *spec, struct ghvm_plan *ret, struct ghvm_error *err)
{
	_cleanup_(freep) uint8_t *overlay = malloc(GHVM_OVERLAY_MAX);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint8_t header[HEADER_MAX];
	struct ghvm_plan_input in = {
		.kernel_header = header,
		.host_cpus = cpus > 0 ? (unsigned int)cpus : 0,
	};
	_cleanup_(closep) int kernel =
		descriptor_open("kernel.image", spec->kernel, &in.kernel_size, err);
	ssize_t n;
	int r;

	if (kernel < 0)
		return kernel;
	if (!overlay)
		return ghvm_error_set(err, -ENOMEM, "out of memory");
	n = pread(kernel, header, sizeof(header), 0);
	if (n < 0)
		return ghvm_error_set(err, -errno, "kernel.image: %s: %s", spec->kernel,
				      strerror(errno));
	in.kernel_header_size = (size_t)n;
	if (spec->initrd) {
		_cleanup_(closep) int fd =
			descriptor_open("kernel.initrd", spec->initrd, &in.initrd_size, err);

		if (fd < 0)
			return fd;
	}
	if (spec->dtb_overlay) {
		r = read_overlay(spec->dtb_overlay, overlay, &in.overlay_size, err);
		if (r < 0)
			return r;
		in.overlay = overlay;
	}
	return ghvm_plan_make(spec, &in, ret, err);
}

/* ---- verbs ---- */

static int report_error(int r, const struct ghvm_error *err)
{
	return ctl_fail(r == -ENOENT ? CTL_NO_VM : CTL_FAILED, "%s", err->msg);
}

/* Make the plan; an error about a key of the descriptor is added to @all. */
static int add_plan(const struct ctl *ctl, const struct ghvm_spec *spec,
		    struct ghvm_complaints *all, struct ghvm_error *err)
{
	_cleanup_(ghvm_plan_done) struct ghvm_plan plan = {};
	int r = ctl->offline ? ghvm_plan_check(spec, NULL, err) : make_plan(spec, &plan, err);

	if (r < 0 && ghvm_spec_complain(spec, err, all) == 0)
		err->msg[0] = '\0'; /* the complaint has the message */
	return r;
}

int verb_validate(const struct ctl *ctl, char **args, int n)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints all = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error err = {};
	bool parsed;
	int r = load_descriptor(ctl, args[0], &spec, &all, &err);

	parsed = r == 0;
	if (parsed)
		r = add_plan(ctl, &spec, &all, &err);
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
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	_cleanup_(ghvm_plan_done) struct ghvm_plan plan = {};
	_cleanup_(freep) char *text = NULL;
	struct ghvm_error err = {};
	int r;

	if (ctl->running)
		return plan_of_running(ctl, args[0]);
	r = load_descriptor(ctl, args[0], &spec, &all, &err);
	complaints_print(&all, stderr);
	if (r < 0)
		return all.n ? CTL_FAILED : report_error(r, &err);
	r = make_plan(&spec, &plan, &err);
	ghvm_spec_locate(&spec, &err);
	if (r < 0)
		return report_error(-EINVAL, &err);
	text = ctl->json ? ghvm_plan_to_json(&plan) : ghvm_plan_to_text(&plan);
	if (!text)
		return ctl_fail(CTL_FAILED, "out of memory");
	fputs(text, stdout);
	return CTL_OK;
}
