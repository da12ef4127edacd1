/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernel versions from 6.1 on, and code for arm64 only.
 */
#ifndef _GHVM_COMPAT_H
#define _GHVM_COMPAT_H

#include <linux/eventfd.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define ghvm_eventfd_signal(ctx) eventfd_signal(ctx)
#else
#define ghvm_eventfd_signal(ctx) eventfd_signal(ctx, 1)
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define ghvm_pin_user_pages(start, n, flags, pages) pin_user_pages(start, n, flags, pages)
#else
#define ghvm_pin_user_pages(start, n, flags, pages) pin_user_pages(start, n, flags, pages, NULL)
#endif

/*
 * memfd_pin_folios() came with 6.11, but some of its releases crash in it, or lose huge pages, where
 * the file has holes.
 */
#define GHVM_PINS_FILES (LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0))

/*
 * Before 6.3 qcom_scm_assign_mem() takes the present owners as a mask of 32 bits. Guests are owner
 * 0x3a there, so what was assigned to one could not be taken back.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#include <linux/firmware/qcom/qcom_scm.h>
#define GHVM_SCM_USABLE IS_REACHABLE(CONFIG_QCOM_SCM)
#else
#define GHVM_SCM_USABLE 0
#endif

#if IS_ENABLED(CONFIG_ARCH_HAS_PMEM_API)
/*
 * Cleans to the point of persistence, which is beyond the point of coherency: the only data cache
 * operation by address that the kernel exports. It handles CPU errata.
 */
static inline void ghvm_clean_dcache(void *va, size_t size)
{
	arch_wb_cache_pmem(va, size);
}
#elif defined(CONFIG_ARM64)
static inline void ghvm_clean_dcache(void *va, size_t size)
{
	unsigned long p = (unsigned long)va;
	unsigned long end = p + size;

	for (; p < end; p += 16) /* the smallest line size; CPUs of a machine may differ */
		asm volatile("dc civac, %0" : : "r"(p) : "memory");
	asm volatile("dsb sy" : : : "memory");
}
#else
static inline void ghvm_clean_dcache(void *va, size_t size)
{
}
#endif

#endif
