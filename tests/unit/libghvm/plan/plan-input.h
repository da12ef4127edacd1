/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of plans make a plan of.
 */
#pragma once

#include "libghvm/base/bits.h"
#include "libghvm/base/wire.h"
#include "libghvm/plan/plan.h"

static uint8_t kernel[64];

static void make_kernel(void)
{
	struct ghvm_put w = { .buf = kernel, .cap = sizeof(kernel) };

	ghvm_put_zero(&w, 16);
	ghvm_put_u64(&w, GHVM_MIB(33)); /* image_size */
	ghvm_put_u64(&w, 0xa);
	ghvm_put_zero(&w, 24);
	ghvm_put_u32(&w, 0x644d5241);
}

static struct ghvm_plan_input input(void)
{
	return (struct ghvm_plan_input){
		.kernel_header = kernel,
		.kernel_header_size = sizeof(kernel),
		.kernel_size = GHVM_MIB(32),
		.initrd_size = GHVM_MIB(5) + 1,
		.host_cpus = 4,
	};
}

static struct ghvm_spec spec(void)
{
	return (struct ghvm_spec){
		.name = "demo",
		.kernel = (char *)"/boot/Image",
		.cmdline = (char *)"console=ttyS0",
		.memory = GHVM_MIB(512),
		.cpus = 2,
		.console = true,
		.power_key = true,
	};
}

static int make(const struct ghvm_spec *s, const struct ghvm_plan_input *in, struct ghvm_plan *p,
		struct ghvm_error *err)
{
	*err = (struct ghvm_error){};
	return ghvm_plan_make(s, in, p, err);
}
