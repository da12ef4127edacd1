/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of devices: some are there unless they are disabled, others only if they are listed. */
#include "ghvm/spec.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/spec/digest.h"
#include "libghvm/spec/paths.h"
#include "libghvm/spec/print.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GOOD "version: 1\nkernel: {image: /boot/Image}\nmemory: {size: 512M}\n"

/* There is none unless it is listed; it may be listed and still be none. */
static void a_device_is_there_if_it_is_listed(void **state)
{
	static const struct {
		const char *devices;
		bool rng;
	} lists[] = {
		{ "[]", false },
		{ "[{console: {}}]", false },
		{ "[{rng: {}}]", true },
		{ "[{rng: ~}]", false },
		{ "[{rng: {enabled: ~}}]", true },
		{ "[{rng: {enabled: true}}]", true },
		{ "[{rng: {enabled: false}}]", false },
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
		struct ghvm_error err;

		snprintf(text, sizeof(text), GOOD "devices: %s\n", lists[i].devices);
		assert_int_equal(
			ghvm_spec_parse("demo", "demo.yaml", text, strlen(text), &s, NULL, &err),
			0);
		assert_int_equal(s.rng, lists[i].rng);
		assert_true(s.console);
	}
}

/* What is not listed is not printed: an earlier manager does not know the key. */
static void a_device_that_is_not_listed_is_not_printed(void **state)
{
	static const char *const texts[] = { GOOD, GOOD "devices: [{rng: {}}]\n" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};

		assert_int_equal(ghvm_spec_parse("demo", "demo.yaml", texts[i], strlen(texts[i]),
						 &s, NULL, NULL),
				 0);
		_cleanup_(freep) char *printed = ghvm_spec_to_yaml(&s);

		assert_int_equal(strstr(printed, "rng: {enabled: true}") != NULL, i == 1);
		assert_int_equal(strstr(printed, "rng") != NULL, i == 1);
	}
}

#define SOCKET GOOD "devices: [{vhost-user: {socket: /run/disk, id: 2}}]\n"

static void a_back_end_is_named_by_its_socket(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct ghvm_error err;

	assert_int_equal(
		ghvm_spec_parse("demo", "demo.yaml", SOCKET, strlen(SOCKET), &s, NULL, &err), 0);
	assert_string_equal(s.vhost[0].socket, "/run/disk");
	assert_int_equal(s.vhost[0].id, 2);
	assert_int_equal(s.n_paths, 1); /* the kernel: a socket is not sent with a call */

	const struct ghvm_spec_place *place =
		spec_device_place(&s, "devices[].vhost-user.socket", 0);

	assert_non_null(place);
	assert_string_equal(place->key, "devices[0].vhost-user.socket");
	assert_int_equal(place->line, 4);
	assert_null(spec_device_place(&s, "devices[].vhost-user.queues", 0));
	_cleanup_(freep) char *printed = ghvm_spec_to_yaml(&s);

	assert_non_null(strstr(printed, "{vhost-user: {socket: \"/run/disk\", id: 2}}"));
}

static int parse_devices(const char *devices, struct ghvm_spec *ret, struct ghvm_error *err)
{
	char text[512];

	(void)snprintf(text, sizeof(text), GOOD "devices: [%s]\n", devices); /* fits */
	return ghvm_spec_parse("demo", "demo.yaml", text, strlen(text), ret, NULL, err);
}

#define DISK "{vhost-user: {socket: /run/a, id: 2}}"

/* Each has its number, and is printed and told apart. */
static void there_may_be_several_back_ends(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {}, other = {};
	char digest[17], other_digest[17];
	struct ghvm_error err;

	assert_int_equal(
		parse_devices(DISK ", {rng: {}}, {vhost-user: {socket: /run/b, id: 1}}", &s, &err),
		0);
	assert_int_equal(ghvm_spec_count_vhost(&s), 2);
	assert_string_equal(s.vhost[1].socket, "/run/b");
	assert_string_equal(spec_device_place(&s, "devices[].vhost-user.socket", 1)->key,
			    "devices[2].vhost-user.socket");
	assert_null(spec_device_place(&s, "devices[].vhost-user.socket", 2));
	_cleanup_(freep) char *printed = ghvm_spec_to_yaml(&s);

	assert_non_null(strstr(printed, "{vhost-user: {socket: \"/run/a\", id: 2}}, "
					"{vhost-user: {socket: \"/run/b\", id: 1}}"));
	_cleanup_(freep) char *explained = spec_explain(&s);

	assert_non_null(strstr(explained, "  - vhost-user:\n      socket: \"/run/a\""));
	assert_non_null(strstr(explained, "  - vhost-user:\n      socket: \"/run/b\""));
	assert_int_equal(parse_devices(DISK ", {rng: {}}, {vhost-user: {socket: /run/b, id: 3}}",
				       &other, &err),
			 0);
	spec_digest(&s, digest);
	spec_digest(&other, other_digest);
	assert_string_not_equal(digest, other_digest);
	assert_int_equal(parse_devices(DISK "," DISK "," DISK "," DISK "," DISK, &s, &err),
			 -EINVAL);
	assert_non_null(strstr(err.msg, "devices[4].vhost-user: more than 4"));
}

/* Without a CID the name decides: the same number each time, and in each version of the library. */
static void a_vsock_has_an_address(void **state)
{
	struct ghvm_spec s = {};
	struct ghvm_error err;

	assert_int_equal(parse_devices("{vsock: {cid: 3}}", &s, &err), 0);
	assert_int_equal(ghvm_spec_cid(&s), 3);
	ghvm_spec_done(&s);
	assert_int_equal(parse_devices("{vsock: {}}", &s, &err), 0);
	assert_true(s.vsock);
	assert_int_equal(ghvm_spec_cid(&s), 1737672945);
	memcpy(s.name, "other", sizeof("other"));
	assert_int_not_equal(ghvm_spec_cid(&s), 1737672945);
	assert_in_range(ghvm_spec_cid(&s), 1U << 30, (1U << 31) - 1);
	ghvm_spec_done(&s);
	assert_int_equal(parse_devices("{vsock: {cid: 2}}", &s, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "devices[0].vsock.cid: 2 is not in 3 to 4294967294"));
	assert_int_equal(parse_devices("{vsock: {cid: 4294967295}}", &s, &err), -EINVAL);
	assert_int_equal(parse_devices("{vsock: {}}, {vsock: {cid: 4}}", &s, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "the list has a vsock already"));
}

static void a_back_end_needs_its_keys(void **state)
{
	static const char *const bad[][2] = {
		{ "{}", "vhost-user.socket: is missing" },
		{ "{socket: /run/disk}", "vhost-user.id: is missing" },
		{ "{socket: run/disk, id: 2}", "vhost-user.socket: not an absolute path" },
		{ "{socket: \"fd:disk\", id: 2}", "vhost-user.socket: not an absolute path" },
		{ "{socket: /run/disk, id: 64}", "vhost-user.id: " },
		{ "{socket: /run/disk, id: 2, queues: 9}", "vhost-user.queues: " },
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ghvm_spec s;
		struct ghvm_error err = {};

		snprintf(text, sizeof(text), GOOD "devices: [{vhost-user: %s}]\n", bad[i][0]);
		assert_int_equal(
			ghvm_spec_parse("demo", "demo.yaml", text, strlen(text), &s, NULL, &err),
			-EINVAL);
		if (!strstr(err.msg, bad[i][1]))
			fail_msg("\"%s\" for:\n%s", err.msg, text);
	}
}

#define RAW "{disk: {image: /srv/a, format: raw}}"
#define SAME "{disk: {image: /srv/a, format: raw, readonly: true}}"

static void a_disk_is_an_image_and_its_format(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {}, other = {};
	char digest[17], other_digest[17];
	struct ghvm_error err;

	assert_int_equal(
		parse_devices(RAW ", {rng: {}}, {disk: {image: /srv/b, format: qcow2}}", &s, &err),
		0);
	assert_int_equal(ghvm_spec_count_disks(&s), 2);
	assert_string_equal(s.disks[1].image, "/srv/b");
	assert_int_equal(s.disks[1].format, GHVM_DISK_QCOW2);
	assert_int_equal(ghvm_spec_disk_cache(&s.disks[0]), GHVM_CACHE_WRITEBACK);
	assert_int_equal(ghvm_spec_disk_cache(&s.disks[1]), GHVM_CACHE_WRITETHROUGH);
	assert_string_equal(spec_device_place(&s, SPEC_DISK_IMAGE, 1)->key,
			    "devices[2].disk.image");
	_cleanup_(freep) char *printed = ghvm_spec_to_yaml(&s);

	assert_non_null(strstr(printed, "{disk: {image: \"/srv/a\", format: raw}}, "
					"{disk: {image: \"/srv/b\", format: qcow2}}"));
	assert_int_equal(parse_devices(RAW ", {rng: {}}, {disk: {image: /srv/b, format: raw}}",
				       &other, &err),
			 0);
	spec_digest(&s, digest);
	spec_digest(&other, other_digest);
	assert_string_not_equal(digest, other_digest);
}

static void a_disk_is_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "{disk: {format: raw}}", "devices[0].disk.image: is missing" },
		{ "{disk: {image: /srv/a}}", "devices[0].disk.format: is missing" },
		{ "{disk: {image: a, format: raw}}", "disk.image: not an absolute path" },
		{ "{disk: {image: \"fd:a\", format: raw}}", "disk.image: not an absolute path" },
		{ "{disk: {image: /srv/a, format: vmdk}}", "disk.format: 'vmdk' is none of: raw" },
		{ "{disk: {image: /srv/a, format: raw, cache: off}}", "disk.cache: 'off' is none" },
		{ "{disk: {image: /srv/a, format: raw, queues: 9}}", "disk.queues: 9 is not in" },
		{ "{rng: {}}, {disk: {image: /srv/a, format: qcow2, cache: writeback}}",
		  "demo.yaml:4:67: devices[1].disk.cache: a qcow2 image needs writethrough" },
		{ RAW ", " RAW, "devices[1].disk.image: is the image of another disk as well" },
		{ SAME ", " SAME ", " SAME ", " SAME ", " SAME, "devices[4].disk: more than 4" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ghvm_error err = {};
		struct ghvm_spec s;

		assert_int_equal(parse_devices(bad[i][0], &s, &err), -EINVAL);
		if (!strstr(err.msg, bad[i][1]))
			fail_msg("\"%s\" for:\n%s", err.msg, bad[i][0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_is_there_if_it_is_listed),
		cmocka_unit_test(a_device_that_is_not_listed_is_not_printed),
		cmocka_unit_test(a_back_end_is_named_by_its_socket),
		cmocka_unit_test(there_may_be_several_back_ends),
		cmocka_unit_test(a_vsock_has_an_address),
		cmocka_unit_test(a_back_end_needs_its_keys),
		cmocka_unit_test(a_disk_is_an_image_and_its_format),
		cmocka_unit_test(a_disk_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
