// SPDX-License-Identifier: GPL-2.0-or-later
/* Every ioctl with everything wrong, and what INFO says. */
#include "tests/kmod/machine/t.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct command {
	const char *name;
	unsigned long cmd;
	int fd;
	size_t size;
	long zeroes; /* what an argument of only zeroes gets */
};

static void *raw(size_t size, uint32_t says)
{
	static _Alignas(8) uint8_t buf[3 * PAGE];

	memset(buf, 0, sizeof(buf));
	memcpy(buf, &says, sizeof(says));
	(void)size;
	return buf;
}

/* @size bytes that end where nothing is mapped. */
static uint8_t *at_edge(size_t size)
{
	uint8_t *p = t_map(2 * PAGE);

	munmap(p + PAGE, PAGE);
	memset(p, 0, PAGE);
	return p + PAGE - size;
}

static void sizes(const struct command *c)
{
	uint32_t big = (uint32_t)c->size + 8;
	uint8_t *p;

	t_eq(t_ioctl(c->fd, c->cmd, raw(0, 0)), -EINVAL, "%s: size 0", c->name);
	t_eq(t_ioctl(c->fd, c->cmd, raw(0, 3)), -EINVAL, "%s: size 3", c->name);
	t_eq(t_ioctl(c->fd, c->cmd, raw(0, 4)), -EINVAL, "%s: size 4", c->name);
	t_eq(t_ioctl(c->fd, c->cmd, raw(0, (uint32_t)c->size - 1)), -EINVAL,
	     "%s: a byte less than the first version", c->name);
	t_eq(t_ioctl(c->fd, c->cmd, raw(0, PAGE + 1)), -E2BIG, "%s: size 4097", c->name);
	t_eq(t_ioctl(c->fd, c->cmd, raw(0, UINT32_MAX)), -E2BIG, "%s: size -1", c->name);
	t_eq(t_ioctl(c->fd, c->cmd, raw(0, big)), c->zeroes, "%s: a zero tail", c->name);
	p = raw(0, big);
	p[big - 1] = 1;
	t_eq(t_ioctl(c->fd, c->cmd, p), -E2BIG, "%s: a tail that is not zero", c->name);
}

static void pointers(const struct command *c)
{
	uint32_t size = (uint32_t)c->size;
	uint8_t *edge = at_edge(c->size - 1);

	t_eq(t_ioctl(c->fd, c->cmd, NULL), -EFAULT, "%s: NULL", c->name);
	t_eq(t_ioctl(c->fd, c->cmd, (void *)(1UL << 63)), -EFAULT, "%s: a kernel address", c->name);
	memcpy(edge, &size, sizeof(size));
	t_eq(t_ioctl(c->fd, c->cmd, edge), -EFAULT, "%s: one byte short", c->name);
	munmap((void *)((uintptr_t)edge & ~(PAGE - 1)), PAGE);
}

static void every(int dev, int pin)
{
	const struct command commands[] = {
		{ "INFO", GHVM_INFO, dev, sizeof(struct ghvm_info), 0 },
		{ "HCALL", GHVM_HCALL, dev, sizeof(struct ghvm_hcall), 0 },
		{ "IRQ", GHVM_IRQ, dev, sizeof(struct ghvm_irq), -EINVAL },
		{ "PIN", GHVM_PIN, dev, sizeof(struct ghvm_pin), -EINVAL },
		{ "GRANT", GHVM_GRANT, dev, sizeof(struct ghvm_grant), -EINVAL },
		{ "REVOKE", GHVM_REVOKE, dev, sizeof(struct ghvm_revoke), -ENOENT },
		{ "LIST", GHVM_QUARANTINE_LIST, dev, sizeof(struct ghvm_quarantine_list), 0 },
		{ "ADOPT", GHVM_QUARANTINE_ADOPT, dev, sizeof(struct ghvm_quarantine_adopt),
		  -ENOENT },
		{ "ASSIGN", GHVM_ASSIGN, dev, sizeof(struct ghvm_assign), -EOPNOTSUPP },
		{ "STATUS", GHVM_PIN_STATUS, pin, sizeof(struct ghvm_pin_status), 0 },
		{ "EXTENTS", GHVM_PIN_EXTENTS, pin, sizeof(struct ghvm_pin_extents), 0 },
		{ "SET", GHVM_PIN_SET, pin, sizeof(struct ghvm_pin_set), -EINVAL },
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *c = &commands[i];

		sizes(c);
		pointers(c);
		t_eq(t_ioctl(c->fd == dev ? pin : dev, c->cmd, raw(0, (uint32_t)c->size)), -ENOTTY,
		     "%s: on the other kind of file", c->name);
		t_eq(t_ioctl(c->fd, c->cmd + (8 << 16), raw(0, (uint32_t)c->size)), c->zeroes,
		     "%s: the number of a larger structure", c->name);
	}
}

static void reserved(int dev, int pin)
{
	struct ghvm_hcall call = { .__reserved = 1 };
	struct ghvm_pin p = { .flags = 2, .start = PAGE, .length = PAGE, .memfd = -1 };
	struct ghvm_grant grant = { .flags = 1, .id = 7 };
	struct ghvm_revoke revoke = { .flags = 1, .id = 7 };
	struct ghvm_quarantine_adopt adopt = { .flags = 1, .id = 7 };
	struct ghvm_pin_status status = { .__reserved = 1 };
	struct ghvm_assign_perm perm = { .vmid = 3, .perm = 7 };
	struct ghvm_assign assign = { .pin = pin, .n_dest = 9 };

	assign.dest = (uintptr_t)&perm;
	t_eq(t_call(dev, GHVM_HCALL, &call), -EINVAL, "HCALL: reserved");
	t_eq(t_call(dev, GHVM_PIN, &p), -EINVAL, "PIN: flags");
	p.flags = 0;
	p.__reserved = 1;
	t_eq(t_call(dev, GHVM_PIN, &p), -EINVAL, "PIN: reserved");
	t_eq(t_call(dev, GHVM_GRANT, &grant), -EINVAL, "GRANT: flags");
	t_eq(t_call(dev, GHVM_REVOKE, &revoke), -EINVAL, "REVOKE: flags");
	t_eq(t_call(dev, GHVM_QUARANTINE_ADOPT, &adopt), -EINVAL, "ADOPT: flags");
	t_eq(t_call(pin, GHVM_PIN_STATUS, &status), -EINVAL, "STATUS: reserved");
	t_eq(t_call(dev, GHVM_ASSIGN, &assign), -EINVAL, "ASSIGN: too many");
	assign.n_dest = 1;
	assign.__reserved = 1;
	t_eq(t_call(dev, GHVM_ASSIGN, &assign), -EINVAL, "ASSIGN: reserved");
	assign.__reserved = 0;
	t_eq(t_call(dev, GHVM_ASSIGN, &assign), -EOPNOTSUPP, "ASSIGN: no such firmware here");
	t_eq(t_ioctl(dev, _IO(GHVM_IOC_TYPE, 0x3f), raw(0, 8)), -ENOTTY, "an unknown number");
	t_eq(t_ioctl(dev, _IOWR('G', 0x00, struct ghvm_info), raw(0, 8)), -ENOTTY, "another type");
}

static void info(int dev)
{
	static const uint32_t gunyah[4] = { 0xcd8fd5c1, 0xdb5f53a4, 0x36ce6592, 0x145f3d67 };
	struct ghvm_info i = t_info(dev);
	struct ghvm_info *ro = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t small[4] = { 8, 77, 77, 77 };
	struct stat st;

	t_eq(i.abi, GHVM_ABI_LEVEL, "INFO: ABI level");
	t_eq(i.page_size, sysconf(_SC_PAGESIZE), "INFO: page size");
	t_ok(!memcmp(i.uid, gunyah, sizeof(gunyah)), "INFO: UID");
	t_eq(i.identify[0] & 0x3fff, 1, "INFO: API version");
	t_eq(i.flags & ~GHVM_INFO_PIN_FILE, GHVM_INFO_RM_TX_VIRQ | GHVM_INFO_RM_RX_VIRQ,
	     "INFO: flags");
	t_ok(i.rm_tx_capid != i.rm_rx_capid, "INFO: two capabilities");
	t_eq(i.quarantined_pages, 0, "INFO: nothing quarantined");
	t_ok(!i.obstacle && !i.driver[0], "INFO: nothing is in the way");
	t_eq(i.size, sizeof(i), "INFO: the size stays");
	t_eq(t_ioctl(dev, GHVM_INFO, small), -EINVAL, "INFO: a small structure");
	t_ok(small[1] == 77 && small[2] == 77 && small[3] == 77, "INFO: no byte is written");
	t_eq(t_ioctl(dev, GHVM_INFO, ro), -EINVAL, "INFO: read-only, size 0");
	munmap(ro, PAGE);
	t_ok(!stat("/dev/ghvm", &st) && (st.st_mode & 07777) == 0600, "the node is root's alone");
}

static void info_read_only(int dev)
{
	struct ghvm_info *i = t_map(PAGE);

	memset(i, 0, PAGE);
	i->size = sizeof(*i);
	mprotect(i, PAGE, PROT_READ);
	t_eq(t_ioctl(dev, GHVM_INFO, i), -EFAULT, "INFO: read-only");
	munmap(i, PAGE);
}

static void hcalls(int dev)
{
	static const uint32_t refused[] = { 0x01, 0x2b, 0x2c, 0x30,   0x61,
					    0x64, 0x3a, 0x16, 0x1000, UINT32_MAX };
	struct ghvm_hcall call = {};
	struct ghvm_info i = t_info(dev);

	t_eq(t_call(dev, GHVM_HCALL, &call), 0, "HCALL: identify");
	t_ok(!memcmp(call.results, i.identify, sizeof(i.identify)), "HCALL: as INFO says");
	for (size_t n = 0; n < sizeof(refused) / sizeof(refused[0]); n++) {
		call = (struct ghvm_hcall){ .call = refused[n] };
		t_eq(t_call(dev, GHVM_HCALL, &call), -EPERM, "HCALL: %#x is not allowed",
		     refused[n]);
	}
	call = (struct ghvm_hcall){ .call = 0x12, .args = { 0xdeadbeef12345678, 1 } };
	t_eq(t_call(dev, GHVM_HCALL, &call), 0, "HCALL: doorbell_send");
	t_eq((int32_t)call.results[0], 50, "HCALL: no such capability, says the hypervisor");
	call = (struct ghvm_hcall){ .call = 0x65, .args = { i.rm_tx_capid } };
	t_eq(t_call(dev, GHVM_HCALL, &call), 0, "HCALL: vcpu_run");
	t_eq((int32_t)call.results[0], 52, "HCALL: a queue is no vCPU, says the hypervisor");
}

void test_ioctl(void)
{
	int dev = t_open();
	void *p = t_map(PAGE);
	int pin = (int)t_pin(dev, p, PAGE);

	if (pin < 0)
		t_die("PIN");
	info(dev);
	info_read_only(dev);
	every(dev, pin);
	reserved(dev, pin);
	hcalls(dev);
	close(pin);
	munmap(p, PAGE);
	close(dev);
}
