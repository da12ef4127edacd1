/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks: the options of their storage daemons, and images that are in use. Mounts and units are tested in the testbed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/prepare/disk/disk.h"
#include "daemon/prepare/disk/options.h"
#include "daemon/prepare/disk/place.h"
#include "daemon/prepare/disk/use.h"
#include "daemon/prepare/files.h"
#include "libghvm/base/bits.h"
#include "tests/unit/folder.h"

static void options_of(const struct ghvm_spec_disk *d, char *ret, size_t size)
{
	char path[] = "/tmp/ghvm-test-XXXXXX";
	int fd = mkstemp(path);
	ssize_t n;

	assert_int_equal(options_write(d, fd), 0);
	n = pread(fd, ret, size - 1, 0);
	assert_true(n > 0);
	ret[n] = '\0';
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
}

#define NODE                                                                                       \
	"\"read-only\":false,\"discard\":\"ignore\",\"cache\":{\"direct\":false,\"no-flush\":"     \
	"false}"

static void a_raw_disk_has_these_options(void **state)
{
	const struct ghvm_spec_disk d = { .image = (char *)"/srv/a'b", .format = GHVM_DISK_RAW };
	char text[2048];

	options_of(&d, text, sizeof(text));
	assert_string_equal(
		text,
		"FILE='{\"driver\":\"file\",\"node-name\":\"file\",\"filename\":\"/image\"," NODE
		"}'\n"
		"DISK='{\"driver\":\"raw\",\"node-name\":\"disk\",\"file\":\"file\"," NODE "}'\n"
		"EXPORT='{\"type\":\"vhost-user-blk\",\"id\":\"disk\",\"node-name\":\"disk\","
		"\"writable\":true,\"writethrough\":false,\"num-queues\":1,"
		"\"addr\":{\"type\":\"fd\",\"str\":\"3\"}}'\n");
}

static void keys_are_options(void **state)
{
	static const struct {
		struct ghvm_spec_disk disk;
		const char *has[3];
	} rows[] = {
		{ { .format = GHVM_DISK_QCOW2 },
		  { "\"driver\":\"qcow2\"", "\"backing\":null", "\"writethrough\":true" } },
		{ { .format = GHVM_DISK_RAW, .readonly = true, .queues = 4 },
		  { "\"read-only\":true", "\"writable\":false", "\"num-queues\":4" } },
		{ { .format = GHVM_DISK_RAW, .discard = true, .cache = GHVM_CACHE_NONE },
		  { "\"discard\":\"unmap\"", "\"direct\":true", "\"writethrough\":false" } },
		{ { .format = GHVM_DISK_RAW, .cache = GHVM_CACHE_WRITETHROUGH },
		  { "\"direct\":false", "\"no-flush\":false", "\"writethrough\":true" } },
		{ { .format = GHVM_DISK_RAW, .cache = GHVM_CACHE_DIRECTSYNC },
		  { "\"direct\":true", "\"no-flush\":false", "\"writethrough\":true" } },
		{ { .format = GHVM_DISK_RAW, .cache = GHVM_CACHE_UNSAFE },
		  { "\"direct\":false", "\"no-flush\":true", "\"writethrough\":false" } },
	};
	char text[2048];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		options_of(&rows[i].disk, text, sizeof(text));
		for (size_t j = 0; j < ARRAY_SIZE(rows[i].has); j++)
			if (!strstr(text, rows[i].has[j]))
				fail_msg("row %zu lacks %s: %s", i, rows[i].has[j], text);
	}
}

struct fixture {
	char dir[FOLDER_SIZE];
	char image[128];
	struct ghvm_spec_disk spec;
	struct disk disk;
	int lock;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	folder_make(f->dir);
	folder_put(f->dir, "a.img", "");
	(void)snprintf(f->image, sizeof(f->image), "%s/a.img", f->dir);
	f->spec = (struct ghvm_spec_disk){ .image = f->image, .format = GHVM_DISK_RAW };
	f->disk = (struct disk){
		.dir = f->dir,
		.vm = "demo",
		.spec = &f->spec,
		.key = "devices[0].disk.image",
		.image = open(f->image, O_RDWR | O_CLOEXEC),
	};
	f->lock = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->disk.image);
	close(f->lock);
	folder_remove(f->dir);
	free(f);
	return 0;
}

/* The same file by another name, as the mount of another disk is. */
static void an_image_in_use_names_its_vm(void **state)
{
	struct fixture *f = *state;
	struct ghvm_error err = {};
	char other[160];

	folder_put(f->dir, "third-vm.0/root/image", "another file");
	assert_int_equal(use_check(&f->disk, f->lock, &err), 0);
	folder_put(f->dir, "other-vm.2/root/etc", "");
	(void)snprintf(other, sizeof(other), "%s/other-vm.2/root/image", f->dir);
	assert_int_equal(link(f->image, other), 0);
	assert_int_equal(use_check(&f->disk, f->lock, &err), -EBUSY);
	assert_non_null(strstr(err.msg, "devices[0].disk.image: /tmp/"));
	assert_non_null(strstr(err.msg, "a.img: is in use by VM other-vm, as its disk 2"));
	f->spec.readonly = true; /* the other one's mount is not */
	assert_int_equal(use_check(&f->disk, f->lock, &err), -EBUSY);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(use_check(&f->disk, f->lock, &err), 0);
}

static void set_lock(int fd, short type, off_t byte)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
}

/* QEMU's bytes: what it does and what it forbids are locked for reading. */
static void an_image_that_qemu_has_is_in_use(void **state)
{
	struct fixture *f = *state;
	struct ghvm_error err = {};
	int fd = open(f->image, O_RDWR | O_CLOEXEC);

	set_lock(fd, F_RDLCK, 100); /* reads */
	assert_int_equal(use_check(&f->disk, f->lock, &err), 0);
	set_lock(fd, F_RDLCK, 201); /* forbids to write */
	assert_int_equal(use_check(&f->disk, f->lock, &err), -EBUSY);
	assert_non_null(strstr(err.msg, "in use by another process"));
	f->spec.readonly = true;
	assert_int_equal(use_check(&f->disk, f->lock, &err), 0);
	set_lock(fd, F_RDLCK, 101); /* writes */
	assert_int_equal(use_check(&f->disk, f->lock, &err), -EBUSY);
	assert_int_equal(close(fd), 0);
	assert_int_equal(use_check(&f->disk, f->lock, &err), 0);
}

static void an_image_is_a_file_that_can_be_written(void **state)
{
	struct fixture *f = *state;
	const struct ghvm_spec_owner self = { geteuid(), getegid() };
	struct ghvm_error err = {};
	char other[160];
	int fd = files_open_writable("key", f->image, &self, &err);

	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_int_equal(close(fd), 0);
	(void)snprintf(other, sizeof(other), "%s/link", f->dir);
	assert_int_equal(symlink("a.img", other), 0);
	if (geteuid() == 0)
		assert_int_equal(lchown(other, 65534, 65534), 0); /* one of root's is followed */
	assert_int_equal(files_open_writable("key", other, &self, &err), -ELOOP);
	(void)snprintf(other, sizeof(other), "%s/fifo", f->dir);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(files_open_writable("key", other, &self, &err), -EINVAL);
	assert_int_equal(files_open_writable("key", "/dev/null", &self, &err), -EINVAL);
	assert_int_equal(files_open_writable("key", "/nosuch", &self, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "key: /nosuch: "));
}

static void a_folder_is_removed_whole(void **state)
{
	struct fixture *f = *state;

	folder_put(f->dir, "demo.1/options", "");
	folder_put(f->dir, "demo.1/socket", "");
	assert_true(place_exists(f->dir, "demo", 1));
	assert_false(place_exists(f->dir, "demo", 0));
	place_remove(f->dir, "demo", 1);
	assert_false(place_exists(f->dir, "demo", 1));
	place_remove(f->dir, "demo", 1);
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_raw_disk_has_these_options),
		cmocka_unit_test(keys_are_options),
		DISK_TEST(an_image_in_use_names_its_vm),
		DISK_TEST(an_image_that_qemu_has_is_in_use),
		DISK_TEST(an_image_is_a_file_that_can_be_written),
		DISK_TEST(a_folder_is_removed_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
