// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Boot of the primary: edits its device tree, hides the memory of EL2, enters Linux.
 *
 * The tree is edited where QEMU left it; it is 1 MiB, mostly empty. Options are in the
 * kernel command line, el2.model=strict,prod: see README.md.
 */
#include <string.h>

#include <libfdt.h>

#include "tests/model/el2/el2.h"

#define OPTION "el2.model="
#define DELAY_NS 25000000ul /* abi K.6 */
#define SEED 0x9e3779b97f4a7c15ul
#define GIC_SPI 0
#define EDGE_RISING 1

extern char _end[];

struct machine machine;

static void need(bool ok, const char *what)
{
	if (!ok)
		panic(what, NULL);
}

static uint64_t cell_pair(const fdt32_t *cells)
{
	return (uint64_t)fdt32_to_cpu(cells[0]) << 32 | fdt32_to_cpu(cells[1]);
}

static void read_memory(const void *fdt)
{
	int node = fdt_node_offset_by_prop_value(fdt, -1, "device_type", "memory", 7);
	int len = 0;
	const fdt32_t *reg = node < 0 ? NULL : fdt_getprop(fdt, node, "reg", &len);

	need(reg && len == 16 && cell_pair(reg) == EL2_BASE, "unexpected memory node");
	machine.ram_end = EL2_BASE + cell_pair(reg + 2);
	need(machine.ram_end > LINUX_ADDR && machine.ram_end <= 0x100000000ul,
	     "memory must be 1G to 3G");
}

static void read_cpus(const void *fdt)
{
	int parent = fdt_path_offset(fdt, "/cpus");
	int node;

	fdt_for_each_subnode(node, fdt, parent)
	{
		const char *type = fdt_getprop(fdt, node, "device_type", NULL);

		if (type && !strcmp(type, "cpu"))
			machine.cpus++;
	}
	need(machine.cpus >= 1 && machine.cpus <= CPUS_MAX, "1 to 8 CPUs");
}

static bool has_option(const char *args, const char *name)
{
	const char *p = args ? strstr(args, OPTION) : NULL;
	size_t n = strlen(name);

	if (!p)
		return false;
	for (p += strlen(OPTION); *p && *p != ' '; p++) {
		if (!strncmp(p, name, n) && (!p[n] || p[n] == ',' || p[n] == ' '))
			return true;
		while (p[1] && p[1] != ' ' && *p != ',')
			p++;
	}
	return false;
}

static void read_options(const void *fdt)
{
	int node = fdt_path_offset(fdt, "/chosen");
	const char *args = node < 0 ? NULL : fdt_getprop(fdt, node, "bootargs", NULL);

	machine.strict = has_option(args, "strict");
	machine.production = has_option(args, "prod");
	machine.delay_ns = has_option(args, "hurry") ? 0 : DELAY_NS;
	machine.presplit_quirk = !has_option(args, "unmaps");
	machine.late_stop = has_option(args, "late-stop");
	machine.scm = has_option(args, "scm");
	machine.rx_unready = has_option(args, "rx-unready");
	machine.seed = machine.production ? SEED : 0; /* 0: capability ids are small */
}

static void boot_tree_read(const void *fdt)
{
	read_memory(fdt);
	read_cpus(fdt);
	read_options(fdt);
}

static int put_reg(void *fdt, int node, uint64_t a, uint64_t b)
{
	int r = fdt_setprop_u64(fdt, node, "reg", a);

	return r < 0 ? r : fdt_appendprop_u64(fdt, node, "reg", b);
}

/* Offsets move with every change: nodes are looked up again by path. */
static void add_reserved(void *fdt, const char *name, const char *compatible, uint64_t base,
			 uint64_t size)
{
	int parent = fdt_path_offset(fdt, "/reserved-memory");
	int node = fdt_add_subnode(fdt, parent, name);

	need(node >= 0 && put_reg(fdt, node, base, size) == 0 &&
		     fdt_setprop_string(fdt, node, "compatible", compatible) == 0 &&
		     fdt_setprop_empty(fdt, node, "no-map") == 0,
	     "cannot reserve memory in the tree");
}

static void add_memory(void *fdt)
{
	int node = fdt_path_offset(fdt, "/reserved-memory");

	if (node < 0)
		node = fdt_add_subnode(fdt, 0, "reserved-memory");
	need(node >= 0 && fdt_setprop_u32(fdt, node, "#address-cells", 2) == 0 &&
		     fdt_setprop_u32(fdt, node, "#size-cells", 2) == 0 &&
		     fdt_setprop_empty(fdt, node, "ranges") == 0,
	     "cannot add /reserved-memory");
	add_reserved(fdt, "el2@40000000", "ghvm,model", EL2_BASE, KNOBS_PA - EL2_BASE);
	add_reserved(fdt, "knobs@40ffe000", "ghvm,model-knobs", KNOBS_PA, PAGE);
	add_reserved(fdt, "counters@40fff000", "ghvm,model-counters", COUNTERS_PA, PAGE);
}

static void hex16(char *p, uint64_t v)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		*p++ = "0123456789abcdef"[v >> shift & 15];
	*p = '\0';
}

/*
 * Give RX an interrupt controller without a driver, so that drivers that need its virq have to
 * wait.
 */
static void unready_rx(void *fdt)
{
	int node = fdt_add_subnode(fdt, fdt_path_offset(fdt, "/hypervisor"), "unready");
	const fdt32_t *gic = fdt_getprop(fdt, 0, "interrupt-parent", NULL);
	uint32_t phandle = fdt_get_max_phandle(fdt) + 1;
	uint32_t irqs[8] = { gic ? fdt32_to_cpu(*gic) : 0,
			     GIC_SPI,
			     VIRQ_FIRST - 32,
			     EDGE_RISING,
			     phandle,
			     GIC_SPI,
			     VIRQ_FIRST + 1 - 32,
			     EDGE_RISING };

	need(node >= 0 && fdt_setprop_empty(fdt, node, "interrupt-controller") == 0 &&
		     fdt_setprop_u32(fdt, node, "#interrupt-cells", 3) == 0 &&
		     fdt_setprop_u32(fdt, node, "phandle", phandle) == 0,
	     "cannot add an interrupt controller to the tree");
	for (unsigned int i = 0; i < 8; i++)
		irqs[i] = cpu_to_fdt32(irqs[i]);
	node = fdt_node_offset_by_compatible(fdt, -1, "gunyah-resource-manager");
	need(fdt_setprop(fdt, node, "interrupts-extended", irqs, sizeof(irqs)) == 0 &&
		     fdt_delprop(fdt, node, "interrupts") == 0,
	     "cannot change the resource manager's interrupts");
}

/* TX first, both in "reg" and in "interrupts" (abi D.8). */
static void add_rm(void *fdt)
{
	static const char compatible[] =
		"gunyah-resource-manager\0qcom,resource-manager-1-0\0qcom,resource-manager";
	char name[48] = "qcom,resource-manager-rpc@";
	uint64_t tx = model_rm_tx_cap(model), rx = model_rm_rx_cap(model);
	uint32_t irqs[6] = { GIC_SPI, VIRQ_FIRST - 32,	   EDGE_RISING,
			     GIC_SPI, VIRQ_FIRST + 1 - 32, EDGE_RISING };
	int node;

	hex16(name + strlen(name), tx);
	for (unsigned int i = 0; i < 6; i++)
		irqs[i] = cpu_to_fdt32(irqs[i]);
	node = fdt_add_subnode(fdt, fdt_path_offset(fdt, "/hypervisor"), name);
	need(node >= 0 && put_reg(fdt, node, tx, rx) == 0 &&
		     fdt_setprop(fdt, node, "compatible", compatible, sizeof(compatible)) == 0 &&
		     fdt_setprop(fdt, node, "interrupts", irqs, sizeof(irqs)) == 0 &&
		     fdt_setprop_u32(fdt, node, "qcom,free-irq-start", VIRQ_FIRST) == 0,
	     "cannot add the resource manager to the tree");
}

static void add_hypervisor(void *fdt)
{
	static const char compatible[] =
		"qcom,gunyah-hypervisor-1.0\0qcom,gunyah-hypervisor\0simple-bus";
	int node = fdt_add_subnode(fdt, 0, "hypervisor");

	need(node >= 0 && fdt_setprop_u32(fdt, node, "#address-cells", 2) == 0 &&
		     fdt_setprop_u32(fdt, node, "#size-cells", 0) == 0 &&
		     fdt_setprop(fdt, node, "compatible", compatible, sizeof(compatible)) == 0,
	     "cannot add /hypervisor");
	add_rm(fdt);
	if (machine.rx_unready)
		unready_rx(fdt);
}

/* Drivers of /firmware are those of its children. */
static void add_scm(void *fdt)
{
	int node = fdt_add_subnode(fdt, 0, "firmware");

	node = node < 0 ? node : fdt_add_subnode(fdt, node, "scm");
	need(node >= 0 && fdt_setprop_string(fdt, node, "compatible", "qcom,scm") == 0,
	     "cannot add /firmware/scm");
}

static void boot_tree_patch(void *fdt)
{
	need(fdt_open_into(fdt, fdt, (int)fdt_totalsize(fdt)) == 0, "cannot open the tree");
	add_memory(fdt);
	add_hypervisor(fdt);
	if (machine.scm)
		add_scm(fdt);
	need(fdt_pack(fdt) == 0, "cannot pack the tree");
}

void boot_first(struct frame *f, void *fdt);
void boot_first(struct frame *f, void *fdt)
{
	uint64_t end = ((uint64_t)_end + PAGE - 1) & ~(PAGE - 1);

	memset((void *)COUNTERS_PA, 0, PAGE);
	*counter(COUNTER_magic) = COUNTERS_MAGIC;
	need(fdt_check_header(fdt) == 0, "no device tree");
	boot_tree_read(fdt);
	host_init(end, &end);
	if (machine.scm)
		scm_init(end, &end);
	s2_pool_init(end, KNOBS_PA);
	need(s2_primary_init() == 0, "no memory for stage 2");
	boot_tree_patch(fdt);
	cpu_init(f, LINUX_ADDR, (uint64_t)fdt);
	log_fmt("%u CPUs, RAM to %lx, %lu tables%s%s%s", machine.cpus, machine.ram_end,
		*counter(COUNTER_tables_free), machine.strict ? ", strict" : "",
		machine.production ? ", production" : "",
		machine.presplit_quirk ? "" : ", LEND unmaps");
}

void boot_secondary(struct frame *f, const struct cpu_slot *slot);
void boot_secondary(struct frame *f, const struct cpu_slot *slot)
{
	cpu_init(f, slot->entry, slot->context);
}
