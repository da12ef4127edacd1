/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.gunyah.vmm1.Region.
 *
 * A new region is visible before InterfacesAdded is sent, and a removed region until InterfacesRemoved
 * is sent.
 */
#include "daemon/manager/objects/interfaces.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager/bus/property.h"
#include "daemon/manager/bus/error-names.h"
#include "daemon/manager/bus/path.h"
#include "daemon/manager/bus/polkit.h"
#include "daemon/manager/core/log.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"

#define INTERFACE BUS_NAME ".Region"

/**
 * struct bus_region - a region as it was announced
 * @host_access: HostAccess, static
 * @shared_with: SharedWith
 */
struct bus_region {
	struct ghvm_machine_region is;
	const char *host_access;
	char shared_with[GHVM_NAME_SIZE];
};

/**
 * struct bus_regions - the regions of a VM that were announced on the bus
 * @vm: borrowed
 */
struct bus_regions {
	struct bus_regions *next;
	struct vm *vm;
	size_t n;
	struct bus_region v[VM_REGIONS_MAX];
};

static const char *state_of(const struct ghvm_machine_region *r)
{
	if (r->removing)
		return "removing";
	return r->accepted ? "mapped" : "offered";
}

/* What Open gives. A descriptor says it only of its own regions. */
static const char *host_access_of(const struct vm *vm, const struct ghvm_machine_region *r)
{
	if (r->lent || r->label == GHVM_LABEL_RAM)
		return "none";
	return !r->added && guest_host_readonly(vm->guest, r->label) ? "r" : "rw";
}

static struct bus_region region_of(const struct vm *vm, const struct ghvm_machine_region *r)
{
	struct bus_region ret = { .is = *r, .host_access = host_access_of(vm, r) };

	if (!r->added)
		(void)snprintf(ret.shared_with, sizeof(ret.shared_with), "%s",
			       guest_region_peer(vm->guest, r->label)); /* a name: fits */
	return ret;
}

static char *path_of(const struct vm *vm, const struct ghvm_machine_region *r)
{
	_cleanup_(freep) char *base = bus_vm_path(vm);
	char *path = NULL;

	if (!base || asprintf(&path, "%s" BUS_REGION "%" PRIu32, base, r->label) < 0)
		return NULL;
	return path;
}

/* --- properties --- */

#define TEXT(id, value) PROPERTY_GETTER(id, const struct bus_region *r, text, value)
#define NUMBER(id, value) PROPERTY_GETTER(id, const struct bus_region *r, number, value)

NUMBER(label, r->is.label)
NUMBER(address, r->is.ipa)
NUMBER(size, r->is.size)
TEXT(access, r->is.readonly ? "r" : "rw")
TEXT(host_access, r->host_access)
TEXT(shared_with, r->shared_with)
TEXT(kind, r->is.lent ? "lent" : "shared")
TEXT(state, state_of(&r->is))
NUMBER(added, r->is.added)

PROPERTY_TABLE(INTERFACE, BUS_REGION_PROPERTIES)

/* --- methods --- */

/* Return: a file descriptor, borrowed; negative, with @error set. */
static int find_memory(const struct vm *vm, uint32_t label, sd_bus_error *error)
{
	struct ghvm_error err = {};
	int fd = vm_region_memory(vm, label, &err);

	return fd < 0 ? sd_bus_error_set(error, failure_name_of_region(&err), err.msg) : fd;
}

/* Open(a{sv}) -> h: the region's memory, a memfd of sealed size */
static int method_open(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b =
		sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(m)));
	uint32_t label;
	const struct vm *vm = bus_vm_below(b, sd_bus_message_get_path(m), BUS_REGION, &label);
	int fd, r = bus_check_hypervisor(b, error);
	uid_t uid;

	if (!vm)
		return -ENOMEM; /* find_region() has found it */
	if (r >= 0)
		r = bus_read_options(m, error);
	if (r < 0)
		return r;
	fd = find_memory(vm, label, error);
	if (fd < 0)
		return fd;
	r = auth_check(b->auth, m, "org.gunyah.vmm1.region", &uid, error);
	if (r <= 0)
		return r < 0 ? r : 1;
	return sd_bus_reply_method_return(m, "h", fd);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	BUS_REGION_PROPERTIES(PROPERTY_VTABLE, PROPERTY_VTABLE_OTHER) SD_BUS_METHOD_WITH_ARGS(
		"Open", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", memory), method_open,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* --- objects --- */

static struct bus_regions **place_of(struct bus *b, const struct vm *vm)
{
	struct bus_regions **at = &b->regions;

	while (*at && (*at)->vm != vm)
		at = &(*at)->next;
	return at;
}

static int find_region(sd_bus *bus, const char *path, const char *interface, void *userdata,
		       void **ret_found, sd_bus_error *error)
{
	struct bus *b = userdata;
	struct bus_regions *of;
	uint32_t label;
	struct vm *vm = bus_vm_below(b, path, BUS_REGION, &label);

	if (!vm)
		return 0;
	of = *place_of(b, vm);
	for (size_t i = 0; of && i < of->n; i++) {
		if (of->v[i].is.label != label)
			continue;
		*ret_found = &of->v[i];
		return 1;
	}
	return sd_bus_error_setf(error, FAILURE_NO_SUCH_REGION,
				 "%s is %s and has no region %" PRIu32
				 " (see: ghvmctl region list %s)",
				 vm->name, vm_state_to_string(vm->state), label, vm->name);
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
		     sd_bus_error *error)
{
	struct bus *b = userdata;
	size_t n = 0, at = 0;
	char **nodes;

	for (struct bus_regions *of = b->regions; of; of = of->next)
		n += of->n;
	nodes = calloc(n + 1, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	for (struct bus_regions *of = b->regions; of; of = of->next)
		for (size_t i = 0; i < of->n; i++) {
			nodes[at] = path_of(of->vm, &of->v[i].is);
			at += !!nodes[at]; /* not listed if out of memory */
		}
	*ret_nodes = nodes;
	return 1;
}

/* --- changes --- */

static void announce_region(struct bus *b, const struct vm *vm, const struct ghvm_machine_region *r,
			    int (*fn)(sd_bus *, const char *))
{
	_cleanup_(freep) char *path = path_of(vm, r);
	const struct log_about a = { .vm = vm->name };
	int err = path ? fn(b->conn, path) : -ENOMEM;

	if (err < 0)
		log_warning(&a, err, "Cannot announce a region on the bus");
	bus_defer(b);
}

static int emit_state(sd_bus *conn, const char *path)
{
	return property_tell_all(conn, path, &table);
}

static bool same(const struct ghvm_machine_region *a, const struct ghvm_machine_region *b)
{
	return a->label == b->label && a->ipa == b->ipa && a->size == b->size &&
	       a->lent == b->lent && a->readonly == b->readonly && a->added == b->added;
}

static bool among(const struct ghvm_machine_region *v, size_t n,
		  const struct ghvm_machine_region *r)
{
	for (size_t i = 0; i < n; i++)
		if (same(&v[i], r))
			return true;
	return false;
}

static struct bus_region *find_known(struct bus_regions *of, const struct ghvm_machine_region *r)
{
	for (size_t i = 0; i < of->n; i++)
		if (same(&of->v[i].is, r))
			return &of->v[i];
	return NULL;
}

static void remove_gone(struct bus *b, struct bus_regions *of, struct ghvm_machine_region *now,
			size_t n)
{
	size_t i = 0;

	while (i < of->n) {
		if (among(now, n, &of->v[i].is)) {
			i++;
			continue;
		}
		announce_region(b, of->vm, &of->v[i].is, sd_bus_emit_object_removed);
		of->v[i] = of->v[--of->n];
	}
}

static void add_new(struct bus *b, struct bus_regions *of, struct ghvm_machine_region *now,
		    size_t n, bool told)
{
	struct bus_region *known;

	for (size_t i = 0; i < n; i++) {
		known = find_known(of, &now[i]);
		if (!known && of->n < ARRAY_SIZE(of->v)) {
			of->v[of->n++] = region_of(of->vm, &now[i]);
			if (told)
				announce_region(b, of->vm, &now[i], sd_bus_emit_object_added);
		} else if (known && strcmp(state_of(&known->is), state_of(&now[i]))) {
			known->is = now[i];
			announce_region(b, of->vm, &known->is, emit_state);
		}
	}
}

/* Announce the differences and keep @now; the list of a VM without regions is freed. */
static void update(struct bus *b, struct vm *vm, struct ghvm_machine_region *now, size_t n,
		   bool told)
{
	struct bus_regions **at = place_of(b, vm), *of = *at;

	if (!of && !n)
		return;
	if (!of) {
		of = calloc(1, sizeof(*of));
		if (!of)
			return; /* retried at the next change */
		of->vm = vm;
		*at = of;
	}
	remove_gone(b, of, now, n);
	add_new(b, of, now, n, told);
	if (!of->n) {
		*at = of->next;
		free(of);
	}
}

void bus_region_flush(struct bus *b, struct vm *vm)
{
	struct ghvm_machine_region now[VM_REGIONS_MAX];

	update(b, vm, now, vm_regions(vm, now), true);
}

void bus_region_track(struct bus *b, struct vm *vm)
{
	struct ghvm_machine_region now[VM_REGIONS_MAX];

	update(b, vm, now, vm_regions(vm, now), false);
}

void bus_region_vm_removed(struct bus *b, struct vm *vm)
{
	update(b, vm, NULL, 0, true);
}

int bus_region_publish(struct bus *b)
{
	int r;

	r = sd_bus_add_fallback_vtable(b->conn, NULL, BUS_VM_PREFIX, INTERFACE, vtable, find_region,
				       b);
	return r < 0 ? r : sd_bus_add_node_enumerator(b->conn, NULL, BUS_VM_PREFIX, enumerate, b);
}

void bus_region_done(struct bus *b)
{
	struct bus_regions *of;

	while (b->regions) {
		of = b->regions;
		b->regions = of->next;
		free(of);
	}
}
