/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sealed description of a VM: there and back, golden head, and every damage refused.
 */
#include "daemon/ipc/runinfo.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define HEAD 56 /* up to and with the name */

static struct ghvm_runinfo demo(void)
{
	struct ghvm_runinfo info = {
		.name = "demo",
		.vmid = { 0x80 },
		.incarnation = 0x1122334455667788,
		.stop_timeout_ms = 90000,
		.logging = GHVM_LOGGING_JOURNAL,
		.log_size = GHVM_MIB(64),
		.devices = { { .name = "uart",
			       .ipa = GHVM_IPA_UART,
			       .doorbell = GHVM_DOORBELL_UART },
			     { .name = "power-key",
			       .ipa = GHVM_IPA_PL061,
			       .doorbell = GHVM_DOORBELL_PL061 } },
		.n_devices = 2,
		.on_reboot = GHVM_ON_END_RESTART,
		.vcpus = { { .cap = { 5 }, .virq = { 150 } }, { .cap = { 6 }, .virq = { 151 } } },
		.n_vcpus = 2,
		.doorbells = { { .label = 0, .cap = { UINT64_MAX - 1 } } },
		.n_doorbells = 1,
		.regions = { { .label = 3, .ipa = 0x40000000, .size = 0x200000 } },
		.n_regions = 1,
	};

	return info;
}

static void comes_back_as_it_was(void **state)
{
	struct ghvm_runinfo in = demo(), out;
	_cleanup_(closep) int fd = ghvm_runinfo_write(&in);

	assert_true(fd >= 0);
	memset(&out, 0xff, sizeof(out));
	assert_int_equal(ghvm_runinfo_read(fd, &out, NULL), 0);
	assert_string_equal(out.name, "demo");
	assert_int_equal(out.vmid.id, in.vmid.id);
	assert_int_equal(out.incarnation, in.incarnation);
	assert_int_equal(out.stop_timeout_ms, 90000);
	assert_int_equal(out.on_reboot, GHVM_ON_END_RESTART);
	assert_int_equal(out.logging, GHVM_LOGGING_JOURNAL);
	assert_int_equal(out.log_size, GHVM_MIB(64));
	assert_int_equal(out.n_vcpus, 2);
	assert_int_equal(out.vcpus[1].virq.intid, 151);
	assert_int_equal(out.doorbells[0].cap.id, UINT64_MAX - 1);
	assert_int_equal(out.regions[0].size, 0x200000);
	assert_true(ghvm_runinfo_same_devices(&in, &out));
}

static void has_golden_head(void **state)
{
	static const uint8_t golden[] = {
		'G',  'H',  'R',  'I', 1, 0,	0,    0,    0x80, 0,	0,
		0x44, 0x90, 0x5f, 1,   0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
		0x22, 0x11, 1,	  1,   1, 0,	'd',  'e',  'm',  'o',
	};
	struct ghvm_runinfo in = demo();
	_cleanup_(closep) int fd = ghvm_runinfo_write(&in);
	uint8_t head[sizeof(golden)];

	assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
	assert_memory_equal(head, golden, sizeof(golden));
}

/* Version 1 without further devices: a runner of any version reads it. With them version 2. */
static void has_golden_devices(void **state)
{
	static const uint8_t golden[] = {
		1, 0,	 'r',  't',  'c',  0, 0, 0, 0, 0,    0,	   0,	 0,    0, 0, 0, 0, 0, 1,
		0, 0x00, 0x10, 1,    0x10, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0,
		0, 0,	 0,    0x80, 0,	   0, 0, 0, 0, 0,    0x20, 0,	 0,    0, 0, 0, 2,
	};
	struct ghvm_runinfo in = demo(), out;
	uint8_t all[1024], version[8];
	ssize_t n;

	in.n_devices = 1; /* the UART */
	in.devices[in.n_devices++] = (struct ghvm_runinfo_device){
		.name = "rtc",
		.nth = 1,
		.ipa = GHVM_IPA_DEVICES + GHVM_IPA_MMIO_PAGE,
		.doorbell = GHVM_DOORBELL_NONE,
	};
	in.dma[in.n_dma++] = (struct ghvm_runinfo_region){ 0, 0x80000000, 0x200000 };
	in.on_watchdog = GHVM_ON_END_DUMP_ONLY;

	_cleanup_(closep) int fd = ghvm_runinfo_write(&in);

	assert_int_equal(pread(fd, version, 8, 0), 8);
	assert_int_equal(version[4], 2);
	n = pread(fd, all, sizeof(all), 0);
	assert_true(n > (ssize_t)sizeof(golden));
	assert_memory_equal(all + n - sizeof(golden), golden, sizeof(golden));
	assert_int_equal(all[24], 1); /* the UART */
	assert_int_equal(all[25], 0); /* no power key */
	assert_int_equal(ghvm_runinfo_read(fd, &out, NULL), 0);
	assert_int_equal(out.n_devices, 2);
	assert_string_equal(out.devices[1].name, "rtc");
	assert_int_equal(out.devices[1].nth, 1);
	assert_int_equal(out.devices[1].doorbell, GHVM_DOORBELL_NONE);
	assert_true(ghvm_runinfo_same_devices(&in, &out));
	assert_int_equal(out.on_watchdog, GHVM_ON_END_DUMP_ONLY);
	assert_int_equal(out.n_dma, 1);
	out.dma[0].size += GHVM_PAGE;
	assert_false(ghvm_runinfo_same_devices(&in, &out));
	out.dma[0] = in.dma[0];
	assert_true(ghvm_runinfo_same_devices(&in, &out));
	out.devices[1].ipa += GHVM_IPA_MMIO_PAGE;
	assert_false(ghvm_runinfo_same_devices(&in, &out));
	out.n_devices = 1;
	assert_false(ghvm_runinfo_same_devices(&in, &out));
}

static void cannot_be_changed(void **state)
{
	struct ghvm_runinfo in = demo();
	_cleanup_(closep) int fd = ghvm_runinfo_write(&in);

	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 10000), -1);
}

static int memfd_of(const uint8_t *buf, size_t len, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, buf, len, 0), len);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int read_back(const uint8_t *buf, size_t len, int seals)
{
	_cleanup_(closep) int fd = memfd_of(buf, len, seals);
	struct ghvm_runinfo out = { .n_vcpus = 77 };
	int r = ghvm_runinfo_read(fd, &out, NULL);

	if (r < 0)
		assert_int_equal(out.n_vcpus, 77); /* untouched on failure */
	return r;
}

static void refuses_what_is_not_sealed(void **state)
{
	struct ghvm_runinfo in = demo();
	_cleanup_(closep) int fd = ghvm_runinfo_write(&in);
	uint8_t buf[4096];
	ssize_t n = pread(fd, buf, sizeof(buf), 0);

	assert_true(n > 0);
	assert_int_equal(read_back(buf, (size_t)n, SEALS), 0);
	assert_int_equal(read_back(buf, (size_t)n, 0), -EPERM);
	assert_int_equal(read_back(buf, (size_t)n, SEALS & ~F_SEAL_WRITE), -EPERM);
	assert_int_equal(read_back(buf, (size_t)n, SEALS & ~F_SEAL_SHRINK), -EPERM);
	assert_int_equal(ghvm_runinfo_read(STDERR_FILENO, &in, NULL), -EPERM);
}

/* With the list of further devices, too. */
static void refuses_a_damaged_list(void **state)
{
	struct ghvm_runinfo in = demo();
	uint8_t buf[4096];
	ssize_t n;

	in.devices[1] = (struct ghvm_runinfo_device){
		.name = "rtc",
		.ipa = GHVM_IPA_DEVICES,
		.doorbell = 5,
	};

	_cleanup_(closep) int fd = ghvm_runinfo_write(&in);

	n = pread(fd, buf, sizeof(buf), 0);
	assert_true(n > 32);
	for (ssize_t len = 0; len < n; len++)
		assert_int_equal(read_back(buf, (size_t)len, SEALS), -EBADMSG);
	assert_int_equal(read_back(buf, (size_t)n + 1, SEALS), -EBADMSG);
	/* what the watchdog does, memory's count, address twice, end of the name, count */
	static const ssize_t damage[] = { 1, 3, 8, 11, 18, 35 };

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		uint8_t *at = &buf[n - damage[i]];

		*at ^= 0x40;
		assert_int_equal(read_back(buf, (size_t)n, SEALS), -EBADMSG);
		*at ^= 0x40;
	}
	assert_int_equal(read_back(buf, (size_t)n, SEALS), 0);
}

/* A device that another process serves; a device more, so that the list of the others is in between. */
static void what_is_served_comes_along(void **state)
{
	struct ghvm_runinfo in = demo(), out;
	uint8_t buf[4096];

	in.devices[1] = (struct ghvm_runinfo_device){ .name = "rtc", .ipa = GHVM_IPA_DEVICES };
	in.devices[2] = (struct ghvm_runinfo_device){
		.name = "vhost-user",
		.ipa = GHVM_IPA_DEVICES + GHVM_IPA_MMIO_PAGE,
		.doorbell = 6,
		.virtio_id = 2,
		.queues = 4,
	};
	in.n_devices = 3;
	_cleanup_(closep) int fd = ghvm_runinfo_write(&in);
	ssize_t n = pread(fd, buf, sizeof(buf), 0);

	assert_int_equal(buf[4], 3);
	assert_int_equal(ghvm_runinfo_read(fd, &out, NULL), 0);
	assert_true(ghvm_runinfo_same_devices(&in, &out));
	assert_true(ghvm_runinfo_served(&out));
	assert_int_equal(out.devices[1].virtio_id, 0);
	assert_int_equal(out.devices[2].virtio_id, 2);
	assert_int_equal(out.devices[2].queues, 4);
	out.devices[2].queues = 5;
	assert_false(ghvm_runinfo_same_devices(&in, &out));
	for (ssize_t len = 0; len < n; len++)
		assert_int_equal(read_back(buf, (size_t)len, SEALS), -EBADMSG);
	in.devices[2].virtio_id = 0;
	assert_false(ghvm_runinfo_served(&in));
}

static void the_cid_of_a_vsock_comes_along(void **state)
{
	struct ghvm_runinfo in = demo(), out;
	uint8_t buf[4096];

	in.devices[0] = (struct ghvm_runinfo_device){ .name = "vsock", .ipa = GHVM_IPA_DEVICES };
	in.n_devices = 1;
	in.cid = 0xfffffffe;
	_cleanup_(closep) int fd = ghvm_runinfo_write(&in);
	ssize_t n = pread(fd, buf, sizeof(buf), 0);

	assert_int_equal(buf[4], 4);
	assert_int_equal(ghvm_runinfo_read(fd, &out, NULL), 0);
	assert_int_equal(out.cid, 0xfffffffe);
	assert_true(ghvm_runinfo_same_devices(&in, &out));
	out.cid = 3;
	assert_false(ghvm_runinfo_same_devices(&in, &out));
	for (ssize_t len = 0; len < n; len++)
		assert_int_equal(read_back(buf, (size_t)len, SEALS), -EBADMSG);
}

static void refuses_every_damage(void **state)
{
	struct ghvm_runinfo in = demo();
	_cleanup_(closep) int fd = ghvm_runinfo_write(&in);
	uint8_t buf[4098];
	ssize_t n = pread(fd, buf, sizeof(buf), 0);

	assert_true(n > 0);
	for (ssize_t len = 0; len < n; len++) /* every length */
		assert_int_equal(read_back(buf, (size_t)len, SEALS), -EBADMSG);
	assert_int_equal(read_back(buf, (size_t)n + 1, SEALS), -EBADMSG);
	assert_int_equal(read_back(buf, sizeof(buf), SEALS), -EBADMSG);

	static const size_t damage[] = { 0, 4, 26, 27, HEAD - 1, HEAD, HEAD + 1 };

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		buf[damage[i]] ^= 0x40;
		assert_int_equal(read_back(buf, (size_t)n, SEALS), -EBADMSG);
		buf[damage[i]] ^= 0x40;
	}
}

static void refuses_counts_beyond_its_room(void **state)
{
	struct ghvm_runinfo in = demo();

	in.n_vcpus = GHVM_SPEC_CPUS_MAX + 1;
	assert_int_equal(ghvm_runinfo_write(&in), -EINVAL);
	in = demo();
	in.n_doorbells = GHVM_DOORBELL_MAX + 1;
	assert_int_equal(ghvm_runinfo_write(&in), -EINVAL);
	in = demo();
	in.n_regions = GHVM_SPEC_REGIONS_MAX + 1;
	assert_int_equal(ghvm_runinfo_write(&in), -EINVAL);
	in = demo();
	in.n_devices = GHVM_PLAN_DEVICES_MAX + 1;
	assert_int_equal(ghvm_runinfo_write(&in), -EINVAL);
	in = demo();
	in.n_dma = GHVM_RUNINFO_DMA_MAX + 1;
	assert_int_equal(ghvm_runinfo_write(&in), -EINVAL);
}

static void has_room_for_all(void **state)
{
	struct ghvm_runinfo in = demo(), out;

	in.n_vcpus = GHVM_SPEC_CPUS_MAX;
	in.n_doorbells = GHVM_DOORBELL_MAX;
	in.n_regions = GHVM_SPEC_REGIONS_MAX;
	in.n_dma = GHVM_RUNINFO_DMA_MAX;
	for (; in.n_devices < GHVM_PLAN_DEVICES_MAX; in.n_devices++)
		memset(in.devices[in.n_devices].name, 'x', GHVM_DEVICE_NAME_SIZE - 1);

	_cleanup_(closep) int fd = ghvm_runinfo_write(&in);

	assert_true(fd >= 0);
	assert_int_equal(ghvm_runinfo_read(fd, &out, NULL), 0);
	assert_int_equal(out.n_regions, GHVM_SPEC_REGIONS_MAX);
	assert_true(ghvm_runinfo_same_devices(&in, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back_as_it_was),
		cmocka_unit_test(has_golden_head),
		cmocka_unit_test(has_golden_devices),
		cmocka_unit_test(cannot_be_changed),
		cmocka_unit_test(refuses_what_is_not_sealed),
		cmocka_unit_test(the_cid_of_a_vsock_comes_along),
		cmocka_unit_test(refuses_every_damage),
		cmocka_unit_test(what_is_served_comes_along),
		cmocka_unit_test(refuses_a_damaged_list),
		cmocka_unit_test(refuses_counts_beyond_its_room),
		cmocka_unit_test(has_room_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
