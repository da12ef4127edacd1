/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a manager keeps of a transient VM, and what it believes a runner of an earlier one's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/manager/instance/transient.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/file.h"
#include "tests/unit/unit.h"

#define TEXT                                                                                       \
	"version: 1\nmemory: {size: 8M}\n"                                                         \
	"kernel: {image: fd:k, initrd: fd:i, dtb-overlay: fd:o}\n"

static int sealed(const char *text)
{
	int fd = ghvm_file_seal("sent", text, strlen(text));

	assert_true(fd >= 0);
	return fd;
}

static struct store_file identity_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (struct store_file){
		.device = st.st_dev,
		.inode = st.st_ino,
		.size = (uint64_t)st.st_size,
		.mtime = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec,
	};
}

static void keeps_duplicates(void **state)
{
	_cleanup_(transient_freep) struct transient *t = NULL;
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	struct ghvm_error err = {};
	int text = sealed(TEXT), kernel = sealed("kernel");

	assert_int_equal(transient_new(1000, &t), 0);
	assert_int_equal(transient_keep_text(t, text, &err), 0);
	assert_int_equal(transient_keep(t, GHVM_LINK_KERNEL, kernel, &err), 0);
	assert_int_equal(transient_keep(t, GHVM_LINK_KERNEL, kernel, &err), -EEXIST);
	assert_int_equal(t->bytes, strlen(TEXT) + 6);
	close(text);
	close(kernel);
	assert_int_equal(transient_spec(t, "demo", &spec, NULL, &err), 0);
	assert_string_equal(spec.kernel, "fd:k");
	assert_true(fcntl(t->fds[GHVM_LINK_KERNEL], F_GETFD) >= 0);
}

static void refuses_what_may_change(void **state)
{
	_cleanup_(transient_freep) struct transient *t = NULL;
	_cleanup_(closep) int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	static const int seals[] = { 0, F_SEAL_SHRINK, F_SEAL_WRITE };
	struct ghvm_error err = {};

	assert_int_equal(transient_new(0, &t), 0);
	for (size_t i = 0; i < ARRAY_SIZE(seals); i++) {
		_cleanup_(closep) int open_fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

		assert_int_equal(fcntl(open_fd, F_ADD_SEALS, seals[i]), 0);
		assert_int_equal(transient_keep(t, GHVM_LINK_KERNEL, open_fd, &err), -EBADF);
	}
	assert_int_equal(ftruncate(fd, (off_t)TRANSIENT_FILE_MAX + 1), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE), 0);
	assert_int_equal(transient_keep(t, GHVM_LINK_KERNEL, fd, &err), -EDQUOT);
	assert_int_equal(t->bytes, 0);
}

/* The record of a VM that was started with these files. */
static struct store_record record_of(struct ghvm_spec *spec, int kernel, int initrd)
{
	struct ghvm_error err = {};
	_cleanup_(transient_freep) struct transient *t = NULL;
	int text = sealed(TEXT);

	assert_int_equal(transient_new(1000, &t), 0);
	assert_int_equal(transient_keep_text(t, text, &err), 0);
	assert_int_equal(transient_spec(t, "demo", spec, NULL, &err), 0);
	close(text);
	return (struct store_record){
		.name = "demo",
		.planned = true,
		.transient = true,
		.transient_uid = 1000,
		.spec = *spec,
		.origin = { .kernel = identity_of(kernel), .initrd = identity_of(initrd) },
	};
}

static void a_later_manager_takes_only_those_files(void **state)
{
	_cleanup_(transient_freep) struct transient *t = NULL;
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {}, again = {};
	_cleanup_(closep) int kernel = sealed("kernel"), initrd = sealed("initrd");
	_cleanup_(closep) int other = sealed("kernel");
	struct store_record rec = record_of(&spec, kernel, initrd);
	uint8_t overlay[] = { 0xd0, 0x0d };
	struct ghvm_error err = {};
	char bytes[2];

	rec.origin.overlay = overlay;
	rec.origin.overlay_size = sizeof(overlay);
	assert_int_equal(transient_recall(&rec, &t), 0);
	assert_int_equal(t->uid, 1000);
	assert_int_equal(transient_spec(t, "demo", &again, NULL, &err), 0);
	assert_string_equal(again.initrd, "fd:i");
	assert_int_equal(pread(t->fds[GHVM_LINK_OVERLAY], bytes, 2, 0), 2);
	assert_memory_equal(bytes, overlay, 2);

	assert_int_equal(transient_keep(t, GHVM_LINK_KERNEL, other, &err), -ESTALE);
	assert_int_equal(transient_keep(t, GHVM_LINK_KERNEL, initrd, &err), -ESTALE);
	assert_int_equal(transient_keep(t, GHVM_LINK_INITRD, kernel, &err), -ESTALE);
	assert_int_equal(t->fds[GHVM_LINK_KERNEL], -1);
	assert_int_equal(transient_keep(t, GHVM_LINK_KERNEL, kernel, &err), 0);
	assert_int_equal(transient_keep(t, GHVM_LINK_INITRD, initrd, &err), 0);
}

/* A file that its last start did not have: none has the identity that is all zero. */
static void takes_no_file_that_there_was_not(void **state)
{
	_cleanup_(transient_freep) struct transient *t = NULL;
	_cleanup_(ghvm_spec_done) struct ghvm_spec spec = {};
	_cleanup_(closep) int kernel = sealed("kernel"), empty = sealed("");
	struct store_record rec = record_of(&spec, kernel, kernel);
	struct ghvm_error err = {};

	rec.origin.initrd = (struct store_file){};
	assert_int_equal(transient_recall(&rec, &t), 0);
	assert_int_equal(transient_keep(t, GHVM_LINK_INITRD, empty, &err), -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_duplicates),
		cmocka_unit_test(refuses_what_may_change),
		cmocka_unit_test(a_later_manager_takes_only_those_files),
		cmocka_unit_test(takes_no_file_that_there_was_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
