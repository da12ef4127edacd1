/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Publish the objects on the bus and forward the manager's events to them.
 */
#include "daemon/manager/objects/objects.h"

#include "daemon/manager/bus/polkit.h"
#include "daemon/manager/objects/define.h"
#include "daemon/manager/objects/interfaces.h"
#include "daemon/manager/objects/job.h"
#include "daemon/manager/bus/lane.h"
#include "daemon/manager/objects/run.h"
#include "daemon/manager/objects/transaction.h"
#include "daemon/manager/bus/peer.h"

static void kick(void *data)
{
	bus_kick(data);
}

static void on_flush(void *data)
{
	struct bus *b = data;

	bus_vm_flush(b);
	if (b->host_changed)
		bus_host_emit(b);
	b->host_changed = false;
	bus_kick(b);
}

static void on_vm_added(void *data, struct vm *vm)
{
	bus_vm_added(data, vm);
}

static void on_vm_removed(void *data, struct vm *vm)
{
	struct bus *b = data;

	runs_on_vm_removed(b->runs, vm);
	bus_vm_removed(b, vm);
}

static void on_vm_changed(void *data, struct vm *vm)
{
	bus_vm_changed(data, vm);
}

static void on_vm_state(void *data, struct vm *vm, enum vm_state before)
{
	struct bus *b = data;

	bus_vm_state(b, vm, before);
	transactions_on_vm_state(b->transactions, vm);
	jobs_on_vm_state(b->jobs, vm);
	runs_on_vm_state(b->runs, vm);
}

static void on_host_changed(void *data)
{
	struct bus *b = data;

	b->host_changed = true;
	bus_defer(b);
}

static const struct manager_observer observer = {
	.on_vm_added = on_vm_added,
	.on_vm_removed = on_vm_removed,
	.on_vm_changed = on_vm_changed,
	.on_vm_state = on_vm_state,
	.on_host_changed = on_host_changed,
};

static int publish_objects(struct bus *b)
{
	int r;

	r = sd_bus_add_object_manager(b->conn, NULL, BUS_PATH);
	if (r >= 0)
		r = bus_manager_publish(b);
	if (r >= 0)
		r = bus_vm_publish(b);
	if (r >= 0)
		r = bus_region_publish(b);
	if (r >= 0)
		r = transactions_new(b, &b->transactions);
	if (r >= 0)
		r = bus_host_publish(b);
	if (r >= 0)
		r = jobs_new(b, &b->jobs);
	if (r >= 0)
		r = peers_new(b->conn, kick, b, &b->peers);
	if (r >= 0)
		r = auth_new(b->conn, b->peers, kick, b, &b->auth);
	if (r >= 0)
		r = lane_new(b, &b->lane);
	if (r >= 0)
		r = definitions_new(b, &b->definitions);
	if (r >= 0)
		r = runs_new(b, &b->runs);
	return r;
}

int bus_objects_init(struct bus *b, struct manager *m, const char *address)
{
	int r;

	r = bus_connect(b, m, address);
	if (r >= 0)
		r = publish_objects(b);
	if (r >= 0)
		r = bus_start(b, on_flush);
	if (r < 0)
		return r;
	manager_observe(m, &observer, b);
	return 0;
}

void bus_objects_done(struct bus *b)
{
	if (b->manager)
		manager_observe(b->manager, NULL, NULL);
	runs_free(b->runs);
	definitions_free(b->definitions);
	transactions_free(b->transactions);
	jobs_free(b->jobs);
	lane_free(b->lane);
	auth_free(b->auth);
	peers_free(b->peers);
	bus_region_done(b);
	bus_vm_done(b);
	bus_close(b);
}
