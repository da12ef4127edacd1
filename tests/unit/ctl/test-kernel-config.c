/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration of a kernel is found inside its image or beside it; what is wrong with it is said. */
#include "daemon/ctl/kernel/config.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <zlib.h>

#define PACKED_MAX 8192
#define GZIP_HEADER 10 /* bytes; some have no meaning */

static const char config[] = "#\n# Linux\n#\nCONFIG_A=y\nCONFIG_AB=m\n# CONFIG_B is not set\n"
			     "CONFIG_C=\"y\"\nCONFIG_D=8\n CONFIG_E=y\nCONFIG_F=n\nCONFIG_LAST=y";

/* Return: number of bytes of gzip data. */
static size_t pack(const char *text, size_t n, uint8_t ret[PACKED_MAX])
{
	z_stream z = {
		.next_in = (uint8_t *)(uintptr_t)text,
		.avail_in = (uInt)n,
		.next_out = ret,
		.avail_out = PACKED_MAX,
	};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(deflateEnd(&z), Z_OK);
	return z.total_out;
}

/* An image with that configuration at @at. */
static int image_with(off_t at, const uint8_t *packed, size_t n)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, "IKCFG_ST", 8, 16),
			 8); /* that alone is in the kernel's code, too */
	assert_int_equal(pwrite(fd, "IKCFG_ST", 8, at), 8);
	assert_int_equal(pwrite(fd, packed, n, at + 8), (ssize_t)n);
	assert_int_equal(pwrite(fd, "IKCFG_ED", 8, at + 8 + (off_t)n), 8);
	return fd;
}

static void is_found_at_any_place(void **state)
{
	static const off_t places[] = {
		64,
		KERNEL_CONFIG_MAX - 20,
		KERNEL_CONFIG_MAX - 9,
		KERNEL_CONFIG_MAX - 1,
		KERNEL_CONFIG_MAX,
		3 * KERNEL_CONFIG_MAX - 12,
	};
	uint8_t packed[PACKED_MAX];
	const size_t n = pack(config, sizeof(config) - 1, packed);

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_(closep) int fd = image_with(places[i], packed, n);
		_cleanup_(freep) char *text = NULL;

		assert_int_equal(kernel_config_read(fd, &text), 1);
		assert_string_equal(text, config);
	}
}

static void a_damaged_one_is_refused(void **state)
{
	uint8_t packed[PACKED_MAX];
	const size_t n = pack(config, sizeof(config) - 1, packed);
	size_t n_refused = 0;
	int r;

	for (size_t i = GZIP_HEADER; i < n; i++) {
		_cleanup_(closep) int fd = -1;
		_cleanup_(freep) char *text = NULL;
		const uint8_t was = packed[i];

		packed[i] ^= 0x10;
		fd = image_with(64, packed, n);
		r = kernel_config_read(fd, &text);
		n_refused += r == -EBADMSG;
		assert_true(r == -EBADMSG || !strcmp(text, config)); /* some bits have no meaning */
		packed[i] = was;
	}
	assert_true(n_refused >= n - GZIP_HEADER - 1);
	for (size_t len = 2; len < n; len++) {
		_cleanup_(closep) int fd = image_with(64, packed, len);
		_cleanup_(freep) char *text = NULL;

		assert_int_equal(ftruncate(fd, 64 + 8 + (off_t)len), 0);
		assert_int_equal(kernel_config_read(fd, &text), -EBADMSG);
	}
}

/* A few kilobytes that unpack to more than anyone wants. */
static void a_long_one_is_refused(void **state)
{
	_cleanup_(freep) char *zeroes = calloc(1, KERNEL_CONFIG_MAX + 1);
	_cleanup_(freep) char *text = NULL;
	uint8_t packed[PACKED_MAX];
	size_t n = pack(zeroes, KERNEL_CONFIG_MAX + 1, packed);
	_cleanup_(closep) int long_one = image_with(64, packed, n);

	assert_int_equal(kernel_config_read(long_one, &text), -EBADMSG);
	n = pack(zeroes, KERNEL_CONFIG_MAX, packed);

	_cleanup_(closep) int longest = image_with(64, packed, n);

	assert_int_equal(kernel_config_read(longest, &text), 1);
}

static void there_may_be_none(void **state)
{
	_cleanup_(closep) int fd = memfd_create("image", MFD_CLOEXEC);
	_cleanup_(freep) char *text = NULL;

	assert_int_equal(kernel_config_read(fd, &text), 0);
	assert_int_equal(pwrite(fd, "IKCFG_ST", 8, 100), 8);
	assert_int_equal(kernel_config_read(fd, &text), 0);
	assert_null(text);
	assert_true(kernel_config_read(-1, &text) < 0);
}

static void an_option_is_built_in_or_a_module(void **state)
{
	static const char *const no[] = { "B", "C", "D", "E", "F", "", "Linux", "LAS", "LAST=y" };

	assert_true(kernel_config_has(config, "A") && kernel_config_has(config, "AB"));
	assert_true(kernel_config_has(config, "LAST"));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_false(kernel_config_has(config, no[i]));
	assert_false(kernel_config_has("", "A"));
	assert_false(kernel_config_has("\n\nCONFIG_", "A"));
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Of which names a file beside the image is found, and what it says. */
static void is_found_beside(void **state)
{
	static const struct {
		const char *image, *config;
	} names[] = {
		{ "vmlinuz-6.1", "config-6.1" },
		{ "Image", "Image.config" },
		{ "vmlinuz", "vmlinuz.config" },
	};
	char dir[] = "/tmp/ghvm-kernel-XXXXXX", image[64], beside[64];
	_cleanup_(closep) int fd = memfd_create("image", MFD_CLOEXEC);

	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(freep) char *text = NULL;
		struct ghvm_error err = {};

		snprintf(image, sizeof(image), "%s/%s", dir, names[i].image);
		snprintf(beside, sizeof(beside), "%s/%s", dir, names[i].config);
		assert_int_equal(kernel_config_find(image, fd, &text, &err), 0);
		write_file(beside, config);
		assert_int_equal(kernel_config_find(image, fd, &text, &err), 1);
		assert_string_equal(text, config);
		assert_int_equal(truncate(beside, KERNEL_CONFIG_MAX + 1), 0);
		assert_int_equal(kernel_config_find(image, fd, &text, &err), -EFBIG);
		assert_non_null(strstr(err.msg, beside));
		assert_int_equal(unlink(beside), 0);
		assert_int_equal(symlink("/dev/null", beside), 0);
		assert_int_equal(kernel_config_find(image, fd, &text, &err), -EINVAL);
		assert_int_equal(unlink(beside), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_found_at_any_place),
		cmocka_unit_test(a_damaged_one_is_refused),
		cmocka_unit_test(a_long_one_is_refused),
		cmocka_unit_test(there_may_be_none),
		cmocka_unit_test(an_option_is_built_in_or_a_module),
		cmocka_unit_test(is_found_beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
