/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rows of the table, the nodes of each kind, and where devices are placed.
 */
#include "libghvm/plan/devices.h"

#include "ghvm/guest-map.h"
#include "libghvm/base/bits.h"
#include "libghvm/plan/dt-writer.h"
#include "libghvm/rm/quirks.h"
#include "libghvm/spec/complain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- the console's UART ---- */

#define UART_SIZE 8
#define UART_CLOCK 1843200

static unsigned int count_uart(const struct ghvm_spec *spec)
{
	return spec->console;
}

static void put_uart(struct dt_writer *w, const struct ghvm_device_kind *kind,
		     const struct ghvm_plan_device *d)
{
	dt_begin_node_at(w, kind->node, d->ipa);
	dt_put_string(w, "compatible", "ns16550a");
	dt_put_reg(w, d->ipa, UART_SIZE);
	dt_put_cell(w, "clock-frequency", UART_CLOCK);
	dt_put_doorbell_irq(w, d->doorbell);
	dt_end_node(w);
}

/* ---- the power key, on a line of a GPIO block ---- */

#define KEY_POWER 116

static unsigned int count_power_key(const struct ghvm_spec *spec)
{
	return spec->power_key;
}

static void put_apb_clock(struct dt_writer *w)
{
	dt_put_cell(w, "clocks", DT_PHANDLE_CLOCK);
	dt_put_string(w, "clock-names", "apb_pclk");
}

static void put_gpio(struct dt_writer *w, const struct ghvm_device_kind *kind,
		     const struct ghvm_plan_device *d)
{
	static const char compatible[] = "arm,pl061\0arm,primecell";

	dt_begin_node_at(w, kind->node, d->ipa);
	dt_put_strings(w, "compatible", compatible, sizeof(compatible));
	dt_put_reg(w, d->ipa, GHVM_IPA_MMIO_PAGE);
	dt_put_empty(w, "gpio-controller");
	dt_put_cell(w, "#gpio-cells", 2);
	dt_put_empty(w, "interrupt-controller");
	dt_put_cell(w, "#interrupt-cells", 2);
	dt_put_doorbell_irq(w, d->doorbell);
	put_apb_clock(w);
	dt_put_cell(w, "phandle", DT_PHANDLE_GPIO);
	dt_end_node(w);
}

static void put_power_key(struct dt_writer *w, const struct ghvm_device_kind *kind,
			  const struct ghvm_plan_device *d)
{
	const uint32_t line[] = { DT_PHANDLE_GPIO, GHVM_POWER_KEY_LINE, 0 };

	put_gpio(w, kind, d);
	dt_begin_node(w, "gpio-keys");
	dt_put_string(w, "compatible", "gpio-keys");
	dt_begin_node(w, "power");
	dt_put_string(w, "label", "power");
	dt_put_cell(w, "linux,code", KEY_POWER);
	dt_put_cells(w, "gpios", line, ARRAY_SIZE(line));
	dt_put_empty(w, "wakeup-source"); /* also wakes a guest in s2idle */
	dt_end_node(w);
	dt_end_node(w);
}

/* ---- the clock ---- */

static unsigned int count_rtc(const struct ghvm_spec *spec)
{
	return spec->rtc;
}

static void put_rtc(struct dt_writer *w, const struct ghvm_device_kind *kind,
		    const struct ghvm_plan_device *d)
{
	static const char compatible[] = "arm,pl031\0arm,primecell";

	dt_begin_node_at(w, kind->node, d->ipa);
	dt_put_strings(w, "compatible", compatible, sizeof(compatible));
	dt_put_reg(w, d->ipa, GHVM_IPA_MMIO_PAGE);
	dt_put_doorbell_irq(w, d->doorbell);
	put_apb_clock(w);
	dt_end_node(w);
}

/* ---- the watchdog ---- */

static unsigned int count_watchdog(const struct ghvm_spec *spec)
{
	return spec->watchdog;
}

static void put_watchdog(struct dt_writer *w, const struct ghvm_device_kind *kind,
			 const struct ghvm_plan_device *d)
{
	static const char compatible[] = "arm,sp805\0arm,primecell";
	static const char names[] = "wdog_clk\0apb_pclk";
	const uint32_t clocks[] = { DT_PHANDLE_CLOCK, DT_PHANDLE_CLOCK };

	dt_begin_node_at(w, kind->node, d->ipa);
	dt_put_strings(w, "compatible", compatible, sizeof(compatible));
	dt_put_reg(w, d->ipa, GHVM_IPA_MMIO_PAGE);
	dt_put_doorbell_irq(w, d->doorbell);
	dt_put_cells(w, "clocks", clocks, ARRAY_SIZE(clocks));
	dt_put_strings(w, "clock-names", names, sizeof(names));
	dt_end_node(w);
}

/* ---- virtio ---- */

#define VIRTIO_BLOCK 2 /* virtio 1.2, section 5.2 */

static void put_virtio(struct dt_writer *w, const struct ghvm_device_kind *kind,
		       const struct ghvm_plan_device *d)
{
	dt_begin_node_at(w, kind->node, d->ipa);
	dt_put_string(w, "compatible", "virtio,mmio");
	dt_put_reg(w, d->ipa, GHVM_IPA_MMIO_PAGE);
	dt_put_doorbell_irq(w, d->doorbell);
	dt_put_empty(w, "dma-coherent"); /* the host's accesses go through the caches */
	if (d->parcel)
		dt_put_cell(w, "memory-region", DT_PHANDLE_REGION + d->parcel - 1);
	dt_end_node(w);
}

static unsigned int count_rng(const struct ghvm_spec *spec)
{
	return spec->rng;
}

static uint32_t find_rng_region(const struct ghvm_spec *spec, unsigned int nth)
{
	return spec->rng_region;
}

static unsigned int count_disks(const struct ghvm_spec *spec)
{
	return (unsigned int)ghvm_spec_count_disks(spec);
}

static void name_disk_unit(const struct ghvm_spec *spec, unsigned int nth, char *ret, size_t size)
{
	(void)snprintf(ret, size, GHVM_DISK_UNIT ".service", nth, spec->name); /* fits */
}

static uint32_t find_disk_region(const struct ghvm_spec *spec, unsigned int nth)
{
	return spec->disks[nth].region;
}

static void describe_disk(const struct ghvm_spec *spec, unsigned int nth, unsigned int *ret_id,
			  unsigned int *ret_queues)
{
	*ret_id = VIRTIO_BLOCK;
	*ret_queues = spec->disks[nth].queues ?: 1;
}

static unsigned int count_vhost_user(const struct ghvm_spec *spec)
{
	return (unsigned int)ghvm_spec_count_vhost(spec);
}

static void name_vhost_socket(const struct ghvm_spec *spec, unsigned int nth, char *ret,
			      size_t size)
{
	(void)snprintf(ret, size, "%s", spec->vhost[nth].socket); /* a longer path is cut */
}

static uint32_t find_vhost_region(const struct ghvm_spec *spec, unsigned int nth)
{
	return spec->vhost[nth].region;
}

static void describe_vhost(const struct ghvm_spec *spec, unsigned int nth, unsigned int *ret_id,
			   unsigned int *ret_queues)
{
	*ret_id = spec->vhost[nth].id;
	*ret_queues = spec->vhost[nth].queues ?: 1;
}

static unsigned int count_vsock(const struct ghvm_spec *spec)
{
	return spec->vsock;
}

static uint32_t find_vsock_region(const struct ghvm_spec *spec, unsigned int nth)
{
	return spec->vsock_region;
}

/* ---- the table ---- */

#define OPTIONS(...)                                                                               \
	.options = (const char *const[])                                                           \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

const struct ghvm_device_kind ghvm_device_kinds[] = {
	{ .name = "uart",
	  .node = "serial",
	  .bell = "uart",
	  .ipa = GHVM_IPA_UART,
	  .label = GHVM_DOORBELL_UART,
	  .console = true,
	  OPTIONS("SERIAL_8250_CONSOLE", "SERIAL_OF_PLATFORM"),
	  .count = count_uart,
	  .put_node = put_uart },
	{ .name = "power-key",
	  .node = "gpio",
	  .bell = "gpio",
	  .ipa = GHVM_IPA_PL061,
	  .label = GHVM_DOORBELL_PL061,
	  .clock = true,
	  OPTIONS("GPIO_PL061", "KEYBOARD_GPIO"),
	  .count = count_power_key,
	  .put_node = put_power_key },
	{ .name = "disk",
	  .node = "virtio",
	  .bell = "disk",
	  .dma = true,
	  .backend = describe_disk,
	  .name_backend = name_disk_unit,
	  OPTIONS("VIRTIO_MMIO", "VIRTIO_BLK"),
	  .region = find_disk_region,
	  .count = count_disks,
	  .put_node = put_virtio },
	{ .name = "rng",
	  .node = "virtio",
	  .bell = "rng",
	  .dma = true,
	  OPTIONS("VIRTIO_MMIO", "HW_RANDOM_VIRTIO"),
	  .region = find_rng_region,
	  .count = count_rng,
	  .put_node = put_virtio },
	{ .name = "rtc",
	  .node = "rtc",
	  .bell = "rtc",
	  .clock = true,
	  OPTIONS("RTC_DRV_PL031"),
	  .count = count_rtc,
	  .put_node = put_rtc },
	{ .name = "vhost-user",
	  .node = "virtio",
	  .bell = "vhost-user",
	  .dma = true,
	  .backend = describe_vhost,
	  .name_backend = name_vhost_socket,
	  OPTIONS("VIRTIO_MMIO"),
	  .region = find_vhost_region,
	  .count = count_vhost_user,
	  .put_node = put_virtio },
	{ .name = "vsock",
	  .node = "virtio",
	  .bell = "vsock",
	  .dma = true,
	  .kernel = true,
	  OPTIONS("VIRTIO_MMIO", "VIRTIO_VSOCKETS"),
	  .region = find_vsock_region,
	  .count = count_vsock,
	  .put_node = put_virtio },
	{ .name = "watchdog",
	  .node = "watchdog",
	  .bell = "watchdog",
	  .clock = true,
	  OPTIONS("ARM_SP805_WATCHDOG"),
	  .count = count_watchdog,
	  .put_node = put_watchdog },
	{},
};

const struct ghvm_device_kind *ghvm_device_kind(const char *name)
{
	for (const struct ghvm_device_kind *k = ghvm_device_kinds; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
}

void ghvm_device_bell(const struct ghvm_plan_device *d, char *ret, size_t size)
{
	const char *bell = ghvm_device_kind(d->name)->bell;

	if (d->nth)
		(void)snprintf(ret, size, "bell-%s-%u", bell, d->nth); /* fits */
	else
		(void)snprintf(ret, size, "bell-%s", bell); /* fits */
}

void ghvm_device_backend(const struct ghvm_spec *spec, const char *name, unsigned int nth,
			 char *ret, size_t size)
{
	const struct ghvm_device_kind *kind = ghvm_device_kind(name);

	*ret = '\0';
	if (kind && kind->backend && nth < kind->count(spec))
		kind->name_backend(spec, nth, ret, size);
}

/* ---- memory that devices access ---- */

bool ghvm_devices_want_ram(const struct ghvm_spec *spec)
{
	for (const struct ghvm_device_kind *k = ghvm_device_kinds; k->name; k++)
		for (unsigned int nth = 0; k->dma && nth < k->count(spec); nth++)
			if (!k->region(spec, nth))
				return true;
	return false;
}

bool ghvm_devices_access(const struct ghvm_plan *plan, size_t nth)
{
	for (size_t i = 0; i < plan->n_devices; i++)
		if (ghvm_device_kind(plan->devices[i].name)->dma && plan->devices[i].parcel == nth)
			return true;
	return false;
}

static int check_ram(const struct ghvm_plan *plan, const char *device, struct ghvm_error *err)
{
	if (!plan->parcels[0].lend)
		return 0;
	if (plan->spec->protection == GHVM_PROTECTION_PROTECTED)
		return ghvm_error_set(
			err, -EOPNOTSUPP,
			"memory.protection: the device \"%s\" exchanges data through "
			"RAM, and the host cannot access the RAM of a protected guest: "
			"set it to none, give the device a region, or do not list it",
			device);
	return ghvm_error_set(
		err, -EOPNOTSUPP,
		"memory.protection: the device \"%s\" exchanges data through RAM, and "
		"this resource manager (%s) refuses RAM that is shared with the host: "
		"give the device a region, or do not list it",
		device, plan->quirks->generation);
}

/* Guest and host write to it. */
static bool is_for_both(const struct ghvm_spec *spec, uint32_t label)
{
	for (size_t i = 0; i < spec->n_regions; i++)
		if (spec->regions[i].label == label)
			return !spec->regions[i].readonly &&
			       spec->regions[i].access == GHVM_HOST_READ_WRITE;
	return false;
}

static int find_region(const struct ghvm_plan *plan, const struct ghvm_plan_device *d,
		       uint32_t label, unsigned int *ret, struct ghvm_error *err)
{
	char key[SPEC_DEVICE_KEY_SIZE];

	spec_device_key(plan->spec, d->name, d->nth, "region", key);
	for (unsigned int i = 1; i < plan->n_parcels; i++) {
		if (plan->parcels[i].label != label)
			continue;
		if (!is_for_both(plan->spec, label))
			return ghvm_error_set(
				err, -EINVAL,
				"%s: \"%s\" cannot use region %u, to which guest or host "
				"cannot write",
				key, d->name, label);
		*ret = i;
		return 0;
	}
	return ghvm_error_set(err, -EINVAL, "%s: \"%s\" uses region %u, which is not listed", key,
			      d->name, label);
}

int ghvm_devices_find_memory(struct ghvm_plan *plan, struct ghvm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->n_devices; i++) {
		struct ghvm_plan_device *d = &plan->devices[i];
		const struct ghvm_device_kind *kind = ghvm_device_kind(d->name);
		const uint32_t label = kind->dma ? kind->region(plan->spec, d->nth) : 0;

		if (label)
			r = find_region(plan, d, label, &d->parcel, err);
		else if (kind->dma)
			r = check_ram(plan, d->name, err);
	}
	return r;
}

/* ---- places ---- */

/**
 * struct places - what the next device without an address of its own gets
 * @label: above those in rows
 */
struct places {
	uint64_t ipa;
	uint32_t label;
};

static struct places first_places(const struct ghvm_device_kind *kinds)
{
	struct places next = { .ipa = GHVM_IPA_DEVICES };

	for (const struct ghvm_device_kind *k = kinds; k->name; k++)
		if (k->ipa && !k->no_bell && k->label >= next.label)
			next.label = k->label + 1;
	return next;
}

static struct ghvm_plan_device place_device(const struct ghvm_device_kind *kind, unsigned int nth,
					    struct places *next)
{
	struct ghvm_plan_device d = {
		.name = kind->name,
		.nth = nth,
		.ipa = kind->ipa,
		.doorbell = kind->label,
	};

	if (kind->no_bell)
		d.doorbell = GHVM_DOORBELL_NONE;
	else if (!kind->ipa)
		d.doorbell = next->label++;
	if (!kind->ipa) {
		d.ipa = next->ipa;
		next->ipa += GHVM_IPA_MMIO_PAGE;
	}
	return d;
}

static bool is_full(const struct ghvm_device_kind *kind, size_t n, const struct places *next)
{
	return n == GHVM_PLAN_DEVICES_MAX ||
	       (!kind->no_bell && !kind->ipa && next->label == GHVM_DOORBELL_MAX);
}

int ghvm_devices_place(const struct ghvm_device_kind *kinds, const struct ghvm_spec *spec,
		       struct ghvm_plan_device ret[GHVM_PLAN_DEVICES_MAX], size_t *ret_n,
		       struct ghvm_error *err)
{
	struct places next = first_places(kinds);
	size_t n = 0;

	for (const struct ghvm_device_kind *k = kinds; k->name; k++) {
		for (unsigned int nth = 0, count = k->count(spec); nth < count; nth++) {
			if (is_full(k, n, &next))
				return ghvm_error_set(err, -EINVAL,
						      "devices: more than %d, or more than %d "
						      "with an interrupt",
						      GHVM_PLAN_DEVICES_MAX, GHVM_DOORBELL_MAX);
			ret[n++] = place_device(k, nth, &next);
		}
	}
	*ret_n = n;
	return 0;
}
