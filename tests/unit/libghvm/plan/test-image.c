/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Headers of kernels, and of what is none. */
#include "libghvm/base/bits.h"
#include "libghvm/plan/image.h"
#include "libghvm/base/wire.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#define HEADER 1024
#define FILE_SIZE 1000000

/* An Image with one section that ends with the file. */
static void make_image(uint8_t buf[HEADER])
{
	struct ghvm_put w = { .buf = buf, .cap = HEADER };

	memset(buf, 0, HEADER);
	ghvm_put_bytes(&w, "MZ\0\0", 4);
	ghvm_put_zero(&w, 4);
	ghvm_put_u64(&w, 0); /* text_offset */
	ghvm_put_u64(&w, GHVM_MIB(3));
	ghvm_put_u64(&w, 0xa);
	ghvm_put_zero(&w, 24);
	ghvm_put_u32(&w, 0x644d5241);
	ghvm_put_u32(&w, 64);
	ghvm_put_bytes(&w, "PE\0\0", 4);
	ghvm_put_u16(&w, 0xaa64);
	ghvm_put_u16(&w, 1);
	ghvm_put_zero(&w, 12);
	ghvm_put_u16(&w, 16);
	ghvm_put_zero(&w, 2 + 16 + 16);
	ghvm_put_u32(&w, FILE_SIZE - 0x1000);
	ghvm_put_u32(&w, 0x1000);
	assert_false(w.bad);
}

static void reads_an_image(void **state)
{
	struct ghvm_image img;
	uint8_t buf[HEADER];

	make_image(buf);
	assert_int_equal(ghvm_image_parse(buf, HEADER, FILE_SIZE, &img, NULL), 0);
	assert_int_equal(img.room, GHVM_MIB(3));
	/* a file with more in it than its header says takes all its room */
	assert_int_equal(ghvm_image_parse(buf, HEADER, GHVM_MIB(4), &img, NULL), 0);
	assert_int_equal(img.room, GHVM_MIB(4));
	/* no more than the header is there to be read: no section table then */
	assert_int_equal(ghvm_image_parse(buf, GHVM_IMAGE_HEADER, FILE_SIZE, &img, NULL), 0);
}

static void refuse(const uint8_t *buf, size_t n, uint64_t size, const char *word)
{
	struct ghvm_image img = { .room = 77 };
	struct ghvm_error err = {};

	assert_int_equal(ghvm_image_parse(buf, n, size, &img, &err), -ENOEXEC);
	assert_non_null(strstr(err.msg, word));
	assert_int_equal(img.room, 77);
}

static void refuses_what_is_cut_off(void **state)
{
	uint8_t buf[HEADER];

	make_image(buf);
	refuse(buf, 0, 0, "is empty");
	for (size_t n = 1; n < GHVM_IMAGE_HEADER; n++) {
		refuse(buf, n, n, "truncated");
		refuse(buf, HEADER, n, "truncated");
	}
	refuse(buf, HEADER, FILE_SIZE - 1, "truncated: 999999 bytes of 1000000");
}

static void names_what_it_is_instead(void **state)
{
	uint8_t buf[HEADER];

#define FOREIGN(at, bytes, word)                                                                   \
	do {                                                                                       \
		memset(buf, 0, HEADER);                                                            \
		memcpy(buf + (at), bytes, sizeof(bytes) - 1);                                      \
		refuse(buf, HEADER, HEADER, word);                                                 \
	} while (0)
	FOREIGN(0, "\x1f\x8b\x08", "gzip");
	FOREIGN(0, "\x28\xb5\x2f\xfd", "zstd");
	FOREIGN(0, "\xfd\x37zXZ\0", "xz");
	FOREIGN(0, "MZ\0\0zimg", "zboot");
	FOREIGN(0, "\177ELF", "ELF");
	FOREIGN(0x38, "RSC\x05", "RISC-V");
	FOREIGN(0x202, "HdrS", "x86");
	FOREIGN(0, "\x04\x22\x4d\x18", "lz4");
	FOREIGN(0, "\x02\x21\x4c\x18", "lz4");
	FOREIGN(0, "BZh9", "bzip2");
	FOREIGN(0, "\x5d\0\0\x80", "lzma");
	FOREIGN(0, "\x89LZO\0\r\n", "lzop");
	FOREIGN(0, "\x27\x05\x19\x56", "uImage");
	FOREIGN(0, "\xd0\x0d\xfe\xed", "FIT");
	FOREIGN(0, "ANDROID!", "boot.img");
	FOREIGN(0, "VNDRBOOT", "vendor_boot.img");
	FOREIGN(0, "what", "not an arm64 Image");
	FOREIGN(0, "MZ", "EFI");
}

static void refuses_kernels_that_cannot_start_here(void **state)
{
	uint8_t buf[HEADER];

	make_image(buf);
	buf[24] |= 1;
	refuse(buf, HEADER, FILE_SIZE, "big-endian");

	make_image(buf);
	memset(buf + 16, 0, 8);
	refuse(buf, HEADER, FILE_SIZE, "does not say its size");

	make_image(buf);
	buf[8 + 2] = 8; /* 0x80000 */
	refuse(buf, HEADER, FILE_SIZE, "0x80000");
}

/* A section table that leads out of the header is not followed. */
static void survives_any_section_table(void **state)
{
	struct ghvm_image img;
	uint8_t buf[HEADER];

	for (size_t at = 60; at < 200; at++) {
		make_image(buf);
		buf[at] = 0xff;
		(void)ghvm_image_parse(buf, HEADER, FILE_SIZE, &img, NULL);
		(void)ghvm_image_parse(buf, at, FILE_SIZE, &img, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_image),
		cmocka_unit_test(refuses_what_is_cut_off),
		cmocka_unit_test(names_what_it_is_instead),
		cmocka_unit_test(refuses_kernels_that_cannot_start_here),
		cmocka_unit_test(survives_any_section_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
