/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Heads of images against what a descriptor says of them. */
#include "libghvm/plan/disk-image.h"
#include "libghvm/base/bits.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* As qemu-img 7.2 makes it: version 3, clusters of 64K, 16M. */
static const uint8_t good[GHVM_DISK_IMAGE_HEADER] = {
	'Q',	   'F',	     'I',      0xfb,	 0,	   0,	     0,	       3,
	[23] = 16, [27] = 1, [39] = 1, [45] = 3, [53] = 1, [59] = 1, [99] = 4, [103] = 0x70,
};

struct change {
	size_t at;
	uint8_t byte;
	const char *why; /* NULL: it is good as well */
};

static void a_qcow2_image_has_no_other_files(void **state)
{
	static const struct change changes[] = {
		{ 0, 'q', "does not begin as one does" },
		{ 7, 1, "of a version of qcow2 other than 2 and 3" },
		{ 7, 4, "of a version of qcow2 other than 2 and 3" },
		{ 4, 1, "of a version of qcow2 other than 2 and 3" },
		{ 8, 1, "has a backing file" },
		{ 15, 1, "has a backing file" },
		{ 35, 2, "is encrypted" },
		{ 79, 1, NULL }, /* dirty: qemu repairs it */
		{ 79, 2, "is marked as corrupt" },
		{ 79, 4, "has its data in another file" },
		{ 79, 8, NULL }, /* another compression */
	};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		const char *why = NULL, *key;
		uint8_t header[sizeof(good)];

		memcpy(header, good, sizeof(good));
		header[changes[i].at] = changes[i].byte;
		key = ghvm_disk_image_refuse(GHVM_DISK_QCOW2, header, sizeof(header), 1 << 20,
					     &why);
		assert_int_equal(!key, !changes[i].why);
		if (key && !strstr(why, changes[i].why))
			fail_msg("change %zu: %s", i, why);
	}
}

/* Version 2 ends before the features. */
static void a_head_may_be_short(void **state)
{
	uint8_t header[sizeof(good)];
	const char *why;

	for (size_t n = 0; n < sizeof(good); n++)
		assert_non_null(ghvm_disk_image_refuse(GHVM_DISK_QCOW2, good, n, n, &why));
	memcpy(header, good, sizeof(good));
	header[7] = 2;
	header[79] = 4;
	for (size_t n = 0; n <= sizeof(good); n++)
		assert_int_equal(!ghvm_disk_image_refuse(GHVM_DISK_QCOW2, header, n, n, &why),
				 n >= 72);
}

static void a_raw_image_is_no_qcow2_image(void **state)
{
	const uint8_t zeros[GHVM_DISK_IMAGE_HEADER] = {};
	const char *why;

	assert_null(ghvm_disk_image_refuse(GHVM_DISK_RAW, zeros, sizeof(zeros), 512, &why));
	assert_string_equal(ghvm_disk_image_refuse(GHVM_DISK_RAW, zeros, sizeof(zeros), 511, &why),
			    "image");
	assert_string_equal(ghvm_disk_image_refuse(GHVM_DISK_RAW, zeros, 0, 0, &why), "image");
	assert_string_equal(ghvm_disk_image_refuse(GHVM_DISK_RAW, good, 4, 512, &why), "format");
	assert_non_null(strstr(why, "do not change the format"));
}

#define KEY "devices[1].disk.image"

static void a_message_begins_with_the_key_that_is_wrong(void **state)
{
	struct ghvm_spec_disk d = { .image = (char *)"/srv/a", .format = GHVM_DISK_QCOW2 };
	struct ghvm_error err = {};
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_int_equal(write(fd, good, sizeof(good)), sizeof(good));
	assert_int_equal(ghvm_disk_image_check(KEY, fd, &d, &err), 0);
	d.format = GHVM_DISK_RAW;
	assert_int_equal(ghvm_disk_image_check(KEY, fd, &d, &err), -EINVAL);
	assert_int_equal(strncmp(err.msg, "devices[1].disk.format: /srv/a: raw, but", 40), 0);
	d.format = GHVM_DISK_QCOW2;
	assert_int_equal(pwrite(fd, "\1", 1, 8), 1);
	assert_int_equal(ghvm_disk_image_check(KEY, fd, &d, &err), -EINVAL);
	assert_int_equal(strncmp(err.msg, KEY ": /srv/a: has a backing file", 49), 0);
	assert_int_equal(fchmod(fd, 0444), 0);
	assert_int_equal(ghvm_disk_image_check(KEY, fd, &d, &err), -EACCES);
	assert_non_null(strstr(err.msg, "readonly: true"));
	d.readonly = true;
	assert_int_equal(ghvm_disk_image_check(KEY, fd, &d, &err), -EINVAL);
	assert_int_equal(close(fd), 0);
	assert_int_equal(ghvm_disk_image_check(KEY, fd, &d, &err), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_qcow2_image_has_no_other_files),
		cmocka_unit_test(a_head_may_be_short),
		cmocka_unit_test(a_raw_image_is_no_qcow2_image),
		cmocka_unit_test(a_message_begins_with_the_key_that_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
