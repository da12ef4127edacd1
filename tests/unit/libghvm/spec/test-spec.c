/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors: what is taken, what is complained about, and where. */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/base/name.h"
#include "ghvm/spec.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAD "version: 1\nkernel: {image: /boot/Image}\n"
#define GOOD HEAD "memory: {size: 512M}\n"

static int parse(const char *text, struct ghvm_spec *spec, struct ghvm_error *err)
{
	*err = (struct ghvm_error){};
	return ghvm_spec_parse("demo", "demo.yaml", text, strlen(text), spec, NULL, err);
}

static void takes_the_least(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct ghvm_error err;

	assert_int_equal(parse(GOOD, &s, &err), 0);
	assert_string_equal(s.name, "demo");
	assert_string_equal(s.kernel, "/boot/Image");
	assert_null(s.initrd);
	assert_string_equal(s.cmdline, "");
	assert_int_equal(s.format, GHVM_KERNEL_IMAGE);
	assert_int_equal(s.memory, GHVM_MIB(512));
	assert_int_equal(ghvm_spec_ram(&s), 0x80000000);
	assert_int_equal(s.protection, GHVM_PROTECTION_PROTECTED);
	assert_int_equal(s.hugepages, GHVM_HUGEPAGES_AUTO);
	assert_int_equal(s.cpus, 1);
	assert_true(s.console && s.power_key && !s.watchdog);
	assert_int_equal(s.logging, GHVM_LOGGING_FILE);
	assert_int_equal(s.log_size, GHVM_MIB(16));
	assert_int_equal(s.log_count, 3);
	assert_false(s.rm_rpc);
	assert_int_equal(s.on_reboot, GHVM_ON_END_RESTART);
	assert_int_equal(s.on_crash, GHVM_ON_END_STOP);
	assert_int_equal(s.on_watchdog, GHVM_ON_END_RESTART);
	assert_int_equal(s.stop_timeout_ms, 30000);
	assert_int_equal(s.n_regions, 0);
}

static void takes_everything(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	struct ghvm_error err;
	static const char text[] =
		"version: 1\n"
		"kernel:\n"
		"  image: /boot/Image\n"
		"  initrd: /boot/initrd\n"
		"  cmdline: \"console=ttyS0 quiet\"\n"
		"  dtb-overlay: /etc/more.dtbo\n"
		"  format: raw\n"
		"memory: {size: 0x80000000, protection: none, hugepages: 1G, address: 0xc0000000}\n"
		"cpus: {count: 8}\n"
		"boot: {entry: 0x80200000, x0: 0, x3: 0xffffffffffffffff, sp: 4096}\n"
		"devices:\n"
		"  - console: {enabled: false, logging: none, log-size: 1M, log-count: 5}\n"
		"  - power-key: {}\n"
		"  - rng: {}\n"
		"  - rtc: {}\n  - watchdog: {}\n"
		"regions:\n"
		"  - {label: 7, kind: share, size: 16M, address: 0x50000000}\n"
		"  - {label: 9, size: 4K, readonly: true}\n"
		"  - {label: 8, size: 4K, access: host-readonly}\n"
		"lifecycle: {on-crash: restart, on-watchdog: dump-only, stop-timeout: 2min}\n"
		"rm-rpc: true\n";

	assert_int_equal(parse(text, &s, &err), 0);
	assert_string_equal(s.initrd, "/boot/initrd");
	assert_string_equal(s.cmdline, "console=ttyS0 quiet");
	assert_string_equal(s.dtb_overlay, "/etc/more.dtbo");
	assert_int_equal(s.format, GHVM_KERNEL_RAW);
	assert_int_equal(s.memory, GHVM_GIB(2));
	assert_int_equal(ghvm_spec_ram(&s), 0xc0000000);
	assert_int_equal(s.protection, GHVM_PROTECTION_NONE);
	assert_int_equal(s.hugepages, GHVM_HUGEPAGES_1G);
	assert_int_equal(s.cpus, 8);
	assert_true(s.boot.entry.given && s.boot.entry.value == 0x80200000);
	assert_true(s.boot.x0.given && s.boot.x0.value == 0);
	assert_false(s.boot.x1.given || s.boot.x2.given);
	assert_true(s.boot.x3.given && s.boot.x3.value == UINT64_MAX);
	assert_true(s.boot.sp.given && s.boot.sp.value == 4096);
	assert_false(s.console);
	assert_int_equal(s.logging, GHVM_LOGGING_NONE);
	assert_int_equal(s.log_size, GHVM_MIB(1));
	assert_int_equal(s.log_count, 5);
	assert_true(s.power_key);
	assert_true(s.rng && s.rtc && s.watchdog);
	assert_true(s.rm_rpc);
	assert_int_equal(s.n_regions, 3);
	assert_int_equal(s.regions[0].label, 7);
	assert_int_equal(s.regions[0].address, 0x50000000);
	assert_int_equal(s.regions[1].size, 4096);
	assert_true(s.regions[1].readonly);
	assert_int_equal(s.regions[1].access, GHVM_HOST_READ_WRITE);
	assert_int_equal(s.regions[2].access, GHVM_HOST_READONLY);
	assert_int_equal(s.on_crash, GHVM_ON_END_RESTART);
	assert_int_equal(s.on_watchdog, GHVM_ON_END_DUMP_ONLY);
	assert_int_equal(s.stop_timeout_ms, 120000);
}

static const struct {
	const char *text;
	const char *complaint;
} bad[] = {
	{ "", "demo.yaml:1:1: empty" },
	{ "- 1\n", "demo.yaml:1:1: not a mapping of keys" },
	{ "a: [\n", "demo.yaml:2:1: not YAML" },
	{ GOOD "colour: blue\n", "demo.yaml:4:1: colour: unknown key" },
	{ GOOD "memory: {size: 1G}\n", "demo.yaml:4:1: memory: is given twice" },
	{ GOOD "? [a]\n: 1\n", "demo.yaml:4:3: a key is not a word" },
	{ HEAD, "demo.yaml:1:1: memory: is missing" },
	{ "kernel: {image: /i}\nmemory: {size: 2M}\n", "demo.yaml:1:1: version: is missing" },
	{ HEAD "memory: {}\n", "demo.yaml:3:9: memory.size: is missing" },
	{ HEAD "memory: 512M\n", "demo.yaml:3:9: memory: not a mapping of keys" },
	{ HEAD "memory: {size: [1]}\n", "demo.yaml:3:16: memory.size: not a size" },
	{ HEAD "memory: {size: -1}\n", "demo.yaml:3:16: memory.size: '-1' is not a size" },
	{ HEAD "memory: {size: 0x}\n", "memory.size: '0x' is not a size" },
	{ HEAD "memory: {size: 5Q}\n", "memory.size: '5Q' is not a size" },
	{ HEAD "memory: {size: 5MM}\n", "memory.size: '5MM' is not a size" },
	{ HEAD "memory: {size: 16777216T}\n", "memory.size: '16777216T' is not a size" },
	{ HEAD "memory: {size: 99999999999999999999G}\n", "is not a size" },
	{ HEAD "memory: {size: 0}\n", "memory.size: must not be 0" },
	{ HEAD "memory: {size: 101M}\n",
	  "demo.yaml:3:16: memory.size: 101M is not a multiple of 2M" },
	{ HEAD "memory: {size: 512M, hugepages: 1G}\n",
	  "512M is not a multiple of 1G (memory.hugepages: 1G)" },
	{ HEAD "memory: {size: 1000001}\n", "memory.size: 1000001 is not a multiple of 2M" },
	{ HEAD "memory: {size: 31G}\n",
	  "memory.size: more than 30720M, which fit below 0x800000000" },
	{ HEAD "memory: {size: 2M, protection: maybe}\n",
	  "demo.yaml:3:32: memory.protection: 'maybe' is none of: auto, protected, none" },
	{ GOOD "cpus: {count: 0}\n", "demo.yaml:4:15: cpus.count: 0 is not in 1 to 8" },
	{ GOOD "cpus: {count: 9}\n", "9 is not in 1 to 8" },
	{ GOOD "cpus: {count: many}\n", "cpus.count: not a whole number" },
	{ "version: 2\nkernel: {image: /i}\nmemory: {size: 2M}\n",
	  "version: 2 is not supported; it must be 1" },
	{ "version: 1\nkernel: {image: rel}\nmemory: {size: 2M}\n",
	  "demo.yaml:2:17: kernel.image: not an absolute path" },
	{ "version: 1\nkernel: {image: /i, cmdline: \"a\\tb\"}\nmemory: {size: 2M}\n",
	  "kernel.cmdline: has a control character, 0x09" },
	{ "version: 1\nkernel: {image: \"/a\\0b\"}\nmemory: {size: 2M}\n",
	  "demo.yaml:2:17: kernel.image: has a NUL character" },
	{ "version: 1\nkernel: {image: \"/a\\eb\"}\nmemory: {size: 2M}\n",
	  "kernel.image: has a control character, 0x1b" },
	{ GOOD "devices: {}\n", "devices: not a list" },
	{ GOOD "devices: [{net: {}}]\n", "devices[0].net: this kind of device is not supported" },
	{ GOOD "devices: [{console: {}}, {console: {enabled: false}}]\n",
	  "demo.yaml:4:26: devices[1]: the list has a console already" },
	{ GOOD "devices: [{}]\n", "devices[0]: not exactly one device" },
	{ GOOD "devices: [{console: {logging: syslog}}]\n", "devices[0].console.logging" },
	{ GOOD "devices: [{console: {log-size: 65537}}]\n",
	  "devices[0].console.log-size: 65537 is not a multiple of 64K" },
	{ GOOD "devices: [{console: {log-size: 0}}]\n",
	  "devices[0].console.log-size: must not be 0" },
	{ GOOD "devices: [{console: {log-size: 128M}}]\n",
	  "devices[0].console.log-size: not from 64K to 64M" },
	{ GOOD "devices: [{console: {log-count: 9}}]\n", "devices[0].console.log-count" },
	{ GOOD "devices: [{console: {log-count: 0}}]\n", "devices[0].console.log-count" },
	{ GOOD "devices: [{rng: {}}, {rng: {}}]\n",
	  "demo.yaml:4:22: devices[1]: the list has a rng already" },
	{ GOOD "devices: [{rng: 5}]\n", "devices[0].rng: not a mapping of keys" },
	{ GOOD "devices: [{rng: {source: x}}]\n", "devices[0].rng.source: unknown key" },
	{ GOOD "devices: [{console: {enabled: 1}}]\n",
	  "devices[0].console.enabled: neither true nor false" },
	{ GOOD "regions: [{size: 4K}]\n", "regions[0].label: is missing" },
	{ GOOD "regions: [{label: 0, size: 4K}]\n", "0 is not in 1 to 4294967293" },
	{ GOOD "regions: [{label: 4294967294, size: 4K}]\n",
	  "4294967294 is not in 1 to 4294967293" },
	{ GOOD "regions: [{label: 0xffffffff, size: 4K}]\n",
	  "4294967295 is not in 1 to 4294967293" },
	{ GOOD "regions: [{label: 1, size: 100}]\n",
	  "regions[0].size: 100 is not a multiple of 4K" },
	{ GOOD "regions: [{label: 1, size: 0}]\n", "regions[0].size: must not be 0" },
	{ GOOD "regions: [{label: 1, size: 4K, address: 0}]\n",
	  "demo.yaml:4:41: regions[0].address: must not be 0" },
	{ GOOD "\"\\e[31m\\u009b\\xffred\": 1\n", "4:1: ?[31m??\xc3\xbfred: unknown key" },
	{ GOOD "regions: [{label: 1, size: 4K, address: 0x123}]\n",
	  "regions[0].address: 291 is not" },
	{ GOOD "regions:\n- {label: 1, size: 4K}\n- {label: 1, size: 4K}\n",
	  "demo.yaml:6:11: regions[1].label: label 1 is also in line 5" },
	{ GOOD "regions: [{label: 1, size: 4K, address: 0x1000}]\n",
	  "regions[0].address: 0x1000 to its end" },
	{ GOOD "regions: [{label: 1, size: 2G, address: 0x40000000}]\n", "overlaps the VM's RAM" },
	{ GOOD "regions: [{label: 1, size: 8K, address: 0x40000000}, "
	       "{label: 2, size: 4K, address: 0x40001000}]\n",
	  "regions[1].address: 0x40001000 overlaps the region of line 4" },
	{ GOOD "lifecycle: {stop-timeout: soon}\n", "lifecycle.stop-timeout: not a time" },
	{ GOOD "lifecycle: {stop-timeout: 99999999h}\n", "not a time" },
	{ GOOD "lifecycle: {on-crash: panic}\n", "'panic' is none of: stop, restart" },
	{ GOOD "lifecycle: {on-watchdog: x}\n", "is none of: stop, restart, dump-only" },
	{ GOOD "rm-rpc: yes\n", "rm-rpc: neither true nor false" },
	{ HEAD "memory: &a {size: 2M}\n", "anchors are not understood" },
	{ HEAD "memory: !!map {size: 2M}\n", "tags are not understood" },
	{ HEAD "memory: *a\n", "aliases are not understood" },
	{ GOOD "---\n" GOOD, "second document" },
	{ "a: [[[[[[[[[[1]]]]]]]]]]\n", "nested too deeply" },
	/* no value is no key */
	{ "# nothing\n---\n", "demo.yaml:1:1: empty" },
	{ "~\n", "demo.yaml:1:1: empty" },
	{ HEAD "memory: {size: ~}\n", "demo.yaml:3:9: memory.size: is missing" },
	{ HEAD "memory:\n", "demo.yaml:1:1: memory: is missing" },
	{ GOOD "cpus: {count: null}\n", "cpus.count: is missing" },
	{ GOOD "devices: [~]\n", "devices[0]: not a mapping of keys" },
	{ GOOD "devices:\n- net:\n", "devices[0].net: this kind of device is not supported" },
	/* sizes and times may be quoted, numbers and switches are not */
	{ HEAD "memory: {size: \"64Q\"}\n", "memory.size: '64Q' is not a size" },
	{ HEAD "memory: {size: \"\"}\n", "memory.size: '' is not a size" },
	{ GOOD "cpus: {count: \"2\"}\n",
	  "cpus.count: not a whole number, but a text: remove the quotes" },
	{ GOOD "rm-rpc: \"true\"\n", "neither true nor false, but a text: remove the quotes" },
	/* where they are */
	{ "version: 1\n# \xc3\xa9 \xff\n", "demo.yaml:2:5: not UTF-8: invalid leading UTF-8" },
	{ "version: 1\n# \xc3", "demo.yaml:2:3: not UTF-8: incomplete UTF-8" },
	{ "# \x01\n", "demo.yaml:1:3: a control character, 0x01" },
	{ "\xff\xfeh\n", "demo.yaml:1:1: not UTF-8" },
	/* what was meant */
	{ GOOD "lifecyle: {}\n", "lifecyle: unknown key; did you mean 'lifecycle'?" },
	{ HEAD "memory: {size: 2M, protection: protcted}\n",
	  "none of: auto, protected, none; did you mean 'protected'?" },
};

static void assert_same_text(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static void assert_same(const struct ghvm_spec *a, const struct ghvm_spec *b)
{
	assert_string_equal(a->name, b->name);
	assert_same_text(a->kernel, b->kernel);
	assert_same_text(a->initrd, b->initrd);
	assert_same_text(a->cmdline, b->cmdline);
	assert_same_text(a->dtb_overlay, b->dtb_overlay);
	assert_int_equal(a->memory, b->memory);
	assert_int_equal(a->protection, b->protection);
	assert_int_equal(a->hugepages, b->hugepages);
	assert_int_equal(a->cpus, b->cpus);
	assert_int_equal(a->console, b->console);
	assert_int_equal(a->logging, b->logging);
	assert_true(a->log_size == b->log_size && a->log_count == b->log_count);
	assert_true(a->power_key == b->power_key && a->rng == b->rng && a->rtc == b->rtc);
	assert_true(a->watchdog == b->watchdog && a->vsock == b->vsock);
	assert_true(a->vsock_cid == b->vsock_cid && a->vsock_region == b->vsock_region);
	assert_int_equal(a->rm_rpc, b->rm_rpc);
	assert_true(a->on_reboot == b->on_reboot && a->on_crash == b->on_crash);
	assert_int_equal(a->on_watchdog, b->on_watchdog);
	assert_int_equal(a->stop_timeout_ms, b->stop_timeout_ms);
	assert_int_equal(a->n_regions, b->n_regions);
	for (size_t i = 0; i < a->n_regions; i++) {
		assert_int_equal(a->regions[i].label, b->regions[i].label);
		assert_int_equal(a->regions[i].readonly, b->regions[i].readonly);
		assert_int_equal(a->regions[i].access, b->regions[i].access);
		assert_int_equal(a->regions[i].size, b->regions[i].size);
		assert_int_equal(a->regions[i].address, b->regions[i].address);
	}
}

/* What is printed is one line, and is read as the same spec. */
static void prints_what_it_reads(void **state)
{
	static const char *const texts[] = {
		GOOD,
		"version: 1\n"
		"kernel: {image: \"/boot/Im age\", initrd: /boot/initrd, dtb-overlay: "
		"/etc/more.dtbo,\n"
		"  cmdline: \"a=\\\"b\\\" c\\\\d {e}: #f, 'g' \\u00e9\\u0085\\u2028 \\U0001f600 z "
		"\"}\n"
		"memory: {size: 2G, protection: none, hugepages: 1G}\n"
		"cpus: {count: 8}\n"
		"devices: [{console: {enabled: false}}, {power-key: {}}, {rng: {}}, {rtc: {}},\n"
		"  {disk: {image: /srv/a b.img, format: raw, readonly: true, queues: 2}},\n"
		"  {vhost-user: {socket: /run/s, id: 63, queues: 8, region: 9}},\n"
		"  {disk: {image: /srv/b, format: qcow2, discard: true, cache: directsync, region: "
		"8}},\n"
		"  {vhost-user: {socket: /run/t, id: 1}}, {vsock: {cid: 3, region: 9}}, {watchdog: "
		"{}}]\n"
		"regions:\n"
		"  - {label: 0xfffffffd, kind: share, size: 16M, address: 0x50000000}\n"
		"  - {label: 9, size: 4K, readonly: true}\n"
		"  - {label: 8, size: 4K, access: host-readonly}\n"
		"lifecycle: {on-reboot: stop, on-watchdog: dump-only, stop-timeout: 1234ms}\n"
		"rm-rpc: true\n",
		GOOD "devices: [{power-key: {enabled: false}}]\n",
		HEAD "memory: {size: 2M, hugepages: 2M}\n",
		HEAD "memory: {size: 2M, hugepages: never}\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(ghvm_spec_done) struct ghvm_spec s = {}, again = {};
		_cleanup_(freep) char *line = NULL, *again_line = NULL;
		struct ghvm_error err;

		assert_int_equal(parse(texts[i], &s, &err), 0);
		line = ghvm_spec_to_yaml(&s);
		assert_non_null(line);
		assert_null(strchr(line, '\n'));
		if (parse(line, &again, &err) < 0)
			fail_msg("%s: %s", line, err.msg);
		assert_same(&s, &again);
		again_line = ghvm_spec_to_yaml(&again);
		assert_string_equal(line, again_line);
	}
}

static void complains_with_its_place(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ghvm_spec s = { .cpus = 77 };
		struct ghvm_error err;

		assert_int_equal(parse(bad[i].text, &s, &err), -EINVAL);
		if (!strstr(err.msg, bad[i].complaint))
			fail_msg("\"%s\" for:\n%s", err.msg, bad[i].text);
		assert_int_equal(s.cpus, 77); /* untouched */
	}
}

static void says_all_of_it(void **state)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
	static const char text[] = HEAD "memory: {size: x}\ncpus: {count: 0}\nwhat: 1\n";
	struct ghvm_error err = {};
	struct ghvm_spec s;

	assert_int_equal(ghvm_spec_parse("demo", "d.yaml", text, strlen(text), &s, &c, &err),
			 -EINVAL);
	assert_int_equal(c.n, 3);
	assert_string_equal(c.v[0].key, "memory.size");
	assert_string_equal(c.v[1].rule, "range");
	assert_int_equal(c.v[2].line, 5);
	assert_int_equal(c.v[2].column, 1);
	assert_string_equal(c.v[2].rule, "unknown-key");
	assert_string_equal(c.v[2].file, "d.yaml");
	assert_non_null(strstr(err.msg, "d.yaml:3:16: memory.size"));
}

/* In the order of lines, whatever was looked at first; and nothing twice, in other words. */
static void complains_once_and_in_order(void **state)
{
	static const struct {
		const char *text;
		const char *keys[4];
	} cases[] = {
		/* unknown, so not missing as well */
		{ "version: 1\nkernal: {image: /i}\nmemory: {size: 64M}\n", { "kernal" } },
		{ HEAD "memory: {siz: 64M}\n", { "memory.siz" } },
		/* wrong, so not 0 and not of the wrong size as well */
		{ HEAD "memory: {size: 0}\n", { "memory.size" } },
		{ GOOD "regions: [{label: 1, size: 12Q}]\n", { "regions[0].size" } },
		{ GOOD "regions: [{label: 1, size: 4K, address: 0}]\n", { "regions[0].address" } },
		{ HEAD
		  "memory: {size: 101Q}\nregions: [{label: 1, size: 4K, address: 0x90000000}]\n",
		  { "memory.size" } },
		/* of two keys: found last, stands first */
		{ HEAD "memory: {hugepages: 1G, size: 1536M}\ncpus: {count: 0}\nwhat: 1\n",
		  { "memory.size", "cpus.count", "what" } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
		struct ghvm_error err = {};
		struct ghvm_spec s;
		size_t n = 0;

		assert_int_equal(ghvm_spec_parse("demo", "d.yaml", cases[i].text,
						 strlen(cases[i].text), &s, &c, &err),
				 -EINVAL);
		for (; cases[i].keys[n]; n++)
			if (n >= c.n || strcmp(c.v[n].key, cases[i].keys[n]) != 0)
				fail_msg("not %s:\n%s", cases[i].keys[n], cases[i].text);
		if (c.n != n)
			fail_msg("%s: %s as well, for:\n%s", c.v[n].key, c.v[n].text,
				 cases[i].text);
		assert_non_null(strstr(err.msg, cases[i].keys[0]));
	}
}

/* What template engines write, and what people do. */
static void takes_other_ways_to_write_it(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {}, want = {};
	struct ghvm_error err;
	static const char plain[] =
		"version: 1\nkernel: {image: /boot/Image, cmdline: console=ttyS0 quiet}\n"
		"memory: {size: 64M}\nlifecycle: {stop-timeout: 2min}\n"
		"regions: [{label: 1, size: 4K, address: 0x50000000}]\n";
	static const char other[] =
		"version: 1\n"
		"kernel:\n"
		"  image: \"/boot/Image\"\n"
		"  initrd:\n"
		"  dtb-overlay: ~\n"
		"  cmdline: >\n"
		"    console=ttyS0\n"
		"    quiet\n"
		"memory: {size: \"64M\", hugepages: null}\n"
		"cpus:\n"
		"devices:\n"
		"  - console:\n"
		"regions: [{label: 1, size: '4K', address: \"0x50000000\", readonly: ~}]\n"
		"lifecycle: {stop-timeout: '2min', on-crash: Null}\n"
		"rm-rpc: NULL\n";

	assert_int_equal(parse(plain, &want, &err), 0);
	if (parse(other, &s, &err) < 0)
		fail_msg("%s", err.msg);
	assert_same(&s, &want);
}

static void a_command_line_is_one_line(void **state)
{
	static const char *const ways[][2] = {
		{ "|\n    a\n    b\n", "a b" },
		{ "|+\n    a\n    b\n\n", "a b" },
		{ "|-\n    a\n\n    b\n", "a  b" },
		{ ">-\n    a\n    b\n", "a b" },
		{ "\"a\\nb\"\n", "a b" },
		{ "a\n    b\n", "a b" },
		{ "5\n", "5" },
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
		struct ghvm_error err;

		snprintf(text, sizeof(text),
			 "version: 1\nmemory: {size: 64M}\nkernel:\n  image: /i\n  cmdline: %s",
			 ways[i][0]);
		if (parse(text, &s, &err) < 0)
			fail_msg("%s", err.msg);
		assert_string_equal(s.cmdline, ways[i][1]);
	}
}

/* A NUL is reported where it is, not as the end. */
static void finds_zero_bytes(void **state)
{
	static const char text[] = GOOD "cpus: {count\0: 2}\n";
	struct ghvm_error err = {};
	struct ghvm_spec s;

	assert_int_equal(ghvm_spec_parse("demo", "d.yaml", text, sizeof(text) - 1, &s, NULL, &err),
			 -EINVAL);
	assert_non_null(strstr(err.msg, "d.yaml:4:13: a control character, 0x00"));
}

/* What is found out after the files are gone still has its place. */
static void locates_what_is_found_later(void **state)
{
	static const struct {
		const char *msg;
		const char *want;
	} cases[] = {
		{ "kernel.image: /boot/Image: gone", "demo.yaml:2:17: kernel.image: /boot/Image" },
		{ "memory.size: too small", "demo.yaml:3:16: memory.size: too small" },
		{ "memory: too little in the host", "memory: too little in the host" },
		{ "cpus.count: 5", "demo.yaml:1:1: cpus.count: 5" },
		{ "regions[1]: no room", "demo.yaml:6:3: regions[1]: no room" },
		{ "cannot lend: it is full", "cannot lend: it is full" },
		{ "no key at all", "no key at all" },
	};
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {}, none = {};
	struct ghvm_error err;

	assert_int_equal(
		parse(GOOD "regions:\n- {label: 1, size: 4K}\n- {label: 2, size: 4K}\n", &s, &err),
		0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
		bool located = strchr(cases[i].want, '/') || strstr(cases[i].want, ".yaml");

		(void)ghvm_error_set(&err, -ENOSPC, "%s", cases[i].msg);
		assert_int_equal(ghvm_spec_complain(&s, &err, &c), located ? 0 : -ENOENT);
		assert_int_equal(c.n, located);
		ghvm_spec_locate(&none, &err); /* not read from a file */
		assert_string_equal(err.msg, cases[i].msg);
		ghvm_spec_locate(&s, &err);
		assert_int_equal(strncmp(err.msg, cases[i].want, strlen(cases[i].want)), 0);
		assert_int_equal(err.code, -ENOSPC);
	}
}

/* A cut never leaves half a character behind. */
static void complains_in_whole_characters(void **state)
{
	/* 40 bytes are shown: "1", the padding, and 39 or fewer */
	static const char *const ends[] = {
		"\xe2\x82\xac' is not a size",
		"\xe2\x82\xac?\?' is not a size",
		"\xe2\x82\xac?' is not a size",
		"\xe2\x82\xac' is not a size",
	};
	char text[512];

	for (size_t pad = 0; pad < 4; pad++) {
		_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
		size_t at = (size_t)snprintf(text, sizeof(text), HEAD "memory: {size: 1");
		struct ghvm_spec s;

		memset(text + at, 'x', pad);
		at += pad;
		for (size_t i = 0; i < 40; i++, at += 3)
			memcpy(text + at, "\xe2\x82\xac", 3); /* a euro sign */
		at += (size_t)snprintf(text + at, sizeof(text) - at, "}\n");
		assert_int_equal(ghvm_spec_parse("demo", "d.yaml", text, at, &s, &c, NULL),
				 -EINVAL);
		assert_int_equal(c.n, 1);
		assert_non_null(strstr(c.v[0].text, ends[pad]));
	}
}

static void warns_and_succeeds(void **state)
{
	_cleanup_(ghvm_complaints_done) struct ghvm_complaints c = {};
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	static const char text[] = HEAD "memory: {size: 4M}\n";

	assert_int_equal(ghvm_spec_parse("demo", "d.yaml", text, strlen(text), &s, &c, NULL), 0);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.v[0].severity, GHVM_SEVERITY_WARNING);
}

static void bounds_regions_and_size(void **state)
{
	_cleanup_(ghvm_spec_done) struct ghvm_spec s = {};
	_cleanup_(freep) char *big = NULL;
	char text[4096] = GOOD "regions:\n";
	struct ghvm_error err;

	for (unsigned int i = 1; i <= GHVM_SPEC_REGIONS_MAX; i++)
		sprintf(text + strlen(text), "- {label: %u, size: 4K}\n", i);
	assert_int_equal(parse(text, &s, &err), 0);
	assert_int_equal(s.n_regions, GHVM_SPEC_REGIONS_MAX);
	ghvm_spec_done(&s);
	strcat(text, "- {label: 99, size: 4K}\n");
	assert_int_equal(parse(text, &s, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "more than 16"));

	big = malloc(GHVM_SPEC_FILE_MAX + 1);
	assert_non_null(big);
	memset(big, '#', GHVM_SPEC_FILE_MAX + 1);
	assert_int_equal(
		ghvm_spec_parse("demo", "d.yaml", big, GHVM_SPEC_FILE_MAX + 1, &s, NULL, &err),
		-EFBIG);
}

static void checks_names(void **state)
{
	struct ghvm_error err = {};
	struct ghvm_spec s;

	assert_true(ghvm_name_valid("a"));
	assert_true(ghvm_name_valid("abcdefghijklmnopqrstuvwxy-9"));
	assert_false(ghvm_name_valid("abcdefghijklmnopqrstuvwxyz01"));
	assert_false(ghvm_name_valid(""));
	assert_false(ghvm_name_valid("-a"));
	assert_false(ghvm_name_valid("a-"));
	assert_false(ghvm_name_valid("A"));
	assert_false(ghvm_name_valid("a/b"));
	assert_int_equal(ghvm_spec_parse("Bad_Name", "x", "", 0, &s, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "Bad_Name"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_the_least),
		cmocka_unit_test(takes_everything),
		cmocka_unit_test(prints_what_it_reads),
		cmocka_unit_test(complains_with_its_place),
		cmocka_unit_test(says_all_of_it),
		cmocka_unit_test(complains_once_and_in_order),
		cmocka_unit_test(takes_other_ways_to_write_it),
		cmocka_unit_test(a_command_line_is_one_line),
		cmocka_unit_test(finds_zero_bytes),
		cmocka_unit_test(locates_what_is_found_later),
		cmocka_unit_test(complains_in_whole_characters),
		cmocka_unit_test(warns_and_succeeds),
		cmocka_unit_test(bounds_regions_and_size),
		cmocka_unit_test(checks_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
