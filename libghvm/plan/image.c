/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parses the 64-byte header of arm64 Images, and names other formats.
 */
#include "libghvm/plan/image.h"

#include "libghvm/base/bits.h"
#include "libghvm/base/wire.h"

#include <errno.h>
#include <string.h>

/*
 * u32 code0, u32 code1, u64 text_offset, u64 image_size, u64 flags, u64 0, u64 0, u64 0,
 * u32 magic, u32 pe_offset
 */
#define IMAGE_MAGIC 0x644d5241U /* "ARM\x64" */
#define PE_MAGIC 0x00004550U
#define IMAGE_FLAG_BIG_ENDIAN GHVM_BITS(0, 0)
#define IMAGE_TEXT_ALIGN GHVM_MIB(2)

struct foreign {
	size_t offset;
	size_t len;
	const char *magic;
	const char *what;
};

static const struct foreign foreigners[] = {
	{ 0, 2, "\x1f\x8b", "compressed with gzip; unpack it first" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first" },
	{ 0, 6, "\xfd\x37zXZ", "compressed with xz; unpack it first" },
	{ 0, 4, "\x04\x22\x4d\x18", "compressed with lz4; unpack it first" },
	{ 0, 4, "\x02\x21\x4c\x18", "compressed with lz4; unpack it first" }, /* "lz4 -l" */
	{ 0, 3, "BZh", "compressed with bzip2; unpack it first" },
	{ 0, 3, "\x5d\x00\x00", "compressed with lzma; unpack it first" },
	{ 0, 4, "\x89LZO", "compressed with lzop; unpack it first" },
	{ 0, 4, "\x27\x05\x19\x56", "a uImage of U-Boot; use the Image that it was made of" },
	{ 0, 4, "\xd0\x0d\xfe\xed",
	  "a FIT image of U-Boot, or a device tree; use the Image that it was made of" },
	{ 0, 8, "ANDROID!", "a boot.img of Android; unpack the kernel in it first" },
	{ 0, 8, "VNDRBOOT", "a vendor_boot.img of Android, which has no kernel" },
	{ 4, 4, "zimg", "a compressed EFI image (zboot); use the plain Image" },
	{ 0, 4, "\x7f\x45LF", "an ELF file; use arch/arm64/boot/Image" },
	{ 0x38, 4, "RSC\x05", "a RISC-V image" },
	{ 0x202, 4, "HdrS", "an x86 bzImage" },
	{ 0, 2, "MZ", "an EFI program, but not an arm64 Image" },
};

static const char *name_foreign(const uint8_t *header, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(foreigners); i++) {
		const struct foreign *f = &foreigners[i];

		if (f->offset + f->len <= n && !memcmp(header + f->offset, f->magic, f->len))
			return f->what;
	}
	return "not an arm64 Image";
}

/* { 16 bytes, u32 raw_size, u32 raw_offset, 16 bytes } */
/*@
  requires get_valid(g);
  assigns g->len, g->bad, g->buf;
  ensures get_valid(g) && get_rest{Pre, Post}(g) && (\at(g->bad, Pre) ==> g->bad);
  ensures !g->bad ==> \result == octets32(\old(g->buf) + 16) + octets32(\old(g->buf) + 20);
*/
static uint64_t section_end(struct ghvm_get *g)
{
	uint64_t size, first;

	ghvm_get_skip(g, 16);
	size = ghvm_get_u32(g);
	first = ghvm_get_u32(g);
	ghvm_get_skip(g, 16);
	return first + size;
}

/* "PE\0\0", u16 machine, u16 n, 12 bytes, u16 optional_size, u16, optional header. Return: n */
/*@
  requires get_valid(g);
  assigns g->len, g->bad, g->buf;
  ensures get_valid(g) && get_rest{Pre, Post}(g);
*/
static uint16_t count_sections(struct ghvm_get *g)
{
	uint16_t sections, optional;

	if (ghvm_get_u32(g) != PE_MAGIC)
		return 0;
	ghvm_get_skip(g, 2);
	sections = ghvm_get_u16(g);
	ghvm_get_skip(g, 12);
	optional = ghvm_get_u16(g);
	ghvm_get_skip(g, 2 + (size_t)optional);
	return sections;
}

/* An Image is also an EFI program. Its section table tells the length of the file. */
/*@
  requires \valid_read(header + (0 .. n - 1));
  assigns \nothing;
*/
static uint64_t pe_end(const uint8_t *header, size_t n, uint32_t offset)
{
	struct ghvm_get g = { .buf = header, .len = n };
	uint64_t end = 0;
	uint16_t sections;

	ghvm_get_skip(&g, offset);
	sections = count_sections(&g);
	/*@
	  loop invariant 0 <= i <= sections && get_valid(&g);
	  loop assigns i, g, end;
	  loop variant sections - i;
	*/
	for (unsigned int i = 0; i < sections && !g.bad; i++) {
		uint64_t section = section_end(&g);

		if (!g.bad && section > end)
			end = section;
	}
	return end;
}

int ghvm_image_parse(const uint8_t *header, size_t n, uint64_t file_size, struct ghvm_image *ret,
		     struct ghvm_error *err)
{
	struct ghvm_get g = { .buf = header, .len = n };
	uint64_t text_offset, image_size, flags;
	uint32_t magic, pe_offset;

	if (!file_size)
		return ghvm_error_set(err, -ENOEXEC, "is empty");
	if (n < GHVM_IMAGE_HEADER || file_size < GHVM_IMAGE_HEADER)
		return ghvm_error_set(err, -ENOEXEC, "truncated: shorter than an Image's header");

	ghvm_get_skip(&g, 8);
	text_offset = ghvm_get_u64(&g);
	image_size = ghvm_get_u64(&g);
	flags = ghvm_get_u64(&g);
	ghvm_get_skip(&g, 24);
	magic = ghvm_get_u32(&g);
	pe_offset = ghvm_get_u32(&g);

	if (magic != IMAGE_MAGIC)
		return ghvm_error_set(err, -ENOEXEC, "%s", name_foreign(header, n));
	if (flags & IMAGE_FLAG_BIG_ENDIAN)
		return ghvm_error_set(err, -ENOEXEC, "a big-endian kernel");
	if (image_size == 0)
		return ghvm_error_set(err, -ENOEXEC,
				      "a kernel before 3.17, which does not say its size");
	if (text_offset % IMAGE_TEXT_ALIGN)
		return ghvm_error_set(err, -ENOEXEC,
				      "wants to start 0x%llx past a 2 MiB boundary (before 5.10)",
				      (unsigned long long)(text_offset % IMAGE_TEXT_ALIGN));
	if (!memcmp(header, "MZ", 2) && pe_end(header, n, pe_offset) > file_size)
		return ghvm_error_set(err, -ENOEXEC, "truncated: %llu bytes of %llu",
				      (unsigned long long)file_size,
				      (unsigned long long)pe_end(header, n, pe_offset));
	if (image_size < file_size)
		image_size = file_size;
	ret->room = image_size;
	return 0;
}
