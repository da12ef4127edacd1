/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System registers: access, names that assemblers may not know, and the bits in use. */
#pragma once

#include <stdint.h>

#define SYSREG_READ_(r)                                                                            \
	({                                                                                         \
		uint64_t value_;                                                                   \
		__asm__ volatile("mrs %0, " #r : "=r"(value_)::"memory");                          \
		value_;                                                                            \
	})
#define SYSREG_WRITE_(r, v) __asm__ volatile("msr " #r ", %0" ::"r"((uint64_t)(v)) : "memory")
#define sysreg_read(r) SYSREG_READ_(r)
#define sysreg_write(r, v) SYSREG_WRITE_(r, v)

#define ICC_PMR_EL1 S3_0_C4_C6_0
#define ICC_IAR0_EL1 S3_0_C12_C8_0
#define ICC_EOIR0_EL1 S3_0_C12_C8_1
#define ICC_BPR0_EL1 S3_0_C12_C8_3
#define ICC_SGI1R_EL1 S3_0_C12_C11_5
#define ICC_SGI0R_EL1 S3_0_C12_C11_7
#define ICC_HPPIR1_EL1 S3_0_C12_C12_2
#define ICC_CTLR_EL1 S3_0_C12_C12_4
#define ICC_IGRPEN0_EL1 S3_0_C12_C12_6
#define ICC_SRE_EL2 S3_4_C12_C9_5
#define ICH_AP0R0_EL2 S3_4_C12_C8_0
#define ICH_AP1R0_EL2 S3_4_C12_C9_0
#define ICH_HCR_EL2 S3_4_C12_C11_0
#define ICH_VTR_EL2 S3_4_C12_C11_1
#define ICH_VMCR_EL2 S3_4_C12_C11_7
#define ICH_LR0_EL2 S3_4_C12_C12_0
#define ICH_LR1_EL2 S3_4_C12_C12_1
#define ICH_LR2_EL2 S3_4_C12_C12_2
#define ICH_LR3_EL2 S3_4_C12_C12_3

#define HCR_VM (1ul << 0)
#define HCR_SWIO (1ul << 1)
#define HCR_PTW (1ul << 2)
#define HCR_FMO (1ul << 3)
#define HCR_IMO (1ul << 4)
#define HCR_AMO (1ul << 5)
#define HCR_FB (1ul << 9)
#define HCR_BSU_IS (1ul << 10)
#define HCR_TWI (1ul << 13)
#define HCR_TSC (1ul << 19)
#define HCR_TIDCP (1ul << 20)
#define HCR_RW (1ul << 31)
#define HCR_BOTH (HCR_VM | HCR_SWIO | HCR_PTW | HCR_FMO | HCR_TSC | HCR_RW)
#define HCR_PRIMARY HCR_BOTH
#define HCR_GUEST (HCR_BOTH | HCR_IMO | HCR_AMO | HCR_FB | HCR_BSU_IS | HCR_TWI | HCR_TIDCP)

#define VTCR_VALUE 0x80023559ul	   /* 4K, 39-bit IPA, start level 1 */
#define SCTLR_EL1_OFF 0x30d00800ul /* RES1 bits: MMU and caches off */
#define SPSR_EL1H_MASKED 0x3c5ul
#define MDCR_TRAPS 0xe60ul /* debug and PMU */
#define CNTHCT_PRIMARY 3ul
#define CNTHCT_GUEST 1ul
#define CPTR_NO_TRAPS 0x33fful

#define TIMER_ENABLE (1ul << 0)
#define TIMER_IMASK (1ul << 1)
#define TIMER_STATUS (1ul << 2)

#define ESR_EC(esr) ((esr) >> 26 & 0x3f)
#define EC_WFX 0x01
#define EC_HVC 0x16
#define EC_SMC 0x17
#define EC_SYSREG 0x18
#define EC_IABT_LOWER 0x20
#define EC_DABT_LOWER 0x24
#define ESR_RT(esr) ((unsigned int)((esr) >> 5 & 31)) /* of EC_SYSREG */
#define ESR_SYSREG_READ 1ul
#define ESR_SYSREG_MASK 0x3ffc1eul
#define ESR_SYSREG_SGI1R 0x3a3016ul
#define ESR_SYSREG_ASGI1R 0x3c3016ul
#define ESR_SYSREG_SGI0R 0x3e3016ul
#define ESR_WFE 1ul
#define ESR_DFSC(esr) ((esr)&0x3f)
#define DFSC_TRANSLATION 0x04 /* plus the level in bits 1:0 */
#define DFSC_EXTERNAL 0x10
#define ESR_WNR (1ul << 6)
#define ESR_S1PTW (1ul << 7)
#define ESR_CM (1ul << 8)
#define ESR_SF (1ul << 15)
#define ESR_SRT(esr) ((unsigned int)((esr) >> 16 & 31))
#define ESR_SSE (1ul << 21)
#define ESR_SAS(esr) ((unsigned int)((esr) >> 22 & 3))
#define ESR_ISV (1ul << 24)
#define ESR_IL (1ul << 25)

static inline void isb(void)
{
	__asm__ volatile("isb" ::: "memory");
}

static inline void dsb(void)
{
	__asm__ volatile("dsb sy" ::: "memory");
}

static inline uint32_t mmio_read32(uint64_t pa)
{
	return *(volatile uint32_t *)pa;
}

static inline void mmio_write32(uint64_t pa, uint32_t v)
{
	*(volatile uint32_t *)pa = v;
}

static inline void mmio_write8(uint64_t pa, uint8_t v)
{
	*(volatile uint8_t *)pa = v;
}
