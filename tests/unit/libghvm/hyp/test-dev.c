/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What dev.c and host.c do around their ioctls, on files that are no node of ghvm.
 */
#include "libghvm/hyp/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "libghvm/base/cleanup.h"
#include "libghvm/hyp/host.h"

static struct ghvm_host *null_host(void)
{
	struct ghvm_host *h = NULL;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ghvm_dev_from_fd(fd, &h), 0);
	return h;
}

static size_t count_mappings(const char *name)
{
	_cleanup_(fclosep) FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	size_t n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, name) != NULL;
	return n;
}

static void no_node_is_said_so(void **state)
{
	struct ghvm_host *h = NULL;
	struct ghvm_error err = {};

	assert_int_equal(ghvm_host_open("/nonexistent/ghvm", &h, &err), -ENODEV);
	assert_non_null(strstr(err.msg, "/nonexistent/ghvm"));
	assert_non_null(strstr(err.msg, "module"));
	assert_null(h);
}

static void other_files_are_no_node(void **state)
{
	struct ghvm_host *h = NULL;
	struct ghvm_error err = {};

	assert_int_equal(ghvm_host_open("/dev/null", &h, &err), -ENOTTY);
	assert_non_null(strstr(err.msg, "/dev/null"));
	assert_int_equal(ghvm_host_open("/", &h, &err), -EISDIR);
	assert_int_equal(ghvm_host_open("ghvm", &h, &err), -EINVAL);
	assert_int_equal(ghvm_host_open("", &h, &err), -EINVAL);
	assert_int_equal(ghvm_host_from_fd(-1, &h, &err), -EBADF);
	assert_null(h);
	ghvm_host_close(NULL);
}

/* STYLE 6: nothing of a pinned file stays mapped, also when the ioctl fails. */
static void a_pin_leaves_no_mapping(void **state)
{
	_cleanup_(ghvm_host_closep) struct ghvm_host *h = null_host();
	_cleanup_(closep) int fd = memfd_create("pin-me", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 0x4000), 0);
	assert_int_equal(h->ops->pin(h, fd, 0, 0x4000, false), -ENOTTY);
	assert_int_equal(count_mappings("pin-me"), 0);
	assert_int_equal(h->ops->pin(h, fd, 0x1000, 0x1000, false), -ENOTTY);
	assert_int_equal(h->ops->pin(h, fd, 0, 0, false), -EINVAL);
	assert_int_equal(h->ops->pin(h, fd, 1, 0x1000, false), -EINVAL);
	assert_int_equal(h->ops->pin(h, fd, UINT64_MAX - 0xfff, 0x1000, false), -EINVAL);
	assert_int_equal(h->ops->pin(h, fd, 0, UINT64_MAX - 0xfff, false), -ENOMEM);
	assert_int_equal(h->ops->pin(h, -1, 0, 0x1000, false), -EBADF);
}

/* The mapping that fills holes does not write either: it would be refused. */
static void a_pin_for_reading_takes_a_sealed_file(void **state)
{
	_cleanup_(ghvm_host_closep) struct ghvm_host *h = null_host();
	_cleanup_(closep) int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, 0x4000), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	assert_int_equal(h->ops->pin(h, fd, 0, 0x4000, false), -EPERM);
	assert_int_equal(h->ops->pin(h, fd, 0, 0x4000, true), -ENOTTY); /* of the ioctl */
	assert_int_equal(count_mappings("sealed"), 0);
}

static void a_file_cut_short_is_no_sigbus(void **state)
{
	_cleanup_(ghvm_host_closep) struct ghvm_host *h = null_host();
	_cleanup_(closep) int fd = memfd_create("short", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 0x1000), 0);
	assert_int_equal(h->ops->pin(h, fd, 0, 0x4000, false), -EFAULT);
	assert_int_equal(count_mappings("short"), 0);
}

static void a_pin_write_writes_all(void **state)
{
	_cleanup_(ghvm_host_closep) struct ghvm_host *h = null_host();
	_cleanup_(closep) int fd = memfd_create("pin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char back[8] = {};

	assert_int_equal(h->ops->pin_write(h, fd, 5, "hello", 5), 0);
	assert_int_equal(pread(fd, back, sizeof(back), 5), 5);
	assert_string_equal(back, "hello");
	assert_int_equal(h->ops->pin_write(h, fd, 0, NULL, 0), 0);
	assert_int_equal(h->ops->pin_write(h, fd, INT64_MAX, "ab", 2), -EFBIG);
	assert_int_equal(h->ops->pin_write(h, fd, UINT64_MAX, "a", 1), -EFBIG);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(h->ops->pin_write(h, fd, 0, "a", 1), -EPERM);
}

static void errors_touch_no_output(void **state)
{
	_cleanup_(ghvm_host_closep) struct ghvm_host *h = null_host();
	_cleanup_(closep) int pin = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct ghvm_pin_status status = { .id = 77 };
	struct ghvm_hcall call = { .results = { 77 } };
	struct ghvm_info info = { .abi = 77 };
	struct ghvm_quarantine_entry e;
	struct ghvm_assign assign = {};
	struct ghvm_extent x;
	uint8_t tag[GHVM_TAG_SIZE] = {};

	assert_int_equal(h->ops->info(h, &info), -ENOTTY);
	assert_int_equal(h->ops->hcall(h, &call), -ENOTTY);
	assert_int_equal(h->ops->irq(h, GHVM_IRQ_VIRQ, 100, -1), -ENOTTY);
	assert_int_equal(h->ops->pin_status(h, pin, &status), -ENOTTY);
	assert_int_equal(h->ops->pin_extents(h, pin, 0, &x, 1), -ENOTTY);
	assert_int_equal(h->ops->pin_extents(h, pin, 0, &x, UINT32_MAX), -EINVAL);
	assert_int_equal(h->ops->pin_set(h, pin, GHVM_PIN_GUARDED, tag), -ENOTTY);
	assert_int_equal(h->ops->grant(h, 1, NULL, 0, NULL, 0), -ENOTTY);
	assert_int_equal(h->ops->revoke(h, 1), -ENOTTY);
	assert_int_equal(h->ops->quarantine_list(h, 0, &e, 1), -ENOTTY);
	assert_int_equal(h->ops->quarantine_list(h, 0, &e, UINT32_MAX), -EINVAL);
	assert_int_equal(h->ops->quarantine_adopt(h, 1), -ENOTTY);
	assert_int_equal(h->ops->assign(h, &assign), -ENOTTY);
	assert_int_equal(info.abi, 77);
	assert_int_equal(call.results[0], 77);
	assert_int_equal(status.id, 77);
}

static void a_host_owns_its_file(void **state)
{
	struct ghvm_host *h = NULL;
	struct ghvm_error err;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(ghvm_host_from_fd(fd, &h, &err), 0);
	ghvm_host_close(h);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_node_is_said_so),
		cmocka_unit_test(other_files_are_no_node),
		cmocka_unit_test(a_pin_leaves_no_mapping),
		cmocka_unit_test(a_pin_for_reading_takes_a_sealed_file),
		cmocka_unit_test(a_file_cut_short_is_no_sigbus),
		cmocka_unit_test(a_pin_write_writes_all),
		cmocka_unit_test(errors_touch_no_output),
		cmocka_unit_test(a_host_owns_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
