/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device tree overlays from users, laid over a real tree. */
#include "libghvm/base/bits.h"
#include "libghvm/base/cleanup.h"
#include "libghvm/plan/dt-lint.h"
#include "libghvm/plan/dt.h"
#include "ghvm/plan.h"
#include "tests/fixtures/devices.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <libfdt.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ghvm_dt_region region = { 7, GHVM_IPA_REGIONS, GHVM_MIB(2) };
	const struct ghvm_dt_machine m = {
		.name = "demo",
		.cmdline = "console=ttyS0",
		.ram_ipa = GHVM_IPA_RAM,
		.cpus = 2,
		.quirks = ghvm_quirks_unknown(),
		.devices = demo_devices,
		.n_devices = DEMO_DEVICES,
		.regions = &region,
		.n_regions = 1,
	};
	_cleanup_(freep) uint8_t *fdt = NULL;
	struct ghvm_error err = {};
	size_t n = 0;
	int r, vcpus;

	r = ghvm_dt_build(&m, data, size, &fdt, &n, &err);
	if (r < 0) {
		PROMISE(!fdt);
		PROMISE(r == -EINVAL || r == -E2BIG);
		PROMISE(*err.msg);
		return 0;
	}
	PROMISE(n % 8 == 0 && n < 0x4000);
	PROMISE(fdt_check_full(fdt, n) == 0 && fdt_totalsize((const void *)fdt) == n);
	PROMISE(ghvm_dt_lint(fdt, m.quirks, NULL) == 0);
	/* as RM looks for it: without this its end kills RM */
	vcpus = fdt_path_offset(fdt, "/gunyah-vm-config/vcpus");
	PROMISE(vcpus > 0 && fdt_stringlist_search(fdt, vcpus, "affinity", "proxy") == 0);
	return 0;
}
