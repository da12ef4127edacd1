/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan of a guest: the same at its start and in a later manager.
 */
#include "daemon/manager/instance/internal.h"

#include "libghvm/plan/plan.h"

#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

void guest_file_of(const struct stat *st, struct store_file *ret)
{
	*ret = (struct store_file){
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime = (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec,
	};
}

int guest_plan(struct guest *g, struct ghvm_plan_input *in, struct ghvm_error *err)
{
	const struct store_origin *o = &g->origin;
	int r;

	in->quirks = g->host->quirks;
	in->kernel_size = o->kernel.size;
	in->initrd_size = o->initrd.size;
	in->overlay = o->overlay;
	in->overlay_size = o->overlay_size;
	if (getrandom(&in->kaslr_seed, sizeof(in->kaslr_seed), 0) != sizeof(in->kaslr_seed))
		return ghvm_error_set(err, -errno, "cannot get random numbers");
	r = ghvm_plan_make(&g->spec, in, &g->plan, err);
	if (r < 0)
		ghvm_spec_locate(&g->spec, err);
	else if (g->lent_instead)
		ghvm_plan_lend_ram(&g->plan);
	g->planned = r == 0;
	return r;
}

unsigned int guest_host_cpus(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus > 0 ? (unsigned int)cpus : 0;
}

int guest_check(const struct guest_host *host, const struct ghvm_spec *spec, struct ghvm_error *err)
{
	int r = ghvm_plan_check_cpus(spec, guest_host_cpus(), err);

	if (r == 0)
		r = ghvm_plan_check(spec, host->quirks, err);
	if (r < 0)
		ghvm_spec_locate(spec, err);
	return r;
}
