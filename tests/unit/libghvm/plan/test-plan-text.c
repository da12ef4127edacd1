/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans as text and JSON, and the map in the text, which is a picture. */
#include "ghvm/guest-map.h"
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/plan/plan.h"
#include "tests/unit/libghvm/plan/plan-input.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static const char golden_text[] =
	"demo: 2 vCPUs, 512M protected\n"
	"guest-physical map\n"
	"  |.......a....................b.c.de............................f#############|\n"
	"  # ram   % region   + registers   . hole\n"
	"  . 0x000000000  256M     hole\n"
	"  a 0x010000000  4K       uart\n"
	"  a 0x010001000  4K       power-key\n"
	"  . 0x010002000  785272K  hole\n"
	"  b 0x03fee0000  256K     redistributors\n"
	"  . 0x03ff20000  832K     hole\n"
	"  c 0x03fff0000  64K      distributor\n"
	"  . 0x040000000  2M       hole\n"
	"  d 0x040200000  16M      region-7\n"
	"  e 0x041200000  4K       region-8, read-only\n"
	"  . 0x041201000  1030140K hole\n"
	"  f 0x080000000  512M     ram\n"
	"    0x080000000  32M        kernel\n"
	"    0x082200000  1M         device-tree\n"
	"    0x082400000  5242881    initrd\n"
	"parcels\n"
	"  ram          label 0    lent   512M     entries 256 to 131072 of 4000\n"
	"  region-7     label 7    shared 16M      entries 8 to 4096 of 4000\n"
	"  region-8     label 8    shared 4K       entries 1 of 4000\n"
	"pages\n"
	"  ram of 2M, and 4K where there are none\n"
	"  ram          0 to 256 of 256 pages of 2M\n"
	"  region-7     0 to 8 of 8 pages of 2M\n"
	"  region-8     0 of 0 pages of 2M\n"
	"  the start is refused if memory is in more than 4000 pieces when it is pinned\n"
	"doorbells\n"
	"  0 1\n"
	"virqs\n"
	"  2, one a vCPU\n"
	"charges\n"
	"  memlock 540676K of the manager, memory 540676K of the unit\n"
	"steps\n"
	"   1 pin ram\n"
	"   2 pin region-7\n"
	"   3 pin region-8\n"
	"   4 write-kernel\n"
	"   5 write-initrd\n"
	"   6 write-dtb\n"
	"   7 allocate  (VM_ALLOCATE)\n"
	"   8 guard ram\n"
	"   9 lend ram  (MEM_SHARE, 3 to 2047 MEM_APPEND, MEM_RECLAIM, MEM_LEND, "
	"3 to 2047 MEM_APPEND)\n"
	"  10 guard region-7\n"
	"  11 share region-7  (MEM_SHARE, 0 to 63 MEM_APPEND, 0 to 1 MEM_LOOKUP_SGL)\n"
	"  12 guard region-8\n"
	"  13 share region-8  (MEM_SHARE, MEM_LOOKUP_SGL)\n"
	"  14 config-image  (VM_CONFIG_IMAGE)\n"
	"  15 init  (VM_INIT)\n"
	"  16 resources  (VM_GET_HYP_RESOURCES)\n"
	"  17 grant\n"
	"  18 start  (VM_START)\n"
	"messages\n"
	"  17 to 4169 to the resource manager\n";

static const char golden_json[] =
	"{\"version\":1,\"name\":\"demo\",\"vcpus\":2,\"memory\":536870912,\"protected\":true,"
	"\"hugepages\":\"auto\","
	"\"map\":[{\"ipa\":268435456,\"size\":4096,\"what\":\"uart\"},"
	"{\"ipa\":268439552,\"size\":4096,\"what\":\"power-key\"},"
	"{\"ipa\":1072562176,\"size\":262144,\"what\":\"redistributors\"},"
	"{\"ipa\":1073676288,\"size\":65536,\"what\":\"distributor\"},"
	"{\"ipa\":1075838976,\"size\":16777216,\"what\":\"region-7\"},"
	"{\"ipa\":1092616192,\"size\":4096,\"what\":\"region-8\"},"
	"{\"ipa\":2147483648,\"size\":536870912,\"what\":\"ram\"},"
	"{\"ipa\":2147483648,\"size\":33554432,\"what\":\"kernel\"},"
	"{\"ipa\":2183135232,\"size\":1048576,\"what\":\"device-tree\"},"
	"{\"ipa\":2185232384,\"size\":5242881,\"what\":\"initrd\"}],"
	"\"parcels\":[{\"name\":\"ram\",\"label\":0,\"lend\":true,\"readonly\":false,\"ipa\":"
	"2147483648,\"size\":536870912,\"entries\":[256,131072],\"huge_pages\":[0,256]},"
	"{\"name\":\"region-7\",\"label\":7,\"lend\":false,\"readonly\":false,\"ipa\":1075838976,"
	"\"size\":16777216,\"entries\":[8,4096],\"huge_pages\":[0,8]},"
	"{\"name\":\"region-8\",\"label\":8,\"lend\":false,\"readonly\":true,\"ipa\":1092616192,"
	"\"size\":4096,\"entries\":[1,1],\"huge_pages\":[0,0]}],"
	"\"doorbells\":[0,1],\"auth\":\"none\",\"registers\":{},"
	"\"virqs\":2,\"memlock\":553652224,\"charge\":553652224,\"entry_budget\":4000,"
	"\"steps\":[{\"step\":\"pin\",\"parcel\":\"ram\"},"
	"{\"step\":\"pin\",\"parcel\":\"region-7\"},"
	"{\"step\":\"pin\",\"parcel\":\"region-8\"},"
	"{\"step\":\"write-kernel\"},"
	"{\"step\":\"write-initrd\"},"
	"{\"step\":\"write-dtb\"},"
	"{\"step\":\"allocate\",\"messages\":[{\"message\":\"VM_ALLOCATE\",\"count\":[1,1]}]},"
	"{\"step\":\"guard\",\"parcel\":\"ram\"},"
	"{\"step\":\"lend\",\"parcel\":\"ram\",\"messages\":["
	"{\"message\":\"MEM_SHARE\",\"count\":[1,1]},"
	"{\"message\":\"MEM_APPEND\",\"count\":[3,2047]},"
	"{\"message\":\"MEM_RECLAIM\",\"count\":[1,1]},"
	"{\"message\":\"MEM_LEND\",\"count\":[1,1]},"
	"{\"message\":\"MEM_APPEND\",\"count\":[3,2047]}]},"
	"{\"step\":\"guard\",\"parcel\":\"region-7\"},"
	"{\"step\":\"share\",\"parcel\":\"region-7\",\"messages\":["
	"{\"message\":\"MEM_SHARE\",\"count\":[1,1]},"
	"{\"message\":\"MEM_APPEND\",\"count\":[0,63]},"
	"{\"message\":\"MEM_LOOKUP_SGL\",\"count\":[0,1]}]},"
	"{\"step\":\"guard\",\"parcel\":\"region-8\"},"
	"{\"step\":\"share\",\"parcel\":\"region-8\",\"messages\":["
	"{\"message\":\"MEM_SHARE\",\"count\":[1,1]},"
	"{\"message\":\"MEM_LOOKUP_SGL\",\"count\":[1,1]}]},"
	"{\"step\":\"config-image\",\"messages\":[{\"message\":\"VM_CONFIG_IMAGE\",\"count\":[1,1]}"
	"]},"
	"{\"step\":\"init\",\"messages\":[{\"message\":\"VM_INIT\",\"count\":[1,1]}]},"
	"{\"step\":\"resources\",\"messages\":[{\"message\":\"VM_GET_HYP_RESOURCES\",\"count\":[1,"
	"1]}]},"
	"{\"step\":\"grant\"},"
	"{\"step\":\"start\",\"messages\":[{\"message\":\"VM_START\",\"count\":[1,1]}]}]}\n";

static void prints_itself(void **state)
{
	_cleanup_(ghvm_plan_done) struct ghvm_plan p = {};
	_cleanup_(freep) char *text = NULL, *json = NULL;
	const struct ghvm_plan_input in = input();
	struct ghvm_spec s = spec();
	struct ghvm_error err;

	s.regions[0] = (struct ghvm_spec_region){ .label = 7, .size = GHVM_MIB(16) };
	s.regions[1] =
		(struct ghvm_spec_region){ .label = 8, .size = GHVM_KIB(4), .readonly = true };
	s.n_regions = 2;
	assert_int_equal(make(&s, &in, &p, &err), 0);
	text = ghvm_plan_to_text(&p);
	json = ghvm_plan_to_json(&p);
	assert_string_equal(text, golden_text);
	assert_string_equal(json, golden_json);
}

/* What has no place in the golden plan. */
static void prints_the_other_words(void **state)
{
	const struct ghvm_plan_input in = input();
	struct ghvm_spec s = spec();

	s.memory = GHVM_GIB(1);
	s.protection = GHVM_PROTECTION_NONE;
	s.hugepages = GHVM_HUGEPAGES_1G;
	s.console = false;
	s.power_key = false;
	for (unsigned int i = 0; i < 2; i++) {
		_cleanup_(ghvm_plan_done) struct ghvm_plan p = {};
		_cleanup_(freep) char *text = NULL, *json = NULL;
		struct ghvm_error err;

		assert_int_equal(make(&s, &in, &p, &err), 0);
		p.watchdog = i; /* as RM has told since */
		text = ghvm_plan_to_text(&p);
		json = ghvm_plan_to_json(&p);
		assert_non_null(strstr(text, "demo: 2 vCPUs, 1G shared\n"));
		assert_null(strstr(text, "uart"));
		assert_null(strstr(text, "power-key"));
		assert_non_null(strstr(json, "\"doorbells\":[],"));
		assert_non_null(
			strstr(text, i ? "entries 512 to 262144 of 4000" : "entries 1 of 4000\n"));
		assert_non_null(strstr(text, i ? "  ram          0 of 512 pages of 2M\n"
					       : "  ram          512 of 512 pages of 2M\n"));
		assert_non_null(strstr(text, i ? "ram of 4K\n" : "ram of 1G, from the hugetlb"));
		assert_non_null(
			strstr(json, i ? "\"hugepages\":\"never\"" : "\"hugepages\":\"1G\""));
		assert_int_equal(!!strstr(text, "watchdog\n"), i);
		assert_int_equal(!!strstr(json, "\"watchdog\":true,"), i);
		s.hugepages = GHVM_HUGEPAGES_NEVER;
	}
}

static void names_every_step(void **state)
{
	for (int i = 0; i < GHVM_STEP_COUNT_; i++)
		assert_string_not_equal(ghvm_step_to_string((enum ghvm_step_kind)i), "unknown");
	assert_string_equal(ghvm_step_to_string(GHVM_STEP_COUNT_), "unknown");
}

/* The picture of a plan of @s; its own memory. */
static char *draw(const struct ghvm_spec *s, size_t columns, bool utf8)
{
	_cleanup_(ghvm_plan_done) struct ghvm_plan p = {};
	const struct plan_look look = { columns, utf8 };
	const struct ghvm_plan_input in = input();
	struct ghvm_error err;
	char *text, *end;

	assert_int_equal(make(s, &in, &p, &err), 0);
	text = plan_to_text(&p, &look);
	end = strstr(text, "parcels\n");
	assert_non_null(end);
	*end = '\0';
	return text;
}

/* The characters between the edges of the bar. */
static size_t bar_width(const char *picture)
{
	const char *bar = strchr(picture, '|');

	return (size_t)(strchr(bar + 1, '|') - bar) - 1;
}

static size_t count_char(const char *bar, char c)
{
	size_t n = 0;

	for (bar = strchr(bar, '|') + 1; *bar != '|'; bar++)
		n += *bar == c;
	return n;
}

/* As many regions and devices as there may be, in RAM of 1 GiB. */
static struct ghvm_spec full_spec(void)
{
	struct ghvm_spec s = spec();

	s.memory = GHVM_GIB(1);
	s.rtc = s.watchdog = s.rng = true;
	s.rng_region = 3;
	for (uint32_t i = 0; i < GHVM_SPEC_REGIONS_MAX; i++)
		s.regions[i] = (struct ghvm_spec_region){
			.label = i + 1,
			.size = i % 2 ? GHVM_KIB(4) : GHVM_MIB(8),
			.address = GHVM_IPA_REGIONS + GHVM_MIB(4) + i * GHVM_MIB(16),
		};
	s.n_regions = GHVM_SPEC_REGIONS_MAX;
	return s;
}

/* Nothing is wider than the terminal, and the bar fills it. */
static void the_map_fits_the_terminal(void **state)
{
	static const size_t widths[] = { 80, 120, 200 };
	const struct ghvm_spec s = full_spec();

	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		_cleanup_(freep) char *text = draw(&s, widths[i], false);

		assert_int_equal(bar_width(text), widths[i] - 4);
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			assert_true(strlen(line) <= widths[i]);
	}
}

/* A terminal that is too narrow for one character a part has a wider bar, in which no part is missing. */
static void each_part_has_a_character(void **state)
{
	const struct ghvm_spec s = full_spec();
	_cleanup_(freep) char *text = draw(&s, 5, false);

	for (char c = 'a'; c < 'a' + GHVM_SPEC_REGIONS_MAX + 5; c++)
		assert_int_equal(count_char(text, c), 1);
	assert_int_equal(count_char(text, 'a' + GHVM_SPEC_REGIONS_MAX + 5), 0);
}

/* RAM is 512 MiB of 2.5 GiB, and the first hole 256 MiB. */
static void the_map_is_to_scale(void **state)
{
	const struct ghvm_spec s = spec();
	_cleanup_(freep) char *text = draw(&s, 2564, false);
	const char *bar = strchr(text, '|');

	assert_int_equal(bar_width(text), 2560);
	assert_in_range(count_char(text, '#'), 505, 512);
	assert_in_range(strchr(bar, 'a') - bar, 250, 257);
}

static void says_what_the_parts_are(void **state)
{
	struct ghvm_spec s = spec();
	_cleanup_(freep) char *plain = draw(&s, 80, false), *regions = NULL, *utf8 = NULL;

	assert_non_null(strstr(plain, "  # ram   + registers   . hole\n"));
	assert_non_null(strstr(plain, "  . 0x000000000  256M     hole\n"));
	s = full_spec();
	regions = draw(&s, 80, false);
	assert_non_null(strstr(
		regions, "  # ram   ~ region of devices   % region   + registers   . hole\n"));
	utf8 = draw(&s, 80, true);
	assert_non_null(strstr(utf8, "  \u2588 ram   \u2593 region of devices"));
	assert_non_null(strstr(utf8, "\u2588\u2502\n"));
	for (const char *at = utf8; *at; at++)
		assert_true(*at != '|' && *at != '#' && *at != '%');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_itself),
		cmocka_unit_test(prints_the_other_words),
		cmocka_unit_test(names_every_step),
		cmocka_unit_test(the_map_fits_the_terminal),
		cmocka_unit_test(each_part_has_a_character),
		cmocka_unit_test(the_map_is_to_scale),
		cmocka_unit_test(says_what_the_parts_are),
	};

	make_kernel();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
